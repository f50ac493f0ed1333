"""A model of the Hugging Face hub at one commit: the same sha gives the same weights, a branch does not."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.checkpoints import BuildContext
from bench.core import hub, manifest, storage
from bench.core.blocks import CheckpointConfig
from bench.core.schema import UserError

KEPT = tuple(f"*{suffix}" for suffix in manifest.FILES)


class Config(CheckpointConfig):
    """`repo` as the hub calls it (`google/flan-t5-base`), `revision` a commit of it in 40 hex digits.

    Another revision may stand in a study that nobody has pinned yet; the stage refuses it.
    """

    repo: str = Field(pattern=hub.REPO)
    revision: str = "main"

    def check(self) -> None:
        """Raise UserError where `build` would for want of a commit or of the hub."""
        hub.check("model", self.repo, self.revision, KEPT)

    def check_files(self, names: Collection[str]) -> None:
        """Refuse a commit whose files (their paths) are not enough, or could only be loaded by running code."""
        where = f"{hub.title('model', self.repo)}: revision {self.revision} holds"
        if not any("/" not in name and name.endswith(".safetensors") for name in names):
            raise UserError(
                f"{where} no .safetensors weights, and pickled ones can run code and are not loaded; pin a commit that "
                "has them (the pull requests of the hub's conversion bot are revisions too: `refs/pr/1`), or save the "
                "model with save_pretrained where you trust it and name that folder with source: local."
            )
        if "config.json" not in names:
            raise UserError(f"{where} no config.json; name a repository that save_pretrained wrote.")


def build(config: Config, context: BuildContext) -> dict[str, Any]:
    """Download weights, config and tokenizer into `context.out`, which is replaced; return name, revision, sha256 and bytes.

    What an earlier download left in the hub's own cache is used, also without a network.

    Raises:
        UserError: no commit is named, the hub or the model cannot be reached, or its weights are missing or broken.
    """
    snapshot = hub.download("model", config.repo, config.revision, KEPT)
    files = manifest.files_of(snapshot)
    config.check_files([path.name for path in files])
    _check_weights(config, snapshot)
    with storage.atomic_folder(context.out) as aside:
        for path in files:
            storage.link_or_copy(path, aside / path.name)
    size = sum(path.stat().st_size for path in context.out.glob("*.safetensors"))
    digest = manifest.folder_digest(context.out)
    return {"name": config.repo, "revision": config.revision, "sha256": digest, "bytes": size}


def _check_weights(config: Config, snapshot: Path) -> None:
    """A cache that was copied or cloned may hold half a file, a pointer to one, or not all the parts."""
    from safetensors import SafetensorError, safe_open

    names = {path.name for path in snapshot.glob("*.safetensors")}
    for index in snapshot.glob("*.safetensors.index.json"):
        names |= set(storage.read_json(index)["weight_map"].values())
    for name in sorted(names):
        try:
            with safe_open(snapshot / name, "np"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{hub.title('model', config.repo)}: {snapshot / name} is missing or not whole ({error}); "
                f"delete {(snapshot / name).resolve()}, to which it links, and run `dvc repro` with a network."
            ) from None
