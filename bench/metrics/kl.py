"""How far a variant's distribution lies from the base and from its own start, in nats.

KL(variant || reference) is summed exactly over the vocabulary at every target token. `dialogue` rows are teacher-forced
on each dialogue's first reference: deterministic, the ones to gate on. `sample` rows stand on the variant's own samples,
where `kl_*_k1` is the sampled estimate log p - log q (Schulman's k1, what trl calls `objective/kl`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bench.core.schema import Example, Prediction, ScoreRow, Strict, UserError
from bench.metrics import SAMPLED, Column

if TYPE_CHECKING:
    from bench.lm.models import Loaded
    from bench.metrics import ScoreContext

AGAINST: tuple[Literal["base", "start"], ...] = ("base", "start")
BOUND = "kl_start_bound"  # of the best of n, which no model's distribution is
EXAMPLES: tuple[()] = ()  # needs models: its closed forms are in tests/metrics/test_kl.py


class Config(Strict):
    """`batch_size` sequences are compared at a time; it does not change the values beyond rounding."""

    batch_size: int = Field(16, ge=1)


def columns(config: Config) -> dict[str, Column]:
    """List the columns: per sequence and per token, teacher-forced and on samples, against the base and the start."""
    found = {}

    for against in AGAINST:
        for suffix, how in (("", "on references"), (SAMPLED, "on own samples")):
            for part, per in (("", "sequence"), ("_token", "token")):
                found[f"kl_{against}{part}{suffix}"] = Column(
                    title=f"KL to {against}, {how}, a {per}",
                    unit="nats",
                    higher_is_better=None,
                    role="distance",
                    reference=against,
                    sampled=bool(suffix),
                    detail=bool(part),
                )
        found[f"kl_{against}_k1{SAMPLED}"] = Column(
            title=f"KL to {against}, sampled estimate, a sequence",
            unit="nats",
            higher_is_better=None,
            role="distance",
            reference=against,
            sampled=True,
            detail=True,
        )
    found[BOUND] = Column(
        title="KL to start, at most (best of n)",
        unit="nats",
        higher_is_better=None,
        role="distance",
        reference="start",
        detail=True,
    )
    return found


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """State direction, form, the reference with its digest, and what both models were given, for each column."""
    from bench.core import manifest

    found: dict[str, str] = {}
    if context.best_of is not None:
        found[BOUND] = f"{BOUND}|bench-kl-1|KL(variant,start)|upper-bound,n{context.best_of}"
    for key, column in columns(config).items() if context.has_model else ():
        if key == BOUND:
            continue
        name = "base" if column.reference == "base" else str(context.start)
        form = "k1" if "_k1" in key else "exact"
        own, others = context.prompt_of(context.variant), context.prompt_of(name)
        where = "own-samples" if column.sampled else f"first-reference,max{own.max_target_tokens}"
        reference = f"{name}@{manifest.digest(name)[:8]}"
        given = f"{own.prompt_digest[:8]},max{own.max_source_tokens}"
        if others != own:  # each is given its own prompt: the distance is that of prompt and weights together
            given += f",{name}:{others.prompt_digest[:8]},max{others.max_source_tokens}"
        found[key] = (
            f"{key}|bench-kl-1|KL(variant,{reference})|{form}|on:{where}|given:{given}|{context.inference}|eos:counted"
        )
    return found


def score(config: Config, context: ScoreContext) -> list[ScoreRow]:
    """Give one `dialogue` row an example and one `sample` row a sample; of the best of n its bound, else nothing.

    Each model is given its own prompt.
    """
    if context.best_of is not None:
        bound = {BOUND: math.log(context.best_of) - (context.best_of - 1) / context.best_of}
        return [_row(example, "dialogue", 0).model_copy(update={"values": bound}) for example in context.examples]
    if not context.has_model:
        return []
    from bench.lm import memory, prepack, prompts

    policy, start = context.model(context.variant), str(context.start)
    text = context.prompt_of(context.variant)
    targets: dict[str, list[tuple[ScoreRow, Sequence[int]]]] = {
        example.id: [
            (_row(example, "dialogue", 0), prompts.encode_target(policy.tokenizer, example.references[0], text))
        ]
        for example in context.examples
    }
    for one in context.predictions:
        if one.output == "sample" and one.token_ids:
            _check_tokens(one, policy, context.variant)
            targets[one.id].append((_row(one, "sample", one.draw), one.token_ids))
    each = max(map(len, targets.values()))
    names = dict.fromkeys((context.variant, "base", start))
    inputs = {name: _inputs(context, policy, name) for name in names}
    encoded = inputs[context.variant]
    order = sorted(encoded, key=lambda name: -len(encoded[name]))
    size = max(1, config.batch_size // each)
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    keep = context.work
    found = {_key(row): row for row in (keep.rows("kl batches", ScoreRow) if keep else [])}
    parts = memory.Parts(f"{context.variant}: KL")

    def measured(names: Sequence[str]) -> list[list[dict[str, float]]]:
        padded = [[ids for _, ids in targets[name]] + [()] * (each - len(targets[name])) for name in names]
        sources = {model: [given[name] for name in names] for model, given in inputs.items()}
        return _divergences(context, policy, sources, padded)

    others = [context.model(name).model for name in dict.fromkeys(("base", start))]
    with ExitStack() as stack:
        for model in (policy.model, *others):
            stack.enter_context(prepack.prepacked(model))
        for batch in context.progress(batches, f"{context.variant}: KL", len(batches)):
            if all(_key(row) in found for name in batch for row, _ in targets[name]):
                continue
            values = parts.run(batch, measured)
            rows = [
                row.model_copy(update={"values": _told(row, of_target)})
                for name, of_source in zip(batch, values, strict=True)
                for (row, _), of_target in zip(targets[name], of_source, strict=False)
            ]
            found.update((_key(row), row) for row in rows)
            if keep:
                keep.append("kl batches", rows)
    return [found[_key(row)] for rows in targets.values() for row, _ in rows]


def _inputs(context: ScoreContext, policy: Loaded, name: str) -> dict[str, list[int]]:
    """The tokens of each dialogue as the model `name` is given it; all models of a study share the policy's tokenizer."""
    from bench.lm import prompts

    text = context.prompt_of(name)
    return {e.id: prompts.encode_source(policy.tokenizer, e.source, text).ids for e in context.examples}


def _row(of: Example | Prediction, output: Literal["dialogue", "sample"], draw: int) -> ScoreRow:
    return ScoreRow(id=of.id, dialogue_id=of.dialogue_id, output=output, draw=draw, metric="kl", values={})


def _key(row: ScoreRow) -> tuple[str, str, int]:
    return row.id, row.output, row.draw


def _told(row: ScoreRow, values: dict[str, float]) -> dict[str, float]:
    """The sampled estimate means something on samples alone."""
    return {key: value for key, value in values.items() if row.output == "sample" or not key.endswith("_k1")}


def _check_tokens(one: Prediction, policy: Loaded, variant: str) -> None:
    from bench.core import paths

    vocabulary = policy.model.get_input_embeddings().num_embeddings
    if max(one.token_ids) >= vocabulary:
        raise UserError(
            f"{paths.predictions_path(variant)}: token_ids of '{one.id}', draw {one.draw}: {max(one.token_ids)} is "
            f"beyond the model's {vocabulary} tokens; run `dvc repro` to write them again."
        )


def _divergences(
    context: ScoreContext,
    policy: Loaded,
    sources: Mapping[str, Sequence[Sequence[int]]],
    targets: Sequence[Sequence[Sequence[int]]],
) -> list[list[dict[str, float]]]:
    """`kl_base`, `kl_base_token`, `kl_base_k1` and the same for `start`, of each target of each source.

    `sources` are the same dialogues as each model is given them. Every source has as many targets, some of them empty:
    the source is encoded once for all.
    """
    import torch

    from bench.lm import models

    each, flat = len(targets[0]), [ids for of_source in targets for ids in of_source]
    pad = int(policy.tokenizer.pad_token_id)
    batch = models.collate(sources[context.variant], flat, pad, policy.device)
    mask = batch.labels != models.IGNORE_INDEX
    found: list[dict[str, float]] = [{} for _ in flat]
    with torch.no_grad():
        logprobs = models.target_logits(policy.model, batch, each).float().log_softmax(-1)
        seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for against, name in zip(AGAINST, ("base", str(context.start)), strict=True):
            if name not in seen:
                given = batch
                if sources[name] != sources[context.variant]:
                    given = models.collate(sources[name], flat, pad, policy.device)
                # An untrained variant is its base: 0 by one pass.
                if given is batch and context.model(name) is policy:
                    other = logprobs
                else:
                    other = models.target_logits(context.model(name).model, given, each).float().log_softmax(-1)
                exact = models.exact_kl(logprobs, other) * mask
                index = batch.labels.clamp_min(0).unsqueeze(-1)
                drawn = (logprobs - other).gather(-1, index).squeeze(-1) * mask
                seen[name] = exact.sum(1), drawn.sum(1)
            for row, exact_sum, k1, tokens in zip(
                found, *(t.tolist() for t in seen[name]), mask.sum(1).clamp_min(1).tolist(), strict=True
            ):
                row |= {f"kl_{against}": exact_sum, f"kl_{against}_token": exact_sum / tokens, f"kl_{against}_k1": k1}
    return [found[i : i + each] for i in range(0, len(found), each)]
