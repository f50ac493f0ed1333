"""The blocks of params.yaml that every part shares: how a model is asked and writes, where it runs, bases of plugins' own."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from bench.core.schema import Identity, Row, Seed, Strict, Text


class TextConfig(Strict):
    """How a dialogue becomes a model's input, the same for training, generation and KL.

    A dialogue that does not fit in `max_source_tokens` loses its end; the instruction after it is kept whole. With `chat`
    the prompt is what a user says, in the tokenizer's chat template, and the summary is the assistant's answer.
    `chat_options` are the template's own switches (`enable_thinking: false`); `chat_date` is today to a template that
    asks for the date, so that the same study has the same input tomorrow. `shots`, of a variant's own text, puts so many
    training dialogues with their summaries in front, drawn by the variant's seed, or those whose ids it lists.
    """

    prompt: str = "Summarize the following conversation.\n\n{source}\n\nSummary: "
    chat: bool = False
    chat_options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    chat_date: date | None = None
    shots: Annotated[int, Field(ge=0, le=64)] | Annotated[tuple[Identity, ...], Field(strict=False, min_length=1)] = 0
    max_source_tokens: int = Field(512, ge=8, le=1_000_000)
    max_target_tokens: int = Field(128, ge=2, le=1_000_000)

    @property
    def prompt_digest(self) -> str:
        """The identity of what stands round a dialogue: a sha256 over the prompt, whether a chat template holds it, and how."""
        parts: list[Any] = [self.prompt, self.chat]
        if self.chat_options or self.chat_date:
            parts += [self.chat_options, str(self.chat_date)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @model_validator(mode="after")
    def _chat_is_on(self) -> TextConfig:
        if not self.chat and (self.chat_options or self.chat_date):
            field = "chat_options" if self.chat_options else "chat_date"
            none = {"chat_options": "{}", "chat_date": "null"}[
                field
            ]  # of a variant's own text, to have none of the study's
            raise ValueError(
                f"'{field}' is about a chat template, and 'chat' is false; write chat: true, or {field}: {none}"
            )
        return self

    @field_validator("prompt")
    @classmethod
    def _one_place(cls, prompt: str) -> str:
        if prompt.count("{source}") != 1:
            raise ValueError("must say once where the dialogue stands, as {source}")
        return prompt


class Shot(Row):
    """A training dialogue with its summary, shown to a model before the dialogue that it is asked about."""

    id: Identity
    source: Text
    summary: Text


class Prompt(TextConfig):
    """A variant's own text with the shots that were chosen; `dropped` more were asked for and did not fit."""

    examples: tuple[Shot, ...] = Field((), strict=False)
    dropped: int = Field(0, ge=0)

    @property
    def prompt_digest(self) -> str:
        """The identity of what stands round a dialogue, its shots included."""
        plain = super().prompt_digest
        shown = [[shot.source, shot.summary] for shot in self.examples]
        return hashlib.sha256(json.dumps([plain, shown]).encode()).hexdigest() if shown else plain


class DecodingConfig(Strict):
    """How the next token is chosen; without any field greedily, the likeliest each time. Names and meanings are transformers'.

    `temperature`, `top_k`, `top_p` and `min_p` sample, `draws` summaries a dialogue; without them `num_beams` searches.
    `length_penalty` is of beams, the others go with everything.
    """

    num_beams: int = Field(1, ge=1, le=64)
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = Field(0, ge=0)
    repetition_penalty: float = Field(1.0, gt=0)
    min_new_tokens: int = Field(0, ge=0)
    temperature: float | None = Field(None, gt=0)
    top_k: int | None = Field(None, ge=1)
    top_p: float | None = Field(None, gt=0, le=1)
    min_p: float | None = Field(None, gt=0, le=1)
    draws: int = Field(1, ge=1, le=1000)

    @property
    def sampled(self) -> bool:
        """Whether tokens are drawn."""
        return any(value is not None for value in (self.temperature, self.top_k, self.top_p, self.min_p))

    @property
    def looks_back(self) -> bool:
        """Whether a token's chance depends on the tokens before it otherwise than by the model."""
        return self.repetition_penalty != 1.0 or bool(self.no_repeat_ngram_size or self.min_new_tokens)

    @property
    def changed(self) -> dict[str, Any]:
        """The fields that make it another decoding than greedy."""
        return self.model_dump(exclude_defaults=True)

    @model_validator(mode="after")
    def _one_way(self) -> DecodingConfig:
        if self.sampled and self.num_beams > 1:
            raise ValueError(
                "'num_beams' searches and 'temperature', 'top_k', 'top_p' and 'min_p' sample; give one of them"
            )
        if self.draws > 1 and not self.sampled:
            other = "write draws: 1" if self.num_beams > 1 else "add 'temperature' or 'top_p'"
            raise ValueError(f"'draws' above 1 would be the same summary again; {other}")
        if self.length_penalty != 1.0 and self.num_beams == 1:
            other = "remove it" if self.sampled else "add 'num_beams'"
            raise ValueError(f"'length_penalty' compares beams; {other}")
        return self


class ComputeConfig(Strict):
    """Where and in which arithmetic the work runs. The thread count changes float32 results, so it is fixed.

    `processes` share training and generation, each with `threads` threads (and a GPU of its own where there are GPUs).
    `precision` is that of training (bfloat16 by autocast, weights in float32), `inference` that of writing and scoring.
    `tf32` lets a GPU round what it multiplies in float32 to TF32's 10 bits. With `sharding: fsdp` the
    processes also share out weights, gradients and the optimiser's state where `sft` trains every weight.
    `compile` has torch's compiler fuse the blocks of what is trained, which a GPU gains most from.
    Training keeps its state every `save_seconds`; a killed `dvc repro` goes on from there.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(1, ge=1, le=1024)
    processes: int = Field(1, ge=1, le=1024)
    sharding: Literal["none", "fsdp"] = "none"
    precision: Literal["float32", "bfloat16"] = "float32"
    inference: Literal["float32", "bfloat16"] = "float32"
    tf32: bool = False
    compile: bool = False
    save_seconds: float = Field(300.0, ge=0)

    @property
    def arithmetic(self) -> str:
        """How summaries are written and scored: `float32`, `tf32` or `bfloat16`."""
        return "tf32" if self.tf32 and self.inference == "float32" else self.inference

    @field_validator("precision", "inference", mode="before")
    @classmethod
    def _wide_enough(cls, precision: Any) -> Any:
        if precision in ("float16", "fp16", "half"):
            raise ValueError("T5's feed-forward layers exceed float16's largest number, 65,504; write 'bfloat16'")
        return precision


GREEDY = "greedy"  # the decoding that needs no block


class GenerationConfig(Strict):
    """How summaries are written: by the `primary` decoding, and `samples` draws a dialogue at temperature 1.

    `decodings` are others than `greedy` by their names, for `primary` or for a variant's `decoding`.
    """

    decodings: dict[Identity, DecodingConfig] = Field(default_factory=dict)
    primary: str = GREEDY
    max_new_tokens: int = Field(128, ge=1, le=1_000_000)
    samples: int = Field(1, ge=0, le=1000)
    batch_size: int = Field(64, ge=1)
    seed: Seed = 0


class TagConfig(Strict):
    """What gives a dialogue a tag: `at_least` so many of `words` are among its own, or it has so many `turns`, or is so many
    words in `length`. Exactly one of the three is given.
    """

    words: list[str] | None = Field(None, min_length=1)
    at_least: int = Field(1, ge=1)
    turns: int | None = Field(None, ge=1)
    length: int | None = Field(None, ge=1)

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self.words is not None:
            digest = hashlib.sha256(" ".join(self.words).encode()).hexdigest()[:8]
            return f"at least {self.at_least} of {len(self.words)} words of params.yaml (sha256 {digest})"
        return f"at least {self.turns} turns" if self.turns is not None else f"at least {self.length} words"

    @model_validator(mode="after")
    def _one_rule(self) -> TagConfig:
        if sum(rule is not None for rule in (self.words, self.turns, self.length)) != 1:
            raise ValueError("give one of 'words', 'turns' and 'length'")
        return self

    @field_validator("words")
    @classmethod
    def _as_compared(cls, words: list[str] | None) -> list[str] | None:
        wrong = next(
            (word for word in words or [] if word != word.casefold() or not re.fullmatch(r"\w+(['’]\w+)*", word)), None
        )
        if wrong is not None:
            raise ValueError(f"{wrong!r} is no single word in small letters; write one")
        return words


class DatasetConfig(Strict):
    """Base of a dataset's own Config. `dataset` names the file in bench/datasets/.

    `tags` name slices of the dialogues by what stands in them, for the report and for a method's prompts.
    `overlap` says what happens to a dialogue that stands in two splits: the run is refused, or it stays in the later
    split alone. A text above `max_characters` is taken for a broken file.
    """

    dataset: str
    tags: dict[Identity, TagConfig] = Field(default_factory=dict)
    overlap: Literal["refuse", "drop"] = "refuse"
    max_characters: int = Field(50_000, ge=1)

    def check_splits(self) -> None:
        """Raise ValueError where the three splits cannot be told apart. Not asked of a dataset that is only evaluated on."""

    def check(self) -> None:
        """Raise UserError when what the block names is not at hand. Nothing is read or fetched."""


class CheckpointConfig(Strict):
    """Base of a checkpoint source's own Config. `source` names the file in bench/checkpoints/.

    `problem_type` says of a classifier whose config does not that its labels are one choice.
    """

    source: str
    problem_type: Literal["single_label_classification"] | None = None

    def check(self) -> None:
        """Raise UserError when what the block names is not at hand. Nothing is read or fetched."""


class QuantizeConfig(Strict):
    """A start in 4 bits under an adapter: bitsandbytes' `nf4` or `fp4`; `double` rounds the blocks' scales too."""

    type: Literal["nf4", "fp4"] = "nf4"
    double: bool = False


class MethodConfig(Strict):
    """Base of a method's own Config: what every variant block says.

    `init` names the checkpoint or variant that training starts from. `learns_from` is the path of what teaches it:
    the training split for methods that imitate references, a classifier's folder for methods that follow a reward.
    DVC reruns the variant when either changes, and only then. `seeds`, in place of `seed`, trains the variant once with
    each: scores are averaged over the trainings, and the report adds their spread. What starts from the variant starts
    from the first. `text` is the study's with what it says differently, in training too; what starts from the variant
    is given the same. `decoding` names one of `generation.decodings`. `quantize` rounds the start under an adapter.
    """

    method: str
    init: str
    learns_from: str
    text: TextConfig | None = None
    decoding: str | None = None
    quantize: QuantizeConfig | None = None
    seed: Seed | None = None
    seeds: Annotated[tuple[Seed, ...], Field(strict=False)] | None = None


class PreferencesConfig(Strict):
    """Base of a preference source's own Config. `source` names the file in bench/preferences/.

    `init` names the checkpoint or variant that writes (`base` where the source needs none to: DVC looks for it), and `learns_from`
    the path of what says which summary is the better one. The shares `validation` and `test` of the dialogues are held out.
    """

    source: str
    init: str
    learns_from: str
    validation: float = Field(0.1, gt=0, lt=0.5)
    test: float = Field(0.1, gt=0, lt=0.5)
    seed: Seed | None = None


class TrainingSetConfig(Strict):
    """Base of a training set source's own Config. `source` names the file in bench/training_sets/.

    `init` names the checkpoint or variant that writes (`base` where the source needs none to: DVC looks for it), and `learns_from`
    the path of what the examples are made from.
    """

    source: str
    init: str
    learns_from: str
    seed: Seed | None = None


class RewardModelConfig(Strict):
    """Base of a reward model's own Config. `form` names the file in bench/reward_models/.

    It starts from the weights of `init` and learns from the rankings of `learns_from`, a folder below preferences/; how often it
    is right is measured on their held-out dialogues, and on those of `tested_on`: a policy's own samples, for example.
    """

    form: str
    init: str
    learns_from: str
    tested_on: str
    seed: Seed | None = None
