"""The benchmark against the course lab's way: both sides do the same work, and its arithmetic is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.core.schema import UserError

ROOT = Path(__file__).resolve().parents[2]
DIALOGUES = 8


@pytest.fixture
def task(tiny_base: Path, tiny_reward: Path, workdir: Path) -> Any:
    """A tiny model without dropout and eight dialogues of different length."""
    from benchmarks.rival.task import Task

    path = tiny_base / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dropout_rate": 0.0}))
    for name, count in (("train", DIALOGUES), ("dev", 32), ("test", DIALOGUES)):
        rows = [
            {"dialogue": "#person1# : hello " + "a b c d " * (i % 9), "summary": "they will go home " + "a " * (i % 4)}
            for i in range(count)
        ]
        (workdir / f"dialogsum.{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Task(
        data=".",
        work=".",
        device="cpu",
        threads=1,
        dialogues=DIALOGUES,
        rounds=1,
        batch_size=3,
        max_new_tokens=6,
        label="nothate",
    )


def laps(count: int) -> Callable[..., bool]:
    """A clock that asks for that many laps."""
    asked = iter([True] * count)
    return lambda **_: next(asked, False)


def test_training_on_padded_rows_and_ours_end_with_the_same_model(task: Any) -> None:
    from benchmarks.rival import lab, ours

    own = ours.training(task, laps(1))
    for rival in (lab.training(task, laps(1)), lab.training_to_limits(task, laps(1))):
        assert rival["validation_loss"] == pytest.approx(own["validation_loss"], abs=1e-5)
        assert rival["filled"] == own["filled"] and rival["tokens"] > own["tokens"] >= own["filled"]
    assert (Path("models") / "tuned" / "model.safetensors").is_file()
    half = ours.training_in_bfloat16(task, laps(1))
    assert half["validation_loss"] == pytest.approx(own["validation_loss"], abs=0.02)  # bfloat16 keeps 3 digits


def test_both_write_the_same_summaries_and_score_alike(task: Any) -> None:
    from benchmarks.rival import lab, ours

    first, second = (side.generation(task, laps(1))["rows"] for side in (lab, ours))
    assert first == second and len(first) == DIALOGUES
    for texts in ("summaries", "dialogues"):
        first, second = (side.classifier(replace(task, texts=texts), laps(1))["scores"] for side in (lab, ours))
        for one, other in zip(first, second, strict=True):
            assert one == pytest.approx(other, abs=1e-5) and set(one) == {"nothate", "hate"}


def test_operations_are_those_that_torch_counts(task: Any) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModelForSeq2SeqLM

    from benchmarks.rival.counting import Weights

    model = AutoModelForSeq2SeqLM.from_pretrained("models/base", attn_implementation="eager")
    rows, source, target = 3, 11, 5
    inputs = {
        "input_ids": torch.ones(rows, source, dtype=torch.long),
        "labels": torch.ones(rows, target, dtype=torch.long),
    }
    counter = FlopCounterMode(display=False)
    with counter:
        model(**inputs).loss.backward()
    assert Weights.of(model).training_flops(rows, source, target) == counter.get_total_flops()


def test_a_watched_model_tells_what_decoding_did(task: Any) -> None:
    from bench import generation
    from bench.lm import models
    from benchmarks.rival.counting import Watch

    loaded = models.load("base", "cpu")
    watch = Watch(loaded.model)
    (written,) = generation.generate(loaded, [[5, 6, 7, 1]], 6)[0]
    found = watch.take()
    count = len(written.token_ids)
    assert {key: found[key] for key in ("steps", "rows", "cells")} == {
        "steps": count,
        "rows": count,
        "cells": 4 * count,
    }
    assert found["encoder_seconds"] > 0 and watch.take()["steps"] == 0


def test_ratios_of_rounds_and_of_totals(task: Any) -> None:
    from benchmarks.rival import page
    from benchmarks.rival.race import Outcome, Race

    def lap(seconds: float, used: float) -> dict[str, float]:
        return {"seconds": seconds, "processor_seconds": used}

    outcome = Outcome(
        laps={"lab": [lap(8, 9), lap(9, 9), lap(4, 9)], "ours": [lap(2, 3), lap(3, 3), lap(4, 3)]},
        results={"lab": {"scores": [{"a": 1.0, "b": -3.0}]}, "ours": {"scores": [{"b": -3.25, "a": 1.0}]}},
        peaks={"lab": {"resident": 2**20}, "ours": {"resident": 3 * 2**20}},
        limits=[{"flops": {"float32": 1e9}, "bytes": 1e9}],
        machine={},
    )
    found = page.figures(
        Race("x", {"lab": "lab.classifier", "ours": "ours.classifier"}, (("lab", "ours"),), task), outcome
    )
    assert found["times_as_fast"]["lab / ours"] == {
        "sides": ["lab", "ours"],
        "median": 3,
        "least": 1,
        "most": 4,
        "of_totals": pytest.approx(21 / 9),
        "of_processor_totals": 3,
    }
    assert found["difference"] == 0.25
    shown = page.report([found], page.facts({}, {}, "abc", "run"))
    assert "3.00 [1.00, 4.00]" in shown and "| x, ours |" in shown.replace("  ", " ")


def test_a_side_that_breaks_is_one_sentence(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.rival import race

    monkeypatch.setattr(race.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match=r"lab.ppo ended early \(it said nothing\); leave its race out with --races"):
        race.run(race.Race("PPO", {"lab": "lab.ppo"}, (), task))


def test_on_a_gpu_tf32_and_bfloat16_race_too_and_fewer_dialogues_may_be_written(task: Any) -> None:
    from benchmarks.rival.__main__ import races

    gpu = replace(task, device="cuda")
    training, first, again = races(gpu, ["training", "generation"], written=2)
    assert {"ours.training_in_tf32", "ours.training_in_bfloat16"} <= set(training.sides.values())
    assert (training.task.dialogues, first.task.dialogues, again.task.dialogues) == (DIALOGUES, 2, 2)
    assert {fast for _, fast in training.pairs} == {"ours", "ours in TF32", "ours in bfloat16"}
    (on_cpu,) = races(task, ["training"], written=2)
    assert set(on_cpu.sides) == {"lab", "ours", "lab with targets of 128"}
    (with_it,) = races(task, ["training"], written=2, compiled=True)
    assert set(with_it.sides) - set(on_cpu.sides) == {"ours compiled"}
    assert replace(task, compiled=True).compute.compile and not task.compute.compile
    every = [
        replace(task, precision=p, tf32=t, compiled=c) for p in ("float32", "bfloat16") for t in (0, 1) for c in (0, 1)
    ]
    assert len({side.arithmetic for side in every}) == len(
        every
    )  # the sides of a race work at the same time, in one folder
