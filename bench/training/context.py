"""What a training method is handed beside its own block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import manifest, paths, resume, runtime, storage
from bench.core.blocks import ComputeConfig, QuantizeConfig, TextConfig
from bench.core.schema import Example, UserError

if TYPE_CHECKING:
    from bench.core.parameters import Params
    from bench.lm.models import Loaded


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
    meter: runtime.Meter
    work: resume.Work
    train: Sequence[Example] = ()
    validation: Sequence[Example] = ()
    quantize: QuantizeConfig | None = None
    progress: runtime.Progress = runtime.progress
    part: str = "variants"

    @classmethod
    def of_block(
        cls, params: Params, part: str, name: str, stage: str, inputs: Iterable[Path], train: Sequence[Example] = ()
    ) -> TrainContext:
        """Make the context of a block of `preferences`, `rewards` or `training_sets`, which one `stage` works on.

        `inputs` are the files that it reads beside the weights of its start.
        """
        block = getattr(params, part)[name]
        seed = params.seed if block.seed is None else block.seed
        text = params.text_of(block.init) if block.init in params.variants else params.text
        read = [*manifest.lineage(block.init), Path(block.learns_from), *inputs]
        return cls(
            variant=name,
            init=block.init,
            learns_from=block.learns_from,
            seed=seed,
            text=text,
            compute=params.compute,
            device=runtime.prepare(params.compute, seed),
            train=train,
            meter=runtime.Meter(),
            work=resume.Work.of(stage, name, [block, seed, text], params.compute, read),
            part=part,
        )

    @property
    def where(self) -> str:
        """The block of params.yaml that is worked on, as messages name it."""
        return f"{self.part}.{self.variant}"

    @property
    def out(self) -> Path:
        """The folder that the trained variant is written to."""
        return paths.model_path(self.variant)

    def tagged(self, split: str, tag: str | None) -> Sequence[Example]:
        """Return the examples of a split, `train` or `validation`, that have the tag; all of them where it is None.

        Raises:
            UserError: none has.
        """
        examples: Sequence[Example] = getattr(self, split)
        found = [example for example in examples if tag is None or tag in example.tags]
        if not found:
            known = ", ".join(sorted({name for example in examples for name in example.tags})) or "none"
            raise UserError(
                f"params.yaml: {self.where}: no dialogue of data/{split}.jsonl has the tag '{tag}'; the tags "
                f"there: {known}."
            )
        return found

    def start(self) -> Loaded:
        """Load a fresh copy of the model that training starts from: in 4 bits, its blocks compiled, where that is asked for."""
        from bench.lm import models
        from bench.training import passes

        start = models.load(self.init, self.device)
        if self.quantize is not None:
            start = models.quantized(start, self.quantize)
        if self.compute.compile:
            passes.compile_blocks(start.model)
        return start

    def alias(self, method: str, more: dict[str, Any]) -> dict[str, Any]:
        """Write the manifest of a variant that has its start's own weights, with what `more` is to be known of it."""
        found = {
            "variant": self.variant,
            "method": method,
            "kind": "alias",
            "parent": self.init,
            "trainable_parameters": 0,
            "total_parameters": manifest.stored_parameters(self.init),
            "facts": {},
            **more,
        }
        storage.write_table(paths.curve_path(self.variant), [{"step": 0}])
        storage.write_json(self.out / "manifest.json", found)
        return found
