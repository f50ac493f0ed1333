"""Costs by ratio, and only where machine and versions are the same. Speeds are shown, and never judged."""

from __future__ import annotations

from typing import Any

from bench.compare.gate.verdicts import Verdict
from bench.compare.snapshot import Snapshot
from bench.compare.sources import NotComparable
from bench.config.gate import SPEEDS, GateConfig
from bench.report.view import count, size

# Where costs.json has a cost of a variant: in the parts of these stages, or of the variant itself (no stage).
PLACES: dict[str, tuple[str, ...]] = {
    "training_examples_per_second": ("train",),
    "generation_tokens_per_second": ("generate",),
    "peak_resident_bytes": ("train", "generate"),
    "peak_gpu_bytes": ("train", "generate"),
    "checkpoint_bytes": ("",),
    "trainable_parameters": ("",),
}
CALLED = {"training_examples_per_second": "training", "generation_tokens_per_second": "generation"}
# Bytes and parameters of a checkpoint do not depend on these fields of `machine`, only on its versions.
HARDWARE = ("cpu", "cores", "threads", "gpu")
MACHINE = "machine"


def judge(old: Snapshot, new: Snapshot, config: GateConfig, variants: list[str]) -> list[Verdict]:
    """Give a verdict for each cost that both states could have.

    Raises:
        NotComparable: costs.json is missing or broken, or lost a cost that the same machine measured before.
    """
    if not config.costs:
        return []
    verdicts = []
    for variant in variants:
        before, after = (_variant(state, variant) for state in (old, new))
        for name, factor in config.costs.items():
            for stage in PLACES[name]:
                found = _one(new, variant, name, stage, factor, before, after)
                verdicts += [found] if found else []
    return verdicts


def speeds(old: Snapshot, new: Snapshot, variants: list[str]) -> list[str]:
    """Say how fast each variant was, as ratios of one unrepeated measurement a side; nothing where machines differ."""
    found = []
    for variant in variants:
        for name in SPEEDS:
            [stage] = PLACES[name]
            parts = [part_of(of_variant(state, variant), stage) for state in (old, new)]
            before, after = (part.get(name) for part in parts)
            machines = [machine_of(part, variant) for part in parts]
            if differing(machines[0], machines[1], exact=False):
                continue
            if isinstance(before, int | float) and isinstance(after, int | float) and before > 0:
                found.append(f"{variant} {CALLED[name]} {after / before:.2f}x")
    return [f"speeds, measured once and not judged: {', '.join(found)}"] if found else []


def of_variant(state: Snapshot, variant: str) -> dict[str, Any]:
    """Return the block of a variant in costs.json; empty where there is none."""
    variants = (state.costs or {}).get("variants")
    block = variants.get(variant) if isinstance(variants, dict) else None
    return block if isinstance(block, dict) else {}


def differing(before: dict[str, Any], after: dict[str, Any], exact: bool) -> str:
    """Tell why costs of two machines cannot be compared; empty when they can."""
    if not before or not after:
        return "costs.json does not say on which machine and versions it was measured"
    for field in dict.fromkeys([*before, *after]):
        if before.get(field) != after.get(field) and not (exact and field in HARDWARE):
            kind = "hardware" if field in HARDWARE else "version"
            return (
                f"{kind} differs: {field} {before.get(field, 'unknown')!r} before, {after.get(field, 'unknown')!r} now"
            )
    return ""


def _one(
    new: Snapshot, variant: str, name: str, stage: str, factor: float, before: dict[str, Any], after: dict[str, Any]
) -> Verdict | None:
    """The verdict about one cost; None where neither state has it."""
    old, now = (_number(part_of(each, stage).get(name), f"{name} of '{variant}'") for each in (before, after))
    measure = f"{stage} {name}".strip()
    if old is None and now is None:
        return None
    machines = [machine_of(part_of(each, stage or "train"), variant) for each in (before, after)]
    reason = differing(machines[0], machines[1], exact=not stage)
    if reason or old is None:
        return Verdict(variant, measure, "NOT COMPARED", reason or "there is no value before", is_score=False)
    if now is None:
        raise NotComparable(
            f"{new.source.where(new.study, 'costs.json')}: {measure} of '{variant}' is missing, and the baseline has it; "
            "run `dvc repro`."
        )
    ratio = now / old if old else 1.0 if now == old else float("inf")
    shown = size if name.endswith("_bytes") else count
    return Verdict(
        variant=variant,
        measure=measure,
        word="FAIL" if ratio > factor else "PASS",
        reason=f"costs {ratio:.3g} times as much, {factor:g} allowed",
        before=shown(old),
        after=shown(now),
        change=f"{now / old:.3g}x" if old else "",
        details={"before": old, "after": now, "ratio": ratio, "allowed": factor},
        is_score=False,
    )


def _variant(state: Snapshot, variant: str) -> dict[str, Any]:
    where = state.source.where(state.study, "costs.json")
    if state.costs is None:
        raise NotComparable(
            f"{where} does not exist; run `dvc repro`, or write `gate: {{costs: {{}}}}` in params.yaml."
        )
    variants = state.costs.get("variants")
    block = variants.get(variant) if isinstance(variants, dict) else None
    if not isinstance(block, dict):
        raise NotComparable(f"{where}: variants.{variant} is missing or no mapping; run `dvc repro` to write it again.")
    return block


def part_of(block: dict[str, Any], stage: str) -> dict[str, Any]:
    """Return a stage's costs in a variant's block, or the block itself for what is no stage's."""
    part = block.get(stage) if stage else block
    return part if isinstance(part, dict) else {}


def machine_of(part: dict[str, Any], variant: str) -> dict[str, Any]:
    """Return where a stage's costs were measured; empty where that is not said.

    Raises:
        NotComparable: something else stands in its place.
    """
    machine = part.get(MACHINE)
    if machine is None:
        return {}
    if not isinstance(machine, dict):
        raise NotComparable(
            f"costs.json: {MACHINE} of '{variant}' is {machine!r}, no mapping; run `dvc repro` to write it again."
        )
    return machine


def _number(value: Any, about: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise NotComparable(f"costs.json: {about} is {value!r}, no cost; run `dvc repro` to write it again.")
    return float(value)
