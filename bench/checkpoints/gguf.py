"""A decoder-only model in one GGUF file of this machine, as llama.cpp reads it: written out once in full precision, as any other.

Where the file is quantised, the weights are what it makes of them.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.checkpoints import BuildContext
from bench.core import paths, storage, untrusted
from bench.core.blocks import CheckpointConfig
from bench.core.schema import UserError

WHERE = "params.yaml: a checkpoint with source 'gguf'"


class Config(CheckpointConfig):
    """`path` of the file (relative to the repository's root), `name` as the report calls the model, `sha256` pins it."""

    path: str = Field(min_length=1)
    name: str = Field(min_length=1)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")

    def check(self) -> None:
        """Raise UserError when the file is missing or is no GGUF, or the package that reads it is not installed."""
        file = Path(self.path).expanduser()
        if not file.is_file():
            raise UserError(
                f"{WHERE}: path: '{self.path}' is not a file; give the .gguf file of a model{paths.in_an_experiment()}."
            )
        with file.open("rb") as opened:
            if opened.read(4) != b"GGUF":
                raise UserError(f"{WHERE}: path: '{self.path}' is no GGUF file; give one that llama.cpp can read.")
        if part := re.search(r"-\d{5}-of-(\d{5})\.gguf$", file.name):
            raise UserError(
                f"{WHERE}: path: '{self.path}' is one of {int(part[1])} parts; give the merged file "
                "(llama-gguf-split --merge)."
            )
        if find_spec("gguf") is None:
            raise UserError(f"{WHERE}: the package that reads the format is missing; run `pip install gguf`.")


def build(config: Config, context: BuildContext) -> dict[str, Any]:
    """Write weights, config and tokenizer to `context.out`, which is replaced; return name, the file's sha256 and bytes written.

    Raises:
        UserError: the file is missing, broken, not the pinned one, or no decoder-only model that transformers reads.
    """
    config.check()
    file = Path(config.path).expanduser().resolve()
    digest = storage.sha256_file(file)
    if config.sha256 not in (None, digest):
        raise UserError(
            f"{WHERE}: sha256: {config.sha256} is asked for and '{config.path}' has {digest}; restore that file or write "
            "its digest."
        )
    with untrusted.loading(file), storage.atomic_folder(context.out) as aside:
        _convert(file, aside)
    return {
        "name": config.name,
        "sha256": digest,
        "bytes": sum(path.stat().st_size for path in context.out.glob("*.safetensors")),
    }


def _convert(file: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    source: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        file.parent,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
        output_loading_info=True,
        **source,
    )
    model, report = loaded
    if lacking := sorted(report["missing_keys"]):  # which would be random numbers
        raise UserError(
            f"{file} lacks {len(lacking)} weights of its model ({', '.join(lacking[:3])}); give a whole file; one in parts must "
            "be merged first (llama-gguf-split --merge)."
        )
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(file.parent, **source).save_pretrained(out)
