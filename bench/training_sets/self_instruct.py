"""Instructions that a model writes itself, from seed tasks (Wang et al. 2023, "Self-Instruct"), and its answers to them.

In each round the model goes on with a list of tasks; what is too short or long, of a form that texts cannot answer, or too
like a task that is kept is left out (the paper's section 2.2 and its thresholds), and so is an answer without an end.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from bench.core.blocks import DecodingConfig, GenerationConfig, TextConfig, TrainingSetConfig
from bench.core.schema import Example, Row, UserError
from bench.data import files, instructions
from bench.training.context import TrainContext
from bench.training.settings import LengthRange
from bench.training_sets import Made

if TYPE_CHECKING:
    from bench.lm.models import Loaded

LEARNS_FROM = "file"
NUMBERED = re.compile(r"\s*\bTask \d+:\s*")
# Of things that a text cannot show, and of programs, as the paper's own code has them.
UNFIT = re.compile(
    r"\b(images?|graphs?|pictures?|files?|maps?|draw|plot|go to|videos?|audio|music|flowcharts?|diagrams?)\b", re.I
)
PROGRAM = "write a program"


class Config(TrainingSetConfig):
    """`rounds` of `batch_size` lists each: `shots` tasks, up to `own` of them already written, and the model goes on, sampling.

    `similarity` is the ROUGE-L F1 to a task that is kept at which another is left out; `words` how long a task may be. Answers
    are greedy, to the study's own prompt. With `keep` the study's own training split is imitated too.
    """

    columns: instructions.Columns = instructions.Columns()
    rounds: int = Field(10, ge=1)
    batch_size: int = Field(8, ge=1)
    shots: int = Field(8, ge=1)
    own: int = Field(2, ge=0)
    prompt: str = "Come up with a series of tasks:\n\n{tasks}"
    similarity: float = Field(0.7, gt=0, le=1)
    words: LengthRange = LengthRange(low=3, high=150)
    temperature: float = Field(0.7, gt=0)
    top_p: float = Field(0.9, gt=0, le=1)
    max_prompt_tokens: int = Field(1024, ge=32)
    max_new_tokens: int = Field(128, ge=8)
    max_answer_tokens: int = Field(128, ge=2)
    keep: bool = False

    @field_validator("prompt")
    @classmethod
    def _one_place(cls, prompt: str) -> str:
        if prompt.count("{tasks}") != 1:
            raise ValueError("must say once where the tasks stand, as {tasks}")
        return prompt


class Task(Row):
    """What a model wrote as a task, and why it was left out, if it was."""

    text: str
    left_out: str = ""


class Round(Row):
    """The tasks of one round: a line of the stage's work, so that none is kept in part."""

    tasks: tuple[Task, ...]


def examples(config: Config, context: TrainContext) -> Made:
    """Write tasks, filter them, and answer those that are kept.

    Raises:
        UserError: the seed tasks cannot be read, or nothing that the model wrote was fit to keep.
    """
    from bench.lm import models

    seeds, model = _seeds(config, context), models.load(context.init, context.device)
    tasks = written(
        config, context, seeds, lambda prompts, numbers: _continued(model, config, context.seed, prompts, numbers)
    )
    counts = Counter(task.left_out or "fit" for task in tasks)
    asked = [task.text for task in tasks if not task.left_out]
    found = _answered(config, context, model, asked) if asked else []
    if not found:
        came = f"{len(asked)} were fit to keep, and none had an answer with an end" if asked else "none was fit to keep"
        fix = "raise max_answer_tokens, or name a larger model" if asked else "raise rounds, or name a larger model"
        raise UserError(
            f"params.yaml: {context.where}: of {len(tasks)} tasks that '{context.init}' wrote {came}; {fix}."
        )
    told = {"seed tasks": len(seeds), "written": len(tasks)} | {
        reason: n for reason, n in counts.items() if reason != "fit"
    }
    told |= {"without an answer": len(asked) - len(found), "made": len(found)}
    return Made([*(context.train if config.keep else ()), *found], told)


def check(config: Config, context: TrainContext) -> None:
    """Raise UserError where the seed tasks cannot be read."""
    _seeds(config, context)


def _seeds(config: Config, context: TrainContext) -> list[str]:
    """The seed tasks, without what each is about."""
    alone = config.columns.model_copy(update={"input": ""})
    found = list(
        dict.fromkeys(_flat(one.source) for one in files.read(Path(config.learns_from), instructions.reader(alone)))
    )
    if len(found) < config.shots:
        raise UserError(
            f"params.yaml: {context.where}.shots: {config.shots} asked for, and {config.learns_from} holds {len(found)} tasks; "
            "lower it."
        )
    return found


Continue = Callable[
    [Sequence[str], int], Sequence[tuple[str, bool]]
]  # prompts, number of the first -> (text, was it cut)


def written(config: Config, context: TrainContext, seeds: Sequence[str], go_on: Continue) -> list[Task]:
    """Let the model go on with lists of tasks, round by round, and say of each that it wrote whether it may stay.

    Finished rounds are kept in the stage's work, and a run that goes on writes only the others.
    """
    rounds = context.work.rows("rounds.jsonl", Round)
    like = Likeness([*seeds, *_kept(rounds)])
    for number in context.progress(range(config.rounds), f"{context.variant}: rounds of tasks", config.rounds):
        if number < len(rounds):
            continue
        draw, new = random.Random(f"{context.seed} {number}"), list[Task]()
        prompts = [_prompt(config, draw, seeds, _kept(rounds)) for _ in range(config.batch_size)]
        for text, cut in go_on(prompts, number * config.batch_size):
            for piece in _pieces(text, cut):
                why = unfit(piece, config.words) or ("alike" if like.most(piece) >= config.similarity else "")
                new.append(Task(text=piece, left_out=why))
                if not why:
                    like.add(piece)
        rounds.append(Round(tasks=tuple(new)))
        context.work.append("rounds.jsonl", rounds[-1:])
    return [task for each in rounds for task in each.tasks]


def _kept(rounds: Sequence[Round]) -> list[str]:
    return [task.text for each in rounds for task in each.tasks if not task.left_out]


def unfit(task: str, words: LengthRange) -> str:
    """Say why a task is none for a model that writes texts: its length or its form; nothing where it is one."""
    if not words.low <= len(task.split()) <= words.high:
        return "too short or long"
    if not task[0].isalnum() or UNFIT.search(task) or task.casefold().startswith(PROGRAM):
        return "of another form"
    return ""


class Likeness:
    """How like a text is to the nearest of those seen: ROUGE-L F1 without a stemmer, by Google's rouge_score."""

    def __init__(self, seen: Sequence[str]) -> None:
        from rouge_score import rouge_scorer

        self.scorer, self.seen = rouge_scorer.RougeScorer(["rougeL"]), list(seen)

    def most(self, text: str) -> float:
        """Return the greatest likeness, 0 to 1."""
        return max((float(self.scorer.score(other, text)["rougeL"].fmeasure) for other in self.seen), default=0.0)

    def add(self, text: str) -> None:
        """Count a text among those seen."""
        self.seen.append(text)


def _prompt(config: Config, draw: random.Random, seeds: Sequence[str], kept: Sequence[str]) -> str:
    own = draw.sample(kept, min(config.own, len(kept), config.shots - 1))
    shown = [*draw.sample(seeds, config.shots - len(own)), *own]
    draw.shuffle(shown)
    listed = "".join(f"Task {place}: {task}\n" for place, task in enumerate(shown, 1))
    return config.prompt.replace("{tasks}", f"{listed}Task {len(shown) + 1}:")


def _pieces(text: str, cut: bool) -> Iterator[str]:
    """The tasks in what a model wrote; the last is none where it was cut."""
    found = NUMBERED.split(text)
    for piece in found[: len(found) - cut]:
        if flat := _flat(piece):
            yield flat


def _flat(text: str) -> str:
    return " ".join(text.split())


def _continued(model: Loaded, config: Config, seed: int, prompts: Sequence[str], number: int) -> list[tuple[str, bool]]:
    """What the model samples after each prompt, with numbers of its own, and whether the limit cut it."""
    import numpy as np
    import torch

    from bench import generation
    from bench.lm import prompts as encoding

    text = TextConfig(prompt="{source}", max_source_tokens=config.max_prompt_tokens)
    sources = [encoding.encode_source(model.tokenizer, prompt, text).ids for prompt in prompts]
    drawn = [
        [generation.uniform_numbers(seed, "tasks", number + i, config.max_new_tokens)] for i in range(len(prompts))
    ]
    decoding = DecodingConfig(temperature=config.temperature, top_p=config.top_p)
    found = generation.generate(
        model, sources, config.max_new_tokens, torch.from_numpy(np.array(drawn)), decoding=decoding
    )
    return [(generation.text_of(model, one), one.hit_limit) for (one,) in found]


def _answered(config: Config, context: TrainContext, model: Loaded, asked: Sequence[str]) -> list[Example]:
    """The tasks with the model's greedy answers, less those without an end, or with nothing but the task."""
    from bench import generation

    names = {f"s-{hashlib.sha256(task.encode()).hexdigest()[:12]}": task for task in asked}
    tasks = [Example(id=name, dialogue_id=name, source=task, references=()) for name, task in names.items()]
    settings = GenerationConfig(max_new_tokens=config.max_answer_tokens, batch_size=config.batch_size)
    rows = generation.predict(model, tasks, context.text, settings, work=context.work, progress=context.progress)
    return [
        task.model_copy(update={"references": (row.text,), "tags": ("self-instruct",)})
        for task, row in zip(tasks, rows, strict=True)
        if row.text and not row.hit_limit and _flat(row.text) != task.source
    ]
