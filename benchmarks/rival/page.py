"""Outcomes of races -> figures -> Markdown. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

from bench.report.markdown import bullets, cell, code, section, table
from benchmarks.rival.race import Outcome, Race

OURS = "ours"
GIGA = 1e9


def figures(race: Race, outcome: Outcome) -> dict[str, Any]:
    """Everything the report prints of one race, and the seconds of every lap."""
    seconds, used = (
        {name: [lap[key] for lap in laps] for name, laps in outcome.laps.items()}
        for key in ("seconds", "processor_seconds")
    )
    compared = {}
    for slow, fast in race.pairs:
        ratios = [one / other for one, other in zip(seconds[slow], seconds[fast], strict=True)]
        compared[f"{slow} / {fast}"] = {
            "sides": [slow, fast],
            "median": median(ratios),
            "least": min(ratios),
            "most": max(ratios),
            "of_totals": sum(seconds[slow]) / sum(seconds[fast]),
            "of_processor_totals": sum(used[slow]) / sum(used[fast]),
        }
    found: dict[str, Any] = {
        "title": race.title,
        "seconds": seconds,
        "processor_seconds": used,
        "times_as_fast": compared,
        "peaks": outcome.peaks,
        "machine_flops": {
            kind: median(lap["flops"][kind] for lap in outcome.limits) for kind in outcome.limits[0]["flops"]
        },
        "machine_bytes": median(lap["bytes"] for lap in outcome.limits),
        "task": {key: value for key, value in asdict(race.task).items() if key not in ("work", "data")},
    }
    kind = race.sides[OURS].partition(".")[2]
    return (
        found
        | {"kind": kind}
        | {"training": trained, "generation": written, "classifier": scored, "ppo": sampled}[kind](outcome)
    )


def trained(outcome: Outcome) -> dict[str, Any]:
    """Loss on validation dialogues, operations and padding of each side."""
    keys = ("validation_loss", "flops", "tokens", "filled", "weights")
    return {"sides": {name: {key: result[key] for key in keys} for name, result in outcome.results.items()}}


def written(outcome: Outcome) -> dict[str, Any]:
    """Summaries that agree token by token, their length, and what decoding read."""
    rows = {name: result["rows"] for name, result in outcome.results.items()}
    rival, own = (side for name, side in sorted(rows.items(), key=lambda item: item[0] == OURS))
    sides = {}
    for name, laps in outcome.laps.items():
        weights = outcome.results[name]["weights"]
        sides[name] = {
            **{key: sum(lap[key] for lap in laps) for key in ("steps", "rows", "cells", "encoder_seconds")},
            "decoder_seconds": sum(lap["seconds"] - lap["encoder_seconds"] for lap in laps),
            "weight_bytes": 4 * weights["target"],
            "cache_bytes": 4 * 2 * weights["attention"] * weights["layers"][1],
            "tokens": sum(map(len, rows[name])),
        }
    return {
        "sides": sides,
        "identical": sum(a == b for a, b in zip(rival, own, strict=True)),
        "summaries": len(own),
    }


def scored(outcome: Outcome) -> dict[str, Any]:
    """The largest difference of two logits, and how far they spread."""
    rival, own = (
        result["scores"] for name, result in sorted(outcome.results.items(), key=lambda item: item[0] == OURS)
    )
    pairs = [(a[label], b[label]) for a, b in zip(rival, own, strict=True) for label in a]
    return {
        "difference": max(abs(a - b) for a, b in pairs),
        "texts": len(own),
        "largest": max(abs(a) for a, _ in pairs),
    }


def sampled(outcome: Outcome) -> dict[str, Any]:
    """Mean tokens of a sampled summary."""
    return {"mean_tokens": {name: result["tokens"] / result["summaries"] for name, result in outcome.results.items()}}


def rate(value: float) -> str:
    """Four figures at most, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def report(races: list[dict[str, Any]], provenance: list[tuple[str, str]]) -> str:
    """The whole page."""
    parts = [
        "# The course lab's way against ours",
        "Same model, data, seed and machine, in one run: the sides take turns lap by lap, each in a process of its own with its "
        "model loaded beforehand. A ratio is that of the seconds of the same round; the median over the rounds stands "
        "first, then the least and the largest. On a machine that others use at the same time, the ratio of processor seconds says "
        "more than that of seconds. Written by `python -m benchmarks.rival`; benchmarks/README.md says what each side "
        "does.",
        speed(races),
        section("Same results", bullets([(cell(one["title"]), agreement(one)) for one in races])),
        section("Peak memory", memory(races)),
        section("Share of what the machine can do", training_limit(races), decoding_limit(races)),
        section("Provenance", bullets(provenance)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def speed(races: list[dict[str, Any]]) -> str:
    """The table that counts."""
    rows = []
    for one in races:
        for found in one["times_as_fast"].values():
            sides = [f"{median(one['seconds'][side]):.3g} ({cell(side)})" for side in found["sides"]]
            spread = f"{found['median']:.2f} [{found['least']:.2f}, {found['most']:.2f}]"
            totals = [f"{found[key]:.2f}" for key in ("of_totals", "of_processor_totals")]
            rows.append([cell(one["title"]), *sides, spread, *totals])
    head = ["", "slow, s a round", "fast, s a round", "times as fast", "of totals", "of processor seconds"]
    return table(head, rows)


def agreement(one: dict[str, Any]) -> str:
    """What shows that both sides did the same work."""
    if one["kind"] == "training":
        losses = ", ".join(f"{name} {side['validation_loss']:.4f}" for name, side in one["sides"].items())
        return f"validation loss after the epoch, nats a token: {losses}"
    if one["kind"] == "generation":
        lengths = ", ".join(f"{name} {side['tokens'] / one['summaries']:.1f}" for name, side in one["sides"].items())
        return f"{one['identical']} of {one['summaries']} summaries are the same token by token; mean tokens: {lengths}"
    if one["kind"] == "classifier":
        return f"logits of {one['texts']} texts differ by {one['difference']:.1e} at most (the largest is {one['largest']:.2f})"
    return f"sampled, so not the same: mean tokens {', '.join(f'{name} {value:.1f}' for name, value in one['mean_tokens'].items())}"


def memory(races: list[dict[str, Any]]) -> str:
    """MiB by race and side."""
    rows = []
    for one in races:
        for name, peaks in one["peaks"].items():
            shown = [f"{peaks[key] / 2**20:,.0f}" if key in peaks else "" for key in ("resident", "gpu")]
            rows.append([cell(f"{one['title']}, {name}"), *shown])
    return table(["", "resident, MiB", "GPU, MiB"], rows)


def training_limit(races: list[dict[str, Any]]) -> str:
    """Operations a second of training against those of a matrix product."""
    rows, weights = [], None
    for one in races:
        if one["kind"] == "training":
            for name, side in one["sides"].items():
                weights, seconds = side["weights"], sum(one["seconds"][name])
                kind = "bfloat16" if "bfloat16" in name else "float32"
                done, limit = side["flops"] / seconds, one["machine_flops"][kind]
                rows.append(
                    [
                        cell(f"{one['title']}, {name}"),
                        rate(side["flops"] / GIGA),
                        f"{seconds:.1f}",
                        rate(done / GIGA),
                        f"{rate(limit / GIGA)} ({kind})",
                        f"{done / limit:.0%}",
                        f"{side['filled'] / side['tokens']:.0%}",
                    ]
                )
    if weights is None:
        return ""
    head = ["", "GFLOP", "s", "GFLOP/s", "a matrix product's", "share", "tokens that are no padding"]
    text = (
        f"Training: a source token passes {weights['source']:,} weights of the encoder and {weights['cross']:,} of the decoder's "
        f"cross keys and values, a target token {weights['target']:,} of the decoder with its head; each is 2 operations forward "
        f"and 4 backward, padding included. Attention adds 12 x {weights['attention']} x (S x S a layer of the encoder's "
        f"{weights['layers'][0]}, T x (T + S) of the decoder's {weights['layers'][1]}) a row."
    )
    return f"{text}\n\n{table(head, rows)}"


def decoding_limit(races: list[dict[str, Any]]) -> str:
    """Bytes a second of decoding against those of reading memory."""
    rows, weights = [], None
    for one in races:
        if one["kind"] == "generation":
            for name, side in one["sides"].items():
                weights = side
                read = side["steps"] * side["weight_bytes"] + side["cells"] * side["cache_bytes"]
                done, limit = read / side["decoder_seconds"], one["machine_bytes"]
                rows.append(
                    [
                        cell(f"{one['title']}, {name}"),
                        f"{side['encoder_seconds']:.1f}",
                        f"{side['decoder_seconds']:.1f}",
                        f"{side['steps']:,}",
                        f"{side['rows']:,}",
                        rate(read / side["rows"] / 2**20),
                        rate(done / GIGA),
                        rate(limit / GIGA),
                        f"{done / limit:.0%}",
                    ]
                )
    if weights is None:
        return ""
    head = ["", "encoder, s", "decoder, s", "steps", "tokens", "MiB a token", "GB/s", "memory's GB/s", "share"]
    text = (
        f"Decoding: a step reads the decoder's weights once, {weights['weight_bytes']:,} bytes, whatever its rows, and "
        f"{weights['cache_bytes']:,} bytes of cross keys and values for each source token (padding included) of each row; the "
        "self-attention's cache is left out. Tokens count what a step computes, so also rows that have ended and are still "
        "carried. Seconds of the decoder are all seconds outside the encoder."
    )
    return f"{text}\n\n{table(head, rows)}"


def facts(machine: dict[str, Any], versions: dict[str, str], revision: str, command: str) -> list[tuple[str, str]]:
    """What made the numbers."""
    return [
        ("revision", code(revision)),
        ("command", code(command)),
        ("machine", cell(", ".join(f"{key} {value}" for key, value in machine.items()))),
        ("libraries", cell(", ".join(f"{key} {value}" for key, value in versions.items()))),
    ]
