"""Decoding: model + encoded dialogues -> token ids, for the generate stage, rollouts and preference pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from bench.core import distributed, resume, runtime
from bench.core.blocks import DecodingConfig, GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction
from bench.lm import architectures, library_decoding, memory, prepack, prompts
from bench.lm.models import Loaded

VERSION = "bench-generate-2"  # raise the number when a change here changes what is written; it stands in signatures
PLAIN = DecodingConfig()  # greedy, or the model's own distribution where there are numbers to sample with
KEPT = 0.75  # finished rows are dropped once they are a quarter: dropping copies the cache
# After how many tokens that is looked at: a GPU has to be waited for, and writes a few words too many meanwhile.
LOOKED_AT = {"cpu": 1, "cuda": 8}


@dataclass(frozen=True)
class Generated:
    """One generated summary: its tokens, with the end-of-sequence token unless it hit the limit."""

    token_ids: tuple[int, ...]
    hit_limit: bool


@torch.inference_mode()
def generate(
    loaded: Loaded,
    sources: Sequence[Sequence[int]],
    max_new_tokens: int,
    uniforms: torch.Tensor | None = None,
    shared: bool = False,
    parts: memory.Parts | None = None,
    decoding: DecodingConfig = PLAIN,
) -> list[list[Generated]]:
    """Generate for one batch of B encoded dialogues: one list a dialogue, of one greedy summary or of its samples.

    `uniforms` (B, draws, max_new_tokens) are uniform numbers in [0, 1), one a token to sample from the model's own
    distribution, or from what `decoding` makes of it: a sample depends on its own numbers alone. The model's mode is put
    back afterwards. A `shared` batch is written by all processes together and known to each afterwards; each must be given
    the same numbers. Where memory runs out it is written in parts; `parts` remembers what fitted.
    """
    model, was_training = loaded.model, loaded.model.training
    # Only peft knows where learnt prompts go.
    own_loop = not (decoding.looks_back or decoding.num_beams > 1 or architectures.learns_prompts(model))
    model.eval()

    def written(part: Sequence[int]) -> list[torch.Tensor]:
        numbers = None if uniforms is None else uniforms[list(part)]
        given = (loaded, [sources[i] for i in part], max_new_tokens, numbers)
        return list((_decode if own_loop else library_decoding.decode)(*given, decoding))

    with prepack.prepacked(model):
        own = distributed.shard(len(sources)) if shared else range(len(sources))
        rows = torch.stack((parts or memory.Parts(f"{loaded.name}: summaries")).run(own, written))
        rows = distributed.all_gather(rows, len(sources)) if shared else rows
    model.train(was_training)
    return [[_until_end(row, loaded.ends) for row in drawn] for drawn in rows.tolist()]


def _decode(
    loaded: Loaded,
    sources: Sequence[Sequence[int]],
    limit: int,
    uniforms: torch.Tensor | None,
    decoding: DecodingConfig,
) -> torch.Tensor:
    """Tokens (B, draws, `limit`); what follows the end of a row means nothing.

    transformers' `generate` carries every row of a batch to the end of its longest, and follows settings in the
    checkpoint that nobody asked for here. This loop reads each distinct source once and leaves finished rows behind.
    """
    warpers = library_decoding.warpers(decoding)
    model, ends = loaded.model, torch.tensor(loaded.ends, device=loaded.device)
    draws = 1 if uniforms is None else uniforms.shape[1]
    flat = None if uniforms is None else uniforms.flatten(0, 1).to(loaded.device)
    distinct = {source: place for place, source in enumerate(dict.fromkeys(map(tuple, sources)))}
    state = architectures.of(model).start_decoding(model, list(distinct), int(loaded.tokenizer.pad_token_id))
    tokens = torch.full((len(sources) * draws, limit), loaded.ends[0], device=loaded.device)
    read = torch.tensor([distinct[tuple(source)] for source in sources], device=loaded.device).repeat_interleave(draws)
    last, rows = None, read.argsort(stable=True)  # rows of one source side by side
    ended = torch.zeros_like(rows, dtype=torch.bool)
    for step in range(limit):
        logits = state.step(last).float()
        if step == 0 and len(rows) > len(distinct):  # the first step is the same for all rows of a source
            state.select(read[rows])
            logits = logits[read[rows]]
        if flat is None:
            last = logits.argmax(-1, keepdim=True)
        else:
            for warper in warpers:
                logits = warper(None, logits)
            last = library_decoding.sampled_token(logits, flat[rows, step])
        tokens[rows, step] = last[:, 0]
        ended |= torch.isin(last[:, 0], ends)
        if (step + 1) % LOOKED_AT[loaded.device.type]:
            continue
        growing = (~ended).nonzero()[:, 0]
        if not len(growing):
            break
        if len(growing) <= KEPT * len(rows):
            state.select(growing)
            last, rows, ended = last[growing], rows[growing], ended[growing]
    return tokens.unflatten(0, (-1, draws))


def _until_end(tokens: list[int], ends: Sequence[int]) -> Generated:
    first = next((place for place, token in enumerate(tokens) if token in ends), None)
    return Generated(tuple(tokens if first is None else tokens[: first + 1]), first is None)


def text_of(loaded: Loaded, written: Generated) -> str:
    """Decode a summary, without its end and without special tokens."""
    ids = list(written.token_ids if written.hit_limit else written.token_ids[:-1])
    return str(loaded.tokenizer.decode(ids, skip_special_tokens=True)).strip()


def uniform_numbers(seed: int, example: str, draw: int, count: int) -> np.ndarray:
    """Draw `count` uniform numbers in [0, 1) that seed, example and draw alone decide, whatever else is sampled.

    Philox, a counter-based generator (Salmon et al. 2011), keyed by a digest of the three.
    """
    key = hashlib.sha256(f"{seed}\0{example}\0{draw}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little"))).random(count)


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
    decoding: DecodingConfig = PLAIN,
) -> list[Prediction]:
    """Generate summaries of all examples, in their order: by `decoding`, or `draws` samples at temperature 1 of each.

    Batches hold dialogues of like length, longest first.

    With `work`, each finished batch is kept there, and a run that goes on writes only what is missing. Every sample has
    random numbers of its own: it depends neither on its batch nor on which of several processes writes it.
    """
    output: Literal["sample", "greedy"] = "sample" if draws else "greedy"
    by = PLAIN if draws else decoding
    sampled = draws or (by.draws if by.sampled else 0)
    encoded = [prompts.encode_source(loaded.tokenizer, example.source, text) for example in examples]
    order = sorted(range(len(examples)), key=lambda i: (-len(encoded[i].ids), i))
    batches = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
    found = {(row.id, row.draw): row for row in (work.rows(rows_file(draws), Prediction) if work else [])}
    parts = memory.Parts(f"{loaded.name}: {output} summaries")
    mine = batches[distributed.rank() :: distributed.world_size()]
    with prepack.prepacked(loaded.model):  # once for all batches
        for batch in progress(mine, f"{loaded.name}: {output} summaries", len(mine)):
            if all((examples[i].id, draw) in found for i in batch for draw in range(max(sampled, 1))):
                continue
            uniforms = _uniforms(config, [examples[i].id for i in batch], sampled) if sampled else None
            sources = [encoded[i].ids for i in batch]
            written = generate(loaded, sources, config.max_new_tokens, uniforms, parts=parts, decoding=by)
            rows = [
                Prediction(
                    id=examples[i].id,
                    dialogue_id=examples[i].dialogue_id,
                    output=output,
                    draw=draw,
                    text=text_of(loaded, one),
                    token_ids=one.token_ids,
                    hit_limit=one.hit_limit,
                    source_truncated=encoded[i].truncated,
                    shots=encoded[i].shots,
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
    return [found[example.id, draw] for example in examples for draw in range(max(sampled, 1))]


def _uniforms(config: GenerationConfig, examples: Sequence[str], draws: int) -> torch.Tensor:
    """The numbers (B, draws, max_new_tokens) of a batch's samples."""
    numbers = [
        [uniform_numbers(config.seed, example, draw, config.max_new_tokens) for draw in range(draws)]
        for example in examples
    ]
    return torch.from_numpy(np.array(numbers))
