"""Rewards read off models that write: a summed head, and the log-ratio to a start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bench.classifiers.reward_models import Inputs, RewardModel, Row
from bench.core import manifest, paths, storage
from bench.core.blocks import TextConfig
from bench.lm import architectures, batching, models, prompts
from bench.lm.architectures.interface import Batch
from bench.lm.models import Loaded


def text_of(settings: dict[str, Any]) -> TextConfig:
    """Return how dialogues were prompted in training."""
    return TextConfig.model_validate_json(json.dumps(settings["text"]))


def _saved(loaded: Loaded, name: str, settings: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    record = models.save(loaded, name, "reward", facts)
    storage.write_json(paths.model_path(name) / manifest.REWARD, settings)
    return record


class WritingModel(RewardModel):
    """A reward read off a model that writes: the prompt is its source, the summary its target."""

    text: Any

    def encode(self, source: str, summaries: Sequence[str]) -> Row:
        """Encode the prompt once, and each summary as a reference would be."""
        tokenizer = self.loaded.tokenizer
        targets = [prompts.encode_target(tokenizer, summary, self.text) for summary in summaries]
        return {"input_ids": prompts.encode_source(tokenizer, source, self.text).ids, "summaries": targets}

    def collate(self, rows: Sequence[Row]) -> Inputs:
        """Pad: `input_ids`, `attention_mask` (B, S), `labels` (B, K, T)."""
        targets = [summary for row in rows for summary in row["summaries"]]
        batch = models.collate(
            [row["input_ids"] for row in rows], targets, int(self.loaded.tokenizer.pad_token_id), "cpu"
        )
        return {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "labels": batch.labels.unflatten(0, (len(rows), -1)),
        }

    @staticmethod
    def batch_of(inputs: Inputs) -> tuple[Batch, int]:
        """Take the batch, whose labels are (B * K, T), and K."""
        return Batch(inputs["input_ids"], inputs["attention_mask"], inputs["labels"].flatten(0, 1)), inputs[
            "labels"
        ].shape[1]


class Headed(torch.nn.Module):
    """The model with a linear head on its last hidden states. The head starts at 0."""

    _keys_to_ignore_on_save = None  # a Trainer that goes on asks its model for it

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        width = model.get_output_embeddings().weight.shape[1]  # type: ignore[operator]
        self.head = torch.nn.Linear(width, 1, bias=False)
        torch.nn.init.zeros_(self.head.weight)

    def forward(self, batch: Batch, each: int) -> torch.Tensor:
        """Compute a score a target token, (B * each, T), 0 on the padding."""
        _, states = architectures.of(self.model).logits_and_states(self.model, batch, each)
        return self.head(states).squeeze(-1) * (batch.labels != models.IGNORE_INDEX)


class SummedHead(WritingModel):
    """The sum of a linear head over a summary's tokens."""

    def __init__(self, loaded: Loaded, text: TextConfig) -> None:
        self.loaded, self.text = loaded, text
        self.module = Headed(loaded.model).to(loaded.device).eval()

    def rewards(self, module: Any, inputs: Inputs) -> torch.Tensor:
        """Sum the scores of each summary's tokens; a dialogue is encoded once."""
        batch, each = self.batch_of(inputs)
        found: torch.Tensor = module(batch, each).float().sum(-1).unflatten(0, (-1, each))
        return found

    def save(self, name: str, settings: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
        """Write the model, and the head beside it."""
        record = _saved(self.loaded, name, settings, facts)
        head = {"weight": self.module.head.weight.detach().cpu()}  # type: ignore[union-attr, operator]
        save_file(head, paths.model_path(name) / manifest.HEAD)  # type: ignore[arg-type]
        return record

    def load_head(self, name: str) -> None:
        """Read the head that lies beside the model."""
        weights = load_file(paths.model_path(name) / manifest.HEAD)
        self.module.head.load_state_dict(weights)  # type: ignore[union-attr, operator]


class LogRatio(WritingModel):
    """beta (log p - log p of the start) of the whole summary."""

    def __init__(self, loaded: Loaded, reference: Loaded | None, text: TextConfig, beta: float) -> None:
        """Without `reference` the start is the model less its adapter."""
        self.loaded, self.reference, self.text, self.beta = loaded, reference, text, beta
        self.module = loaded.model.eval()

    def rewards(self, module: Any, inputs: Inputs) -> torch.Tensor:
        """Compute the ratios; the start's side is taken from the rows where training has it there."""
        own = _logprobs(module, inputs)
        start = inputs["reference"] if "reference" in inputs else self._of_start(inputs)
        return self.beta * (own - start)

    @torch.no_grad()
    def _of_start(self, inputs: Inputs) -> torch.Tensor:
        with self.loaded.model.disable_adapter() if self.reference is None else nullcontext():
            return _logprobs(self.loaded.model if self.reference is None else self.reference.model, inputs)

    def prepared(self, rows: list[Row]) -> list[Row]:
        """Compute the start's log-probabilities once, and let it go."""
        device = self.loaded.device
        for numbers in batching.by_length([len(row["input_ids"]) for row in rows], batching.TOKENS[device.type]):
            part = [rows[i] for i in numbers]
            inputs = {key: value.to(device) for key, value in self.collate(part).items()}
            for row, found in zip(part, self._of_start(inputs).tolist(), strict=True):
                row["reference"] = tuple(found)
        return rows

    def collate(self, rows: Any) -> Inputs:
        """Pad, with the start's log-probabilities (B, K) where the rows have them."""
        inputs = super().collate(rows)
        if "reference" in rows[0]:
            inputs["reference"] = torch.tensor([row["reference"] for row in rows])
        return inputs

    def save(self, name: str, settings: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
        """Write the model; its start lies in models/ already."""
        return _saved(self.loaded, name, settings, facts)


def _logprobs(model: Any, inputs: Inputs) -> torch.Tensor:
    """Log-probabilities (B, K) of whole summaries."""
    batch, each = WritingModel.batch_of(inputs)
    logits = architectures.of(model).logits(model, batch, each=each)
    found, _ = models.token_logprobs(logits, batch.labels)
    return found.sum(-1).unflatten(0, (-1, each))
