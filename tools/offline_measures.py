"""Whether the same work comes out alike: one short training and its summaries twice, in each precision."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offline_graph import Job

TURNS = ("first", "second")
PRECISIONS = ("float32", "bfloat16")
OPTIM = {"learning_rate": 5e-4, "batch_size": 16}


def folder(root: Path, precision: str, turn: str) -> Path:
    """Where one of the runs works."""
    return root / precision / turn


def jobs(study: dict[str, Any], root: Path, steps: int, dialogues: int) -> list[Job]:
    """A training and its summaries twice in each precision; they wait for the study's data and base."""
    found = []
    for precision in PRECISIONS:
        for turn in TURNS:
            where, name = folder(root, precision, turn), f"{precision}-{turn}"
            layout = (sys.executable, __file__, json.dumps(short(study, precision, steps)), str(where), str(dialogues))
            found.append(Job(f"stability-layout-{name}", layout, ("data", "checkpoint@base")))
            for stage in ("train", "generate"):
                command = (sys.executable, "-m", f"stages.{stage}", "short")
                found.append(Job(f"stability-{stage}-{name}", command, (found[-1].name,), folder=where))
    return found


def short(study: dict[str, Any], precision: str, steps: int) -> dict[str, Any]:
    """The study with one short training of every weight in place of its variants."""
    variant = {
        "method": "sft",
        "init": "base",
        "learns_from": "data/train.jsonl",
        "optim": OPTIM | {"steps": steps},
    }
    kept = {key: value for key, value in study.items() if key != "gate"}
    return kept | {
        "variants": {"short": variant},
        "compute": study.get("compute", {}) | {"precision": precision},
    }


def lay_out(where: Path, study: dict[str, Any], dialogues: int) -> None:
    """Make an own working folder with what both stages read; what stands there already is kept."""
    from ruamel.yaml import YAML

    (where / "data").mkdir(parents=True, exist_ok=True)
    (where / "models").mkdir(exist_ok=True)
    for name in ("data/train.jsonl", "data/validation.jsonl", "models/base"):
        if not (where / name).exists():
            (where / name).symlink_to(Path(name).resolve())
    rows = Path("data/test.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (where / "data" / "test.jsonl").write_text("".join(rows[:dialogues]), encoding="utf-8")
    with (where / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(study, file)


def differences(root: Path, ran: Sequence[Job]) -> dict[str, dict[str, float]]:
    """How far the two runs of each precision are apart, where both were done."""
    done = {job.name for job in ran if job.done}
    return {
        precision: difference(*(folder(root, precision, turn) for turn in TURNS))
        for precision in PRECISIONS
        if {f"stability-generate-{precision}-{turn}" for turn in TURNS} <= done
    }


def difference(one: Path, other: Path) -> dict[str, float]:
    """How far two runs of the same work are apart."""
    import numpy
    from safetensors.numpy import load_file

    curves = []
    for run in (one, other):
        with (run / "curves" / "short.csv").open(encoding="utf-8", newline="") as file:
            curves.append([float(row["loss"]) for row in csv.DictReader(file)])
    weights = [load_file(run / "models" / "short" / "model.safetensors") for run in (one, other)]
    rows = [
        [json.loads(line) for line in (run / "predictions" / "short.jsonl").read_text(encoding="utf-8").splitlines()]
        for run in (one, other)
    ]
    found = {
        "largest_loss_difference": max(abs(a - b) for a, b in zip(*curves, strict=True)),
        "largest_weight_difference": max(
            float(numpy.abs(weights[0][key].astype("float64") - weights[1][key]).max()) for key in weights[0]
        ),
    }
    for output in ("greedy", "sample"):
        pairs = [(a, b) for a, b in zip(*rows, strict=True) if a["output"] == output]
        unlike = sum(a["token_ids"] != b["token_ids"] for a, b in pairs)
        found[f"{output}_summaries"] = len(pairs)
        found[f"{output}_different"] = unlike / len(pairs) if pairs else 0.0
    return found


def page(found: dict[str, dict[str, float]], steps: int) -> str:
    """The differences as a Markdown table."""
    lines = [
        f"The same training of {steps} steps, and the summaries of its model, twice in processes of their own:\n",
        "| precision | largest difference in loss | in a weight | greedy summaries that differ | sampled that differ |",
        "|:--|--:|--:|--:|--:|",
    ]
    for precision, one in found.items():
        shares = [f"{one[f'{kind}_different']:.1%} of {one[f'{kind}_summaries']}" for kind in ("greedy", "sample")]
        moved = [f"{one[f'largest_{what}_difference']:.2e}" for what in ("loss", "weight")]
        lines.append(f"| {' | '.join([precision, *moved, *shares])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    lay_out(Path(sys.argv[2]), json.loads(sys.argv[1]), int(sys.argv[3]))
