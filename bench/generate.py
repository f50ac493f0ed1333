"""Model + encoded dialogues -> token ids. The generate stage, PPO's rollouts and preference sampling share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import GenerationConfig as Decoding

from bench import models, resume, runtime
from bench.models import Loaded
from bench.schema import Example, GenerationConfig, Prediction, TextConfig


@dataclass(frozen=True)
class Written:
    """One generated summary: its tokens, with the end-of-sequence token unless it hit the limit."""

    token_ids: tuple[int, ...]
    hit_limit: bool


def decoding(loaded: Loaded, max_new_tokens: int, draws: int) -> Decoding:
    """Decoding settings made afresh: nothing leaks in from the checkpoint, such as T5's limit of 20 tokens.

    `draws` 0 is greedy; else that many samples a dialogue from the model's own distribution.
    """
    config = loaded.model.generation_config
    sampling = (
        {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "num_return_sequences": draws}
        if draws
        else {}
    )
    return Decoding(
        max_new_tokens=max_new_tokens,
        num_beams=1,
        use_cache=True,
        pad_token_id=loaded.tokenizer.pad_token_id,
        eos_token_id=loaded.tokenizer.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        **({"do_sample": False} | sampling),
    )


@torch.no_grad()
def write(loaded: Loaded, sources: Sequence[Sequence[int]], max_new_tokens: int, draws: int = 0) -> list[list[Written]]:
    """Generate for one batch of encoded dialogues: one list a dialogue, of one greedy summary or of `draws` samples.

    Each dialogue is encoded once whatever the number of draws. The model's mode is put back afterwards.
    """
    model, was_training = loaded.model, loaded.model.training
    model.eval()
    batch = models.collate(sources, [[0]] * len(sources), int(loaded.tokenizer.pad_token_id), loaded.device)
    rows = model.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        generation_config=decoding(loaded, max_new_tokens, draws),
    )
    model.train(was_training)
    eos, each = int(loaded.tokenizer.eos_token_id), max(draws, 1)
    written = [_until_end(row[1:], eos) for row in rows.tolist()]
    return [written[i * each : (i + 1) * each] for i in range(len(sources))]


def _until_end(tokens: list[int], eos: int) -> Written:
    end = tokens.index(eos) + 1 if eos in tokens else len(tokens)
    return Written(tuple(tokens[:end]), eos not in tokens)


def text_of(loaded: Loaded, written: Written) -> str:
    """The summary as text, without special tokens."""
    return str(loaded.tokenizer.decode(list(written.token_ids), skip_special_tokens=True)).strip()


def kept(draws: int) -> str:
    """The name under which finished summaries are kept in a stage's work."""
    return "samples.jsonl" if draws else "greedy.jsonl"


def predict(
    loaded: Loaded,
    examples: Sequence[Example],
    text: TextConfig,
    config: GenerationConfig,
    draws: int = 0,
    work: resume.Work | None = None,
    progress: runtime.Progress = runtime.progress,
) -> list[Prediction]:
    """Summaries of all examples, in their order. Batches hold dialogues of like length, longest first.

    With `work`, each finished batch is kept there, and a run that goes on writes only what is missing. Every batch has
    a seed of its own, so its samples do not depend on the batches before it.
    """
    output: Literal["sample", "greedy"] = "sample" if draws else "greedy"
    encoded = [models.encode_source(loaded.tokenizer, example.source, text) for example in examples]
    order = sorted(range(len(examples)), key=lambda i: (-len(encoded[i][0]), i))
    batches = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
    found = {(row.id, row.draw): row for row in (work.rows(kept(draws), Prediction) if work else [])}
    for number, batch in enumerate(progress(batches, f"{loaded.name}: {output} summaries", len(batches))):
        if all((examples[i].id, draw) in found for i in batch for draw in range(max(draws, 1))):
            continue
        runtime.set_seed(config.seed * 100_003 + number)
        written = write(loaded, [encoded[i][0] for i in batch], config.max_new_tokens, draws)
        rows = [
            Prediction(
                id=examples[i].id,
                dialogue_id=examples[i].dialogue_id,
                output=output,
                draw=draw,
                text=text_of(loaded, one),
                token_ids=one.token_ids,
                hit_limit=one.hit_limit,
                source_truncated=encoded[i][1],
            )
            for i, drawn in zip(batch, written, strict=True)
            for draw, one in enumerate(drawn)
        ]
        found.update(((row.id, row.draw), row) for row in rows)
        if work:
            work.append(kept(draws), rows)
    return [found[example.id, draw] for example in examples for draw in range(max(draws, 1))]
