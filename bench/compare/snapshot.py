"""One state of a study: the report's numbers, every single value behind them, costs, params and summaries."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from bench import datasets, metrics, stats
from bench.compare import dvc_lock
from bench.compare.sources import NotComparable, Source
from bench.core import parsing, paths, plugins
from bench.core.schema import UserError
from bench.metrics import SAMPLED, Column
from bench.report import wording

PLACE = ("variant", "id", "dialogue_id", "output", "draw")
SEED = "seed"  # a further part of a row's place, where some variant has `seeds`


class Key(NamedTuple):
    """What a value is about: an example, and which text written for it, by which training if there are several."""

    id: str
    output: str
    draw: str
    seed: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A study in one state.

    `entries` are metrics.json's variants; `values` by variant and column; `dialogues` the cluster of an example;
    `texts` are there only where the report holds summaries, `models` (the digest of each variant's weights in dvc.lock)
    only in a project. `slices` has the dialogues of each slice that the study declares.
    """

    source: Source
    study: str
    entries: dict[str, dict[str, dict[str, Any]]]
    values: dict[str, dict[str, dict[Key, float]]]
    dialogues: dict[str, str]
    costs: dict[str, Any] | None
    params: dict[str, Any]
    texts: dict[str, dict[Key, str]] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    slices: dict[str, frozenset[str]] = field(default_factory=dict)

    def on(self, dialogues: Container[str]) -> Snapshot:
        """Return the state as these dialogues alone have it: rows, n and values of every variant and column."""
        values: dict[str, dict[str, dict[Key, float]]] = {}
        entries: dict[str, dict[str, dict[str, Any]]] = {}
        for variant, columns in self.values.items():
            values[variant], entries[variant] = {}, {}
            for column, rows in columns.items():
                kept = {key: value for key, value in rows.items() if self.dialogues[key.id] in dialogues}
                if kept and column in self.entries[variant]:
                    held = rows_of(kept, self.dialogues)
                    values[variant][column] = kept
                    facts = {"value": float(stats.cluster_means(held).mean()), "n": held.n}
                    entries[variant][column] = self.entries[variant][column] | facts
        return replace(self, entries=entries, values=values)

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.source.name

    @cached_property
    def columns(self) -> dict[str, Column]:
        """What the columns mean, from the metrics that params names; a metric that no longer exists tells nothing.

        A bare report has no params: there, every metric as it is by default.
        """
        return columns_of_params(self.params)

    @cached_property
    def of_dialogues(self) -> bool:
        """Whether the rows are dialogues; so it is taken where no params, or a dataset that is gone, would tell."""
        try:
            return datasets.find(str(self.params["data"]["dataset"])).DIALOGUES
        except (KeyError, TypeError, UserError):
            return True

    def told(self, text: str) -> str:
        """Return a message of ours in the words for what the rows are."""
        return text if self.of_dialogues else wording.of_examples(text, ())


def columns_of_params(params: Mapping[str, Any]) -> dict[str, Column]:
    """Return the columns of the metrics that raw params name, those of every metric by default where they name none.

    A metric that no longer exists, or whose block it no longer takes, tells nothing.
    """
    found: dict[str, Column] = {}
    blocks = params.get("metrics") or dict.fromkeys(plugins.names("metric"))
    for name, block in blocks.items():
        try:
            metric = metrics.find(str(name))
            found |= metric.columns(metric.Config.model_validate(block or {}))
        except (UserError, ValueError):
            continue
    return found


def study_of(given: str | None, sources: Iterable[Source]) -> str:
    """Find the study to compare: the one named, else that of the first project's params, else that of the first report."""
    if given:
        return given
    sources = list(sources)
    for source in sorted(sources, key=lambda each: not each.is_project):
        content = source.project(paths.PARAMS)
        file = source.report("", "metrics.json") if not source.is_project else None
        if content is not None:
            return str(parsing.parse_yaml(content, f"{paths.PARAMS} of {source.name}", "correct it").get("study"))
        if file is not None:
            return str(parsing.parse_object(file, source.name).get("study"))
    raise NotComparable(f"{paths.PARAMS} does not exist; run the command at the project's root, or give --study.")


def read(source: Source, study: str, strict: bool = True) -> Snapshot:
    """Read one state; `strict` also refuses a report that is not what dvc.lock says.

    Raises:
        NotComparable: a file is missing, broken, stale, or does not agree with the others.
    """
    content = source.report(study, "metrics.json")
    where = source.where(study, "metrics.json")
    if content is None:
        raise NotComparable(
            f"{where} does not exist; `bench use {study}` (a study of {paths.STUDIES}/), run `dvc repro` there and commit the report."
        )
    report = parsing.parse_object(content, where)
    if report.get("study") != study:
        raise NotComparable(
            f"{where} is of study '{report.get('study')}', not of '{study}'; compare one study with itself."
        )
    entries = _entries(report, where)
    rows, scores = source.report(study, "scores.csv"), source.where(study, "scores.csv")
    if rows is None:
        raise NotComparable(
            f"{scores} does not exist, and without rows nothing can be compared; run `dvc repro` there."
        )
    values, dialogues = _values(rows, scores, set(entries))
    _agree(entries, values, dialogues, scores)
    params = _params(source, study)
    if strict and source.is_project:
        dvc_lock.check(source, study, params)
    costs = source.report(study, "costs.json")
    return Snapshot(
        source=source,
        study=study,
        entries=entries,
        values=values,
        dialogues=dialogues,
        costs=None if costs is None else parsing.parse_object(costs, source.where(study, "costs.json")),
        params=params,
        texts=_texts(source.report(study, "predictions.jsonl"), source.where(study, "predictions.jsonl")),
        models=dvc_lock.models(source) if source.is_project else {},
        slices=_slices(report, where, set(dialogues.values())),
    )


def _slices(report: dict[str, Any], where: str, dialogues: set[str]) -> dict[str, frozenset[str]]:
    """The dialogues of each slice; a report of before they were written has none."""
    found = {}
    for name, members in parsing.mapping(report.get("dialogues_of", {}), f"{where}: dialogues_of").items():
        if not isinstance(members, list) or not dialogues.issuperset(map(str, members)):
            raise NotComparable(f"{where}: dialogues_of.{name}: must list dialogues of scores.csv; run `dvc repro`.")
        found[name] = frozenset(map(str, members))
    return found


def _entries(report: dict[str, Any], where: str) -> dict[str, dict[str, dict[str, Any]]]:
    """The columns of every variant, each with a finite value, a signature and n."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for variant, columns in parsing.mapping(report.get("variants"), f"{where}: variants").items():
        found[variant] = {}
        for column, entry in parsing.mapping(columns, f"{where}: variants.{variant}").items():
            place = f"{where}: variants.{variant}.{column}"
            entry = parsing.mapping(entry, place)
            for key, kinds in (("value", (int, float)), ("n", (int,)), ("signature", (str,))):
                if not isinstance(entry.get(key), kinds) or isinstance(entry.get(key), bool):
                    raise NotComparable(
                        f"{place}.{key} is missing or of the wrong kind; run `dvc repro` to write it again."
                    )
            if not math.isfinite(entry["value"]):
                raise NotComparable(f"{place}.value is not finite; run `dvc repro` to write it again.")
            found[variant][column] = entry
    if not found:
        raise NotComparable(f"{where} holds no variant; run `dvc repro` to write it again.")
    return found


def _values(
    content: bytes, where: str, variants: set[str]
) -> tuple[dict[str, dict[str, dict[Key, float]]], dict[str, str]]:
    """Every value by variant, column and key, and the dialogue of every example."""
    found: dict[str, dict[str, dict[Key, float]]] = {name: {} for name in variants}
    dialogues: dict[str, str] = {}
    seen: set[tuple[str, Key]] = set()
    for line, row in parsing.parse_csv(content, where, PLACE):
        variant, key = row["variant"], Key(row["id"], row["output"], row["draw"], row.get(SEED, ""))
        if (variant, key) in seen:
            raise NotComparable(f"{where} line {line}: row '{key.id}' of '{variant}' is there twice; restore the file.")
        seen.add((variant, key))
        if dialogues.setdefault(key.id, row["dialogue_id"]) != row["dialogue_id"]:
            raise NotComparable(f"{where} line {line}: row '{key.id}' belongs to two dialogues; restore the file.")
        if variant in paths.YARDSTICKS:
            continue
        if variant not in variants:
            raise NotComparable(f"{where} line {line}: variant '{variant}' is not in metrics.json; run `dvc repro`.")
        for name, text in row.items():
            if text and name not in (*PLACE, SEED):
                column = name + SAMPLED if key.output == "sample" else name
                found[variant].setdefault(column, {})[key] = parsing.parse_number(
                    text, f"{where} line {line}, column {name}"
                )
    return found, dialogues


def _agree(
    entries: dict[str, dict[str, dict[str, Any]]],
    values: dict[str, dict[str, dict[Key, float]]],
    dialogues: dict[str, str],
    where: str,
) -> None:
    """The rows must give the n and the value that metrics.json states, up to the six digits both are written with."""
    for variant, columns in entries.items():
        for column, entry in columns.items():
            held = values[variant].get(column, {})
            n = len({dialogues[key.id] for key in held})
            if n != entry["n"] or n == 0:
                raise NotComparable(
                    f"{where}: rows of {n} dialogues for {column} of '{variant}', and metrics.json counts {entry['n']}; "
                    "run `dvc repro`."
                )
            odd = lacking(held)
            if odd is not None:
                raise NotComparable(
                    f"{where}: {column} of '{variant}' lacks row '{odd.id}' of seed '{odd.seed}'; run `dvc repro`."
                )
            numbers = np.array(list(held.values()))
            mean = float(stats.cluster_means(rows_of(held, dialogues)).mean())
            if abs(mean - entry["value"]) > 2e-5 * float(np.abs(numbers).mean()) + 1e-9:
                raise NotComparable(
                    f"{where}: {column} of '{variant}' averages {mean:.6g}, and metrics.json says {entry['value']:.6g}; "
                    "run `dvc repro`."
                )


def seeds_of(values: Iterable[Key]) -> list[str]:
    """Return the seeds that rows stand beside, in the order of the file; a single empty one where there is one training."""
    return list(dict.fromkeys(key.seed for key in values))


def over_seeds(values: dict[Key, float]) -> dict[Key, float]:
    """Average each row over the seeds."""
    apart: dict[Key, list[float]] = {}
    for key, value in values.items():
        apart.setdefault(key._replace(seed=""), []).append(value)
    return {key: sum(some) / len(some) for key, some in apart.items()}


def lacking(values: dict[Key, float]) -> Key | None:
    """Find a row that one training has and another lacks, as the key that is missing; None where all have the same."""
    seeds = seeds_of(values)
    wanted = (key._replace(seed=seed) for key in values for seed in seeds) if len(seeds) > 1 else ()
    return next((key for key in wanted if key not in values), None)


def rows_of(values: dict[Key, float], dialogues: dict[str, str]) -> stats.Rows:
    """Return the values as statistics take them; clusters are numbered in the order of their names, so files may be shuffled."""
    names = {name: code for code, name in enumerate(sorted({dialogues[key.id] for key in values}))}
    return stats.rows([names[dialogues[key.id]] for key in values], list(values.values()))


def _params(source: Source, study: str) -> dict[str, Any]:
    """The study's params: the active ones, else its file in studies/; a bare report has none."""
    if not source.is_project:
        return {}
    for path in (paths.PARAMS, paths.STUDIES / f"{study}.yaml"):
        content = source.project(path)
        if content is not None:
            params = parsing.parse_yaml(content, f"{path} of {source.name}", "correct it")
            if params.get("study") == study:
                return params
    raise NotComparable(f"{paths.PARAMS} of {source.name} is not of study '{study}'; `bench use {study}` there.")


def _texts(content: bytes | None, where: str) -> dict[str, dict[Key, str]]:
    """The summaries by variant and key."""
    found: dict[str, dict[Key, str]] = {}
    for line, text in enumerate(parsing.decode(content, where).split("\n") if content else [], 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
            key = Key(str(row["id"]), str(row["output"]), str(row["draw"]), str(row.get(SEED, "")))
            found.setdefault(str(row["variant"]), {})[key] = str(row["text"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise NotComparable(
                f"{where} line {line} is no summary ({error!r}); run `dvc repro` to write it again."
            ) from None
    return found
