"""Decoding: model + encoded dialogues -> token ids, for the generate stage, rollouts and preference pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import GenerationConfig as Decoding

from bench.core import distributed, resume, runtime
from bench.core.schema import Example, GenerationConfig, Prediction, TextConfig
from bench.lm import architectures, models, prepack
from bench.lm.models import Loaded

KEPT = 0.75  # finished rows are dropped once they are a quarter: dropping copies the cache


@dataclass(frozen=True)
class Generated:
    """One generated summary: its tokens, with the end-of-sequence token unless it hit the limit."""

    token_ids: tuple[int, ...]
    hit_limit: bool


@torch.inference_mode()
def generate(
    loaded: Loaded, sources: Sequence[Sequence[int]], max_new_tokens: int, draws: int = 0, shared: bool = False
) -> list[list[Generated]]:
    """Generate for one batch of encoded dialogues: one list a dialogue, of one greedy summary or of `draws` samples.

    Samples come from the model's own distribution. The model's mode is put back afterwards. A `shared` batch is written
    by all processes together and known to each afterwards: the samples are those that one process would draw.
    """
    model, was_training, each = loaded.model, loaded.model.training, max(draws, 1)
    model.eval()
    with prepack.prepacked(model):
        if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
            rows = _by_transformers(loaded, sources, max_new_tokens, draws).unflatten(0, (-1, each))
        else:
            # One number a token, also for the rows of other processes: no row depends on who writes the others.
            uniforms = torch.rand(len(sources), each, max_new_tokens) if draws else None
            own = distributed.shard(len(sources)) if shared else range(len(sources))
            part = slice(own.start, own.stop)
            rows = _decode(loaded, sources[part], max_new_tokens, None if uniforms is None else uniforms[part])
            rows = distributed.all_gather(rows, len(sources)) if shared else rows
    model.train(was_training)
    eos = int(loaded.tokenizer.eos_token_id)
    return [[_until_end(row, eos) for row in drawn] for drawn in rows.tolist()]


def _decode(
    loaded: Loaded, sources: Sequence[Sequence[int]], limit: int, uniforms: torch.Tensor | None
) -> torch.Tensor:
    """Tokens (B, draws, `limit`); what follows the end of a row means nothing.

    `uniforms` (B, draws, `limit`) are uniform numbers in [0, 1), one a token to sample; without them decoding is greedy.

    transformers' `generate` carries every row of a batch to the end of its longest, and follows settings in the
    checkpoint that nobody asked for here. This loop leaves finished rows behind and knows no settings.
    """
    model, eos = loaded.model, int(loaded.tokenizer.eos_token_id)
    draws = 1 if uniforms is None else uniforms.shape[1]
    flat = None if uniforms is None else uniforms.flatten(0, 1).to(loaded.device)
    state = architectures.of(model).start_decoding(model, sources, int(loaded.tokenizer.pad_token_id))
    tokens = torch.full((len(sources) * draws, limit), eos, device=loaded.device)
    last, rows = None, torch.arange(len(tokens), device=loaded.device)
    ended = torch.zeros_like(rows, dtype=torch.bool)
    for step in range(limit):
        logits = state.step(last).float()
        if step == 0 and draws > 1:  # the first step is the same for all draws of a dialogue
            state.repeat_interleave(draws)
            logits = logits.repeat_interleave(draws, 0)
        last = logits.argmax(-1, keepdim=True) if flat is None else _sample_token(logits, flat[rows, step])
        tokens[rows, step] = last[:, 0]
        ended |= last[:, 0] == eos
        growing = (~ended).nonzero()[:, 0]
        if not len(growing):
            break
        if len(growing) <= KEPT * len(rows):
            state.select(growing)
            last, rows, ended = last[growing], rows[growing], ended[growing]
    return tokens.unflatten(0, (-1, draws))


def _sample_token(logits: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """The token (R, 1) up to which the probabilities of `logits` (R, V) add up to more than `uniforms` (R,)."""
    reached = logits.double().softmax(-1).cumsum(-1)
    found = torch.searchsorted(reached, uniforms.double().unsqueeze(-1) * reached[:, -1:], right=True)
    return found.clamp_max(logits.shape[-1] - 1)


def _by_transformers(loaded: Loaded, sources: Sequence[Sequence[int]], limit: int, draws: int) -> torch.Tensor:
    """The same by `generate`, which alone knows where peft puts the prompts of a prompt learner."""
    how: dict[str, Any] = {"do_sample": False}
    if draws:
        how = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "num_return_sequences": draws}
    batch = models.collate(sources, [[0]] * len(sources), int(loaded.tokenizer.pad_token_id), loaded.device)
    rows = loaded.model.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        generation_config=Decoding(
            max_new_tokens=limit,
            num_beams=1,
            pad_token_id=loaded.tokenizer.pad_token_id,
            eos_token_id=loaded.tokenizer.eos_token_id,
            decoder_start_token_id=loaded.model.generation_config.decoder_start_token_id,
            **how,
        ),
    )
    return rows[:, 1:]


def _until_end(tokens: list[int], eos: int) -> Generated:
    end = tokens.index(eos) + 1 if eos in tokens else len(tokens)
    return Generated(tuple(tokens[:end]), eos not in tokens)


def text_of(loaded: Loaded, written: Generated) -> str:
    """Decode a summary, without special tokens."""
    return str(loaded.tokenizer.decode(list(written.token_ids), skip_special_tokens=True)).strip()


def rows_file(draws: int, rank: int | None = None) -> str:
    """Return the name under which a process keeps its finished summaries in a stage's work; this process, if none is named."""
    return f"{'samples' if draws else 'greedy'}.{distributed.rank() if rank is None else rank}.jsonl"


def predict(
    loaded: Loaded,
    examples: Sequence[Example],
    text: TextConfig,
    config: GenerationConfig,
    draws: int = 0,
    work: resume.Work | None = None,
    progress: runtime.Progress = runtime.progress,
) -> list[Prediction]:
    """Generate summaries of all examples, in their order. Batches hold dialogues of like length, longest first.

    With `work`, each finished batch is kept there, and a run that goes on writes only what is missing. Every batch has
    a seed of its own, so its samples do not depend on the batches before it, nor on which of several processes has it.
    """
    output: Literal["sample", "greedy"] = "sample" if draws else "greedy"
    encoded = [models.encode_source(loaded.tokenizer, example.source, text) for example in examples]
    order = sorted(range(len(examples)), key=lambda i: (-len(encoded[i][0]), i))
    batches = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
    found = {(row.id, row.draw): row for row in (work.rows(rows_file(draws), Prediction) if work else [])}
    mine = list(enumerate(batches))[distributed.rank() :: distributed.world_size()]
    with prepack.prepacked(loaded.model):  # once for all batches
        for number, batch in progress(mine, f"{loaded.name}: {output} summaries", len(mine)):
            if all((examples[i].id, draw) in found for i in batch for draw in range(max(draws, 1))):
                continue
            runtime.set_seed(config.seed * 100_003 + number)
            written = generate(loaded, [encoded[i][0] for i in batch], config.max_new_tokens, draws)
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
                work.append(rows_file(draws), rows)
    distributed.barrier()
    for other in range(distributed.world_size()):
        if work and other != distributed.rank():
            found.update(((row.id, row.draw), row) for row in work.rows(rows_file(draws, other), Prediction))
    return [found[example.id, draw] for example in examples for draw in range(max(draws, 1))]
