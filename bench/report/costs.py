"""What every stage took: read from where it was measured, written as costs.json."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from bench.core import costs, paths, storage
from bench.core.costs import AT, INPUTS
from bench.core.parameters import Params
from bench.core.schema import UserError
from bench.report.estimates import finite, rounded
from bench.report.markdown import cell
from bench.report.study import Study

LARGEST = 1e18  # bytes or seconds
SINGLE = ("data", "check", "yardsticks")
OF_VARIANT = ("train", "generate", "score")
EXACT = ("trainable_parameters", "total_parameters", "checkpoint_bytes")
Places = dict[str, dict[str, Any]]  # "train/lora", or "data" for a stage that has no items -> what it took


def read(params: Params) -> Places:
    """Read what each stage took with its present settings and code: measured here, else as the committed report has it.

    Raises:
        UserError: a file is broken.
    """
    earlier = _earlier(params)
    known: Places = {}
    for stage, item in _runs(params):
        place = _place(stage, item)
        measured = costs.recorded(stage, item)
        if measured is not None:
            _check(measured, str(costs.path_of(stage, item)))
            known[place] = measured
        elif earlier.get(place, {}).get(INPUTS) == costs.identity(stage, item):
            known[place] = earlier[place]
    return known


def places(params: Params) -> list[str]:
    """List the stage runs of a study that have costs, as costs.json names them."""
    return [_place(stage, item) for stage, item in _runs(params)]


def _place(stage: str, item: str | None) -> str:
    return stage if item is None else f"{stage}/{item}"


def _runs(params: Params) -> list[tuple[str, str | None]]:
    runs: list[tuple[str, str | None]] = [(stage, None) for stage in SINGLE]
    runs += [("checkpoint", name) for name in params.checkpoints]
    runs += [("preferences", name) for name in params.preferences] + [("reward", name) for name in params.rewards]
    runs += [("training_set", name) for name in params.training_sets]
    runs += [("transfer", name) for name in params.evaluate_on]
    return runs + [(stage, variant) for stage in OF_VARIANT for variant in params.variants]


def _earlier(params: Params) -> Places:
    """The records of the report that this one replaces; nothing where it is missing or was written by other code."""
    path = paths.report_dir(params.study) / "costs.json"
    try:
        known = storage.read_object(path)
        records = {place: dict(facts) for place, facts in known["measured"].items()}
        for place, facts in records.items():
            stage, _, item = place.partition("/")
            facts |= {"wall_seconds": known["stages"][place]} | known["variants"].get(item, {}).get(stage, {})
            _check(facts, str(path))
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return {}
    return records


def _check(facts: dict[str, Any], where: str) -> None:
    if facts.get(AT, "") != "":
        try:
            _utc(facts[AT])
        except (TypeError, ValueError):
            raise UserError(
                f"{where}: {AT}: must be a time like 2026-01-02T03:04:05+00:00; remove the file, or measure it again."
            ) from None
    for key, value in facts.items():
        if key.endswith(("_seconds", "_bytes", "_per_second")) and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LARGEST
        ):
            raise UserError(f"{where}: {key}: must be a number of at least 0; remove the file, or measure it again.")


def document(study: Study) -> dict[str, Any]:
    """Build the contents of costs.json: sizes, seconds and bytes of each variant, wall seconds of every stage, when and where."""
    variants: dict[str, Any] = {}
    for variant in study.params.variants:
        sizes = study.sizes.get(variant, {})
        trainable, total = (sizes.get(key) for key in EXACT[:2])
        known = {
            "trainable_parameters": trainable,
            "total_parameters": total,
            "trainable_share": trainable / total if total and trainable is not None else None,
            "checkpoint_bytes": sizes.get("checkpoint_bytes"),
        }
        variants[variant] = finite(known) | {
            stage: _part(study.costs.get(f"{stage}/{variant}", {})) for stage in OF_VARIANT
        }
    stages = {place: facts["wall_seconds"] for place, facts in study.costs.items() if "wall_seconds" in facts}
    return {
        "variants": variants,
        "stages": stages,
        "total_wall_seconds": rounded(float(sum(stages.values()))),
        "measured": {
            place: {AT: facts.get(AT, ""), "on": _machine(facts), INPUTS: facts.get(INPUTS, "")}
            for place, facts in study.costs.items()
            if place in stages
        },
    }


def measured(contents: dict[str, Any], runs: Iterable[str]) -> str:
    """Say when and where the costs of costs.json were measured, and which of the study's stage runs have none."""
    records = contents["measured"]
    times = sorted(_utc(facts[AT]) for facts in records.values() if facts[AT])
    machines = cell("; ".join(dict.fromkeys(facts["on"] for facts in records.values())))
    span = f" {_span(times[0], times[-1])}" if times else ""
    sentences = [f"Measured{span} on {machines}."] if records else []
    missing = [place for place in runs if place not in records]
    return " ".join([*sentences, *([f"Without a measurement: {cell(', '.join(missing))}."] if missing else [])])


def _utc(time: str) -> datetime:
    """A time as `record` writes it: one without an offset could not be compared."""
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError("no offset from UTC")
    return moment.astimezone(UTC)


def _span(first: datetime, last: datetime) -> str:
    texts = [f"{moment:%Y-%m-%d %H:%M}" for moment in (first, last)]
    return f"{texts[0]} UTC" if texts[0] == texts[1] else f"{texts[0]} to {texts[1]} UTC"


def _part(facts: dict[str, Any]) -> dict[str, Any]:
    """Select seconds, rates and bytes, and the machine they hold for."""
    numbers = finite({k: v for k, v in sorted(facts.items()) if isinstance(v, int | float) and not isinstance(v, bool)})
    machine = facts.get("machine")
    return numbers | ({"machine": machine} if isinstance(machine, dict) else {})


def _machine(facts: dict[str, Any]) -> str:
    """The processor or GPU, in words."""
    machine = facts.get("machine")
    if not isinstance(machine, dict):
        return str(facts.get("on", "an unknown machine"))
    gpu = machine.get("gpu", "none")
    return str(gpu) if gpu != "none" else f"{machine.get('cpu', 'unknown')}, {machine.get('threads', 1)} threads"
