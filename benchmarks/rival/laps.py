"""A process that works when it is told to: one lap at a time, its seconds and its peak memory its own."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import IO, Any

from transformers import TrainerCallback

from bench.core import runtime
from bench.lm import prompts
from benchmarks.rival.counting import synchronise
from benchmarks.rival.task import TEXT, Task

Lap = Callable[..., bool]
ROOMY = 2 << 30  # bytes that each side may keep


class Clock:
    """Called at the end of a lap: tells its seconds, waits for the next, and says whether there is one.

    The first call ends no lap: it says that all is loaded.
    """

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self.orders, self.answers, self.started, self.used = orders, answers, 0.0, 0.0

    def __call__(self, **facts: Any) -> bool:
        synchronise()
        seconds, used = time.perf_counter() - self.started, time.process_time() - self.used
        give_back()
        self.say({"seconds": seconds, "processor_seconds": used, **facts})
        wanted = self.orders.readline().strip() == "lap"
        self.started, self.used = time.perf_counter(), time.process_time()
        return wanted

    def say(self, facts: dict[str, Any]) -> None:
        """One line to the process that gives the orders."""
        print(json.dumps(facts), file=self.answers, flush=True)


class Pace(TrainerCallback):
    """A lap every so many optimiser steps of a Trainer."""

    def __init__(self, steps: int, lap: Lap) -> None:
        self.steps, self.lap = steps, lap

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.steps == 0:
            self.lap()


def encoded(task: Task, tokenizer: Any, split: str, count: int) -> list[dict[str, list[int]]]:
    """Source and target tokens of the first dialogues, without padding."""
    return [
        {
            "input_ids": prompts.encode_source(tokenizer, example.source, TEXT).ids,
            "labels": prompts.encode_target(tokenizer, example.references[0], TEXT),
        }
        for example in task.examples(split, count)
    ]


def give_back() -> None:
    """Return much freed memory to the system: a side that waits must not keep what the next one needs.

    A little stays, as in a stage that goes on: to get it anew would slow the next lap.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim") and peaks()["resident"] > ROOMY:  # glibc's alone
        libc.malloc_trim(0)


def peaks() -> dict[str, int]:
    """The most memory this process has held, bytes."""
    import torch

    found = {"resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    return found | ({"gpu": torch.cuda.max_memory_allocated()} if torch.cuda.is_available() else {})


def main() -> None:
    """Run the side named on the command line, `module.function`, with the task on the first line of the input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    runtime.quiet()
    module, _, function = sys.argv[1].partition(".")
    task = Task(**json.loads(sys.stdin.readline()))
    os.chdir(task.work)
    clock = Clock(sys.stdin, answers)
    result = getattr(importlib.import_module(f"benchmarks.rival.{module}"), function)(task, clock)
    clock.say({"result": result, "peaks": peaks()})


if __name__ == "__main__":
    main()
