"""Trains the base model from nothing: tokenizer, tasks, optimisers, the saved folder."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.core.resume import Work
from bench.core.schema import Strict
from bench.miniature import seq2seq, tasks, tokenizers
from bench.miniature.dialogues import corpus
from bench.miniature.steps import Progress, resumable

LIMIT = 512


class Training(Strict):
    """How long and how fast. Muon turns the matrices inside the blocks, AdamW everything else."""

    steps: int = Field(400, ge=1)
    batch_size: int = Field(16, ge=1)
    learning_rate_muon: float = Field(5e-3, gt=0)
    learning_rate_adamw: float = Field(3e-3, gt=0)
    warmup_steps: int = Field(20, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)


def seed_everything(seed: int) -> None:
    """Seed torch and numpy: the same seed and thread count give the same weights, bit by bit, on one machine."""
    import torch

    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def build(
    seed: int,
    pieces: int,
    pool: int,
    heated: float,
    shape: seq2seq.Shape,
    training: Training,
    out: Path,
    progress: Progress | None,
    work: Work | None = None,
) -> dict[str, Any]:
    """Train the base model and write it to `out` in Hugging Face format; returns facts for the manifest."""
    seed_everything(seed)
    dialogues = tasks.pool(seed, pool, heated)
    words = tasks.vocabulary_texts(dialogues, corpus(f"vocabulary-{seed}", pool // 2, heated))
    tokenizer = tokenizers.t5(words, pieces, LIMIT)
    pairs = tasks.draw(seed, training.steps * training.batch_size, dialogues)
    model = seq2seq.make(shape, len(tokenizer))
    losses = fit(model, _batches(tokenizer, pairs, training.batch_size, random.Random(seed)), training, progress, work)
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


def _batches(tokenizer: Any, pairs: list[tasks.Pair], size: int, rng: random.Random) -> list[dict[str, Any]]:
    """Padded batches. Neighbours of like length share a batch, which spares padding."""
    sources = tokenizer([source for source, _ in pairs])["input_ids"]
    targets = tokenizer([target for _, target in pairs])["input_ids"]
    batches = []
    for rows in _alike([len(source) for source in sources], size, rng):
        batches.append(
            {
                "input_ids": padded([sources[row] for row in rows], 0),
                "attention_mask": padded([[1] * len(sources[row]) for row in rows], 0),
                "labels": padded([targets[row] for row in rows], -100),
            }
        )
    return batches


def _alike(lengths: list[int], size: int, rng: random.Random) -> list[list[int]]:
    """Rows in batches: within eight batches' worth, sorted by length, and the batches then shuffled."""
    batches = []
    for first in range(0, len(lengths), 8 * size):
        window = sorted(range(first, min(first + 8 * size, len(lengths))), key=lambda row: lengths[row])
        part = [window[at : at + size] for at in range(0, len(window), size)]
        rng.shuffle(part)
        batches += part
    return batches


def padded(rows: list[list[int]], filler: int) -> Any:
    """Pad rows on the right to a tensor."""
    import torch

    width = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])


def fit(
    model: Any, batches: list[dict[str, Any]], training: Training, progress: Progress | None, work: Work | None = None
) -> list[float]:
    """Train in place; returns the loss of each step."""
    import torch

    from bench.lm.cpu_kernels import CpuKernels
    from bench.miniature.muon import StackedMuon

    inside = {
        id(p)
        for name, p in model.named_parameters()
        if ".block." in name and p.dim() == 2 and "relative_attention_bias" not in name
    }
    matrices = [p for p in model.parameters() if id(p) in inside]
    others = [p for p in model.parameters() if id(p) not in inside]
    optimizers = [
        StackedMuon(matrices, lr=training.learning_rate_muon),
        torch.optim.AdamW(others, lr=training.learning_rate_adamw, weight_decay=0.0, betas=(0.9, 0.98), fused=True),
    ]

    def factor(step: int) -> float:
        warm = min(1.0, (step + 1) / (training.warmup_steps + 1))
        return warm * max(0.02, 1 - step / len(batches))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, factor) for optimizer in optimizers]
    model.train()
    losses: list[float] = []
    parts = {"model": model, "muon": optimizers[0], "adamw": optimizers[1]}
    parts |= {f"schedule {number}": schedule for number, schedule in enumerate(schedules)}
    for batch in resumable(batches, parts, losses, "base", progress, work):
        with CpuKernels():
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.max_grad_norm)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses
