"""Preferences; and reward models, reported like any other model: how often each is right on held-out pairs, by kind, and what it goes by."""

from __future__ import annotations

from typing import Any

from bench.report.markdown import cell, code, folded, section, table
from bench.report.view import NONE, View, count, fixed, share


def preferences(view: View) -> str:
    """Write the section on what was learnt from; empty where a study has no preferences."""
    known = view.study.preferences
    rows = []
    for name, about in known.items():
        parts, judge = about["parts"], about.get("judge")
        told = [count(sum(part[key] for part in parts.values())) for key in ("dialogues", "rankings", "pairs")]
        bias = f"{100 * judge['position_bias']:+.1f} points" if judge else NONE
        both = f"{share(judge['always_first'])}, {share(judge['always_second'])}" if judge else NONE
        rows.append([cell(name), cell(about["source"]), *told, bias, both])
    judged = any("judge" in about for about in known.values())
    headers = [
        "preferences",
        "source",
        "dialogues",
        "rankings",
        "pairs",
        "position bias",
        "first, second place both ways",
    ]
    shown = rows if judged else [row[:5] for row in rows]
    note = (
        "A model judged each pair in both orders. *Position bias* is the mean chance that it gave the first place, less one half; "
        "then the shares of pairs in which the same place won both ways."
    )
    made = table(headers if judged else headers[:5], shown, text_columns=2)
    return section("Preferences", made, note if judged else "")


def training_sets(view: View) -> str:
    """Write the section on what was imitated in place of the training split; empty where a study makes none."""
    known = view.study.training_sets
    told = [
        f"- {code(name)} ({cell(about['source'])}): "
        + ", ".join(f"{cell(w)} {count(n)}" for w, n in about["counts"].items())
        for name, about in known.items()
    ]
    note = "*In another split*: left out, since validation or test hold the same."
    return section("Training sets", "\n".join(told), note) if told else ""


def reward_models(view: View) -> str:
    """Write the section; empty where a study trains none."""
    known = view.study.reward_models
    if not known:
        return ""
    sentences = [f"- {_sentence(name, about)}" for name, about in known.items()]
    tables = [
        folded(f"{cell(name)} on {cell(of)}: by kind of pair, and its calibration", _table(test), _calibration(test))
        for name, about in known.items()
        for of, test in about["tests"].items()
    ]
    note = (
        "Held-out dialogues; brackets are 95 % intervals, dialogues resampled. *longer* and *ROUGE-1* say how often the longer "
        "summary, or the one nearer to the references, is the better one: a reward model that does no better has learnt no "
        "more. Correlations are Spearman's within a dialogue's summaries, averaged."
    )
    return section("How often the reward models are right", "\n".join(sentences), _overview(view), *tables, note)


def _sentence(name: str, about: dict[str, Any]) -> str:
    learnt = " and ".join(map(code, about["learns_from"]))
    rights = [
        f"{_bounded(test['rows'][0]['accuracy'])} of {count(test['rows'][0]['pairs'])} pairs of {code(of)}"
        for of, test in about["tests"].items()
        if test["rows"]
    ]
    return f"{code(name)} ({about['form'].replace('_', ' ')} on {code(about['init'])}, learnt from {learnt}): {', '.join(rights)}."


def _overview(view: View) -> str:
    rows = []
    for name, about in view.study.reward_models.items():
        for of, test in about["tests"].items():
            if not test["rows"]:
                continue
            whole, goes_by = test["rows"][0], test["correlations"]
            rows.append(
                [
                    cell(name),
                    cell(of),
                    count(whole["pairs"]),
                    *(_bounded(whole[key]) for key in ("accuracy", "longer", "rouge1")),
                    share(test["calibration"]["error"]),
                    *(NONE if goes_by[key] is None else fixed(goes_by[key], 2) for key in ("length", "copying")),
                ]
            )
    headers = [
        "reward model",
        "pairs of",
        "pairs",
        "right",
        "longer",
        "ROUGE-1",
        "calibration error",
        "with length",
        "with copying",
    ]
    return table(headers, rows, text_columns=2)


def _table(test: dict[str, Any]) -> str:
    rows = [
        [cell(row["category"]), count(row["pairs"]), *(_bounded(row[key]) for key in ("accuracy", "longer", "rouge1"))]
        for row in test["rows"]
    ]
    return table(["pairs", "n", "right", "longer", "ROUGE-1"], rows)


def _calibration(test: dict[str, Any]) -> str:
    rows = [[count(b["pairs"]), share(b["said"]), share(b["was"])] for b in test["calibration"]["bins"]]
    return table(["pairs", "chance that it gave", "how often it was right"], rows)


def _bounded(value: dict[str, float | None] | None) -> str:
    if value is None or value["value"] is None:
        return NONE
    text = share(value["value"])
    return text if value["low"] is None else f"{text} [{share(value['low'])}, {share(value['high'])}]"  # type: ignore[arg-type]
