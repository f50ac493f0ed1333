"""States that a Trainer keeps, so that a training that was interrupted goes on as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from bench.core import resume, storage


class SaveStateCallback(TrainerCallback):
    """Keeps a state when that is due, at a step that is logged: the curve then goes on as if nothing had happened.

    The Trainer writes its state file by file. A note written last, after all are on the disk, says that it is complete.
    """

    NOTE = "complete.json"

    def __init__(self, work: resume.Work, earlier: float) -> None:
        self.work, self.earlier = work, earlier
        self.started = self.save_started = time.monotonic()

    def seconds(self) -> float:
        """Return the training time so far, with that of the runs it resumes."""
        return self.earlier + time.monotonic() - self.started

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        """Ask for a state when it is time, of a training that keeps any."""
        wanted = control.should_log and args.save_strategy != "no" and self.work.due()
        control.should_save = control.should_save or wanted
        self.save_started = time.monotonic()  # the Trainer writes before it says `on_save`
        return control

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Declare the state complete."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if args.should_save:
            for path in folder.rglob("*"):  # an adapter lies in a folder of its own beside another
                if path.is_dir():
                    continue
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            storage.write_json(folder / self.NOTE, {"seconds": self.seconds()})
        self.work.kept(self.save_started)


def last_complete_state(folder: Path) -> Path | None:
    """Find the last complete state below `folder`; incomplete ones, of an interrupted run, are removed."""
    whole = {}
    for path in folder.glob("checkpoint-*"):
        if (path / SaveStateCallback.NOTE).exists():
            whole[int(path.name.rpartition("-")[2])] = path
        else:
            shutil.rmtree(path)
    return whole[max(whole)] if whole else None
