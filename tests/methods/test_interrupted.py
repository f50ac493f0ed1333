"""A training that is killed and goes on ends with the very weights and curve of one that was left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core import paths, plugins, resume
from bench.core.resume import Work
from bench.training.context import TrainContext

OPTIM = {"learning_rate": 1e-2, "batch_size": 4, "steps": 7, "warmup_steps": 2, "weight_decay": 0.1}
LORA = {"type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q", "v", "lm_head"], "lora_dropout": 0.1}
PAIRS = {"prompts": 10, "samples": 24, "margin": 0.0, "max_new_tokens": 8}
SAMPLES = {"prompts": 10, "samples": 8, "max_new_tokens": 8}
PPO = {"iterations": 6, "batch_size": 8, "minibatch_size": 4, "max_new_tokens": 8, "kl_target": 1.0, "epochs": 2}
CASES = {
    "full": ("sft", "data/train.jsonl", {"optim": OPTIM | {"accumulation": 2}}),
    "lora": ("sft", "data/train.jsonl", {"optim": OPTIM, "adapter": LORA}),
    "dpo": ("dpo", "models/reward", {"optim": OPTIM, "pairs": PAIRS, "adapter": LORA}),
    "ppo": ("ppo", "models/reward", PPO),
    "ppo-adapter": ("ppo", "models/reward", PPO | {"adapter": LORA}),
    "grpo": ("grpo", "models/reward", PPO | {"group_size": 4, "keep_every": 2}),
    "rloo": ("rloo", "models/reward", PPO | {"group_size": 4, "adapter": LORA}),
    "rejection": ("rejection", "models/reward", {"optim": OPTIM, "samples": SAMPLES, "keep_every": 3}),
    "orpo": ("dpo", "models/reward", {"optim": OPTIM, "pairs": PAIRS, "loss": "orpo"}),
    "kto": ("dpo", "models/reward", {"optim": OPTIM, "pairs": PAIRS, "loss": "kto"}),
}


class Killed(BaseException):
    """Stands for the signal: nothing catches it."""


@pytest.mark.parametrize("case", CASES)
def test_going_on_equals_never_stopping(
    case: str, context: Callable[..., TrainContext], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, teacher, block = CASES[case]
    module = plugins.find("method", method)
    monkeypatch.setattr(Work, "due", lambda work: True)
    steps = 0

    def train() -> tuple[dict[str, bytes], str]:
        ctx = context(case, learns_from=teacher)
        module.train(module.Config(method=method, init="base", learns_from=teacher, **block), ctx)
        resume.finish("train", case)
        kept = [*ctx.out.glob("*.safetensors"), *ctx.out.glob("*.jsonl")]
        out = {path.name: path.read_bytes() for path in kept}
        return out, paths.curve_path(case).read_text()

    step = torch.optim.AdamW.step

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == dies:
            raise Killed
        return step(*args, **kwargs)

    dies = 0
    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    alone, total = train(), steps
    resume.clear_finished()
    for dies in (1, total // 2, total - 1):
        steps = 0
        with pytest.raises(Killed):
            train()
        dies, done = 0, steps - 1
        steps = 0
        assert train() == alone
        assert steps <= total - done + (
            block.get("epochs", 1) * 2 if method in ("ppo", "grpo", "rloo") else 0
        )  # not from the start
        resume.clear_finished()
