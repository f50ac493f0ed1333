"""A model in a folder of this machine, as `save_pretrained` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from bench.checkpoints import BuildContext
from bench.core import manifest, paths, storage, untrusted
from bench.core.blocks import CheckpointConfig
from bench.core.schema import UserError

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


class Config(CheckpointConfig):
    """`path` of the folder (relative to the repository's root), `name` as the report calls the model.

    `sha256` pins the model: `manifest.folder_digest`, over weights, config and tokenizer.
    """

    path: str = Field(min_length=1)
    name: str = Field(min_length=1)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")

    def check(self) -> None:
        """Raise UserError when the folder is missing or lacks safetensors weights or their config."""
        folder = Path(self.path).expanduser()
        where = "params.yaml: a checkpoint with source 'local': path"
        if not folder.is_dir():
            raise UserError(
                f"{where}: '{self.path}' is not a folder; give a folder that `save_pretrained` wrote "
                f"(config.json, model.safetensors and the tokenizer's files){paths.in_an_experiment()}."
            )
        names = {path.name for path in folder.iterdir() if path.is_file()}
        if not any(name.endswith(".safetensors") for name in names):
            pickled = sorted(name for name in names if name.endswith(PICKLES))
            found = f"only pickled weights ({pickled[0]}), which can run code when loaded" if pickled else "no weights"
            raise UserError(
                f"{where}: '{self.path}' holds {found}; load the model where you trust it and write it again with "
                "`save_pretrained(folder, safe_serialization=True)`."
            )
        if "config.json" not in names:
            raise UserError(
                f"{where}: '{self.path}' holds weights and no config.json; give the whole folder that "
                "`save_pretrained` wrote (an adapter must be merged into its base first)."
            )
        untrusted.check_has_tokenizer(folder, f"{where}: '{self.path}'")


def build(config: Config, context: BuildContext) -> dict[str, Any]:
    """Link or copy weights, config and tokenizer into `context.out`, which is replaced; return name, sha256 and bytes.

    Raises:
        UserError: the folder is missing or broken, holds no safetensors weights or no config, asks to run code, or is
            not the pinned one.
    """
    config.check()
    folder = Path(config.path).expanduser()
    if context.out.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise UserError(
            f"params.yaml: a checkpoint with source 'local': path: '{config.path}' lies in {context.out}, which this stage "
            "replaces; keep the model elsewhere."
        )
    digest = manifest.folder_digest(folder)
    if config.sha256 not in (None, digest):
        raise UserError(
            f"params.yaml: a checkpoint with source 'local': sha256: {config.sha256} is asked for and weights, config and "
            f"tokenizer in '{config.path}' have {digest}; restore that folder or write its digest."
        )
    untrusted.check_folder(folder)
    with storage.atomic_folder(context.out) as aside:
        for path in manifest.files_of(folder):
            storage.link_or_copy(path, aside / path.name)
    size = sum(path.stat().st_size for path in context.out.glob("*.safetensors"))
    return {"name": config.name, "sha256": digest, "bytes": size}
