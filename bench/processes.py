"""Several processes at one stage: who is who, and who writes. Torch's launcher starts them, Accelerate connects them.

A stage spreads itself over `compute.processes`; under `accelerate launch` it finds itself spread already. Every
process runs the same code. Only the first one writes: what the others write is dropped (`artifacts`).
"""

from __future__ import annotations

import os
import subprocess
import sys

from bench.schema import ComputeConfig

CPU = "ACCELERATE_USE_CPU"  # Accelerate's own word for it


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait() -> None:
    """Go on when every process has come here. Asked for after `runtime.prepare`, which knows the device."""
    if count() > 1:
        from accelerate import PartialState

        PartialState(cpu=os.environ.get(CPU) == "true").wait_for_everyone()


def spread(module: str, compute: ComputeConfig, *arguments: str) -> bool:
    """Run `python -m module` in as many processes as `compute` says; False where it says one, or in one of them."""
    if compute.processes == 1 or "WORLD_SIZE" in os.environ:
        return False
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    environment = os.environ | {"OMP_NUM_THREADS": str(compute.threads)}
    done = subprocess.run([*launcher, str(compute.processes), "-m", module, *arguments], env=environment)
    if done.returncode:
        sys.exit(done.returncode)
    return True
