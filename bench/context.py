"""What a plugin is handed: a method gets a TrainContext, a metric a ScoreContext. Loading is done once and late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import artifacts, resume, runtime
from bench.schema import ComputeConfig, Example, GenerationConfig, Prediction, TextConfig, UserError

if TYPE_CHECKING:
    from bench.classify import Classifier
    from bench.models import Loaded


@dataclass(frozen=True)
class TrainContext:
    """Everything a method needs beside its own block: its name, its start, what it learns from, and the examples."""

    variant: str
    init: str
    learns_from: str
    seed: int
    text: TextConfig
    compute: ComputeConfig
    device: str
    train: Sequence[Example]
    validation: Sequence[Example]
    meter: runtime.Meter
    work: resume.Work
    progress: runtime.Progress = runtime.progress

    @property
    def out(self) -> Path:
        """The folder that the trained variant is written to."""
        return artifacts.model_path(self.variant)

    def start(self) -> Loaded:
        """A fresh copy of the model that training starts from."""
        from bench import models

        return models.load(self.init, self.device)

    def teacher(self) -> Classifier:
        """The classifier named by `learns_from`."""
        from bench import classify

        return classify.load(Path(self.learns_from).name, self.device)


@dataclass(frozen=True)
class ScoreContext:
    """Everything a metric needs beside its own block.

    `variant` is the name of the weights, `seed` that of the rows where a variant was trained with several.
    """

    variant: str
    start: str | None
    examples: Sequence[Example]
    predictions: Sequence[Prediction]
    text: TextConfig
    generation: GenerationConfig
    device: str
    seed: int | None = None
    work: resume.Work | None = None
    progress: runtime.Progress = runtime.progress
    loaded: dict[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def has_model(self) -> bool:
        """False for the yardsticks, which no model wrote."""
        return self.start is not None

    def model(self, name: str) -> Loaded:
        """A checkpoint or variant in eval mode; the same object at every call."""
        from bench import models

        return self._once("model", name, lambda: models.load(name, self.device))

    def forget(self) -> None:
        """Let go of the variant's own model: contexts that share `loaded` need the others again, but not this one."""
        self.loaded.pop(("model", self.variant), None)

    def classifier(self, name: str) -> Classifier:
        """A text classifier among the checkpoints; the same object at every call."""
        from bench import classify

        return self._once("classifier", name, lambda: classify.load(name, self.device))

    def example(self, identity: str) -> Example:
        """The example a prediction belongs to."""
        if identity not in self._by_id:
            raise UserError(
                f"predictions of '{self.variant}' name '{identity}', which the test split does not hold; "
                "run `dvc repro`."
            )
        return self._by_id[identity]

    @cached_property
    def _by_id(self) -> dict[str, Example]:
        return {example.id: example for example in self.examples}

    def _once(self, kind: str, name: str, make: Callable[[], Any]) -> Any:
        if (kind, name) not in self.loaded:
            self.loaded[kind, name] = make()
        return self.loaded[kind, name]
