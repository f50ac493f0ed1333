"""A model's folder before a library opens it: strangers' files may be broken, lie about their size, or ask to run code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.core import manifest, storage
from bench.core.schema import UNREADABLE, UserError

# Keys by which a configuration names code to be imported or downloaded. Nothing here follows them; a model that needs
# its own code would be another model without it, so it is refused instead of being loaded as something else. `auto_map`
# also stands in models that transformers has learnt to load itself since: those load by its own code.
CODE = ("auto_map", "custom_pipelines", "custom_generate", "trust_remote_code")
KERNELS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation")
VOCABULARIES = ("vocab.json", "added_tokens.json")
TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", ".model", ".spm")
BYTES = ("ByT5", "Canine", "Perceiver")  # their tokens are bytes or characters, of which there is no list
# models/ is made from the source, and an edit there would be undone.
WHOLE = "run `dvc repro` if it was changed here, else name a model that is whole"
AT_THE_SOURCE = "save it again where the checkpoint comes from (save_pretrained in the folder that its block names)"
LAYER = re.compile(r"\.\d+\.")


def check_has_tokenizer(folder: Path, named: str = "") -> None:
    """Refuse a folder without any tokenizer: transformers would make an empty one and go on.

    Args:
        named: how the message calls the folder; its path where nothing is given.

    Raises:
        UserError: it holds no vocabulary, and its tokens are not bytes.
    """
    stated = folder / "tokenizer_config.json"
    of_bytes = stated.is_file() and any(word in stated.read_text("utf-8", "replace") for word in BYTES)
    if not of_bytes and not any(path.name.endswith(TOKENIZERS) for path in folder.iterdir()):
        raise UserError(
            f"{named or folder} holds no tokenizer ({', '.join(TOKENIZERS[:3])} or a .model file); save the model's own there with "
            "`tokenizer.save_pretrained(folder)`."
        )


def check_folder(folder: Path) -> None:
    """Refuse a folder of weights that is not whole, or whose settings ask for code or do not belong to the weights.

    Raises:
        UserError: it names the file, the field and the fix.
    """
    tensors = 0
    for path in manifest.weights_of(folder):
        tensors += len(manifest.tensor_shapes(path))
    native = _is_native(folder / "config.json")
    if (folder / "config.json").exists():  # an adapter's tokenizer is that of its start
        check_has_tokenizer(folder)
    for path in sorted(folder.glob("*.json")):
        _check_settings(path, storage.read_json(path, WHOLE), tensors, native)


def _is_native(path: Path) -> bool:
    """Whether the installed transformers has a class of its own for the model type."""
    from transformers import CONFIG_MAPPING

    settings = storage.read_json(path, WHOLE) if path.exists() else {}
    return isinstance(settings, dict) and str(settings.get("model_type")) in CONFIG_MAPPING


def _check_settings(path: Path, settings: Any, tensors: int, native: bool) -> None:
    needed = ("config.json", "adapter_config.json", "tokenizer_config.json", "generation_config.json", "tokenizer.json")
    if path.name in needed and not isinstance(settings, dict):
        raise UserError(f"{path} must hold a JSON object; save the model again with save_pretrained.")
    if path.name in VOCABULARIES:  # words, not settings
        return
    for key, value in _entries(settings):
        if UNREADABLE.search(key):  # libraries print the keys they do not know
            raise UserError(f"{path}: {key!r:.60}: a key with control characters; restore the file.")
        if (key in CODE and value and not (key == "auto_map" and native)) or (
            key in KERNELS and not re.fullmatch(r"\w+", str(value))
        ):
            raise UserError(
                f"{path}: {key}: the model asks to run code of its own, which is never done; name a model that "
                "transformers knows."
            )
    if path.name != "config.json":
        return
    if settings.get("quantization_config"):
        raise UserError(
            f"{path}: quantization_config: quantised weights are not read; save the model in full precision."
        )
    for key, value in settings.items():
        if "layers" in key and not key.startswith("max_") and isinstance(value, int) and not 0 <= value <= tensors:
            raise UserError(
                f"{path}: {key}: {value} layers, and the weights beside it are {tensors} tensors; restore the file."
            )


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at every depth. A vocabulary is data, and its words are no settings."""
    todo = [value]
    while todo:
        at = todo.pop()
        if isinstance(at, dict):
            yield from at.items()
            todo += [inner for key, inner in at.items() if key != "vocab"]
        elif isinstance(at, list):
            todo += at


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Turn whatever a library says of a folder it cannot load into the user's error.

    Their errors cannot be listed: one loader calls many packages, and their own checks raise types of their own.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{folder} cannot be loaded ({reason}); {WHOLE}.") from None


def check_keys(folder: Path, missing: set[str], unexpected: set[str], model: Any = None) -> None:
    """Refuse weights that are not those of the architecture: a library fills gaps with random numbers and goes on.

    What is beside the architecture is refused where it is a layer's; heads of other tasks are common and harmless, and so
    are constants (the masks of old GPT-2 files). What `model` lacks and makes itself is no gap (sinusoidal positions).
    """
    gaps = sorted(missing - (_made_alike(model) if missing and model is not None else set()))
    beyond = sorted(key for key in unexpected if LAYER.search(key))
    beyond = [key for key in beyond if not _is_constant(folder, key)] if beyond else []
    if gaps or beyond:
        verb, some, has = ("lacks", gaps, "has") if gaps else ("holds", beyond, "has not")
        raise UserError(
            f"{folder} {verb} {len(some)} weights that the architecture in its config.json {has} "
            f"({', '.join(some[:3])}); {WHOLE}, and made for this task."
        )


def _made_alike(model: Any) -> set[str]:
    """Tensors that are not trained and come out the same from every random start: the architecture computes them."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        fresh = type(model)(model.config)
    loaded = model.state_dict()
    fixed = {name: tensor for name, tensor in fresh.named_parameters() if not tensor.requires_grad}
    fixed |= dict(fresh.named_buffers())
    return {name for name, tensor in fixed.items() if name in loaded and tensor.equal(loaded[name])}


def _is_constant(folder: Path, key: str) -> bool:
    """Whether a stored tensor has at most two values: one number, or a mask of zeros and ones."""
    from safetensors import safe_open

    for path in manifest.weights_of(folder):
        with safe_open(path, "pt") as file:
            if key in file.keys():  # noqa: SIM118 - it is no mapping
                return len(file.get_tensor(key).unique()) <= 2
    return False


def check_values(folder: Path, model: Any) -> None:
    """Refuse weights that a library has loaded as others than those stored under the same name.

    transformers below 5.23 puts a T5's head in the place of its embedding where the file holds no `shared.weight`
    (transformers#48154).
    """
    from safetensors import safe_open

    loaded = model.state_dict()
    for path in manifest.weights_of(folder):
        with safe_open(path, "pt") as file:
            for name in sorted(set(file.keys()) & set(loaded)):
                stored, found = file.get_tensor(name), loaded[name]
                if stored.shape == found.shape and not stored.to(found.dtype).equal(found):
                    raise UserError(
                        f"{path}: this transformers loads other values for '{name}' than the file holds; install "
                        "transformers>=5.23, or save the model again with save_pretrained there."
                    )


def check_tokenizer(folder: Path, tokenizer: Any, model: Any) -> None:
    """Check that the tokenizer knows padding and end, and gives no token that the model has no embedding for."""
    if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
        which = "pad_token" if tokenizer.pad_token_id is None else "eos_token"
        raise UserError(f"{folder}: the tokenizer has no {which}; {AT_THE_SOURCE}, with a {which}.")
    check_vocabulary(folder, tokenizer, model)
    if not tokenizer.is_fast:
        raise UserError(
            f"{folder}: the tokenizer has no tokenizer.json, which tells where its tokens stand; save it so."
        )


def check_decoder_start(folder: Path, model: Any) -> None:
    """Check that an encoder-decoder names the token that its decoder starts with."""
    first, rows = model.generation_config.decoder_start_token_id, model.get_input_embeddings().num_embeddings
    if type(first) is not int or not 0 <= first < rows:
        raise UserError(
            f"{folder}/config.json: decoder_start_token_id: {first!r:.40} is no token of the model; {AT_THE_SOURCE}, "
            "with the one that summaries start with."
        )


def check_vocabulary(folder: Path, tokenizer: Any, model: Any) -> None:
    """Check that every token has an embedding, and that the longest text is a length."""
    longest = tokenizer.model_max_length
    if not isinstance(longest, int | float) or longest < 1 or int(longest) != longest:
        raise UserError(
            f"{folder}/tokenizer_config.json: model_max_length: {longest!r:.40} is no number of tokens; {AT_THE_SOURCE}, with one."
        )
    # The post-processor adds tokens by numbers of its own, which the vocabulary need not hold. A control token beyond the
    # embeddings (an image's place in a model without images) is harmless: no text is encoded to it.
    never = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    known, added = tokenizer.get_vocab().values(), tokenizer("a", truncation=False, verbose=False)["input_ids"]
    last, rows = max([*(set(known) - never), *added], default=-1), model.get_input_embeddings().num_embeddings
    needed = [tokenizer.pad_token_id, tokenizer.eos_token_id]
    last = max([last, *(token for token in needed if token is not None)])
    if not 0 <= last < rows:
        raise UserError(
            f"{folder}: the tokenizer's last token is {last} and the model has embeddings for {rows}; they do not "
            "belong together, so restore the tokenizer that came with the model."
        )
