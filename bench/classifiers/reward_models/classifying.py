"""transformers' sequence classifiers with one logit, trained and read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch

from bench.classifiers import folders
from bench.classifiers.reward_models import Inputs, RewardModel, Row
from bench.core import manifest, paths, storage
from bench.core.blocks import TextConfig
from bench.core.schema import UserError
from bench.lm import architectures, models, prompts
from bench.lm.models import Loaded


class Classifying(RewardModel):
    """A dialogue and its summary in one sequence, or the summary alone."""

    def __init__(self, loaded: Loaded, text: TextConfig, reads: str) -> None:
        self.loaded, self.text, self.reads = loaded, text, reads
        self.module = loaded.model.eval()
        self.decoder = architectures.of_config(loaded.model.config) is not None
        self.longest = folders.longest(loaded.tokenizer, loaded.model)

    @classmethod
    def fresh(
        cls, start: str, device: str, adapter: dict[str, Any] | None, text: TextConfig, reads: str, where: str
    ) -> Classifying:
        """Put a fresh head, drawn at random, on the weights of any encoder or decoder; `where` names the block."""
        loaded = _load(start, device, f"params.yaml: {where}.init", fresh=True)
        if adapter is not None:
            loaded = _with_adapter(loaded, adapter, f"{where}.adapter")
        return cls(loaded, text, reads)

    @classmethod
    def stored(cls, name: str, settings: dict[str, Any], device: str) -> Classifying:
        """Read one that was trained."""
        text = TextConfig.model_validate_json(json.dumps(settings["text"]))
        return cls(_load(name, device, str(paths.model_path(name)), fresh=False), text, settings["config"]["reads"])

    def encode(self, source: str, summaries: Sequence[str]) -> Row:
        """Encode each summary as a sequence of its own, behind its dialogue where that is read."""
        rows = [self._ids(source, summary) for summary in summaries]
        return {"input_ids": rows[0][0], "sequences": [ids for ids, _ in rows], "types": [types for _, types in rows]}

    def _ids(self, source: str, summary: str) -> tuple[list[int], list[int]]:
        tokenizer = self.loaded.tokenizer
        if self.decoder:
            before = prompts.encode_source(tokenizer, source, self.text).ids if self.reads == "both" else []
            ids = [*before, *prompts.encode_target(tokenizer, summary, self.text)]
            return ids, [0] * len(ids)
        given = (source, summary) if self.reads == "both" else (summary,)
        encoded = tokenizer(*given, truncation="only_first", max_length=self.longest, verbose=False)
        ids = list(encoded["input_ids"])
        return ids, list(encoded.get("token_type_ids", [0] * len(ids)))

    def collate(self, rows: Sequence[Row]) -> Inputs:
        """Pad on the right: every tensor is (B, K, S)."""
        each = len(rows[0]["sequences"])
        width = max(len(ids) for row in rows for ids in row["sequences"])

        def padded(key: str, value: int) -> torch.Tensor:
            flat = [ids + [value] * (width - len(ids)) for row in rows for ids in row[key]]
            return torch.tensor(flat).unflatten(0, (-1, each))

        lengths = torch.tensor([len(ids) for row in rows for ids in row["sequences"]])
        mask = (torch.arange(width) < lengths.unsqueeze(1)).long().unflatten(0, (-1, each))
        found = {"input_ids": padded("sequences", int(self.loaded.tokenizer.pad_token_id)), "attention_mask": mask}
        return found if self.decoder else found | {"token_type_ids": padded("types", 0)}

    def rewards(self, module: Any, inputs: Inputs) -> torch.Tensor:
        """Read every sequence."""
        each = inputs["input_ids"].shape[1]
        given = {key: inputs[key].flatten(0, 1) for key in ("input_ids", "attention_mask")}
        if "token_type_ids" in inputs and getattr(self.loaded.model.config, "type_vocab_size", 0) > 1:
            given["token_type_ids"] = inputs["token_type_ids"].flatten(0, 1)
        found: torch.Tensor = module(**given).logits[:, 0].float().unflatten(0, (-1, each))
        return found

    def save(self, name: str, settings: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
        """Write the whole classifier, an adapter folded in."""
        trainable, total = models.count_parameters(self.loaded.model)
        model = self.loaded.model
        model = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
        record = {
            "variant": name,
            "method": "reward",
            "kind": "full",
            "parent": None,
            "trainable_parameters": trainable,
            "total_parameters": total,
            "facts": facts,
        }
        with storage.atomic_folder(paths.model_path(name)) as folder:
            model.save_pretrained(folder)
            self.loaded.tokenizer.save_pretrained(folder)
            storage.write_json(folder / "manifest.json", record)
            storage.write_json(folder / manifest.REWARD, settings)
        return record


def _load(name: str, device: str, where: str, fresh: bool) -> Loaded:
    """A classifier with one logit; a `fresh` one takes the body of any encoder or decoder in models/<name>."""
    folder = paths.model_path(name)
    if manifest.read_manifest(name)["kind"] != "full" or not (folder / "config.json").is_file():
        raise UserError(
            f"{where}: '{name}' holds no whole model of its own; start from a checkpoint, or a variant that was fully tuned."
        )
    tokenizer, model = folders.read(folder, where, labels=1, fresh=fresh)
    if model.config.is_encoder_decoder:
        raise UserError(f"{where}: '{name}' is an encoder-decoder; write form: head or log_ratio.")
    model.config.problem_type = None
    return Loaded(name, model.to(device).eval(), tokenizer, "full", None)


def _with_adapter(loaded: Loaded, adapter: dict[str, Any], where: str) -> Loaded:
    """Any peft adapter; the head is trained whole."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, TaskType, get_peft_model

    settings = dict(adapter)
    kind = str(settings.pop("type", "")).upper()
    known = {str(getattr(key, "value", key)): value for key, value in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    fetched = next((key for key in models.FETCHING if key in settings), None)
    if fetched:
        raise UserError(f"params.yaml: {where}.{fetched}: peft would fetch or run what it names; remove it.")
    if kind not in known:
        raise UserError(f"params.yaml: {where}.type: peft has no such adapter here; write type: LORA.")
    try:
        model = get_peft_model(loaded.model, known[kind](task_type=TaskType.SEQ_CLS, **settings))
    except Exception as error:  # each of peft's methods checks its fields in its own way
        reason = str(error).rstrip(". ") or type(error).__name__
        raise UserError(f"params.yaml: {where}: peft refuses this {kind} block: {reason}; correct it.") from None
    return Loaded(loaded.name, model.eval(), loaded.tokenizer, "adapter", loaded.name)
