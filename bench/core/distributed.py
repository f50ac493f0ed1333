"""One stage in several processes: ranks, shards of rows, collectives. Torch's launcher starts them, Accelerate connects.

A stage launches itself in `compute.processes` processes; under `accelerate launch` they run already. Every process runs
the same code. Only rank 0 writes: what the others write is dropped (`bench.core.storage`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from bench.core.blocks import ComputeConfig

if TYPE_CHECKING:
    from torch import Tensor

CPU = "ACCELERATE_USE_CPU"  # Accelerate's own word for it


def rank() -> int:
    """Return this process's number, from 0."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return how many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def barrier() -> None:
    """Wait until every process has come here. Called after `runtime.prepare`, which knows the device."""
    if world_size() > 1:
        from accelerate import PartialState

        PartialState(cpu=os.environ.get(CPU) == "true").wait_for_everyone()


def shard(rows: int) -> range:
    """Return which of `rows` are this process's. All are everyone's where there are fewer rows than processes."""
    if rows < world_size():
        return range(rows)
    return range(rows * rank() // world_size(), rows * (rank() + 1) // world_size())


def all_reduce(values: Tensor) -> Tensor:
    """Sum over the processes, in place; every process must call it, with the same shape."""
    if world_size() > 1:
        from torch import distributed

        distributed.all_reduce(values)
    return values


def all_gather(part: Tensor, rows: int) -> Tensor:
    """Put the processes' shards of `rows` together: (shard, ...) -> (rows, ...)."""
    own = shard(rows)
    if len(own) == rows:
        return part
    placed = part.new_zeros(rows, *part.shape[1:])
    placed[own.start : own.stop] = part
    return all_reduce(placed)


def launch(module: str, compute: ComputeConfig, *arguments: str) -> bool:
    """Run `python -m module` in as many processes as `compute` says; False where it says one, or in one of them."""
    if compute.processes == 1 or "WORLD_SIZE" in os.environ:
        return False
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    environment = os.environ | {"OMP_NUM_THREADS": str(compute.threads)}
    done = subprocess.run([*launcher, str(compute.processes), "-m", module, *arguments], env=environment)
    if done.returncode:
        sys.exit(done.returncode)
    return True
