"""transformers' Seq2SeqTrainer as the benchmark uses it: its settings, its data, its curve."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PrinterCallback, Seq2SeqTrainer, Seq2SeqTrainingArguments

from bench import models
from bench.context import TrainContext
from bench.models import Loaded
from bench.training.settings import OptimConfig

Rows = Sequence[dict[str, Any]]
Collator = Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]


class Encoded(torch.utils.data.Dataset[dict[str, Any]]):
    """Rows of plain Python values for a Trainer."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


class Counting:
    """A collator that counts what passes through it, for the throughput: examples, and source and target tokens."""

    def __init__(self, collator: Collator) -> None:
        self.collator, self.examples, self.tokens = collator, 0, 0

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        self.examples += len(rows)
        self.tokens += sum(len(value) for row in rows for value in row.values() if isinstance(value, list))
        return self.collator(rows)


def imitation(pad: int) -> Collator:
    """Collator of supervised rows: `input_ids` and `labels` -> a padded batch."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = models.collate([row["input_ids"] for row in rows], [row["labels"] for row in rows], pad, "cpu")
        return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}

    return collate


def arguments(config: OptimConfig, context: TrainContext, folder: str, examples: int) -> dict[str, Any]:
    """The Trainer's settings for that many examples. It saves nothing: the stage saves once, whole."""
    steps = config.steps or math.ceil(examples * (config.epochs or 1) / config.batch_size)
    return {
        "output_dir": folder,
        "learning_rate": config.learning_rate,
        "max_steps": config.steps or -1,
        "num_train_epochs": config.epochs or 1.0,
        "gradient_accumulation_steps": config.accumulation,
        "per_device_train_batch_size": config.batch_size // config.accumulation,
        "warmup_steps": config.warmup_steps,
        "lr_scheduler_type": config.schedule,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "bf16": context.compute.precision == "bfloat16",
        "use_cpu": context.device == "cpu",
        "seed": context.seed,
        "save_strategy": "no",
        "report_to": [],
        "logging_steps": max(1, steps // 50),  # a curve of about fifty points
        "logging_first_step": True,
        "log_level": "error",
        "remove_unused_columns": False,
        "train_sampling_strategy": "group_by_length",  # less padding: dialogues of like length share a batch
        "dataloader_pin_memory": context.device == "cuda",
        "disable_tqdm": not sys.stderr.isatty(),  # a bar belongs on a terminal, not in a log
    }


def fit(
    loaded: Loaded,
    rows: Rows,
    config: OptimConfig,
    context: TrainContext,
    collator: Collator,
    trainer_class: type[Seq2SeqTrainer] = Seq2SeqTrainer,
    **extra: Any,
) -> list[dict[str, float]]:
    """Train `loaded` in place; return the curve, one row a logged step."""
    counting = Counting(collator)
    with tempfile.TemporaryDirectory() as folder:
        settings = Seq2SeqTrainingArguments(**arguments(config, context, folder, len(rows)))
        trainer = trainer_class(
            model=loaded.model, args=settings, train_dataset=Encoded(rows), data_collator=counting, **extra
        )
        return run(trainer, loaded, context, counting)


def run(trainer: Any, loaded: Loaded, context: TrainContext, counting: Counting) -> list[dict[str, float]]:
    """Run any transformers Trainer quietly; note its throughput; return its curve."""
    trainer.remove_callback(PrinterCallback)
    with context.meter.timed("training") as counts:
        trainer.train()
        counts.update(examples=counting.examples, tokens=counting.tokens)
    loaded.model.eval()
    return [
        {key: float(value) for key, value in row.items() if key != "epoch"}
        for row in trainer.state.log_history
        if "loss" in row
    ]


@torch.no_grad()
def validation_loss(loaded: Loaded, rows: Rows, batch_size: int = 32) -> float:
    """Mean cross-entropy a target token, nats, dropout off: what settings are chosen by."""
    total, tokens = 0.0, 0
    for first in range(0, len(rows), batch_size):
        part = rows[first : first + batch_size]
        batch = models.collate(
            [r["input_ids"] for r in part],
            [r["labels"] for r in part],
            int(loaded.tokenizer.pad_token_id),
            loaded.device,
        )
        logprobs, mask = models.token_logprobs(models.target_logits(loaded.model, batch).logits, batch.labels)
        total, tokens = total - float(logprobs.sum()), tokens + int(mask.sum())
    return total / tokens
