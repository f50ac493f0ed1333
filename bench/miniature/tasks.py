"""What the base model is pretrained on: small tasks over dialogues, none of which is the study's own.

Zero-shot the base is meant to be weak and not garbage. It learns to copy, who speaks, what is talked about; it learns
to summarise in earnest only on scenarios that the study does not contain, and under another prompt.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from bench.miniature.dialogues import HELD_OUT, STUDY, Dialogue, corpus
from bench.miniature.tokenizers import SENTINELS

Pair = tuple[str, str]
PROMPT = "Summarize the following conversation.\n\n{source}\n\nSummary: "

# Shares of the tasks; they sum to 1.
MIX: Mapping[str, float] = {
    "spans": 0.30,
    "narrative_spans": 0.08,
    "last": 0.08,
    "first": 0.08,
    "who": 0.05,
    "about": 0.05,
    "gist": 0.10,
    "retell": 0.12,
    "summary": 0.14,
}


def spans(rng: random.Random, text: str) -> Pair:
    """Corrupt spans: about 15 % of the words, in runs of 1 to 4, become sentinels and are to be restored."""
    words = text.split()
    count = max(1, min(len(SENTINELS) - 1, round(len(words) * 0.15 / 2.5)))
    starts = sorted(rng.sample(range(len(words)), min(count, len(words))))
    source, target, at = [], [], 0
    for sentinel, start in zip(SENTINELS, starts, strict=False):
        if start < at:
            continue
        end = min(len(words), start + rng.randint(1, 4))
        source += [*words[at:start], sentinel]
        target += [sentinel, *words[start:end]]
        at = end
    return " ".join([*source, *words[at:]]), " ".join(target)


def _part(rng: random.Random, dialogue: Dialogue) -> Sequence[tuple[str, str]]:
    """Some neighbouring turns: these tasks need no whole dialogue, and short texts are read faster."""
    count = rng.randint(2, len(dialogue.turns))
    first = rng.randint(0, len(dialogue.turns) - count)
    return dialogue.turns[first : first + count]


def _text(turns: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"{speaker}: {text}" for speaker, text in turns)


def _line(rng: random.Random, dialogue: Dialogue, turn: int, question: str) -> Pair:
    turns = _part(rng, dialogue)
    return f"{question}\n\n{_text(turns)}", turns[turn][1]


def _who(rng: random.Random, dialogue: Dialogue) -> Pair:
    turns = _part(rng, dialogue)
    speaker, text = rng.choice(turns)
    return f'Who says "{text}"?\n\n{_text(turns)}', speaker


def _gist(rng: random.Random, dialogue: Dialogue) -> Pair:
    return PROMPT.replace("{source}", dialogue.source), f"#Person1# and #Person2# talk about {dialogue.topic}."


Task = Callable[[random.Random, Dialogue], Pair]
ANY: Mapping[str, Task] = {
    "spans": lambda rng, dialogue: spans(rng, _text(_part(rng, dialogue))),
    "last": lambda rng, dialogue: _line(rng, dialogue, -1, "What is said last?"),
    "first": lambda rng, dialogue: _line(rng, dialogue, 0, "What is said first?"),
    "who": _who,
    "about": lambda rng, dialogue: (f"What is it about?\n\n{dialogue.source}", dialogue.topic),
    "gist": _gist,
}
HELD: Mapping[str, Task] = {
    "narrative_spans": lambda rng, dialogue: spans(rng, dialogue.references[0]),
    "retell": lambda rng, dialogue: (f"Say it in other words: {dialogue.references[0]}", dialogue.references[1]),
    "summary": lambda rng, dialogue: (f"{dialogue.source}\n\nTell what happened.", dialogue.references[0]),
}


def pool(seed: int, size: int, heated: float) -> tuple[list[Dialogue], list[Dialogue]]:
    """Write dialogues of every scenario, whose references no task reads, and of the held-out scenarios alone."""
    return (
        corpus(f"pretraining-{seed}", size, heated, 0, STUDY + HELD_OUT),
        corpus(f"pretraining-held-out-{seed}", size // 2, heated, 2, HELD_OUT),
    )


def draw(
    seed: int, count: int, dialogues: tuple[Sequence[Dialogue], Sequence[Dialogue]], mix: Mapping[str, float] = MIX
) -> list[Pair]:
    """Draw `count` (source, target) pairs in the shares of `mix`."""
    rng = random.Random(f"tasks-{seed}")
    everywhere, held = dialogues
    names = rng.choices(list(mix), list(mix.values()), k=count)
    return [
        ANY[name](rng, rng.choice(everywhere)) if name in ANY else HELD[name](rng, rng.choice(held)) for name in names
    ]


def vocabulary_texts(dialogues: tuple[Sequence[Dialogue], Sequence[Dialogue]], study: Sequence[Dialogue]) -> list[str]:
    """List what the tokenizer counts: all prompts and dialogues, and references too, for a tokenizer is no knowledge."""
    everywhere, held = dialogues
    texts = [
        PROMPT,
        "What is said last? What is said first? What is it about? Who says Tell what happened. "
        "Say it in other words: They talk about",
    ] * 50
    texts += [dialogue.source for dialogue in everywhere]
    return texts + [told for dialogue in [*held, *study] for told in dialogue.references]
