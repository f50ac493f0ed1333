"""A batch that does not fit into memory is computed in parts: what is written or scored depends on no batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from bench.core.schema import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def out_of_memory(error: RuntimeError) -> bool:
    """Tell whether torch could not get memory, on a GPU or on a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


class Parts:
    """The number of rows that are computed at once; it halves when memory runs out, and stays.

    `what` is being done, for messages: `full: greedy summaries`.
    """

    def __init__(self, what: str) -> None:
        self.what, self.rows = what, 0  # 0: as many as there are

    def run(self, items: Sequence[Item], compute: Callable[[Sequence[Item]], Sequence[Result]]) -> list[Result]:
        """Compute one result an item, in order.

        Raises:
            UserError: a single item does not fit.
        """
        done: list[Result] = []
        while len(done) < len(items):
            part = items[len(done) : len(done) + (self.rows or len(items))]
            try:
                done += compute(part)
                continue
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            # Outside of the clause: the traceback there still holds the tensors.
            if len(part) == 1:
                raise UserError(
                    f"{self.what}: out of memory with one at a time; shorten text.max_source_tokens or the "
                    "longest summary, or take a larger machine."
                )
            self.rows = len(part) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            print(f"{self.what}: out of memory; going on with {self.rows} at a time", flush=True)
        return done
