"""What a variant is given round a dialogue: chosen before it is trained, kept beside its weights."""

from __future__ import annotations

from bench.core import distributed, manifest, paths, storage
from bench.core.blocks import Prompt, TextConfig
from bench.core.parameters import Params


def chosen(params: Params, variant: str, seed: int) -> TextConfig:
    """Return a variant's prompt, its shots drawn from the training split; its start's, or the study's, where it names none.

    Raises:
        UserError: a shot that it names is not there, or not one fits.
    """
    from bench.lm import prompts

    block = params.variant(variant)
    if block.text is None:
        return prompts.of(block.init, params.text)
    from bench.lm import models

    tokenizer = models.tokenizer_of(params.root_of(variant))
    return prompts.with_shots(tokenizer, block.text, storage.read_split("train"), seed, f"variants.{variant}")


def keep(name: str, text: TextConfig) -> None:
    """Write what `models/<name>` is given beside its weights, where that is not the study's."""
    if isinstance(text, Prompt) and distributed.rank() == 0:
        storage.write_text(paths.model_path(name) / manifest.PROMPT, text.model_dump_json(indent=1) + "\n")
