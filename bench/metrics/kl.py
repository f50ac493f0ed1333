"""How far a variant's distribution lies from the base and from its own start, in nats.

KL(variant || reference) is summed exactly over the vocabulary at every target token. `dialogue` rows are teacher-forced
on each dialogue's first reference: deterministic, the ones to gate on. `sample` rows stand on the variant's own samples,
where `kl_*_k1` is the sampled estimate log p - log q (Schulman's k1, what trl calls `objective/kl`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from bench.schema import Column, ScoreRow, Strict, UserError

if TYPE_CHECKING:
    from bench.context import ScoreContext
    from bench.models import Loaded

AGAINST = ("base", "start")
EXAMPLES: tuple[()] = ()  # needs models: its closed forms are in tests/metrics/test_kl.py


class Config(Strict):
    """`batch_size` sequences are compared at a time; it does not change the values beyond rounding."""

    batch_size: int = Field(16, ge=1)


def columns(config: Config) -> dict[str, Column]:
    """Per sequence and per token, teacher-forced and on samples, against the base and the variant's own start."""
    found = {}
    for against in AGAINST:
        for suffix, how in (("", "on references"), ("_sampled", "on own samples")):
            for part, per in (("", "sequence"), ("_token", "token")):
                found[f"kl_{against}{part}{suffix}"] = Column(
                    title=f"KL to {against}, {how}, a {per}", unit="nats", higher_is_better=None
                )
        found[f"kl_{against}_k1_sampled"] = Column(
            title=f"KL to {against}, sampled estimate, a sequence", unit="nats", higher_is_better=None
        )
    return found


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """Direction, form, what the reference is and its weights, for each column."""
    from bench import artifacts

    found: dict[str, str] = {}
    for key in columns(config) if context.has_model else ():
        name = "base" if "_base" in key else str(context.start)
        form = "k1" if "_k1" in key else "exact"
        where = "own-samples" if key.endswith("_sampled") else "first-reference"
        weights = artifacts.weights_digest(name)[:8]
        found[key] = f"{key}|bench-kl-1|KL(variant,{name}@{weights})|{form}|on:{where}|float32|eos:counted"
    return found


def score(context: ScoreContext, config: Config) -> list[ScoreRow]:
    """One `dialogue` row an example and one `sample` row a sample; nothing for the yardsticks, which have no model."""
    if not context.has_model:
        return []
    from bench import artifacts, models

    policy = context.model(context.variant)
    vocabulary = policy.model.get_input_embeddings().num_embeddings
    work: list[tuple[ScoreRow, str, Sequence[int]]] = []
    for example in context.examples:
        row = ScoreRow(
            id=example.id, dialogue_id=example.dialogue_id, output="dialogue", draw=0, metric="kl", values={}
        )
        work.append((row, example.source, models.encode_target(policy.tokenizer, example.references[0], context.text)))
    for one in context.predictions:
        if one.output == "sample" and one.token_ids:
            if max(one.token_ids) >= vocabulary:
                raise UserError(
                    f"{artifacts.predictions_path(context.variant)}: token_ids of '{one.id}', draw {one.draw}: "
                    f"{max(one.token_ids)} is beyond the model's {vocabulary} tokens; run `dvc repro` to write them again."
                )
            row = ScoreRow(
                id=one.id, dialogue_id=one.dialogue_id, output="sample", draw=one.draw, metric="kl", values={}
            )
            work.append((row, context.example(one.id).source, one.token_ids))
    encoded = [models.encode_source(policy.tokenizer, source, context.text)[0] for _, source, _ in work]
    order = sorted(range(len(work)), key=lambda i: (-len(encoded[i]), i))
    keep = context.work
    found = {_key(row): row for row in (keep.rows("kl batches", ScoreRow) if keep else [])}
    batches = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
    for batch in context.progress(batches, f"{context.variant}: KL", len(batches)):
        if all(_key(work[i][0]) in found for i in batch):
            continue
        values = _divergences(context, policy, [encoded[i] for i in batch], [work[i][2] for i in batch])
        rows = []
        for i, measured in zip(batch, values, strict=True):
            sampled = work[i][0].output == "sample"
            kept = {key: value for key, value in measured.items() if sampled or not key.endswith("_k1")}
            rows.append(work[i][0].model_copy(update={"values": kept}))
        found.update((_key(row), row) for row in rows)
        if keep:
            keep.append("kl batches", rows)
    return [found[_key(row)] for row, _, _ in work]


def _key(row: ScoreRow) -> tuple[str, str, int]:
    return row.id, row.output, row.draw


def _divergences(
    context: ScoreContext, policy: Loaded, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[dict[str, float]]:
    """`kl_base`, `kl_base_token`, `kl_base_k1` and the same for `start`, for each sequence of a batch."""
    import torch

    from bench import models

    batch = models.collate(sources, targets, int(policy.tokenizer.pad_token_id), policy.device)
    mask = batch.labels != models.IGNORED
    found: list[dict[str, float]] = [{} for _ in sources]
    with torch.no_grad():
        logprobs = models.target_logits(policy.model, batch).float().log_softmax(-1)
        seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for against, name in zip(AGAINST, ("base", str(context.start)), strict=True):
            if name not in seen:
                other = models.target_logits(context.model(name).model, batch).float().log_softmax(-1)
                exact = models.exact_kl(logprobs, other) * mask
                index = batch.labels.clamp_min(0).unsqueeze(-1)
                drawn = (logprobs - other).gather(-1, index).squeeze(-1) * mask
                seen[name] = exact.sum(1), drawn.sum(1)
            for row, exact_sum, k1, tokens in zip(
                found, *(t.tolist() for t in seen[name]), mask.sum(1).tolist(), strict=True
            ):
                row |= {f"kl_{against}": exact_sum, f"kl_{against}_token": exact_sum / tokens, f"kl_{against}_k1": k1}
    return found
