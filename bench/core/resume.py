"""Unfinished work of a stage, kept where DVC does not clear it, so that a killed `dvc repro` goes on where it stood.

DVC removes a stage's outputs before it runs the stage again. What a stage has done so far therefore lies in
`work/<stage>/<name>/`, under a fingerprint of all that the result depends on: params, inputs, code, versions. Another
fingerprint, and the folder is emptied. Finished work stays until the next stage opens its own, since a crash between
the last line of a stage and DVC's note of it would else lose the stage.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.core import distributed, storage
from bench.core.blocks import ComputeConfig
from bench.core.schema import Strict
from bench.core.storage import Row

WORK = Path("work")
SAVING = 0.02  # the share of a training's time that may go into keeping its state
CODE = Path(__file__).resolve().parents[1]  # the package


def fingerprint(settings: Any, inputs: Iterable[Path]) -> str:
    """Digest the settings, each input file or folder, this package's code and the libraries' versions."""
    facts: dict[str, Any] = {
        "settings": settings,
        "inputs": {str(path): _digest(path) for path in inputs},
        "code": {str(path.relative_to(CODE)): storage.sha256_file(path) for path in sorted(CODE.rglob("*.py"))},
        "versions": {name: metadata.version(name) for name in ("torch", "transformers", "peft")},
    }
    return storage.sha256_text(json.dumps(facts, sort_keys=True, default=_plain))


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json")


def _digest(path: Path) -> str:
    if path.is_dir():
        return storage.sha256_folder(path)
    return storage.sha256_file(path) if path.exists() else "absent"  # whoever needs it will say so


class Work:
    """The folder of one stage run. Rows are appended as they are finished; states are files written whole."""

    def __init__(self, stage: str, name: str, identity: str, save_seconds: float = 300.0) -> None:
        self.folder = WORK / stage / name
        if distributed.rank() == 0:
            clear_finished(self.folder)
            note = self.folder / "fingerprint"
            if self.folder.exists() and not (note.exists() and note.read_text() == identity):
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            storage.write_text(note, identity)
        distributed.barrier()
        self.save_seconds, self.saved, self.saving = save_seconds, time.monotonic(), 0.0
        self.started: dict[str, float] = {}

    @classmethod
    def of(cls, stage: str, name: str, settings: Any, compute: ComputeConfig, inputs: Iterable[Path]) -> Work:
        """Open the folder for a stage's settings, the machine settings and its input files and folders."""
        shaping = compute.model_dump(exclude={"save_seconds"})
        return cls(stage, name, fingerprint([settings, shaping], inputs), compute.save_seconds)

    def due(self) -> bool:
        """Tell whether to keep a state: `save_seconds` have passed, and `SAVING` holds if it takes as long as the last."""
        return time.monotonic() - self.saved >= max(self.save_seconds, self.saving / SAVING)

    def kept(self, started: float) -> None:
        """Note that a state is kept, and how long that took since `started`, by the monotonic clock."""
        self.saved = time.monotonic()
        self.saving = self.saved - started

    def rows(self, name: str, kind: type[Row]) -> list[Row]:
        """Read the rows kept under `name`. An incomplete last line is dropped, from the file as well."""
        path, rows, good = self.folder / name, list[Row](), 0
        self.seconds(name)
        if not path.exists():
            return rows
        with path.open("rb") as file:
            for line in file:
                try:
                    rows.append(kind.model_validate_json(line))
                except ValidationError:
                    break
                if not line.endswith(b"\n"):
                    rows.pop()
                    break
                good += len(line)
        with path.open("r+b") as file:
            file.truncate(good)
        return rows

    def append(self, name: str, rows: Iterable[Strict]) -> None:
        """Keep rows under `name`, after those kept before."""
        with (self.folder / name).open("a", encoding="utf-8", newline="\n") as file:
            file.write("".join(row.model_dump_json() + "\n" for row in rows))
        storage.write_json(self.folder / f"{name}.seconds", self.seconds(name))

    def seconds(self, name: str) -> float:
        """Return the time since `name` was first asked for, with that of the runs before."""
        if name not in self.started:
            note = self.folder / f"{name}.seconds"
            earlier = float(storage.read_json(note)) if note.exists() else 0.0
            self.started[name] = time.monotonic() - earlier
        return time.monotonic() - self.started[name]

    def save_state(self, state: dict[str, Any]) -> None:
        """Keep tensors and plain values, in place of what was kept before."""
        import torch

        started = time.monotonic()
        with storage.atomic_file(self.folder / "state.pt") as aside:
            torch.save(state, aside)
        self.kept(started)

    def load_state(self) -> dict[str, Any] | None:
        """Load what `save_state` kept last; only tensors and plain values are ever read."""
        import torch

        path = self.folder / "state.pt"
        return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def finish(stage: str, name: str) -> None:
    """Mark the stage's outputs as written: the next stage may clear its work."""
    if distributed.rank() == 0:
        (WORK / stage / name / "finished").touch()


def clear_finished(keep: Path | None = None) -> None:
    """Remove the folders of finished work: when another stage runs, DVC has noted them. That of `keep` goes on instead.

    Stages of one project may run at the same time, and clear the same folders.
    """
    for note in WORK.glob("*/*/finished"):
        if keep and keep.is_relative_to(note.parent):
            note.unlink(missing_ok=True)
        else:
            shutil.rmtree(note.parent, ignore_errors=True)
