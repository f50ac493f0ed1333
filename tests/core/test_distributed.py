"""Two processes train on the same batches and write the same summaries as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file

from bench.core import paths, storage
from bench.core.distributed import shard
from bench.core.schema import Example
from bench.lm import models
from tests.project import tiny

ROOT = Path(__file__).resolve().parents[2]
PAIRS = {"prompts": 12, "samples": 24, "margin": 0.0, "max_new_tokens": 8, "batch_size": 4}
PPO = {"iterations": 3, "batch_size": 10, "minibatch_size": 5, "epochs": 2, "max_new_tokens": 12, "kl_target": 1.0}
OPTIM = {"learning_rate": 1e-2, "batch_size": 8, "steps": 6, "warmup_steps": 2}


def stage(name: str, variant: str, folder: Path) -> str:
    return python("-m", f"stages.{name}", variant, folder=folder)


def python(*words: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def project(tiny_base: Path, tiny_reward: Path, workdir: Path) -> Path:
    """Data, a base without dropout (which each process would draw for itself) and a reward."""
    config = tiny_base / "config.json"
    config.write_text(config.read_text().replace('"dropout_rate": 0.1', '"dropout_rate": 0.0'))
    rows = [
        Example(
            id=f"e{i}",
            dialogue_id=f"e{i}",
            source=" ".join("abcdefghij"[: 1 + i % 9]),
            references=("a meets b c"[: 3 + i],),
        )
        for i in range(26)
    ]
    for split, some in (("train", rows[:16]), ("validation", rows[16:19]), ("test", rows[19:])):
        storage.write_rows(paths.split_path(split), some)
    return workdir


def params(folder: Path, processes: int, sharding: str = "none") -> None:
    raw = tiny()
    raw["compute"] |= {"processes": processes, "sharding": sharding}
    raw["generation"] |= {"batch_size": 2, "max_new_tokens": 8}
    full = {"method": "sft", "init": "base", "learns_from": "data/train.jsonl", "optim": OPTIM}
    dpo = {"method": "dpo", "init": "base", "learns_from": "models/reward", "optim": OPTIM, "pairs": PAIRS}
    ppo = raw["variants"]["ppo"] | {"init": "base", "learning_rate": 3e-3} | PPO
    raw["variants"] = {"full": full, "dpo": dpo, "ppo": ppo}
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(raw, file)


def curve_of(variant: str) -> dict[str, torch.Tensor]:
    rows = [line.split(",") for line in paths.curve_path(variant).read_text().splitlines()]
    return {name: torch.tensor([float(row[i]) for row in rows[1:]]) for i, name in enumerate(rows[0])}


@pytest.mark.parametrize(("variant", "steps"), [("full", 6), ("dpo", 6), ("ppo", 3)])
def test_the_same_curve_weights_and_summaries(project: Path, variant: str, steps: int) -> None:
    found = {}
    for processes in (1, 2):
        params(project, processes)
        told = stage("train", variant, project)
        assert told.count(f"train {variant}:") == 1
        found[processes] = curve_of(variant), load_file(paths.model_path(variant) / "model.safetensors")
    (one, weights), (two, others) = found[1], found[2]
    assert len(one["loss"]) == steps
    # PPO's loss is a mean of advantages of about 1 that nearly cancel: what is left of it is rounding below 1e-6.
    torch.testing.assert_close(two["loss"], one["loss"], rtol=1e-4, atol=1e-6 if variant == "ppo" else 0)
    for key in {"reward", "kl", "kl_coefficient", "length"} & one.keys():  # PPO: the very same summaries
        torch.testing.assert_close(two[key], one[key], rtol=1e-4, atol=1e-6)
    for key in weights:
        torch.testing.assert_close(others[key], weights[key], rtol=1e-3, atol=1e-4)
    written = {}
    for processes in (1, 2):
        params(project, processes)
        stage("generate", variant, project)
        written[processes] = paths.predictions_path(variant).read_bytes()
    assert written[1] == written[2]
    assert len(json.loads(written[1].splitlines()[0])["token_ids"]) > 0


def test_a_sharded_training_ends_with_the_weights_of_a_whole_one(project: Path) -> None:
    found = {}
    for sharding in ("none", "fsdp"):
        params(project, 2 if sharding == "fsdp" else 1, sharding)
        launched = [
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            "-m",
            "tests.core.fsdp_on_cpu",
        ]
        python(*(launched if sharding == "fsdp" else ["-m", "stages.train"]), "full", folder=project)
        found[sharding] = curve_of("full"), load_file(paths.model_path("full") / "model.safetensors")
    (one, weights), (two, others) = found["none"], found["fsdp"]
    torch.testing.assert_close(two["loss"], one["loss"], rtol=1e-4, atol=0)
    assert others.keys() == weights.keys()
    for key in weights:
        torch.testing.assert_close(others[key], weights[key], rtol=1e-3, atol=1e-4)
    assert models.load("full", "cpu").kind == "full"


@pytest.mark.parametrize(("rows", "processes"), [(10, 2), (5, 2), (7, 3), (3, 3)])
def test_shares_are_even_and_cover_every_row(rows: int, processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    shares = []
    for rank in range(processes):
        monkeypatch.setenv("RANK", str(rank))
        shares.append(shard(rows))
    assert [row for one in shares for row in one] == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    monkeypatch.setenv("WORLD_SIZE", str(rows + 1))
    assert shard(rows) == range(rows)
