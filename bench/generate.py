"""Model + encoded dialogues -> token ids. The generate stage, PPO's rollouts and preference sampling share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import GenerationConfig as Decoding
from transformers.modeling_outputs import BaseModelOutput

from bench import batching, models, processes, resume, runtime
from bench.models import Loaded
from bench.schema import Example, GenerationConfig, Prediction, TextConfig

KEPT = 0.75  # finished rows are dropped once they are a quarter: dropping copies the cache


@dataclass(frozen=True)
class Written:
    """One generated summary: its tokens, with the end-of-sequence token unless it hit the limit."""

    token_ids: tuple[int, ...]
    hit_limit: bool


@torch.no_grad()
def write(
    loaded: Loaded, sources: Sequence[Sequence[int]], max_new_tokens: int, draws: int = 0, shared: bool = False
) -> list[list[Written]]:
    """Generate for one batch of encoded dialogues: one list a dialogue, of one greedy summary or of `draws` samples.

    Samples come from the model's own distribution. The model's mode is put back afterwards. A `shared` batch is written
    by all processes together and known to each afterwards: the samples are those that one process would draw.
    """
    model, was_training = loaded.model, loaded.model.training
    model.eval()
    prompted = getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False)
    if prompted:
        rows = _by_transformers(loaded, sources, max_new_tokens, draws)
    else:
        own = processes.share(len(sources)) if shared else range(len(sources))
        rows = _decode(loaded, sources, max_new_tokens, draws, own)
    model.train(was_training)
    eos, each = int(loaded.tokenizer.eos_token_id), max(draws, 1)
    written = [_until_end(row, eos) for row in rows.tolist()]
    return [written[i * each : (i + 1) * each] for i in range(len(sources))]


def _decode(loaded: Loaded, sources: Sequence[Sequence[int]], limit: int, draws: int, own: range) -> torch.Tensor:
    """Tokens (B * draws, `limit`); what follows the end of a row means nothing.

    The model sees `own` sources alone. Where others see the rest, all keep the same book of all rows.

    transformers' `generate` carries every row of a batch to the end of its longest, and follows settings in the
    checkpoint that nobody asked for here. This loop leaves finished rows behind and knows no settings.
    """
    model, eos = loaded.model, int(loaded.tokenizer.eos_token_id)
    hidden, mask = _encode(loaded, [sources[i] for i in own])
    each = max(draws, 1)
    tokens = torch.full((len(sources) * each, limit), eos, device=loaded.device)
    last = torch.full((len(own), 1), int(model.generation_config.decoder_start_token_id), device=loaded.device)
    rows = torch.arange(len(tokens), device=loaded.device)
    cache: Any = None
    ended = torch.zeros_like(rows, dtype=torch.bool)
    mine = None if len(own) == len(sources) else (rows >= own.start * each) & (rows < own.stop * each)
    for step in range(limit):
        if len(hidden):
            found = model(
                encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
                attention_mask=mask,
                decoder_input_ids=last,
                past_key_values=cache,
                use_cache=True,
            )
            logits, cache = found.logits[:, -1].float(), found.past_key_values
        if step == 0 and draws > 1:  # the first step is the same for all draws of a dialogue
            cache.batch_repeat_interleave(draws)
            hidden, mask, logits = (one.repeat_interleave(draws, 0) for one in (hidden, mask, logits))
        odds = logits[: len(hidden)].softmax(-1) if draws else logits[: len(hidden)]
        picked = _pick(odds, draws) if mine is None else _pick_together(odds, draws, mine)
        tokens[rows, step] = picked[:, 0]
        ended |= picked[:, 0] == eos
        growing = (~ended).nonzero()[:, 0]
        if not len(growing):
            break
        last, staying = (picked, growing) if mine is None else (picked[mine], (~ended[mine]).nonzero()[:, 0])
        if len(growing) <= KEPT * len(rows):
            cache.batch_select_indices(staying)
            hidden, mask, last = (one[staying] for one in (hidden, mask, last))
            rows, ended, mine = rows[growing], ended[growing], None if mine is None else mine[growing]
    return tokens


def _pick(odds: torch.Tensor, draws: int) -> torch.Tensor:
    """The next token of each row, (B, 1)."""
    return torch.multinomial(odds, 1) if draws else odds.argmax(-1, keepdim=True)


def _pick_together(odds: torch.Tensor, draws: int, mine: torch.Tensor) -> torch.Tensor:
    """The next token of every process's rows, of which `mine` (B,) are this one's and have `odds`.

    Each process draws the random numbers of all rows: they are the ones that a single process would draw.
    """
    everyone = odds.new_ones(len(mine), odds.shape[-1])
    everyone[mine] = odds
    return processes.total(_pick(everyone, draws).where(mine[:, None], 0))


def _encode(loaded: Loaded, sources: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """The encoder's last hidden states (B, S, D) and their mask (B, S); each source is encoded once."""
    lengths, pad = [len(source) for source in sources], int(loaded.tokenizer.pad_token_id)
    mask = models.collate([[1] * length for length in lengths], [[0]] * len(sources), 0, loaded.device).input_ids
    hidden = None
    for part in batching.by_length(lengths, batching.TOKENS[loaded.device.type]):
        batch = models.collate([sources[i] for i in part], [[0]] * len(part), pad, loaded.device)
        states = loaded.model.get_encoder()(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask
        ).last_hidden_state
        if hidden is None:
            hidden = states.new_zeros(*mask.shape, states.shape[-1])
        hidden[part, : states.shape[1]] = states
    assert hidden is not None
    return hidden, mask


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


def _until_end(tokens: list[int], eos: int) -> Written:
    end = tokens.index(eos) + 1 if eos in tokens else len(tokens)
    return Written(tuple(tokens[:end]), eos not in tokens)


def text_of(loaded: Loaded, written: Written) -> str:
    """The summary as text, without special tokens."""
    return str(loaded.tokenizer.decode(list(written.token_ids), skip_special_tokens=True)).strip()


def kept(draws: int, rank: int | None = None) -> str:
    """The name under which a process keeps its finished summaries in a stage's work; this process, if none is named."""
    return f"{'samples' if draws else 'greedy'}.{processes.rank() if rank is None else rank}.jsonl"


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
    a seed of its own, so its samples do not depend on the batches before it, nor on which of several processes has it.
    """
    output: Literal["sample", "greedy"] = "sample" if draws else "greedy"
    encoded = [models.encode_source(loaded.tokenizer, example.source, text) for example in examples]
    order = sorted(range(len(examples)), key=lambda i: (-len(encoded[i][0]), i))
    batches = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
    found = {(row.id, row.draw): row for row in (work.rows(kept(draws), Prediction) if work else [])}
    mine = list(enumerate(batches))[processes.rank() :: processes.count()]
    for number, batch in progress(mine, f"{loaded.name}: {output} summaries", len(mine)):
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
    processes.wait()
    for other in range(processes.count()):
        if work and other != processes.rank():
            found.update(((row.id, row.draw), row) for row in work.rows(kept(draws, other), Prediction))
    return [found[example.id, draw] for example in examples for draw in range(max(draws, 1))]
