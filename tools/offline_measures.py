"""What a GPU run measures beside the study: the race against the lab's way, and whether the same work comes out alike."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offline_stages import OfflineError, environment, logged, parsed_study

TURNS = ("first", "second")
PRECISIONS = ("float32", "bfloat16")
OPTIM = {"learning_rate": 5e-4, "batch_size": 16}


def race(options: Sequence[str], store: Path, out: Path, budget: float | None) -> None:
    """benchmarks.rival with its own options; its report into `out`, race after race.

    Raises:
        OfflineError: it failed, or outran the budget; the races before that one are in the report.
    """
    out.mkdir(parents=True, exist_ok=True)
    # The rival's own set-up installs trl's old release with pip, which finds the carried wheels and no network.
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(store / "trl"),
        "XDG_CACHE_HOME": str(store / "cache"),
    }
    command = [sys.executable, "-m", "benchmarks.rival", "--out", str(out), *options]
    code = logged("race", command, out / "log.txt", environment(store / "site") | offline, budget)
    if code is None:
        raise OfflineError(f"the race outran the budget and was ended; {out} holds the races before it: name fewer.")
    if code:
        raise OfflineError(f"the race failed with exit status {code}; see {out / 'log.txt'}.")


def stability(name: str, store: Path, out: Path, budget: float | None, steps: int, dialogues: int) -> None:
    """The same short training and its summaries twice, in each precision -> `out`/stability.json and .md.

    Needs the study's data and its base, which `run` has made.

    Raises:
        OfflineError: they are not there, a stage failed, or the budget is used up.
    """
    ends, study = None if budget is None else time.monotonic() + budget, parsed_study(name)
    for path in (Path("data/test.jsonl"), Path("models/base")):
        if not path.exists():
            raise OfflineError(f"{path} does not exist; run the study first.")
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, float]] = {}
    for precision in PRECISIONS:
        folders = [store / "stability" / precision / turn for turn in TURNS]
        for folder in folders:
            lay_out(folder, short(study, precision, steps), dialogues)
            for stage in ("train", "generate"):
                left = None if ends is None else max(ends - time.monotonic(), 1.0)
                command = [sys.executable, "-m", f"stages.{stage}", "short"]
                where = environment(store / "site")
                where["PYTHONPATH"] = f"{Path.cwd()}:{where['PYTHONPATH']}"
                code = logged(f"{precision} {folder.name} {stage}", command, out / "stability.log", where, left, folder)
                if code != 0:
                    told = "outran the budget" if code is None else f"failed with exit status {code}"
                    raise OfflineError(f"the {folder.name} {stage} in {precision} {told}; see {out / 'stability.log'}.")
        found[precision] = difference(*folders)
        (out / "stability.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        (out / "stability.md").write_text(page(found, steps), encoding="utf-8")
    print(page(found, steps))


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


def lay_out(folder: Path, study: dict[str, Any], dialogues: int) -> None:
    """An own working folder with what both stages read; what stands there already is kept."""
    from ruamel.yaml import YAML

    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "models").mkdir(exist_ok=True)
    for name in ("data/train.jsonl", "data/validation.jsonl", "models/base"):
        if not (folder / name).exists():
            (folder / name).symlink_to(Path(name).resolve())
    rows = Path("data/test.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "data" / "test.jsonl").write_text("".join(rows[:dialogues]), encoding="utf-8")
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(study, file)


def difference(one: Path, other: Path) -> dict[str, float]:
    """How far two runs of the same work are apart."""
    import numpy
    from safetensors.numpy import load_file

    curves = []
    for folder in (one, other):
        with (folder / "curves" / "short.csv").open(encoding="utf-8", newline="") as file:
            curves.append([float(row["loss"]) for row in csv.DictReader(file)])
    weights = [load_file(folder / "models" / "short" / "model.safetensors") for folder in (one, other)]
    rows = [
        [json.loads(line) for line in (folder / "predictions" / "short.jsonl").read_text(encoding="utf-8").splitlines()]
        for folder in (one, other)
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
