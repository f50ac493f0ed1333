"""How the weights in a model's folder are stored, what they stand on, and their digest.

`manifest.json` beside the weights says `kind` (full, adapter, alias) and, for the latter two, the `parent`. A variant of
kind `outputs` has no weights: it is a `file` of what another system wrote.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

from bench.core.paths import model_path
from bench.core.schema import UserError
from bench.core.storage import read_object, sha256_file, sha256_text

# What a model is loaded from: weights, config, tokenizer. Nothing that runs, and no pickles.
FILES = (".safetensors", ".json", ".model", ".txt", ".jinja", ".spm")
PROMPT = "prompt.json"  # what a variant is given, where that is not the study's (bench/lm/prompts.py)
REWARD = (
    "reward.json"  # of a reward model that was trained here: its form, what it stands on, how dialogues are prompted
)
HEAD = "head.safetensors"  # of a reward model: what reads the states of a model that writes
OURS = ("manifest.json", "facts.json", PROMPT)  # written by this benchmark about the folder
WRITER = ("transformers_version", "_name_or_path")  # fields of a config about who wrote it; no number depends on them
KINDS = ("full", "adapter", "alias", "outputs")


def read_manifest(name: str) -> dict[str, Any]:
    """Read how the weights of `models/<name>` are stored; an untouched checkpoint counts as a full model without parent.

    Raises:
        UserError: the manifest is broken, or its parents lead back to it.
    """
    own = _manifest(name)
    seen, parent = [name], own["parent"]
    while parent is not None:
        if parent in seen:
            raise UserError(
                f"{_manifest_path(name)}: parent: leads back to '{parent}'; run `dvc repro` to train it again."
            )
        seen.append(parent)
        parent = _manifest(parent)["parent"]
    return own


def holder(name: str) -> str:
    """Return whose folder holds the weights that `name` stands for: its own, or where it is an alias its parent's."""
    facts = read_manifest(name)
    while facts["kind"] == "alias":
        name = facts["parent"]
        facts = _manifest(name)
    return name


def stored(name: str) -> dict[str, Any]:
    """Read the manifest of the weights that `name` stands for."""
    return _manifest(holder(name))


def _manifest_path(name: str) -> Path:
    return model_path(name) / "manifest.json"


def _manifest(name: str) -> dict[str, Any]:
    """One manifest, its kind and its parent checked: a parent is a name, never a path."""
    path = _manifest_path(name)
    found = {"kind": "full", "parent": None} | (read_object(path) if path.exists() else {})
    kind, parent = found["kind"], found["parent"]
    if kind not in KINDS:
        raise UserError(f"{path}: kind: must be one of {', '.join(KINDS)}; run `dvc repro` to train '{name}' again.")
    named = isinstance(parent, str) and re.fullmatch(r"[a-z0-9][a-z0-9_-]*", parent)
    if (parent is not None and not named) or (kind in ("full", "outputs")) != (parent is None):
        raise UserError(
            f"{path}: parent: must name the model it was made from; run `dvc repro` to train '{name}' again."
        )
    if kind == "adapter" and not isinstance(found.get("parent_digest"), str):
        raise UserError(f"{path}: parent_digest: missing; run `dvc repro` to train '{name}' again.")
    return found


def lineage(name: str) -> list[Path]:
    """Return the folder of `name` and those of the weights it stands on."""
    parent = read_manifest(name)["parent"]
    return [model_path(name), *(lineage(parent) if parent else [])]


def files_of(folder: Path) -> list[Path]:
    """List the files that a model in a folder is loaded from, by name.

    Of several sets of weights (`consolidated.safetensors` beside shards) that is the one which transformers reads.
    """
    known = [path for path in sorted(folder.iterdir()) if path.is_file() and _loaded_from(path.name)]
    weights = {path.name for path in weights_of(folder)}
    return [path for path in known if path.suffix != ".safetensors" or path.name in weights]


def weights_of(folder: Path) -> list[Path]:
    """List the safetensors files that the weights of a folder are read from: the shards of the index, or the one file."""
    found = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").exists():
        return [path for path in found if path.name in ("model.safetensors", HEAD)]
    if index.exists():
        shards = read_object(index).get("weight_map")
        named = set(shards.values()) if isinstance(shards, dict) else set()
        return [path for path in found if path.name in (*named, HEAD)] if named else found
    return found


def _loaded_from(name: str) -> bool:
    return name.endswith(FILES) and name not in OURS


def folder_digest(folder: Path) -> str:
    """Compute the identity of a model in a folder: a sha256 over weights, config and tokenizer.

    A swapped label or another tokenizer moves a score as other weights do. Which version of transformers wrote a config
    does not.
    """
    total = hashlib.sha256()
    for path in files_of(folder):
        total.update(f"{path.name}\0{_content_digest(path)}\n".encode())
    return total.hexdigest()


def _content_digest(path: Path) -> str:
    if path.suffix == ".json" and path.stat().st_size < 1_000_000:  # a config, no vocabulary
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return sha256_file(path)
        if isinstance(content, dict):
            kept = {key: value for key, value in content.items() if key not in WRITER}
            return sha256_text(json.dumps(kept, sort_keys=True))
    return sha256_file(path)


def digest(name: str) -> str:
    """Return the identity of the model that `name` stands for: that of its own files and of its parent."""
    facts = read_manifest(name)
    if facts["kind"] == "alias":
        return digest(facts["parent"])
    own = folder_digest(model_path(name))
    return own if facts["parent"] is None else sha256_text(own + digest(facts["parent"]))


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Read names and shapes from the header of a safetensors file, which must account for every byte of the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no whole safetensors file ({error}); restore it or save the model again.") from None


def stored_parameters(name: str) -> int:
    """Count the parameters in the safetensors files of `models/<name>` and its parents, from their headers alone."""
    facts = read_manifest(name)
    shapes = [shape for path in weights_of(model_path(name)) for shape in tensor_shapes(path).values()]
    own = sum(map(math.prod, shapes))
    return own if facts["parent"] is None else own + stored_parameters(facts["parent"])


def stored_bytes(name: str) -> int:
    """Count the bytes of the weights that `models/<name>` itself holds: an adapter's are its own, an alias has none."""
    return sum(path.stat().st_size for path in weights_of(model_path(name)))


def sizes(name: str) -> dict[str, int]:
    """Return `checkpoint_bytes` of a trained variant, and `trainable_parameters` and `total_parameters` as its manifest has them.

    Raises:
        UserError: its manifest holds something else than a count.
    """
    found = read_manifest(name)
    counts = {key: found[key] for key in ("trainable_parameters", "total_parameters") if key in found}
    for key, count in counts.items():
        if type(count) is not int or count < 0:
            raise UserError(f"{_manifest_path(name)}: {key}: must be a count; run `dvc repro` to train '{name}' again.")
    return counts | {"checkpoint_bytes": stored_bytes(name)}
