"""What the work costs a machine: floating-point operations, bytes read, and what the machine can do of either."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from bench.core import runtime
from benchmarks.rival.task import Task


@dataclass(frozen=True)
class Weights:
    """Linear layers of a T5: weights used once a source token, a source token's cross keys and values, a target token.

    The vocabulary's head counts to the target. `attention` is heads times their width, `layers` the encoder's and the
    decoder's.
    """

    source: int
    cross: int
    target: int
    attention: int
    layers: tuple[int, int]

    @classmethod
    def of(cls, model: Any) -> Weights:
        """Count a loaded model's."""
        count = {"source": 0, "cross": 0, "target": 0}
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear):
                crossing = name.endswith(("EncDecAttention.k", "EncDecAttention.v"))
                kind = "source" if name.startswith("encoder.") else "cross" if crossing else "target"
                count[kind] += module.weight.numel()
        config = model.config
        return cls(
            **count, attention=config.num_heads * config.d_kv, layers=(config.num_layers, config.num_decoder_layers)
        )

    def forward_flops(self, rows: int, source: int, target: int) -> int:
        """Multiplications and additions of the matrix products of one pass over a padded batch."""
        linear = 2 * rows * ((self.source + self.cross) * source + self.target * target)
        encoder, decoder = self.layers
        scores = encoder * source * source + decoder * target * (target + source)
        return linear + 4 * rows * self.attention * scores

    def training_flops(self, rows: int, source: int, target: int) -> int:
        """Forward and backward: each product has two more in the backward pass."""
        return 3 * self.forward_flops(rows, source, target)

    def step_bytes(self, cells: int) -> int:
        """Float32 bytes that one decoding step reads: weights once, cross keys and values of each row's source token."""
        return 4 * (self.target + cells * 2 * self.attention * self.layers[1])

    def facts(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self)


class Watch:
    """Counts what passes through a model's encoder and decoder until `take` hands it out and starts anew."""

    def __init__(self, model: Any) -> None:
        self._reset()
        encoder, decoder = model.get_encoder(), model.get_decoder()
        encoder.register_forward_pre_hook(lambda *_: self._start())
        encoder.register_forward_hook(lambda *_: self._stop())
        decoder.register_forward_pre_hook(self._step, with_kwargs=True)

    def _reset(self) -> None:
        self.encoder_seconds, self.steps, self.rows, self.cells = 0.0, 0, 0, 0

    def _start(self) -> None:
        synchronise()
        self.started = time.perf_counter()

    def _stop(self) -> None:
        synchronise()
        self.encoder_seconds += time.perf_counter() - self.started

    def _step(self, _: Any, __: Any, given: dict[str, Any]) -> None:
        rows, width = given["encoder_hidden_states"].shape[:2]
        self.steps, self.rows, self.cells = self.steps + 1, self.rows + rows, self.cells + rows * width

    def take(self) -> dict[str, float]:
        """Seconds in the encoder, decoding steps, rows in them, and source tokens that those rows looked at."""
        found = {
            "encoder_seconds": self.encoder_seconds,
            "steps": self.steps,
            "rows": self.rows,
            "cells": self.cells,
        }
        self._reset()
        return found


def synchronise() -> None:
    """Wait for what a GPU still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def matmul_rate(device: str, dtype: torch.dtype, size: int) -> float:
    """Floating-point operations a second of a square matrix product, the best of five."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in "ab")
    return 2 * size**3 / _best(lambda: a @ b)


def bandwidth(device: str, count: int) -> float:
    """Bytes a second of reading `count` float32 numbers once, the best of five."""
    data = torch.ones(count, device=device)
    return 4 * count / _best(data.sum)


def _best(work: Any) -> float:
    work()
    found = []
    for _ in range(5):
        synchronise()
        started = time.perf_counter()
        work()
        synchronise()
        found.append(time.perf_counter() - started)
    return min(found)


def limits(task: Task, lap: Callable[..., bool]) -> dict[str, Any]:
    """The machine's own rates, measured between the laps of the others, under the same load."""
    torch.set_num_threads(task.threads)
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    size, count = (8192, 1 << 29) if task.device == "cuda" else (1024, 1 << 26)
    wanted = lap()
    while wanted:
        rates = {name: matmul_rate(task.device, kind, size) for name, kind in kinds.items()}
        wanted = lap(flops=rates, bytes=bandwidth(task.device, count))
    return {"machine": runtime.machine()}
