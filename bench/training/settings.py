"""The knobs that methods share, apart from the code that turns them: params are checked without loading torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bench.core.blocks import MethodConfig
from bench.core.schema import Strict


class OptimConfig(Strict):
    """AdamW with a schedule. Exactly one of `steps` and `epochs` is given.

    `batch_size` examples make one optimiser step; they are computed in `accumulation` micro-batches, in more where memory
    runs out.
    """

    learning_rate: float = Field(gt=0)
    batch_size: int = Field(8, ge=1)
    accumulation: int = Field(1, ge=1)
    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    warmup_steps: int = Field(0, ge=0)
    schedule: Literal["linear", "constant", "cosine"] = "linear"
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _one_length(self) -> OptimConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either 'steps' or 'epochs'")
        if self.batch_size % self.accumulation:
            raise ValueError(f"'batch_size' {self.batch_size} is not a multiple of 'accumulation' {self.accumulation}")
        return self


class RewardConfig(Strict):
    """`label` is the label to be rewarded. `cap` bounds its logit, so that a policy gains nothing by shouting its
    innocence (uncapped, a prototype learnt to write ever shorter summaries)."""

    label: str = "nothate"
    scale: float = Field(1.0, gt=0)
    cap: float | None = None


class PairsConfig(Strict):
    """How pairs are made: `samples` draws for each of `prompts` dialogues (of those with the `tag`, where one is given);
    best and worst are kept when their rewards (logits) differ by more than `margin`."""

    prompts: int = Field(512, ge=1)
    samples: int = Field(2, ge=2)
    margin: float = Field(1.0, ge=0)
    tag: str | None = None
    max_new_tokens: int = Field(128, ge=1)
    batch_size: int = Field(64, ge=1)


class PreferenceConfig(MethodConfig):
    """What every method takes that learns from pairs."""

    optim: OptimConfig
    pairs: PairsConfig = PairsConfig()
    beta: float = Field(0.1, gt=0)
    adapter: dict[str, Any] | None = None
    reward: RewardConfig = RewardConfig()


class OnlineConfig(Strict):
    """One iteration writes `batch_size` summaries at temperature 1 and takes `epochs` passes over them in minibatches.

    With `tag` the prompts, and the dialogues that it is validated on, are those with that tag.
    `kl_coefficient` weighs the penalty against the reward; with `kl_target` (nats a sequence) it adapts, within
    `kl_horizon` sequences. `kl_penalty`: `kl` is the sampled log-ratio, `full` the exact sum over the vocabulary.
    Training ends with an error when the mean KL exceeds `kl_limit` (nats a sequence): the policy has left its start.
    """

    adapter: dict[str, Any] | None = None
    reward: RewardConfig = RewardConfig()
    iterations: int = Field(30, ge=1)
    batch_size: int = Field(32, ge=2)
    minibatch_size: int = Field(16, ge=1)
    epochs: int = Field(2, ge=1)
    tag: str | None = None
    learning_rate: float = Field(1e-4, gt=0)
    max_new_tokens: int = Field(128, ge=1)
    kl_penalty: Literal["kl", "abs", "mse", "full"] = "kl"
    kl_coefficient: float = Field(0.2, ge=0)
    kl_target: float | None = Field(None, gt=0)
    kl_horizon: int = Field(10_000, ge=1)
    kl_limit: float = Field(200.0, gt=0)
    max_grad_norm: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _no_schedule_of_ranks(self) -> OnlineConfig:
        if str((self.adapter or {}).get("type", "")).upper() == "ADALORA":
            raise ValueError("'adapter' of type ADALORA shares out its ranks in 'sft' and 'dpo' alone; write LORA")
        return self

    @model_validator(mode="after")
    def _full_minibatches(self) -> OnlineConfig:
        if self.batch_size % self.minibatch_size:
            raise ValueError(
                f"'batch_size' {self.batch_size} is not a multiple of 'minibatch_size' {self.minibatch_size}"
            )
        return self
