"""Trains the two classifiers of the study: a tiny RoBERTa for the reward, a tiny BERT for the judge."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.core.resume import Work
from bench.core.schema import Strict
from bench.miniature import sentences, tokenizers
from bench.miniature.pretraining import padded, seed_everything
from bench.miniature.steps import Progress, resumable

LIMIT = 128
LABELS = {0: "nothate", 1: "hate"}


class Training(Strict):
    """AdamW with a linear decay over graded labels: `raters` people judge each text."""

    texts: int = Field(3000, ge=10)
    raters: int = Field(5, ge=1)
    steps: int = Field(250, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1.5e-3, gt=0)
    warmup_steps: int = Field(20, ge=0)


class Shape(Strict):
    """The encoder's size; the architecture follows from the role."""

    pieces: int = Field(900, ge=200)
    hidden: int = Field(64, ge=8)
    layers: int = Field(2, ge=1)
    heads: int = Field(2, ge=1)
    feed_forward: int = Field(128, ge=8)


def make(role: sentences.Role, shape: Shape, tokenizer: Any) -> Any:
    """Make a fresh classifier with the labels `nothate` and `hate`. Draws from torch's global generator."""
    from transformers import BertConfig, BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

    config_class, model_class, first = {
        "reward": (RobertaConfig, RobertaForSequenceClassification, tokenizer.pad_token_id + 1),
        "judge": (BertConfig, BertForSequenceClassification, 0),
    }[role]
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        type_vocab_size=1,
        max_position_embeddings=LIMIT + first,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=LABELS,
        label2id={name: number for number, name in LABELS.items()},
    )
    return model_class(config)


def build(
    role: sentences.Role,
    seed: int,
    shape: Shape,
    training: Training,
    out: Path,
    progress: Progress | None,
    work: Work | None = None,
) -> dict[str, Any]:
    """Train one classifier and write it to `out` in Hugging Face format; returns facts for the manifest."""
    seed_everything(seed)
    rows = sentences.texts(role, seed, training.texts, training.raters)
    tokenizer = {"reward": tokenizers.roberta, "judge": tokenizers.bert}[role](
        [row.text for row in rows], shape.pieces, LIMIT
    )
    model = make(role, shape, tokenizer)
    losses = fit(model, tokenizer, rows, training, random.Random(seed), progress, role, work)
    model.eval()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    last = losses[-50:]
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "pieces": len(tokenizer),
        "steps": len(losses),
        "final_loss": sum(last) / len(last),
    }


def fit(
    model: Any,
    tokenizer: Any,
    rows: list[sentences.Text],
    training: Training,
    rng: random.Random,
    progress: Progress | None,
    name: str,
    work: Work | None = None,
) -> list[float]:
    """Train in place on the raters' shares; returns the loss of each step."""
    import torch

    encoded = tokenizer([row.text for row in rows], truncation=True)["input_ids"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.learning_rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (training.warmup_steps + 1), 1 - step / training.steps)
    )
    model.set_attn_implementation("eager")  # on short rows faster than the fused kernel
    model.train()
    order = sorted(range(len(rows)), key=lambda row: len(encoded[row]))

    def draw() -> list[int]:
        # A window of rows in order of length: a batch is random and has little padding.
        start = rng.randint(0, max(0, len(order) - 4 * training.batch_size))
        window = order[start : start + 4 * training.batch_size]
        return rng.sample(window, min(training.batch_size, len(window)))

    batches, losses = [draw() for _ in range(training.steps)], list[float]()
    parts = {"model": model, "adamw": optimizer, "schedule": schedule}
    for batch in resumable(batches, parts, losses, name, progress, work):
        ids = padded([encoded[row] for row in batch], tokenizer.pad_token_id)
        rated = torch.tensor([rows[row].rated for row in batch])
        logits = model(input_ids=ids, attention_mask=(ids != tokenizer.pad_token_id).long()).logits
        loss = torch.nn.functional.cross_entropy(logits, torch.stack([1 - rated, rated], dim=1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses
