"""An optimiser step that does not fit into memory is computed in more micro-batches, with the same result."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch

from bench.core import distributed
from bench.core.schema import UserError
from bench.lm.memory import out_of_memory

Result = TypeVar("Result")


class MicroBatches:
    """The number of micro-batches that a step is computed in; it doubles when memory runs out, and stays.

    `unit` is what one row and what many are called in messages, `advice` what to change when a single row does not fit.
    """

    def __init__(self, where: str, unit: tuple[str, str], advice: str, count: int = 1) -> None:
        self.where, self.unit, self.advice, self.count = where, unit, advice, count

    def run(self, step: int, rows: int, compute: Callable[[], Result], reset: Callable[[], None]) -> Result:
        """Call `compute`, which reads `count`, until it fits; `reset` drops the gradients of an attempt that did not.

        Raises:
            UserError: one row at a time does not fit, or other processes wait for the gradients of this one.
        """
        while True:
            try:
                return compute()
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                self._double(step, rows)
                reset()
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()

    def _double(self, step: int, rows: int) -> None:
        if distributed.world_size() > 1 or self.count >= rows:
            each = max(1, len(distributed.shard(rows)) // self.count)
            name = self.unit[each > 1]
            raise UserError(
                f"params.yaml: {self.where}: out of memory at step {step} with {each} {name} at a time; {self.advice}."
            ) from None
        self.count *= 2
        print(
            f"{self.where}: out of memory at step {step}; going on with {math.ceil(rows / self.count)} {self.unit[1]} "
            f"at a time, {rows} a step as before",
            flush=True,
        )
