"""How the passes are computed that a model is trained through: by the CPU's fast kernels, or by torch's compiler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from bench.core.schema import UserError
from bench.lm import cpu_lora
from bench.lm.cpu_kernels import CpuKernels

BACKEND = "inductor"
# A block is compiled once for each of its forms: first or later layer, encoder or decoder, with gradients or without.
FORMS = 64


def compile_blocks(model: torch.nn.Module) -> None:
    """Have torch compile each repeated block of `model`, within `for_training` alone; elsewhere it runs as it is.

    One layer is compiled in place of the whole model ("regional compilation" in torch's tutorials), for lengths of every
    kind: a minute instead of many. It fuses what lies between the matrix products, so a GPU launches far fewer kernels.
    """
    torch.compiler.config.recompile_limit = FORMS
    torch.compiler.set_stance("force_eager")
    for blocks in model.modules():
        if isinstance(blocks, torch.nn.ModuleList) and len({type(block) for block in blocks}) == 1:
            for block in blocks:
                block.compile(backend=BACKEND, dynamic=True)


def check_compiler(device: str) -> None:
    """Compile a function of one line, forward and backward.

    Raises:
        UserError: torch finds no compiler of the machine's, or its own does not work there.
    """
    x = torch.ones(8, device=device, requires_grad=True)
    try:
        with torch.compiler.set_stance("default"):
            torch.compile(lambda y: (y.sin() + 1).exp().sum(), backend=BACKEND)(x).backward()
    except Exception as error:  # each of its layers has errors of its own
        reason = " ".join(str(error).partition("Set TORCHDYNAMO")[0].split())[:200] or type(error).__name__
        raise UserError(
            f"params.yaml: compute.compile: torch cannot compile for {device} here ({type(error).__name__}: {reason}); install a C++ "
            "compiler such as g++ and Python's headers, or write false."
        ) from None


def for_training(device: torch.device | str, compiled: bool = False) -> AbstractContextManager[Any]:
    """Return the context for a forward pass that is trained through, or that must equal one that is."""
    if compiled:
        return torch.compiler.set_stance("default")
    return _fast_on_a_cpu() if torch.device(device).type == "cpu" else nullcontext()


@contextmanager
def _fast_on_a_cpu() -> Iterator[None]:
    with CpuKernels(), cpu_lora.merged():
        yield
