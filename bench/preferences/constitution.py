"""AI feedback (Bai et al. 2022, "Constitutional AI"): a model judges pairs of samples by principles, and revises what breaks them.

Judged is by the chances of the answers "A" and "B", each pair in both orders, so that a preference for a place cancels out; how
strong it was is written beside the rankings. A sample that was revised is ranked below its revision.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from bench.core import resume, storage
from bench.core.blocks import PreferencesConfig, TextConfig
from bench.core.schema import Example, Row, Strict, Text, UserError
from bench.preferences import JUDGE
from bench.rankings import Ranking
from bench.training.context import TrainContext
from bench.training.settings import SamplesConfig

if TYPE_CHECKING:
    from bench.lm.models import Loaded

LEARNS_FROM = "model"
ANSWERS = ("A", "B")
ALWAYS, FEWEST = 0.95, 8  # the share of so many pairs in which one place wins both ways, above which nothing was judged
JUDGED = (
    "{principle}\n\nConversation:\n{source}\n\nSummary A: {first}\n\nSummary B: {second}\n\nWhich summary is better? Answer A or B."
    "\nAnswer:"
)
CRITIQUE = "{principle}\n\nConversation:\n{source}\n\nSummary: {summary}\n\nWhat is wrong with this summary, by that principle?\nCritique:"
REVISE = "{principle}\n\nConversation:\n{source}\n\nSummary: {summary}\n\nCritique: {critique}\n\nWrite a better summary.\nSummary:"


class Prompts(Strict):
    """What the model is asked; every field stands where its name is in braces. With `chat` as a user's turn."""

    judge: str = JUDGED
    critique: str = CRITIQUE
    revise: str = REVISE
    chat: bool = False
    max_tokens: int = Field(1024, ge=32)

    @field_validator("judge")
    @classmethod
    def _judged(cls, text: str) -> str:
        return _with(text, "principle", "source", "first", "second")

    @field_validator("critique")
    @classmethod
    def _criticised(cls, text: str) -> str:
        return _with(text, "principle", "source", "summary")

    @field_validator("revise")
    @classmethod
    def _revised(cls, text: str) -> str:
        return _with(text, "principle", "source", "summary", "critique")


def _with(text: str, *fields: str) -> str:
    missing = next((field for field in fields if text.count(f"{{{field}}}") != 1), None)
    if missing is not None:
        raise ValueError(f"must say once where the {missing} stands, as {{{missing}}}")
    return text


class Config(PreferencesConfig):
    """`samples` of `init`, judged by the model that `learns_from` names, by each of `principles`; scores are their mean log-odds.

    A judge that gives one place nearly always is refused; with `place_bias: cancel` it is heard: what it gives a place is the same
    in both orders, so the scores are without it, whatever they are worth.

    With `revise` the model also criticises and revises the first sample of each dialogue, by the principles in turn.
    """

    principles: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    samples: SamplesConfig = SamplesConfig(samples=2)
    revise: bool = False
    place_bias: Literal["refuse", "cancel"] = "refuse"
    prompts: Prompts = Prompts()
    decimals: int = Field(6, ge=0)


class Answer(Row):
    """What a judge said of a question, which a digest stands for."""

    question: str
    said: tuple[float, ...]


class Written(Row):
    """What a model wrote to a question."""

    question: str
    said: str


Ask = Callable[[str], Sequence[float]]  # a question -> the log-probabilities of the answers, in the order of ANSWERS
Write = Callable[[Sequence[str]], Sequence[str]]  # questions, which a model answers at once


def rankings(config: Config, context: TrainContext) -> list[Ranking]:
    """Sample, judge and, where asked for, revise.

    Raises:
        UserError: the judge answers by place alone.
    """
    from bench.lm import models
    from bench.training import preferences

    drawn = preferences.written(context, context.start(), config.samples)
    judge = models.load(Path(context.learns_from).name, context.device)
    judged = [(example, [row.text for row in samples if not row.hit_limit]) for example, samples in drawn]
    ask = asker(judge, config.prompts)
    asks = remembered(context.work, "answers.jsonl", Answer, lambda questions: [ask(one) for one in questions], 1)
    made, about = judgements(config, [each for each in judged if len(each[1]) > 1], lambda one: asks([one])[0])
    refused = config.place_bias == "refuse"
    if refused and about["pairs"] >= FEWEST and max(about["always_first"], about["always_second"]) >= ALWAYS:
        answer = ANSWERS[about["always_second"] >= ALWAYS]
        raise UserError(
            f"params.yaml: {context.where}.learns_from: the judge answers '{answer}' in both orders of {about['pairs']:.0f} pairs, "
            "so it judges places and not summaries; name a larger model, change prompts.judge, or write place_bias: cancel to go by "
            "how much its odds change with the order."
        )
    if config.revise:
        size = config.samples.batch_size
        criticise, revise = (
            remembered(context.work, f"{name}.jsonl", Written, writer(judge, config, whole), size)
            for name, whole in (("critiques", False), ("revisions", True))
        )
        made += revisions(config, judged, criticise, revise)
    storage.write_json(context.work.folder / JUDGE, about)
    return made


def remembered(
    work: resume.Work, name: str, kind: type[Any], answer: Callable[[Sequence[str]], Sequence[Any]], size: int
) -> Callable[[Sequence[str]], list[Any]]:
    """Keep answers in the stage's work as they come, `size` at once, the longest questions first: a run that goes on asks
    no question twice.
    """
    known = {row.question: row.said for row in work.rows(name, kind)}

    def ask(questions: Sequence[str]) -> list[Any]:
        digests = [storage.sha256_text(question) for question in questions]
        new = {digest: question for digest, question in zip(digests, questions, strict=True) if digest not in known}
        order = sorted(new, key=lambda digest: (-len(new[digest]), digest))
        for first in range(0, len(order), size):
            part = order[first : first + size]
            said = dict(zip(part, answer([new[digest] for digest in part]), strict=True))
            known.update(said)
            work.append(name, [kind(question=digest, said=one) for digest, one in said.items()])
        return [known[digest] for digest in digests]

    return ask


def judgements(
    config: Config, judged: Sequence[tuple[Example, Sequence[str]]], ask: Ask
) -> tuple[list[Ranking], dict[str, float]]:
    """Rank the summaries of each dialogue by their mean log-odds against the others; also say how the judge was biased.

    `position_bias` is the mean chance of the first place less one half, over both orders; `always_first` the share of
    questions whose answer is the first place in both orders.
    """
    made, firsts, both = list[Ranking](), list[float](), list[tuple[bool, bool]]()
    for example, summaries in judged:
        odds = np.zeros(len(summaries))
        for (i, one), (j, other) in itertools.combinations(enumerate(summaries), 2):
            for principle in config.principles:
                forward, backward = (
                    _log_odds(ask(_asked(config.prompts.judge, principle, example, first=first, second=second)))
                    for first, second in ((one, other), (other, one))
                )
                gain = (forward - backward) / 2 / len(config.principles) / (len(summaries) - 1)
                odds[i] += gain
                odds[j] -= gain
                firsts += [_sigmoid(forward), _sigmoid(backward)]
                both.append((forward > 0 and backward > 0, forward < 0 and backward < 0))
        made.append(
            Ranking(
                id=example.id,
                dialogue_id=example.dialogue_id,
                source=example.source,
                summaries=tuple(summaries),
                scores=tuple(round(float(value), config.decimals) for value in odds),
                references=example.references,
            )
        )
    first, second = np.mean(both, axis=0) if both else (0.0, 0.0)
    bias = float(np.mean(firsts)) - 0.5 if firsts else 0.0
    return made, {
        "pairs": float(len(both)),
        "position_bias": bias,
        "always_first": float(first),
        "always_second": float(second),
    }


def revisions(
    config: Config, judged: Sequence[tuple[Example, Sequence[str]]], criticise: Write, revise: Write
) -> list[Ranking]:
    """Let the model criticise and revise the first sample of each dialogue: the revision is the better half of a pair."""
    made, count, texts = [], len(config.principles), config.prompts
    given = [
        (config.principles[number % count], example, summaries[0])
        for number, (example, summaries) in enumerate(judged)
        if summaries
    ]
    critiques = criticise([_asked(texts.critique, by, example, summary=one) for by, example, one in given])
    revised_all = revise(
        [
            _asked(texts.revise, by, example, summary=one, critique=critique)
            for (by, example, one), critique in zip(given, critiques, strict=True)
        ]
    )
    for (_, example, summary), revised in zip(given, revised_all, strict=True):
        if revised.strip() and revised.strip() != summary.strip():
            made.append(
                Ranking(
                    id=f"{example.id}-revised",
                    dialogue_id=example.dialogue_id,
                    source=example.source,
                    summaries=(revised.strip(), summary),
                    scores=(1.0, 0.0),
                    labels=("revised", "first"),
                    category="revision",
                    references=example.references,
                )
            )
    return made


def asker(judge: Loaded, prompts: Prompts) -> Ask:
    """Let a model answer A or B: the log-probabilities of the two as its next words."""
    import torch

    from bench.lm import models
    from bench.lm import prompts as encoding

    text = TextConfig(prompt="{source}", chat=prompts.chat, max_source_tokens=prompts.max_tokens)
    targets = [_answer_ids(judge, answer) for answer in ANSWERS]

    @torch.inference_mode()
    def ask(question: str) -> list[float]:
        source = encoding.encode_source(judge.tokenizer, question, text).ids
        batch = models.collate([source], targets, int(judge.tokenizer.pad_token_id), judge.device)
        found, _ = models.token_logprobs(models.target_logits(judge.model, batch, each=len(targets)), batch.labels)
        return [float(value) for value in found.sum(1)]

    return ask


def _answer_ids(judge: Loaded, answer: str) -> list[int]:
    """An answer's tokens as they follow a prompt: with the space before it where the prompt ends in a colon."""
    from bench.lm import prompts as encoding

    before = "" if judge.model.config.is_encoder_decoder else " "
    return encoding.encode_target(judge.tokenizer, before + answer, TextConfig())[:-1]


def writer(judge: Loaded, config: Config, whole: bool) -> Write:
    """Let a model write answers, greedily; where they are to be `whole`, what the length limit cut is no answer.

    A policy that imitates what was cut would learn to run on to the limit.
    """
    from bench import generation
    from bench.lm import prepack
    from bench.lm import prompts as encoding

    text = TextConfig(prompt="{source}", chat=config.prompts.chat, max_source_tokens=config.prompts.max_tokens)

    def write(questions: Sequence[str]) -> list[str]:
        sources = [encoding.encode_source(judge.tokenizer, question, text).ids for question in questions]
        with prepack.prepacked(judge.model):
            written = generation.generate(judge, sources, config.samples.max_new_tokens)
        return ["" if whole and one.hit_limit else generation.text_of(judge, one) for (one,) in written]

    return write


def _asked(template: str, principle: str, example: Example, **fields: str) -> str:
    """Fill in a template in one pass: what a dialogue holds is never taken for a field."""
    given = {"principle": principle, "source": example.source, **fields}
    return re.sub(r"\{(\w+)\}", lambda found: given.get(found[1], found[0]), template)


def _log_odds(answers: Sequence[float]) -> float:
    return float(answers[0] - answers[1])


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))
