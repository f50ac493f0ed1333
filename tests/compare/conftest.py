"""A small project in a real git repository: params, a report whose files agree, and the dvc.lock that belongs to them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from bench import cli
from bench.core import graph, parameters

N = 60
MACHINE = {"cpu": "Model T", "cores": 2, "gpu": "none", "torch": "2.13.0", "transformers": "5.3.0"}
PARAMS: dict[str, Any] = {
    "study": "toy",
    "data": {"dataset": "miniature"},
    "checkpoints": {
        "base": {"source": "miniature_t5"},
        "reward": {"source": "miniature_classifier", "role": "reward"},
        "judge": {"source": "miniature_classifier", "role": "judge"},
    },
    "variants": {
        "baseline": {"method": "none", "init": "base", "learns_from": "models/base"},
        "lora": {
            "method": "sft",
            "init": "base",
            "learns_from": "data/train.jsonl",
            "optim": {"learning_rate": 1e-3, "steps": 4},
            "adapter": {"type": "LORA", "r": 4, "target_modules": ["q", "v"]},
        },
    },
    "metrics": {
        "rouge": {},
        "toxicity": {"classifiers": {"judge": {"checkpoint": "judge", "toxic": "hate"}}},
        "text": {},
    },
    "report": {"primary": "rouge1", "resamples": 2000},
    "gate": {"training_sd": {"*": 0.01}},  # training again is known to move next to nothing
}
Values = dict[str, dict[str, np.ndarray]]


def natural(seed: int = 0) -> Values:
    """Plausible scores of two variants over N dialogues."""
    rng = np.random.default_rng(seed)
    return {
        name: {
            "rouge1": np.clip(rng.normal(level, 0.13, N), 0, 1).round(6),
            "toxicity_judge": rng.beta(1, 12, N).round(6),
            "words": rng.integers(5, 30, N).astype(float),
        }
        for name, level in (("baseline", 0.3), ("lora", 0.6))
    }


@dataclass
class Project:
    """The project's content; `write` puts it on disk, `commit` into git too.

    The values of a variant with `seeds` are (dialogues, seeds).
    """

    root: Path
    values: Values = field(default_factory=natural)
    params: dict[str, Any] = field(default_factory=lambda: deepcopy(PARAMS))
    texts: dict[str, list[str]] = field(default_factory=dict)
    costs: dict[str, Any] = field(default_factory=dict)
    seeds: dict[str, list[int]] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    slices: dict[str, list[str]] = field(default_factory=dict)
    signature: str = "{column}|made-1|stem:porter|data:toy@1234abcd|split:test|gen:greedy,max40|n:{n}"

    @property
    def report(self) -> Path:
        return self.root / "reports" / "toy"

    def write(self) -> None:
        self.report.mkdir(parents=True, exist_ok=True)
        (self.report / "metrics.json").write_text(json.dumps(self.metrics(), indent=2))
        (self.report / "scores.csv").write_text(self.scores())
        (self.report / "costs.json").write_text(
            json.dumps({"variants": {name: self.cost(name) for name in self.values}})
        )
        lines = [
            json.dumps(
                {"variant": name, "id": f"t{k}", "dialogue_id": f"d{k}", "output": "greedy", "draw": 0, "text": text}
                | ({"seed": seed} if name in self.seeds else {})
            )
            for name, texts in self.texts.items()
            for k, text in enumerate(texts)
            for seed in self.seeds.get(name, [0])
        ]
        if lines:
            (self.report / "predictions.jsonl").write_text("\n".join(lines) + "\n")
        with (self.root / "params.yaml").open("w") as file:
            YAML().dump(self.params, file)
        self.lock()

    def lock(self) -> None:
        """dvc.lock as DVC writes it after the report stage."""
        outs = [
            {
                "path": f"reports/toy/{name}",
                "hash": "md5",
                "md5": hashlib.md5((self.report / name).read_bytes()).hexdigest(),
            }
            for name in ("metrics.json", "scores.csv", "costs.json")
        ]
        recorded = {key: self.params[key] for key in ("study", "data", "variants", "metrics", "report")}
        stages = {
            "@".join(p.relative_to(graph.STAGES).with_suffix("").parts): {"cmd": "x", "deps": [self.dep(p, text)]}
            for p, text in self.inputs().items()
        }
        for name, block in self.params["variants"].items():
            stages[f"train@{name}"]["params"] = {"params.yaml": {f"variants.{name}": block}}
            if name in self.models:
                stages[f"train@{name}"]["outs"] = [{"path": f"models/{name}", "md5": f"{self.models[name]}.dir"}]
        stages["report"] |= {"params": {"params.yaml": recorded}, "outs": outs}
        with (self.root / "dvc.lock").open("w") as file:
            YAML().dump({"schema": "2.0", "stages": deepcopy(stages)}, file)

    def inputs(self) -> dict[Path, str]:
        """What each stage is made of, as the stage `params` writes it."""
        return {path: stage.text() for path, stage in graph.stages(parameters.parse(deepcopy(self.params))).items()}

    def dep(self, path: Path, text: str) -> dict[str, str]:
        return {"path": path.as_posix(), "md5": hashlib.md5(text.encode()).hexdigest()}

    def metrics(self) -> dict[str, Any]:
        return {
            "study": "toy",
            "n_dialogues": N,
            **({"dialogues_of": self.slices} if self.slices else {}),
            "variants": {
                name: {
                    column: {
                        "value": float(values.mean()),
                        "n": len(values),
                        "signature": self.signed(column, len(values)),
                    }
                    for column, values in columns.items()
                }
                for name, columns in self.values.items()
            },
        }

    def signed(self, column: str, n: int) -> str:
        return self.signature.format(column=column, n=n)

    def scores(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        columns = list(next(iter(self.values.values())))
        seed = ["seed"] if self.seeds else []
        writer.writerow(["variant", "id", "dialogue_id", "output", "draw", *seed, *columns])
        for name, held in self.values.items():
            for k in range(len(held["rouge1"])):
                if name in self.seeds:
                    for s, mark in enumerate(self.seeds[name]):
                        row = [name, f"t{k}", f"d{k}", "greedy", 0, mark]
                        writer.writerow([*row, *(f"{held[c][k, s]:.6g}" for c in held)])
                else:
                    row = [name, f"t{k}", f"d{k}", "greedy", 0, *("" for _ in seed)]
                    writer.writerow([*row, *(f"{held[c][k]:.6g}" for c in held)])
        writer.writerow(["lead-3", "t0", "d0", "greedy", 0, *("" for _ in seed), *("0.1" for _ in columns)])
        return out.getvalue()

    def cost(self, name: str) -> dict[str, Any]:
        made: dict[str, Any] = {
            "trainable_parameters": 100,
            "checkpoint_bytes": 400,
            "train": {"training_examples_per_second": 10.0, "peak_resident_bytes": 1000, "machine": dict(MACHINE)},
            "generate": {"generation_tokens_per_second": 50.0, "peak_resident_bytes": 900, "machine": dict(MACHINE)},
        }
        for place, value in self.costs.get(name, {}).items():
            stage, _, key = place.rpartition(".")
            (made[stage] if stage else made)[key] = value
        return made

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false", "-c", "core.autocrlf=false")
        done = subprocess.run(("git", *who, *arguments), cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, message: str = "state") -> None:
        self.write()
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def drop(self, variant: str, points: float, column: str = "rouge1") -> None:
        """Every row worse by so many points, but for a little of its own."""
        own = np.random.default_rng(7).normal(0, 0.02, N)
        values = self.values[variant][column]
        self.values[variant][column] = (values - points / 100 - (own - own.mean())).round(6)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as every test finds it; made once, for starting git costs more than copying."""
    made = Project(tmp_path_factory.mktemp("template"))
    made.git("init", "-q", "--template=", "-b", "main")
    made.commit()
    return made.root


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A committed project, which is the working folder."""
    shutil.copytree(template, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return Project(tmp_path / "project")


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command as the command line does: exit code, output, errors."""

    def call(name: str, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([name, *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def refused() -> Callable[..., None]:
    """Check a refusal: exit code 2, one sentence that names the cause, no traceback."""

    def check(result: tuple[int, str, str], *words: str) -> None:
        code, _, err = result
        assert code == 2, result
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        assert "Traceback" not in err
        for word in words:
            assert word in err, err

    return check
