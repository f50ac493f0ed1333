"""Work that a crash leaves is found again, and only by the same stage run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch

from bench import generation
from bench.core import resume
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.resume import Work
from bench.core.schema import Example, Prediction
from bench.lm import models


def row(number: int) -> Prediction:
    return Prediction(id=f"r{number}", dialogue_id="d", output="greedy", draw=0, text="é\n|")


def test_rows_survive_and_a_torn_last_line_does_not(workdir: Path) -> None:
    Work("generate", "full", "same").append("greedy.jsonl", [row(0), row(1)])
    path = workdir / "work" / "generate" / "full" / "greedy.jsonl"
    whole = path.read_bytes()
    for torn in (b'{"id":"r2","dialogue', row(2).model_dump_json().encode(), b"\xff\xfe"):
        path.write_bytes(whole + torn)
        again = Work("generate", "full", "same")
        assert again.rows("greedy.jsonl", Prediction) == [row(0), row(1)]
        assert path.read_bytes() == whole  # so that the next row starts on a line of its own
    again.append("greedy.jsonl", [row(2)])
    assert again.rows("greedy.jsonl", Prediction) == [row(0), row(1), row(2)]


def test_another_fingerprint_starts_anew(workdir: Path) -> None:
    Work("train", "lora", "one").save_state({"step": 3})
    assert Work("train", "lora", "one").load_state() == {"step": 3}
    other = Work("train", "lora", "two")
    assert other.load_state() is None


def test_a_folder_cut_short_before_its_fingerprint_starts_anew(workdir: Path) -> None:
    Work("train", "lora", "one").save_state({"step": 3})
    (workdir / "work" / "train" / "lora" / "fingerprint").unlink()
    assert Work("train", "lora", "one").load_state() is None


def test_finished_work_stays_until_another_stage_begins(workdir: Path) -> None:
    first = Work("train", "lora", "one")
    first.save_state({"step": 9})
    resume.finish("train", "lora")
    assert Work("train", "lora", "one").load_state() == {"step": 9}
    unfinished = Work("train", "ppo", "two")
    assert first.folder.exists(), "the stage runs again beside the other"
    resume.finish("train", "lora")
    Work("train", "ppo", "two")
    assert not first.folder.exists()
    Work("generate", "lora", "three")
    assert unfinished.folder.exists()


def test_stages_that_begin_at_the_same_time_clear_the_same_work(workdir: Path) -> None:
    for number in range(300):
        Work("generate", f"v{number}", "one")
        resume.finish("generate", f"v{number}")
    together = Barrier(4)

    def clear() -> None:
        together.wait()
        resume.clear_finished()

    with ThreadPoolExecutor(4) as pool:
        for running in [pool.submit(clear) for _ in range(4)]:
            running.result()
    assert list((workdir / "work" / "generate").iterdir()) == []


def test_the_fingerprint_follows_settings_and_inputs(workdir: Path) -> None:
    data = workdir / "data.jsonl"
    data.write_text("a")
    seen = {resume.fingerprint(["x"], [data]), resume.fingerprint(["y"], [data])}
    data.write_text("b")
    seen.add(resume.fingerprint(["x"], [data]))
    assert len(seen) == 3 and resume.fingerprint(["x"], [data]) in seen


def test_states_are_read_without_running_their_code(workdir: Path) -> None:
    class Trap:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.touch, (Path("ran"),))

    work = Work("train", "lora", "one")
    torch.save({"state": Trap()}, work.folder / "state.pt")
    with pytest.raises(Exception, match="weights_only"):
        work.load_state()
    assert not (workdir / "ran").exists()


def test_a_further_training_lies_in_the_folder_of_the_first_and_shares_its_end(workdir: Path) -> None:
    first, second = Work("train", "lora", "one"), Work("train", "lora/seed-1", "two")
    second.save_state({"step": 9})
    resume.finish("train", "lora")
    assert Work("train", "lora/seed-1", "two").load_state() == {"step": 9}
    Work("generate", "lora", "three")
    assert second.folder.exists(), "the further training runs again beside the other"
    resume.finish("train", "lora")
    Work("generate", "lora", "three")
    assert not first.folder.exists()


def test_generation_goes_on_with_the_missing_batches(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, config = models.load("base", "cpu"), GenerationConfig(max_new_tokens=6, batch_size=2)
    examples = [Example(id=f"e{i}", dialogue_id=f"e{i}", source="a " * (i + 1), references=("a",)) for i in range(7)]
    alone = generation.predict(loaded, examples, TextConfig(), config, draws=2)
    real, calls = generation.generate, 0

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(generation, "generate", dying)
    with pytest.raises(KeyboardInterrupt):
        generation.predict(loaded, examples, TextConfig(), config, 2, Work("generate", "base", "same"))
    assert generation.predict(loaded, examples, TextConfig(), config, 2, Work("generate", "base", "same")) == alone
    assert calls == 3 + 2  # two of four batches were kept


def test_states_cost_at_most_their_share_of_the_time(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(resume.time, "monotonic", lambda: now)
    work = resume.Work("train", "lora", "same", save_seconds=60)
    now += 60
    assert work.due()
    work.kept(started := now - 3)  # three seconds went into it: 2 % of 150
    assert work.saving == now - started
    now += 149
    assert not work.due()
    now += 1
    assert work.due()
