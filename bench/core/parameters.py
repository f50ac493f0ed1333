"""params.yaml -> typed Params. Every block is checked with its plugin's own Config before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from bench.core import parsing, paths, plugins, sweeps
from bench.core.blocks import (
    CheckpointConfig,
    ComputeConfig,
    DatasetConfig,
    DecodingConfig,
    GenerationConfig,
    MethodConfig,
    PreferencesConfig,
    RewardModelConfig,
    TextConfig,
    TrainingSetConfig,
)
from bench.core.schema import Identity, Seed, Strict, UserError
from bench.core.validation import shown, validated

SURROGATE = re.compile(r"(?i)\\u(0000)?d[89a-f][0-9a-f]{2}")  # as YAML's escapes spell it


# Blocks by name: what kind of plugin each is, and the field that names it.
PARTS = (
    ("checkpoints", "checkpoint", "source"),
    ("variants", "method", "method"),
    ("preferences", "preferences source", "source"),
    ("rewards", "reward model", "form"),
    ("training_sets", "training set source", "source"),
)
OPTIONAL = ("preferences", "rewards", "training_sets")


class ReportConfig(Strict):
    """What the report claims and shows. `texts: false` keeps every dialogue and summary out of it (licences).

    `claims` is the chance of any false claim among the verdicts, and among the readings of a table, where nothing changed.
    `slices` are declared beforehand: what alignment changed is tested on each of them apart. A slice is a tag, or a level of a
    column about the dialogue itself (`toxicity_judge_input>0.5`).
    """

    primary: str = "rouge1"
    confidence: float = Field(0.95, gt=0.5, lt=1)
    claims: float = Field(0.05, gt=0, lt=0.5)
    resamples: int = Field(10_000, ge=100, le=1_000_000)
    seed: Seed = 0
    examples: int = Field(4, ge=0)
    slices: list[Identity] = Field(default_factory=list)
    texts: bool = True


class Training(NamedTuple):
    """One training of a variant: the folder of its weights below models/, its seed, and the seed that its rows carry."""

    name: str
    seed: int
    mark: int | None


class Params(Strict):
    """A whole study."""

    study: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)
    about: str = ""
    seed: Seed = 0
    compute: ComputeConfig = ComputeConfig()
    text: TextConfig = TextConfig()
    data: DatasetConfig
    sources: dict[Identity, str] = Field(default_factory=dict)  # what DVC watches: bench/config/sources.py
    evaluate_on: dict[str, DatasetConfig] = Field(default_factory=dict)
    checkpoints: dict[str, CheckpointConfig]
    preferences: dict[str, PreferencesConfig] = Field(default_factory=dict)
    rewards: dict[str, RewardModelConfig] = Field(default_factory=dict)
    training_sets: dict[str, TrainingSetConfig] = Field(default_factory=dict)
    generation: GenerationConfig = GenerationConfig()
    variants: dict[str, MethodConfig] = Field(min_length=1)
    metrics: dict[str, Strict] = Field(min_length=1)
    report: ReportConfig = ReportConfig()
    gate: dict[str, Any] = Field(default_factory=dict)  # typed where it is used: bench/config/gate.py

    def variant(self, name: str) -> MethodConfig:
        """Return the block of a variant; an unknown name is the user's error."""
        if name not in self.variants:
            raise UserError(
                f"params.yaml: variants: there is no '{name}'; {plugins.nearest(name, list(self.variants))}"
            )
        return self.variants[name]

    def checkpoint(self, name: str) -> CheckpointConfig:
        """Return the block of a checkpoint; an unknown name is the user's error."""
        if name not in self.checkpoints:
            known = plugins.nearest(name, list(self.checkpoints))
            raise UserError(f"params.yaml: checkpoints: there is no '{name}'; {known}")
        return self.checkpoints[name]

    def trainings_of(self, variant: str) -> list[Training]:
        """List a variant's trainings: one with its seed or the study's, or one with each of its `seeds`."""
        block = self.variant(variant)
        if block.seeds is None:
            return [Training(variant, self.seed if block.seed is None else block.seed, None)]
        names = [variant, *(paths.training_name(variant, seed) for seed in block.seeds[1:])]
        return [Training(name, seed, seed) for name, seed in zip(names, block.seeds, strict=True)]

    def follows_preferences(self, variant: str) -> str | None:
        """Return the name of the preferences that a variant learns from; None where it learns from something else."""
        teacher = Path(self.variant(variant).learns_from)
        return teacher.name if teacher.parent == paths.PREFERENCES else None

    def teacher_of(self, variant: str) -> Any:
        """Return the block that says who ranked what a variant learns from: its own, or that of its preferences."""
        preferences = self.follows_preferences(variant)
        return self.variant(variant) if preferences is None else self.preferences.get(preferences)

    def classifier_of(self, variant: str) -> str | None:
        """Return the classifier or reward model that an aligned variant follows, be it by preferences that it ranked.

        None where a metric, people, the data or a model in words said what is better.
        """
        block = self.teacher_of(variant)
        reward, teacher = getattr(block, "reward", None), Path(getattr(block, "learns_from", ""))
        scored = reward is not None or self.follows_preferences(variant) is None
        by_metric = reward is not None and reward.metric is not None
        return teacher.name if scored and not by_metric and teacher.parent == paths.MODELS else None

    @property
    def learnt_from(self) -> list[Path]:
        """The files of examples that a training may have seen."""
        splits = [paths.split_path("train"), paths.split_path("validation")]
        return splits + [paths.training_set_path(name) for name in self.training_sets]

    def start_of(self, variant: str) -> str:
        """Return the name of the checkpoint or variant that `variant` was trained from."""
        return self.variant(variant).init

    def root_of(self, variant: str) -> str:
        """Return the checkpoint that `variant` goes back to."""
        at = self.start_of(variant)
        return self.root_of(at) if at in self.variants else at

    def text_of(self, variant: str) -> TextConfig:
        """Return what a variant is given round a dialogue: its own text, or its start's, or the study's; shots not chosen yet."""
        block = self.variant(variant)
        if block.text is not None:
            return block.text
        return self.text_of(block.init) if block.init in self.variants else self.text

    def decoding_of(self, variant: str) -> tuple[str, DecodingConfig]:
        """Return name and settings of the decoding that writes a variant's summaries."""
        name = self.variant(variant).decoding or self.generation.primary
        return name, self.generation.decodings.get(name, DecodingConfig())

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        """The classifier's labels that the study counts on: field of params -> (checkpoint, label)."""
        found = {
            f"metrics.{name}.{field}": asked
            for name, block in self.metrics.items()
            for field, asked in getattr(plugins.find("metric", name), "labels", lambda _: {})(block).items()
        }
        for name, block in self.variants.items():
            found |= _labels_of_reward(f"variants.{name}", block, self.rewards)
        for name, source in self.preferences.items():
            found |= _labels_of_reward(f"preferences.{name}", source, self.rewards)
        return found


def _labels_of_reward(where: str, block: Any, trained: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The labels that a block's reward counts on; a reward model that is `trained` here has but one, and no name for it."""
    reward, found = getattr(block, "reward", None), dict[str, tuple[str, str]]()
    if reward is None:
        return found
    teacher = Path(block.learns_from)
    if reward.metric is None and teacher.parent == paths.MODELS and teacher.name not in trained:
        found[f"{where}.reward.label"] = (teacher.name, reward.label or "nothate")
    for part in reward.also:
        if "." in part:
            checkpoint, label = part.split(".")
            found[f"{where}.reward.also"] = (checkpoint, label)
    return found


def read(path: Path | str = paths.PARAMS) -> Params:
    """Read and check a params file.

    Raises:
        UserError: the file is missing, is not YAML, or one field is wrong; the message names file and field.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; `bench use miniature` makes one from studies/miniature.yaml."
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None
    raw = parsing.parse_yaml(content, str(path), "see studies/miniature.yaml")
    half = SURROGATE.search(content.decode())
    if half:
        raise UserError(f"{path}: {half[0]} is half a character, which no file can hold; write the character itself.")
    return parse(raw, str(path))


def defaults(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the blocks that a study leaves out and DVC looks for (the stage `report` lists them), with their defaults."""
    known = {"about": "", "seed": 0, "compute": {}, "text": {}, "generation": {}, "report": {}}
    return {key: value for key, value in known.items() if key not in raw}


def parse(raw: dict[str, Any], name: str = "params.yaml") -> Params:
    """Check a study given as a plain mapping; `name` stands for the file in messages."""
    typed = dict(raw)
    typed["data"] = _block(raw, "data", "dataset", "dataset", name)
    for part, kind, key in PARTS:
        if part in OPTIONAL and part not in raw:
            continue
        blocks = _named(raw, part, name)
        if part == "variants":
            blocks = sweeps.expanded(blocks, name)
            blocks = {key: _with_whole_text(block, raw.get("text")) for key, block in blocks.items()}
        typed[part] = {k: _block(blocks, k, kind, key, name, f"{part}.") for k in blocks}
    if "evaluate_on" in raw:
        others = {k: _with_test_alone(block) for k, block in _named(raw, "evaluate_on", name).items()}
        typed["evaluate_on"] = {k: _block(others, k, "dataset", "dataset", name, "evaluate_on.") for k in others}
    typed["metrics"] = {
        k: _typed("metric", k, {} if v is None else v, f"metrics.{k}", name)
        for k, v in _named(raw, "metrics", name).items()
    }
    params: Params = validated(Params, typed, "", name)
    return params


def _with_whole_text(block: Any, text: Any) -> Any:
    """A variant's `text` says what it changes of the study's."""
    if isinstance(block, dict) and isinstance(own := block.get("text"), dict) and isinstance(text, dict | None):
        return block | {"text": (text or {}) | own}
    return block


def _with_test_alone(block: Any) -> Any:
    """A dataset that is only evaluated on needs no other file than that of its test split."""
    if isinstance(block, dict) and isinstance(test := block.get("test"), dict):
        return {"train": test, "validation": test} | block
    return block


# A study that has such a block, where the miniature has none.
EXAMPLE = {
    "preferences": "preferences",
    "rewards": "preferences",
    "training_sets": "safety-mix",
    "evaluate_on": "dialogsum-small",
}


def _named(raw: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    """The named blocks below `part`."""
    blocks = raw.get(part)
    if not isinstance(blocks, dict):
        raise UserError(
            f"{name}: {part}: must be a mapping of named blocks; see studies/{EXAMPLE.get(part, 'miniature')}.yaml."
        )
    odd = [key for key in blocks if not isinstance(key, str)]
    if odd:
        raise UserError(
            f"{name}: {part}.{odd[0]}: a name must be text, and YAML makes {shown(odd[0])} of it; quote it."
        )
    return blocks


def _block(blocks: dict[str, Any], key: str, kind: str, field: str, name: str, prefix: str = "") -> Strict:
    """The block `key`, typed by the plugin that its `field` names."""
    where, value = f"{prefix}{key}", blocks.get(key)
    if not isinstance(value, dict) or not isinstance(value.get(field), str):
        raise UserError(f"{name}: {where}.{field}: missing; name one of: {', '.join(plugins.names(kind))}.")
    return _typed(kind, value[field], value, where, name)


def _typed(kind: str, plugin: str, value: Any, where: str, name: str) -> Strict:
    try:
        module = plugins.find(kind, plugin)
    except UserError as error:
        raise UserError(f"{name}: {where}: {error}") from None
    return validated(module.Config, value, where, name)
