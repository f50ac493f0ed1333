"""What docs/ says is true: the templates of docs/extending.md work as they stand, and the places named exist."""

from __future__ import annotations

import ast
import csv
import importlib
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from bench import checkpoints, datasets, methods, metrics, preferences, report, training_sets
from bench.checkpoints import BuildContext
from bench.compare.diff import output as diff_output
from bench.config.gate import GateConfig
from bench.core import paths, plugins, storage
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.parameters import ReportConfig
from bench.core.schema import Example, Prediction
from bench.lm import models
from bench.metrics import ScoreContext
from bench.report.view import ColumnFormat
from bench.training.context import TrainContext
from tests.methods.conftest import context as context
from tests.report import toy

ROOT = Path(__file__).resolve().parents[1]
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
NAMES = {
    "metric": "speakers",
    "dataset": "tickets",
    "method": "shortest",
    "checkpoint": "zipped",
    "training set source": "brief",
    "preferences source": "beginnings",
}


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The templates as plugins of this project, each in a folder beside those that are there."""
    for kind, name in NAMES.items():
        package = importlib.import_module(f"bench.{plugins.FOLDERS[kind]}")
        folder = tmp_path / "plugins" / plugins.FOLDERS[kind]
        folder.mkdir(parents=True)
        (folder / f"{name}.py").write_text(template(kind))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield NAMES
    for kind, name in NAMES.items():
        sys.modules.pop(f"bench.{plugins.FOLDERS[kind]}.{name}", None)


def template(kind: str) -> str:
    """The Python block of a kind's section."""
    titles = {
        "metric": "A metric",
        "dataset": "A dataset",
        "method": "A method",
        "checkpoint": "A source of checkpoints",
        "training set source": "A source of training sets",
        "preferences source": "A source of preferences",
    }
    section = EXTENDING.split(f"\n## {titles[kind]}", 1)[1].split("\n## ", 1)[0]
    return re.search(r"```python\n(.*?)```", section, re.S)[1]  # type: ignore[index]


def test_the_templates_conform(added: dict[str, str]) -> None:
    rooms: dict[str, ModuleType] = {
        "metric": metrics,
        "dataset": datasets,
        "method": methods,
        "checkpoint": checkpoints,
        "training set source": training_sets,
        "preferences source": preferences,
    }
    for kind, name in added.items():
        assert name in plugins.names(kind)
        rooms[kind].find(name)


def test_the_training_set_and_the_preferences_are_made(
    added: dict[str, str], context: Callable[..., TrainContext]
) -> None:
    Path("more.json").write_text('[{"instruction": "Say it.", "output": "It was said. Then it was done."}]')
    found = training_sets.find("brief")
    made = found.examples(found.Config(source="brief", init="base", learns_from="more.json", least=8), context("v"))
    assert made.counts == {"cut": 11, "too short": 0} and made.examples[-1].references == ("It was said",)
    source = preferences.find("beginnings")
    ranked = source.rankings(
        source.Config(source="beginnings", init="base", learns_from="data/train.jsonl", words=2), context("v")
    )
    assert len(ranked) == 10 and ranked[0].summaries[1] == "#person1# :"


def test_the_metric_gives_its_golden_case(added: dict[str, str]) -> None:
    metric = metrics.find("speakers")
    for case in metric.EXAMPLES:
        example = Example(id="a", dialogue_id="a", source=case["source"], references=case["references"])
        row = Prediction(id="a", dialogue_id="a", output="greedy", draw=0, text=case["prediction"])
        given = ScoreContext("v", "base", [example], [row], TextConfig(), GenerationConfig(), "cpu")
        assert metric.score(metric.Config(), given)[0].values == case["values"]


def test_the_metric_is_first_class_by_its_block_alone(added: dict[str, str], workdir: Path) -> None:
    """In the results table and the changes of the report, judged by the gate and above the fold of the diff."""
    study = toy.fabricate()
    blocks = study.metrics | {"speakers": metrics.find("speakers").Config()}
    study = study.model_copy(update={"metrics": blocks, "report": ReportConfig(resamples=100, primary="speakers")})
    for name in study.variants:
        toy.write_scores(study, name, storage.read_split("test"), samples=1)
    report.build(study)
    text = (paths.report_dir("toy") / "report.md").read_text()
    results = toy.section_of(text, "Results")
    assert "|  | Speakers named (%) | Toxicity (judge) (%) |" in results
    assert "| ppo ← full | Speakers named (%) |" in toy.section_of(text, "What changed")
    columns = metrics.columns_of(blocks)
    assert "speakers" in GateConfig().judged("speakers", columns)
    pair = SimpleNamespace(column="speakers")
    above = SimpleNamespace(units=ColumnFormat(columns), primary="rouge1")
    assert diff_output._is_main(above, SimpleNamespace(pair=pair))  # type: ignore[arg-type]


def test_the_dataset_reads_its_files(added: dict[str, str], workdir: Path) -> None:
    for split in paths.SPLITS:
        with (workdir / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["ticket", "chat", "abstract"], [split, "A: hi", f"{split} greets"]])
    dataset = datasets.find("tickets")
    block = {"dataset": "tickets", "path": "."} | {split: {"file": f"{split}.csv"} for split in paths.SPLITS}
    found = dataset.load(dataset.Config.model_validate(block))
    assert [found[split][0].references for split in paths.SPLITS] == [(f"{split} greets",) for split in paths.SPLITS]


def test_the_method_trains(added: dict[str, str], context: Callable[..., TrainContext]) -> None:
    method = methods.find("shortest")
    block = {"method": "shortest", "init": "base", "learns_from": "data/train.jsonl"}
    block |= {"optim": {"learning_rate": 1e-3, "batch_size": 5, "steps": 2}}
    record = method.train(method.Config.model_validate(block), context("mine"))
    assert record["kind"] == "full" and models.load("mine", "cpu").kind == "full"
    assert paths.curve_path("mine").exists()


def test_the_source_unpacks(added: dict[str, str], tiny_base: Path) -> None:
    with zipfile.ZipFile("base.zip", "w") as packed:
        for path in tiny_base.iterdir():
            packed.write(path, path.name)
    digest = storage.sha256_folder(tiny_base, (".safetensors",))
    shutil.rmtree(tiny_base)
    source = checkpoints.find("zipped")
    block = source.Config.model_validate({"source": "zipped", "path": "base.zip", "name": "mine"})
    assert source.build(block, BuildContext(tiny_base))["sha256"] == digest
    assert models.load("base", "cpu").kind == "full"


@pytest.mark.parametrize("name", ["architecture.md", "extending.md", "tried.md"])
def test_the_places_that_docs_name_are_there(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for place in set(re.findall(r"`((?:bench|stages|tests|benchmarks|tools)/[\w/]+\.py)`", text)):
        assert (ROOT / place).exists(), place


def test_every_room_stands_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in (ROOT / "bench").iterdir():
        if path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").exists()):
            assert f"`{path.name}/`" in text or f"`{path.name}`" in text, path.name


NO_VERB = set(
    "The A An Every What Where Whether How Which Each All One Rows None This No Several Two As By Some".split()
)


@pytest.mark.parametrize("path", sorted((ROOT / "bench").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_public_docstrings_begin_with_a_verb(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        if any(isinstance(each, ast.Name) and each.id.endswith("property") for each in node.decorator_list):
            continue
        first = (ast.get_docstring(node) or "Say").split()[0]
        assert first not in NO_VERB and first[:1].isupper(), f"{path.name}: {node.name}: {first}"
