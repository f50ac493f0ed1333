"""A model of the Hugging Face hub at one commit: the same sha gives the same weights, a branch does not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from bench import artifacts, runtime
from bench.schema import CheckpointConfig, UserError

KEPT = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.spm")  # weights, config, tokenizer: no code


TRAINS = False


class Config(CheckpointConfig):
    """`repo` as the hub calls it (`google/flan-t5-base`), `revision` a commit of it in 40 hex digits."""

    repo: str = Field(pattern=r"^([\w.-]+/)?[\w.-]+$")
    revision: str | None = None

    @field_validator("revision")
    @classmethod
    def _commit(cls, revision: str | None) -> str | None:
        if revision is not None and not re.fullmatch(r"[0-9a-f]{40}", revision):
            raise ValueError("must be a commit of 40 hex digits (branches and tags move); pin it: `bench pin STUDY`")
        return revision


def build(config: Config, out: Path, progress: runtime.Progress | None = None) -> dict[str, Any]:
    """Download weights, config and tokenizer into `out`, which is replaced; return name, revision, sha256 and bytes.

    What an earlier download left in the hub's own cache is used, also without a network.

    Raises:
        UserError: no revision is pinned, the hub or the model cannot be reached, or it holds no safetensors weights.
    """
    where = f"params.yaml: a checkpoint with repo '{config.repo}'"
    if config.revision is None:
        raise UserError(
            f"{where}: revision: missing, and the hub's newest version may change; pin it: `bench pin STUDY`."
        )
    snapshot = _download(config.repo, config.revision, where)
    files = [path for path in sorted(snapshot.iterdir()) if path.is_file() and any(path.match(kept) for kept in KEPT)]
    weights = [path.name for path in files if path.suffix == ".safetensors"]
    if not weights or not (snapshot / "config.json").is_file():
        raise UserError(
            f"{where}: revision {config.revision} holds no "
            f"{'config.json' if weights else '.safetensors weights (pickled ones can run code and are not loaded)'}; "
            "pin a revision that does."
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for path in files:
        _place(path, out / path.name)
    size = sum((out / name).stat().st_size for name in weights)
    digest = artifacts.sha256_folder(out, (".safetensors",))
    return {"name": config.repo, "revision": config.revision, "sha256": digest, "bytes": size}


def _download(repo: str, revision: str, where: str) -> Path:
    """The folder of one commit in the hub's cache; the files at its top alone, and none that could run."""
    from huggingface_hub import constants, errors, snapshot_download

    offline = "or save the model elsewhere and name its folder with source: local"
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(KEPT), ignore_patterns=["*/*"]))
    except errors.GatedRepoError:
        raise UserError(f"{where}: the model is gated; accept its terms on the hub and run `hf auth login`.") from None
    except errors.RepositoryNotFoundError:
        raise UserError(f"{where}: repo: the hub has no such model, or it is private; check the name.") from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{where}: revision: the model has no commit {revision}; pin one: `bench pin STUDY`.") from None
    except (errors.LocalEntryNotFoundError, OSError) as error:
        reason = type(error.__cause__ or error).__name__
        raise UserError(
            f"{where}: the hub at {constants.ENDPOINT} cannot be reached ({reason}) and the cache does not hold the "
            f"whole model; run `dvc repro` again with a network, {offline}."
        ) from None
    except Exception as error:  # the hub's http library has changed twice: its errors cannot be named here
        lines = str(error).splitlines() or [""]
        raise UserError(
            f"{where}: the download failed ({type(error).__name__}: {lines[0]}); run `dvc repro` again."
        ) from None


def _place(source: Path, target: Path) -> None:
    """Make `target` the same file as `source` without taking its room twice, or a copy across file systems."""
    source = source.resolve()  # the cache holds symbolic links
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
