"""Load and save a base, an adapter or a fully tuned model; log-probabilities of a target.

A variant's folder holds the weights and `manifest.json`. An adapter names its parent and the digest of the parent's
weights, so it is never put on other weights than those it was trained on. `method: none` is an alias of its parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers import GenerationConfig as Decoding
from transformers.activations import NewGELUActivation

from bench.core import manifest, paths, storage, untrusted
from bench.core.blocks import QuantizeConfig
from bench.core.schema import UserError, first_error
from bench.lm import architectures, quantization
from bench.lm.architectures.interface import IGNORE_INDEX, Batch
from bench.lm.architectures.interface import collate as collate

# Fields by which a peft block names other models, tokenizers or their code.
FETCHING = ("tokenizer_name_or_path", "tokenizer_kwargs", "adapters", "base_model_name_or_path", "auto_mapping")


@dataclass
class Loaded:
    """A model in eval mode with its tokenizer.

    `kind` says how its weights are stored: `full`, or an `adapter` on the weights of `parent`, in 4 bits by `quantize`.
    """

    name: str
    model: Any  # a PreTrainedModel, or a PeftModel round one
    tokenizer: PreTrainedTokenizerBase
    kind: str
    parent: str | None
    quantize: QuantizeConfig | None = None

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end a summary: the tokenizer's, and what else the model was taught to end a turn with."""
        named = self.model.generation_config.eos_token_id
        return tuple(named) if isinstance(named, list) else (int(named),)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.model.parameters()).device


def load(name: str, device: str) -> Loaded:
    """Load `models/<name>` in float32 and eval mode.

    Raises:
        UserError: the folder is missing or broken, is no model that writes, its tokenizer is another model's, or its
            parent's weights are not those it was made on.
    """
    folder = paths.model_path(name)
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist; run `dvc repro` to make it.")
    facts = manifest.read_manifest(name)
    if facts["kind"] == "alias":
        parent = load(facts["parent"], device)
        return Loaded(name, parent.model, parent.tokenizer, parent.kind, parent.parent, parent.quantize)
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            f"{folder} holds no .safetensors weights (pickled ones are never read); save it with save_pretrained."
        )
    untrusted.check_folder(folder)
    with untrusted.loading(folder):
        return (_load_adapter if facts["kind"] == "adapter" else _load_full)(name, folder, facts, device)


def tokenizer_of(checkpoint: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint that `load` accepts, without its weights."""
    folder = paths.model_path(checkpoint)
    with untrusted.loading(folder):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _load_full(name: str, folder: Path, facts: dict[str, Any], device: str) -> Loaded:
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    architecture = architectures.of_config(config)
    if architecture is None:
        raise UserError(
            f"{folder}: '{config.model_type}' is neither an encoder-decoder nor a decoder-only model; name one such as "
            "T5, BART or SmolLM2."
        )
    model, report = architecture.auto_class.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
    )
    untrusted.check_keys(folder, set(report["missing_keys"]), set(report["unexpected_keys"]), model)
    untrusted.check_values(folder, model)
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    # transformers 5 says "tied" of every T5, and would tie the next load of what is saved under that word.
    model.config.tie_word_embeddings = head is not None and head.weight is embedding.weight
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    architecture.prepare(folder, tokenizer, model)
    untrusted.check_tokenizer(folder, tokenizer, model)
    # What our own decoding leaves open, generate() would take from the checkpoint: penalties, forced or banned words.
    ends = _ends(model, tokenizer)
    model.generation_config = Decoding(
        decoder_start_token_id=model.generation_config.decoder_start_token_id,
        eos_token_id=ends if len(ends) > 1 else ends[0],
        pad_token_id=tokenizer.pad_token_id,
    )
    _fuse_gelu(model)
    return Loaded(name, model.to(device).eval(), tokenizer, "full", facts["parent"])


def _ends(model: Any, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokenizer's end token first, then others that the checkpoint's generation_config names (Gemma, Phi-3, Llama 3)."""
    named = model.generation_config.eos_token_id
    others = named if isinstance(named, list) else [named]
    rows = model.get_input_embeddings().num_embeddings
    known = [end for end in others if type(end) is int and 0 <= end < rows]
    return list(dict.fromkeys([int(tokenizer.eos_token_id), *known]))


def _fuse_gelu(model: torch.nn.Module) -> None:
    """FLAN-T5's activation as one kernel instead of eight passes over memory: a tenth of the encoder's time on a CPU."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, torch.nn.GELU(approximate="tanh"))


def _rounding(folder: Path, facts: dict[str, Any]) -> QuantizeConfig | None:
    try:
        return QuantizeConfig.model_validate(facts["quantize"]) if facts.get("quantize") is not None else None
    except ValidationError as error:
        raise UserError(
            f"{folder}/manifest.json: {first_error(error, 'quantize')}; run `dvc repro` to train it again."
        ) from None


def _load_adapter(name: str, folder: Path, facts: dict[str, Any], device: str, in_float: bool = False) -> Loaded:
    """The adapter on its parent; `in_float` writes out a parent that is rounded to 4 bits."""
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict

    found = manifest.digest(facts["parent"])
    if found != facts["parent_digest"]:
        raise UserError(
            f"{folder} was trained on other weights than models/{facts['parent']} holds now "
            f"(sha256 {facts['parent_digest'][:8]}, found {found[:8]}); run `dvc repro`."
        )
    parent = merged(load(facts["parent"], device))
    rounding = _rounding(folder, facts)
    if rounding is not None:
        (quantization.round_weights if in_float else quantization.quantize)(parent.model, rounding)
    prompts = bool(PeftConfig.from_pretrained(str(folder), local_files_only=True).is_prompt_learning)
    # peft lets no prompt learner be loaded to be trained on; its prompts are parameters all the same.
    model = PeftModel.from_pretrained(parent.model, folder, is_trainable=not prompts, local_files_only=True)
    if prompts:
        model.prompt_encoder.requires_grad_(True)
    wanted = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    stored = set(manifest.tensor_shapes(folder / "adapter_model.safetensors"))
    untrusted.check_keys(folder, wanted - stored, stored - wanted)
    return Loaded(name, model.to(device).eval(), parent.tokenizer, "adapter", facts["parent"], rounding)


def quantized(start: Loaded, config: QuantizeConfig) -> Loaded:
    """Round the linear layers of a start, its own adapter merged, to 4 bits."""
    whole = merged(start)
    model = quantization.quantize(whole.model, config)
    return Loaded(whole.name, model.eval(), whole.tokenizer, whole.kind, whole.parent, config)


def in_precision(loaded: Loaded, precision: str) -> Loaded:
    """Let a model that only writes or scores compute in `float32` or `bfloat16`, weights included."""
    loaded.model.to(getattr(torch, precision))
    return loaded


def to_write(name: str, device: str, precision: str) -> Loaded:
    """Load `models/<name>` to write with, its adapter folded in: as products of its own it takes two fifths of a step."""
    loaded = load(name, device)
    if loaded.quantize is None and not architectures.learns_prompts(loaded.model):
        loaded = merged(loaded)
    return in_precision(loaded, precision)


def merged(loaded: Loaded) -> Loaded:
    """Fold the adapter into the weights, if the model has one."""
    if not hasattr(loaded.model, "merge_and_unload"):
        return loaded
    if loaded.quantize is not None:  # nothing is merged into 4 bits
        folder = paths.model_path(loaded.name)
        loaded = _load_adapter(
            loaded.name, folder, manifest.read_manifest(loaded.name), str(loaded.device), in_float=True
        )
    _untie(loaded.model)
    return Loaded(loaded.name, loaded.model.merge_and_unload(), loaded.tokenizer, "full", loaded.parent)


def _untie(model: Any) -> None:
    """Give the head a weight of its own where an adapter changes it or the embedding: merging would change both."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    base = model.get_base_model()
    head, embedding = base.get_output_embeddings(), base.get_input_embeddings()
    adapted = any(isinstance(module, BaseTunerLayer) for module in (head, embedding))
    if head is None or not adapted or head.weight is not embedding.weight:
        return
    inner: Any = head.get_base_layer() if isinstance(head, BaseTunerLayer) else head
    inner.weight = torch.nn.Parameter(inner.weight.detach().clone())
    base.config.tie_word_embeddings = False


def with_adapter(start: Loaded, adapter: dict[str, Any], where: str = "adapter") -> Loaded:
    """Put a fresh peft adapter on `start`. `adapter` is any peft config: `type: LORA` and that config's own fields.

    Raises:
        UserError: peft knows no such type or field, or finds no module of that name; `where` names the block.
    """
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, get_peft_model

    settings = dict(adapter)
    kind = str(settings.pop("type", "")).upper()
    known = {str(getattr(key, "value", key)): value for key, value in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    if kind not in known:
        raise UserError(f"params.yaml: {where}.type: peft has no '{kind}'; one of: {', '.join(sorted(known))}.")
    fetched = next((key for key in FETCHING if key in settings), None)
    if fetched:
        raise UserError(f"params.yaml: {where}.{fetched}: peft would fetch or run what it names; remove it.")
    architecture, shape = architectures.of(start.model), start.model.config
    if kind == "PREFIX_TUNING" and (width := getattr(shape, "d_kv", None)):  # T5's heads need not share out d_model
        settings.setdefault("token_dim", int(width * shape.num_heads))
    try:
        config = known[kind](task_type=architecture.peft_task, **settings)
        whole = merged(start)
        model = get_peft_model(whole.model, config)
    except Exception as error:  # each of peft's forty methods checks its fields in its own way
        reason = str(error).rstrip(". ") or type(error).__name__
        raise UserError(f"params.yaml: {where}: peft refuses this {kind} block: {reason}; correct it.") from None
    if config.is_prompt_learning and not architecture.supports_prompt_learning:
        raise UserError(
            f"params.yaml: {where}.type: peft gives a {kind} on a decoder-only model no positions, so padding would change "
            "its figures; write LORA or another adapter of the weights."
        )
    # A prompt learner keeps its own device; the rest follows the base.
    return Loaded(start.name, model.to(start.device).eval(), start.tokenizer, "adapter", start.name, whole.quantize)


def trainable(start: Loaded, adapter: dict[str, Any] | None) -> Loaded:
    """Return the model to train: a fresh adapter on the start; or the start's own adapter, carried on; or all its weights."""
    return start if adapter is None else with_adapter(start, adapter)


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """Count (trainable, total) parameters, shared tensors once."""
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters if p.requires_grad), sum(quantization.count(p) for p in parameters)


def save(loaded: Loaded, variant: str, method: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Write weights, tokenizer and manifest of a trained variant; return the manifest."""
    count, total = count_parameters(loaded.model)
    record: dict[str, Any] = {
        "variant": variant,
        "method": method,
        "kind": loaded.kind,
        "parent": None,
        "trainable_parameters": count,
        "total_parameters": total,
        "facts": facts,
    }
    if loaded.kind == "adapter":
        record |= {"parent": loaded.parent, "parent_digest": manifest.digest(str(loaded.parent))}
        record |= {"quantize": loaded.quantize.model_dump()} if loaded.quantize else {}
    with storage.atomic_folder(paths.model_path(variant)) as folder:
        if loaded.kind == "adapter":
            # 'auto' would store whole embeddings whenever the head carries an adapter, and ask the hub about them.
            loaded.model.save_pretrained(folder, save_embedding_layers=False)
            (folder / "README.md").unlink(missing_ok=True)
            _order_sets(folder / "adapter_config.json", loaded.model.active_peft_config)
        else:
            loaded.model.save_pretrained(folder)
            loaded.tokenizer.save_pretrained(folder)
        storage.write_json(folder / "manifest.json", record)
    return record


def _order_sets(path: Path, config: Any) -> None:
    """Sort what peft keeps as sets and writes in the order of their hashes: equal adapters are equal files."""
    written = storage.read_object(path)
    for key, value in written.items():
        if isinstance(getattr(config, key, None), set | frozenset) and isinstance(value, list):
            written[key] = sorted(value)
    storage.write_json(path, written)


def target_logits(model: Any, batch: Batch, each: int = 1) -> torch.Tensor:
    """Compute logits (B * each, T, V) that predict `labels` at the same position; `labels` holds `each` rows a source."""
    return architectures.of(model).logits(model, batch, each)


def exact_kl(logprobs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Compute KL(policy || reference) at each position, nats, summed over the vocabulary: (..., V) twice -> (...)."""
    return (logprobs.exp() * (logprobs - reference)).sum(-1)


def token_logprobs(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute log-probabilities (B, T) of the labels under float32 log-softmax, 0 where masked; and the mask (B, T)."""
    mask = labels != IGNORE_INDEX
    chosen = logits.float().log_softmax(-1).gather(-1, labels.clamp_min(0).unsqueeze(-1)).squeeze(-1)
    return chosen * mask, mask
