"""What AdaLoRA asks of the training loop (Zhang et al. 2023): its penalty on the loss, and the ranks shared out step by step.

peft leaves both to its caller: without them every rank stays what it began as.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback

from bench.core.schema import UserError

TYPE = "ADALORA"


def config_of(model: Any) -> Any | None:
    """Return the AdaLoRA configuration of a model that has such an adapter, else None."""
    config = getattr(model, "active_peft_config", None)
    kind = getattr(config, "peft_type", "")
    return config if str(getattr(kind, "value", kind)) == TYPE else None


def check_steps(model: Any, steps: int, where: str) -> None:
    """Check that the schedule of the ranks has the training's length.

    Raises:
        UserError: it has another.
    """
    config = config_of(model)
    if config is not None and config.total_step != steps:
        raise UserError(
            f"params.yaml: {where}.adapter.total_step: {config.total_step} steps, and the training has {steps}; "
            f"write {steps}."
        )


def penalty(model: Any) -> torch.Tensor | None:
    """Compute the weighted distance of P and Q from orthogonal matrices (section 3.2, equation 4), (); None for others.

    The mean over the matrices of the Frobenius norm, as peft has it, where the paper squares it.
    """
    config = config_of(model)
    if config is None or not config.orth_reg_weight > 0:
        return None
    norms = []
    for name, weight in model.named_parameters():
        if ("lora_A" in name or "lora_B" in name) and weight.numel():
            square = weight @ weight.T if "lora_A" in name else weight.T @ weight
            norms.append(torch.linalg.norm(square - torch.eye(len(square), device=square.device)))
    return config.orth_reg_weight * torch.stack(norms).mean()


class ShareOutRanks(TrainerCallback):
    """Prunes the singular values of least importance after each optimiser step, before its gradients go."""

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Let peft update importance and ranks by this step's gradients."""
        model.base_model.update_and_allocate(state.global_step)
