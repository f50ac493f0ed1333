"""What transformers does in decoding: `generate` for beams, penalties and prompt learners, and its cut-off distributions.

Greedy decoding and sampling are `bench.generation`'s own loop, which drops finished rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import GenerationConfig as Settings
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bench.core.blocks import DecodingConfig
from bench.lm.models import Loaded


def decode(
    loaded: Loaded,
    sources: Sequence[Sequence[int]],
    limit: int,
    uniforms: torch.Tensor | None,
    decoding: DecodingConfig,
) -> torch.Tensor:
    """Write one summary of each of B sources, or its samples: tokens (B, draws, `limit`); what follows an end means nothing.

    `uniforms` (B, draws, `limit`) choose the tokens of a decoding that samples.
    """
    draws = 1 if uniforms is None else uniforms.shape[1]
    encoder_decoder, pad = loaded.model.config.is_encoder_decoder, int(loaded.tokenizer.pad_token_id)
    rows = [list(source) for source in sources for _ in range(draws)]
    width = max(map(len, rows))
    # A decoder-only model goes on from the right end of its prompt, so the padding stands on the left.
    padding = [[0] * (width - len(row)) for row in rows]
    masks = [[1] * len(row) for row in rows]
    joined = [m + p if encoder_decoder else p + m for m, p in zip(masks, padding, strict=True)]
    ids = [
        row + [pad] * len(p) if encoder_decoder else [pad] * len(p) + row for row, p in zip(rows, padding, strict=True)
    ]
    processors = _penalties(decoding, [0 if encoder_decoder else len(p) for p in padding])
    processors += [] if uniforms is None else [*warpers(decoding), _Chosen(uniforms.flatten(0, 1).to(loaded.device))]
    written = loaded.model.generate(
        input_ids=torch.tensor(ids, device=loaded.device),
        attention_mask=torch.tensor(joined, device=loaded.device),
        generation_config=_settings(loaded, limit, decoding),
        logits_processor=LogitsProcessorList(processors),
    )[:, 1 if encoder_decoder else width :]
    full = torch.full((len(rows), limit), loaded.ends[0], device=written.device)
    full[:, : written.shape[1]] = written
    return full.unflatten(0, (-1, draws))


def _settings(loaded: Loaded, limit: int, decoding: DecodingConfig) -> Settings:
    return Settings(
        max_new_tokens=limit,
        min_new_tokens=decoding.min_new_tokens or None,
        num_beams=decoding.num_beams,
        length_penalty=decoding.length_penalty,
        pad_token_id=loaded.tokenizer.pad_token_id,
        eos_token_id=list(loaded.ends),
        decoder_start_token_id=loaded.model.generation_config.decoder_start_token_id,
        do_sample=False,  # the processors choose
    )


def _penalties(decoding: DecodingConfig, padded: Sequence[int]) -> list[LogitsProcessor]:
    """What looks at the tokens before, `padded` so many of them padding, which transformers would take for words."""
    found: list[LogitsProcessor] = []
    if decoding.repetition_penalty != 1.0:
        found.append(_Unpadded(RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty), decoding, padded))
    if decoding.no_repeat_ngram_size:
        found.append(_Unpadded(NoRepeatNGramLogitsProcessor(decoding.no_repeat_ngram_size), decoding, padded))
    return found


class _Unpadded(LogitsProcessor):  # type: ignore[misc]
    """Gives a processor the tokens of each row without its padding: a row may not depend on its batch."""

    def __init__(self, inner: LogitsProcessor, decoding: DecodingConfig, padded: Sequence[int]) -> None:
        self.inner, self.padded = inner, [count for count in padded for _ in range(decoding.num_beams)]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if not any(self.padded):
            return self.inner(input_ids, scores)
        rows = [self.inner(input_ids[i : i + 1, count:], scores[i : i + 1]) for i, count in enumerate(self.padded)]
        return torch.cat(rows)


def warpers(decoding: DecodingConfig) -> list[LogitsProcessor]:
    """Return transformers' own warpers of a decoding that samples, in transformers' order; none looks at the tokens before."""
    asked = {
        TemperatureLogitsWarper: decoding.temperature,
        TopKLogitsWarper: decoding.top_k,
        TopPLogitsWarper: decoding.top_p,
        MinPLogitsWarper: decoding.min_p,
    }
    return [warper(value) for warper, value in asked.items() if value is not None]


class _Chosen(LogitsProcessor):  # type: ignore[misc]
    """Leaves transformers' greedy search one token to choose: the one that the row's uniform number samples."""

    def __init__(self, uniforms: torch.Tensor) -> None:
        self.uniforms, self.step = uniforms, 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token = sampled_token(scores.float(), self.uniforms[:, self.step])
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter(1, token, 0.0)


def sampled_token(logits: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Return the token (R, 1) up to which the probabilities of `logits` (R, V) add up to more than `uniforms` (R,)."""
    reached = logits.double().softmax(-1).cumsum(-1)
    found = torch.searchsorted(reached, uniforms.double().unsqueeze(-1) * reached[:, -1:], right=True)
    return found.clamp_max(logits.shape[-1] - 1)
