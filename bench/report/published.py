"""Figures of others beside ours, each with its model, data and implementation: most are not comparable, and say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core import storage
from bench.core.parameters import Params
from bench.report.markdown import cell, joined, table
from bench.report.summary import dataset_name, model_name
from bench.report.tables import reward_key
from bench.report.view import NONE, View, fixed, share

FIGURES = Path(__file__).with_name("published.json")


def published(view: View) -> str:
    """Tabulate published figures beside this study's."""
    known = storage.read_json(FIGURES)
    intro = (
        "ROUGE as F1 times 100. Implementations differ by points on the very same outputs, so a figure is comparable "
        "only where model, dataset and implementation agree; the last column says where they do not."
    )
    return joined(
        intro,
        _systems(view, known["systems"]),
        _detox(view, known["detox"]),
        _thesis_rewards(view, known["thesis_rewards"]),
    )


def differs(params: Params, model: str | None, dataset: str | None) -> str:
    """Tell in what a published system is another thing than this study; empty when model and dataset are the same."""
    differences = []
    if model is not None and model.lower() not in _identities(params.checkpoints["base"].model_dump(mode="json")):
        differences.append("another model")
    if dataset is not None and dataset.lower() not in _identities(params.data.model_dump(mode="json")):
        differences.append("another dataset")
    return ", ".join(differences)


def _identities(value: Any) -> set[str]:
    """Every string in a block, in lower case, with and without the owner before a slash."""
    if isinstance(value, dict | list | tuple):
        return set().union(*map(_identities, value.values() if isinstance(value, dict) else value))
    return {value.lower(), value.lower().rsplit("/", 1)[-1]} if isinstance(value, str) else set()


def _systems(view: View, systems: list[dict[str, Any]]) -> str:
    keys = [key for key in ("rouge1", "rouge2", "rougeL", "rougeLsum") if key in view.study.columns]
    if not keys:
        return ""
    rows = []
    for name in view.study.systems:
        signature = next((view.entry(name, key)["signature"] for key in keys if view.entry(name, key)), "")
        values = [view.number(key, view.entry(name, key).get("value")) for key in keys]
        by_model = name in view.study.params.variants
        parts = [part for part in signature.split("|") if part.startswith(("rouge_score", "stem:", "refs:"))]
        rows.append(
            [
                f"**{cell(name)}**",
                "this study",
                cell(model_name(view.study)) if by_model else NONE,
                cell(dataset_name(view.study)),
                cell(", ".join(parts)),
                *values,
                "",
            ]
        )
    for system in systems:
        values = [NONE if key not in system["values"] else fixed(100 * system["values"][key], 1) for key in keys]
        note = differs(view.study.params, system["model"], system["dataset"])
        note += "; from memory" if system["evidence"] == "memory" else ""
        rows.append(
            [
                cell(system["system"]),
                cell(system["source"]),
                cell(system["model"] or NONE),
                cell(system["dataset"]),
                cell(system["implementation"]),
                *values,
                note.removeprefix("; "),
            ]
        )
    return table(["system", "source", "model", "dataset", "ROUGE by", *map(view.heading, keys), "differs in"], rows, 5)


def _detox(view: View, systems: list[dict[str, Any]]) -> str:
    """Mean toxicity before and after alignment: ours by the judge, and others'."""
    key, rows = view.study.judge_key, []
    for variant in view.study.aligned:
        change = view.change(variant, key)
        if change and key:
            before, after = view.entry(change["against"], key)["value"], view.entry(variant, key)["value"]
            rows.append(
                [
                    f"**{cell(variant)}**",
                    "this study",
                    cell(model_name(view.study)),
                    fixed(100 * before, 1),
                    fixed(100 * after, 1),
                    share(change.get("mean_improvement"), 0),
                    "",
                ]
            )
    if not rows:
        return ""
    for system in systems:
        before, after = system["before"], system["after"]
        note = ", ".join(
            part for part in (differs(view.study.params, system["model"], None), "another task and classifier") if part
        )
        rows.append(
            [
                cell(system["system"]),
                cell(system["source"]),
                cell(system["model"]),
                fixed(100 * before, 1),
                fixed(100 * after, 1),
                share((before - after) / before, 0),
                note,
            ]
        )
    return table(
        ["system", "source", "model", "toxicity before (%)", "after (%)", "improvement", "differs in"], rows, 3
    )


def _thesis_rewards(view: View, known: dict[str, Any]) -> str:
    """The thesis's reward table as stated and recomputed, beside our aligned variants."""
    key = reward_key(view)
    if key is None or not view.study.aligned:
        return ""
    stated, again = known["stated"], known["recomputed"]
    bounds = (
        f"{fixed(again['mean_difference'], 3, True)} [{fixed(again['low'], 3, True)}, {fixed(again['high'], 3, True)}]"
    )
    rows = []
    for variant in view.study.aligned:
        change = view.change(variant, key)
        if change:
            rows.append(
                [
                    f"**{cell(variant)}**, this study",
                    view.number(key, view.entry(change["against"], key)["value"]),
                    view.number(key, view.entry(variant, key)["value"]),
                    view.bounded(key, change, "difference", True),
                    fixed(change["p"], 4),
                ]
            )
    rows.append(
        [
            f"{known['source']}, as stated",
            fixed(stated["mean_before"], 3),
            fixed(stated["mean_after"], 3),
            fixed(stated["mean_difference"], 3, True),
            NONE,
        ]
    )
    rows.append(
        [
            f"{known['source']}, recomputed from its 17 rows",
            fixed(again["mean_before"], 3),
            fixed(again["mean_after"], 3),
            bounds,
            fixed(again["sign_flip_p"], 3),
        ]
    )
    heading = f"{view.heading(key)}"
    return table([heading, "mean before", "mean after", "difference", "p"], rows)
