"""The knobs that methods share, apart from the code that turns them: params are checked without loading torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

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


# Measures of a text that can be a reward, and the metric in bench/metrics/ whose REWARDS has it. ROUGE is F1 in [0, 1], a
# mean over the references; length is in words; facts are of the miniature: the share stated rightly less what is stated wrongly.
METRIC_OF = {"rouge1": "rouge", "rouge2": "rouge", "rougeL": "rouge", "length": "text", "facts": "facts"}


class RewardConfig(Strict):
    """What is rewarded: `label`'s logit of the classifier that `learns_from` names, or a `metric` where that is data/train.jsonl.

    A reward model that was trained here has one logit and needs no label; of other classifiers it is `nothate` unless said.
    `cap` bounds it, so that a policy gains nothing by shouting its innocence (uncapped, a prototype learnt to write ever
    shorter summaries). `also` adds further parts, each times its weight: `rouge1`, `length`, or `<checkpoint>.<label>`.
    """

    label: str | None = None
    metric: str | None = None
    scale: float = Field(1.0, gt=0)
    cap: float | None = None
    also: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> RewardConfig:
        if self.label is not None and self.metric is not None:
            raise ValueError("'label' is a classifier's and 'metric' needs none; give one of them")
        known = ", ".join(METRIC_OF)
        if self.metric is not None and self.metric not in METRIC_OF:
            raise ValueError(f"'metric' is '{self.metric}'; name one of {known}")
        odd = next((part for part in self.also if part not in METRIC_OF and part.count(".") != 1), None)
        if odd is not None:
            raise ValueError(f"'also' has '{odd}'; name {known}, or a checkpoint and its label, as in `tone.polite`")
        return self

    @property
    def metrics(self) -> list[str]:
        """The files of bench/metrics/ that it asks."""
        return sorted({METRIC_OF[name] for name in (self.metric, *self.also) if name in METRIC_OF})


class SamplesConfig(Strict):
    """`samples` draws at temperature 1 for each of `prompts` training dialogues (of those with the `tag`, where one is given)."""

    prompts: int = Field(512, ge=1)
    samples: int = Field(2, ge=2)
    tag: str | None = None
    max_new_tokens: int = Field(128, ge=1)
    batch_size: int = Field(64, ge=1)


class PairsConfig(SamplesConfig):
    """Of each dialogue's samples best and worst are a pair when their rewards (logits) differ by more than `margin`."""

    margin: float = Field(1.0, ge=0)


class PreferenceConfig(MethodConfig):
    """What every method takes that learns from pairs. Every `keep_every` steps the policy's summaries of validation dialogues
    are kept for the report."""

    optim: OptimConfig
    pairs: PairsConfig = PairsConfig()
    beta: float = Field(0.1, gt=0)
    adapter: dict[str, Any] | None = None
    reward: RewardConfig = RewardConfig()
    keep_every: int | None = Field(None, ge=1)


class LengthRange(Strict):
    """The longest a sample may be, in tokens: drawn anew for each, from `low` to `high`."""

    low: int = Field(ge=1)
    high: int = Field(ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> LengthRange:
        if self.low > self.high:
            raise ValueError(f"'low' {self.low} is above 'high' {self.high}")
        return self


class OnlineConfig(Strict):
    """One iteration writes `batch_size` summaries at temperature 1 and takes `epochs` passes over them in minibatches.

    `group_size` of them are of one dialogue. Every `keep_every` iterations the policy's summaries of validation dialogues are
    kept, so that the report can show what it gave up for its reward.

    With `tag` the prompts, and the dialogues that it is validated on, are those with that tag.
    `kl_coefficient` weighs the penalty against the reward; with `kl_target` (nats a sequence) it adapts, within
    `kl_horizon` sequences. `kl_penalty`: `kl` is the sampled log-ratio, `k3` Schulman's estimate that is never negative,
    `full` the exact sum over the vocabulary.
    Training ends with an error when the mean KL exceeds `kl_limit` (nats a sequence): the policy has left its start.
    """

    adapter: dict[str, Any] | None = None
    reward: RewardConfig = RewardConfig()
    iterations: int = Field(30, ge=1)
    batch_size: int = Field(32, ge=2)
    minibatch_size: int = Field(16, ge=1)
    group_size: int = Field(1, ge=1)
    epochs: int = Field(2, ge=1)
    keep_every: int | None = Field(None, ge=1)
    tag: str | None = None
    learning_rate: float = Field(1e-4, gt=0)
    max_new_tokens: Annotated[int, Field(ge=1)] | LengthRange = 128
    kl_penalty: Literal["kl", "abs", "mse", "k3", "full"] = "kl"
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
        if self.batch_size % self.group_size:
            raise ValueError(f"'batch_size' {self.batch_size} is not a multiple of 'group_size' {self.group_size}")
        return self

    @property
    def longest(self) -> int:
        """The tokens of the longest sample."""
        return self.max_new_tokens if isinstance(self.max_new_tokens, int) else self.max_new_tokens.high


class GroupConfig(OnlineConfig):
    """Samples of one dialogue are compared with each other: a group takes the place of a critic.

    With `engine: trl` trl's own trainer trains a decoder-only base: it samples by transformers' `generate`.
    """

    group_size: int = Field(4, ge=2)
    engine: Literal["ours", "trl"] = "ours"

    @model_validator(mode="after")
    def _what_trl_has(self) -> GroupConfig:
        ranged = not isinstance(self.max_new_tokens, int)
        asked = {"keep_every": self.keep_every, "kl_target": self.kl_target, "max_new_tokens": ranged or None}
        odd = next((field for field, value in asked.items() if value is not None), None)
        if self.engine == "trl" and odd:
            what = "a range of 'max_new_tokens'" if ranged and odd == "max_new_tokens" else f"'{odd}'"
            raise ValueError(f"{what} is not trl's to do; remove it, or write engine: ours")
        return self
