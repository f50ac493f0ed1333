"""Several processes take turns: A B C, C B A, A B C, ... Imports no torch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.core.schema import UserError
from benchmarks.rival.task import Task

ROOT = Path(__file__).resolve().parents[2]
LIMITS = "counting.limits"


@dataclass(frozen=True)
class Race:
    """What is raced: the function of each side, and which slow one each fast one is compared with."""

    title: str
    sides: dict[str, str]
    pairs: tuple[tuple[str, str], ...]
    task: Task


@dataclass(frozen=True)
class Outcome:
    """Facts of each lap, by side; the result and the peaks of each side; the machine's rates between the laps."""

    laps: dict[str, list[dict[str, Any]]]
    results: dict[str, dict[str, Any]]
    peaks: dict[str, dict[str, int]]
    limits: list[dict[str, Any]]
    machine: dict[str, Any]


class Side:
    """A process of one side. It loads its model, answers when that is done, and waits for orders."""

    def __init__(self, function: str, task: Task, overlay: str | None) -> None:
        search = [overlay, str(ROOT), os.environ.get("PYTHONPATH")]
        self.function, self.log = function, Path(task.work) / f"{function}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.rival.laps", function],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=task.work,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, search)), "HF_HUB_OFFLINE": "1"},
            )
        self.order(json.dumps(asdict(task)))

    def told(self, order: str) -> dict[str, Any]:
        """Give an order and wait for the answer."""
        self.order(order)
        return self.answer()

    def order(self, order: str) -> None:
        """Give an order. A process that has ended says so where it would answer."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            print(order, file=self.process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the last order."""
        assert self.process.stdout is not None
        try:
            return dict(json.loads(self.process.stdout.readline()))
        except json.JSONDecodeError:
            code = self.process.wait(timeout=60)  # it has closed its end already
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
            why = "killed, as when memory runs out" if code == -signal.SIGKILL else lines[-1][:300]
            raise UserError(
                f"{self.function} ended early ({why}); leave its race out with --races, or mend that."
            ) from None


def run(race: Race, overlay: str | None = None) -> Outcome:
    """Race all sides.

    Raises:
        UserError: one of the processes broke.
    """
    sides: dict[str, Side] = {}
    laps: dict[str, list[dict[str, Any]]] = {name: [] for name in (*race.sides, LIMITS)}
    try:
        for name, function in {**race.sides, LIMITS: LIMITS}.items():
            sides[name] = Side(function, race.task, overlay if function.startswith("lab.") else None)
        for side in sides.values():  # all load at the same time
            side.answer()
        for turn in range(race.task.rounds):
            names = list(race.sides)
            for name in [*(names if turn % 2 == 0 else names[::-1]), LIMITS]:
                laps[name].append(sides[name].told("lap"))
        last = {name: side.told("end") for name, side in sides.items()}
    finally:
        for side in sides.values():
            side.process.kill()
            side.process.wait()
    return Outcome(
        laps={name: laps[name] for name in race.sides},
        results={name: last[name]["result"] for name in race.sides},
        peaks={name: last[name]["peaks"] for name in race.sides},
        limits=laps[LIMITS],
        machine=last[LIMITS]["result"]["machine"],
    )


def once(function: str, task: Task) -> None:
    """Run a function of no race to its end.

    Raises:
        UserError: it broke.
    """
    side = Side(function, task, None)
    side.answer()
    side.told("end")
    side.process.wait()
