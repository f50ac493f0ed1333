"""Every plugin that is found conforms to the contract of its kind."""

from __future__ import annotations

import dataclasses
import inspect
from types import ModuleType
from typing import Any

import pytest

from bench import checkpoints, datasets, methods, metrics, preferences, reward_models, training_sets
from bench.core import plugins
from bench.core.blocks import (
    CheckpointConfig,
    DatasetConfig,
    MethodConfig,
    PreferencesConfig,
    RewardModelConfig,
    TrainingSetConfig,
)
from bench.core.schema import Strict, UserError

KINDS: dict[str, tuple[ModuleType, type[Any], type[Strict]]] = {
    "dataset": (datasets, datasets.Dataset, DatasetConfig),
    "checkpoint": (checkpoints, checkpoints.Source, CheckpointConfig),
    "method": (methods, methods.Method, MethodConfig),
    "metric": (metrics, metrics.Metric, Strict),
    "preferences source": (preferences, preferences.Source, PreferencesConfig),
    "reward model": (reward_models, reward_models.Form, RewardModelConfig),
    "training set source": (training_sets, training_sets.Source, TrainingSetConfig),
}
ALL = [(kind, name) for kind in KINDS for name in plugins.names(kind)]
ARGUMENTS = {
    "load": ["config"],
    "build": ["config", "context"],
    "train": ["config", "context"],
    "columns": ["config"],
    "signature": ["config", "context"],
    "score": ["config", "context"],
    "labels": ["config"],
    "rankings": ["config", "context"],
    "examples": ["config", "context"],
}
LOADED = ["name", "settings", "device"]  # a reward model is loaded like a classifier, by its folder


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_plugin_conforms_to_its_contract(kind: str, name: str) -> None:
    room, contract, base = KINDS[kind]
    found = room.find(name)
    assert isinstance(found, contract) and issubclass(found.Config, base)
    assert found.Config.__doc__ and plugins.find(kind, name).__doc__
    for part in dataclasses.fields(contract):
        value = getattr(found, part.name)
        if part.name in ARGUMENTS and getattr(value, "__module__", "").startswith(f"bench.{plugins.FOLDERS[kind]}."):
            wanted = LOADED if (kind, part.name) == ("reward model", "load") else ARGUMENTS[part.name]
            assert list(inspect.signature(value).parameters) == wanted, part.name
            assert value.__doc__, part.name


@pytest.mark.parametrize("name", plugins.names("method"))
def test_a_method_says_what_it_learns_from(name: str) -> None:
    assert methods.find(name).LEARNS_FROM in ("nothing", "references", "reward", "pairs", "outputs")


@pytest.mark.parametrize("name", plugins.names("metric"))
def test_a_metric_says_what_its_columns_are(name: str) -> None:
    """Report, gate and diff go by it: a sampled column has the sampled name, a safety column its classifier."""
    metric = metrics.find(name)
    needed = {
        "bertscore": {"checkpoint": "other"},
        "entailment": {"checkpoint": "other"},
        "reward_model": {"judges": ["r"]},
        "classifier": {"followed": {"other": "positive"}},
    }
    columns = metric.columns(metric.Config(**needed.get(name, {})))
    assert columns
    for key, column in columns.items():
        assert column.sampled == key.endswith(metrics.SAMPLED), key
        assert (column.reference is not None) == (column.role == "distance"), key
        if column.role in ("quality", "safety", "reward") and not column.of_source:
            assert column.higher_is_better is not None, key
        if column.role in ("safety", "reward"):
            assert column.classifier, key


def test_a_missing_part_is_named_and_a_left_out_one_has_its_default() -> None:
    module = ModuleType("bench.metrics.half")
    module.Config, module.columns, module.score = Strict, dict, list  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"bench/metrics/half: 'signature' is missing; see `Metric` in bench/metrics"):
        plugins.conform(metrics.Metric, module)
    module.signature = dict  # type: ignore[attr-defined]
    assert plugins.conform(metrics.Metric, module).labels(None) == {}
