"""Scores as a table for a terminal, as Markdown, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from bench.core.terminal import single_line
from bench.report.markdown import cell, code, table
from bench.report.view import MARKS, NOT_SHOWN, ColumnFormat, p_value, side_word
from bench.standalone import Scores

WIDEST = 60  # characters of a summary on a terminal
FORMATS = ("terminal", "markdown", "json")
Escape = Callable[[object], str]


def scores(found: Scores, format: str) -> str:
    """Lay out every system's values with their intervals, and the signatures."""
    if format == "json":
        return _json({"values": found.values, "signatures": found.signatures})
    headers, rows = _values(found, cell if format == "markdown" else _plain)
    note = f"{_interval(found)} over {found.values['n'].iloc[0]:,} dialogues."
    if format == "markdown":
        signatures = "\n".join(f"- {code(text)}" for text in found.signatures.values())
        return f"{table(headers, rows)}\n\n{note}\n\n{signatures}\n"
    return f"{_aligned(headers, rows)}\n\n{note}\n" + "".join(f"  {text}\n" for text in found.signatures.values())


def comparison(found: Scores, format: str, key: str, count: int) -> str:
    """Lay out the differences to the first system, and the summaries whose `key` changed most."""
    changed = _most_changed(found, key, count)
    if format == "json":
        return _json(
            {"differences": found.differences, "changed_most": changed, "values": found.values}
            | {"signatures": found.signatures}
        )
    escape = cell if format == "markdown" else _plain
    headers, rows = _differences(found, escape)
    note = (
        f"{_interval(found)} of the paired differences over {found.differences['n'].iloc[0]:,} dialogues. ▲ ▼ by a two-sided "
        f"sign-flip test, corrected by Holm over all rows: where nothing changed, the chance of any is below {100 * found.claims:g} %. "
        "±: what so many dialogues would find with 80 % power."
    )
    titles = ["", "dialogue", _format(found).title(key), "summary"]
    texts = [[escape(row[name]) for name in ("system", "id", "value", "text")] for row in changed]
    if format == "markdown":
        return f"{table(headers, rows, align='lllrrl')}\n\n{note}\n\nChanged most by {cell(key)}:\n\n{table(titles, texts, 4)}\n"
    return f"{_aligned(headers, rows)}\n\n{note}\n\nchanged most by {key}:\n\n{_aligned(titles, texts, left=4)}\n"


def _format(found: Scores) -> ColumnFormat:
    return ColumnFormat(found.columns)


def _interval(found: Scores) -> str:
    return f"± and brackets: {100 * found.confidence:g} % intervals"


def _plain(text: object) -> str:
    return single_line(str(text))


def _values(found: Scores, escape: Escape) -> tuple[list[str], list[list[str]]]:
    """One row a system."""
    format, cells = _format(found), dict[str, dict[str, str]]()
    for row in found.values.itertuples():
        bounds = (_known(row.low), _known(row.high))
        cells.setdefault(row.system, {})[row.column] = format.bounded(row.column, row.value, *bounds)
    keys = [key for key in found.columns if key in set(found.values["column"])]
    return (
        ["", *(escape(format.title(key)) for key in keys)],
        [[escape(system), *(shown.get(key, "–") for key in keys)] for system, shown in cells.items()],
    )


def _differences(found: Scores, escape: Escape) -> tuple[list[str], list[list[str]]]:
    format, rows = _format(found), []
    for row in found.differences.itertuples():
        shown = format.bounded(row.column, row.difference, _known(row.low), _known(row.high), sign=True)
        rows.append(
            [
                escape(row.system),
                escape(row.against),
                escape(format.title(row.column)),
                shown,
                p_value(row.p_holm),
                _reading(found, row, format),
            ]
        )
    return ["", "against", "measure", "difference", "p (Holm)", "reading"], rows


def _reading(found: Scores, row: Any, format: ColumnFormat) -> str:
    if row.changed == 0:
        return "○ identical"
    if row.p_holm > found.claims:
        visible = format.number(row.column, row.smallest_detectable, sign=True).lstrip("+")
        return f"○ {NOT_SHOWN}" + (f"; ±{visible}" if float(visible) > 0 else "")
    word = side_word(1 if row.difference > 0 else -1, found.columns[row.column].higher_is_better)
    return f"{MARKS[word]} {word}"


def _known(bound: float) -> float | None:
    return None if bound != bound else float(bound)


def _most_changed(found: Scores, key: str, count: int) -> list[dict[str, str]]:
    """The dialogues where some system is furthest from the first, with the summaries of all."""
    wide = found.rows.pivot(index="id", columns="system", values=key)
    order = list(dict.fromkeys(found.rows["system"]))
    distance = wide[order].sub(wide[order[0]], axis=0).abs().max(axis=1)
    ids = distance[distance > 0].sort_values(ascending=False, kind="stable").index[:count]
    texts = found.rows.set_index(["id", "system"])
    format = _format(found)
    return [
        {
            "system": system,
            "id": str(name),
            "value": format.number(key, float(texts.loc[(name, system), key])),
            "text": str(texts.loc[(name, system), "text"]),
        }
        for name in ids
        for system in order
    ]


def _aligned(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    from tabulate import tabulate

    sides = [
        "left" if k < left or not any(c.isdigit() for r in rows for c in r[k][:4]) else "right"
        for k in range(len(headers))
    ]
    cut = [[text if len(text) <= WIDEST else text[: WIDEST - 1] + "…" for text in row] for row in rows]
    return str(tabulate(cut, list(headers), tablefmt="simple", colalign=sides, disable_numparse=True))


def _json(parts: dict[str, Any]) -> str:
    """Frames as lists of objects; a bound that does not exist is left out."""
    plain = {
        name: part
        if isinstance(part, dict | list)
        else [{key: value for key, value in row.items() if value == value} for row in part.to_dict("records")]
        for name, part in parts.items()
    }
    return json.dumps(plain, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
