"""Dialogue -> a model's input: the prompt, the shots in front of it, the chat template, the limits; and a summary -> its target.

A variant may be prompted otherwise than its study: what it is given lies beside its weights as `prompt.json`, so that
whoever encodes for a model asks that model (`of`).
"""

from __future__ import annotations

import inspect
import json
import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from bench.core import manifest, paths
from bench.core.blocks import Prompt, Shot, TextConfig
from bench.core.schema import Example, UserError, first_error

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FITTING = 95  # per cent of the training dialogues that a prompt with its shots must hold whole
COUNTED = 1000  # dialogues, about, by which that is measured
CLOCK = re.compile(r"strftime_now\s*\(\s*(['\"])(.*?)\1\s*\)")  # a call with a format that is written out


class Encoded(NamedTuple):
    """A prompt's tokens, whether the dialogue lost its end to fit, and how many shots stand before it."""

    ids: list[int]
    truncated: bool
    shots: int


def of(name: str, text: TextConfig) -> TextConfig:
    """Return what the model `name` is given round a dialogue: its own prompt, or the study's `text`.

    Raises:
        UserError: its file is broken.
    """
    path = paths.model_path(name) / manifest.PROMPT
    if not path.exists():
        return text
    try:
        return Prompt.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error)}; run `dvc repro` to write it again.") from None


def with_shots(
    tokenizer: PreTrainedTokenizerBase, text: TextConfig, train: Sequence[Example], seed: int, where: str
) -> Prompt:
    """Choose the shots that a variant asks for: training dialogues drawn by the seed, or those it names.

    The last ones are left out until the prompt holds `FITTING` per cent of the training dialogues whole; a dialogue, or
    the instruction, is never cut for a shot.

    Raises:
        UserError: a named dialogue is not in the training split, or not one shot fits; `where` names the block.
    """
    asked = _asked(text, train, seed, where)
    plain = text.model_dump(exclude={"shots"})
    some = train[:: max(1, len(train) // COUNTED)]
    lengths = [len(prompt_ids(tokenizer, example.source, text)) for example in some]
    room = text.max_source_tokens - float(np.percentile(lengths, FITTING))
    kept = len(asked)
    while kept:
        prompt = Prompt(**plain, examples=asked[:kept], dropped=len(asked) - kept)
        probe = asked[0].source
        taken = len(prompt_ids(tokenizer, probe, prompt, prompt.examples)) - len(prompt_ids(tokenizer, probe, text))
        if taken <= room:
            return prompt
        kept -= 1
    if asked:
        raise UserError(
            f"params.yaml: {where}.text.shots: not one shot fits beside {FITTING} % of the training dialogues into "
            f"{text.max_source_tokens} tokens; raise max_source_tokens there or write shots: 0."
        )
    return Prompt(**plain)


def _asked(text: TextConfig, train: Sequence[Example], seed: int, where: str) -> tuple[Shot, ...]:
    if isinstance(text.shots, int):
        if text.shots > len(train):
            raise UserError(
                f"params.yaml: {where}.text.shots: {text.shots} asked for, the training split holds {len(train)}; lower it."
            )
        chosen = random.Random(seed).sample(list(train), text.shots)
    else:
        known = {example.id: example for example in train}
        missing = next((name for name in text.shots if name not in known), None)
        if missing is not None:
            raise UserError(
                f"params.yaml: {where}.text.shots: data/train.jsonl has no '{missing}'; name one of its ids."
            )
        chosen = [known[name] for name in text.shots]
    return tuple(Shot(id=e.id, source=e.source, summary=e.references[0]) for e in chosen)


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase, source: str, text: TextConfig, shots: Sequence[Shot] = ()
) -> list[int]:
    """Encode the whole prompt round one dialogue, however long: plain, or as turns of a chat.

    A shot is the prompt round its own dialogue with its summary after it; in a chat, a user's turn and the answer.
    """
    asked = [(text.prompt.replace("{source}", shot.source), shot.summary) for shot in shots]
    prompt = text.prompt.replace("{source}", source)
    if not text.chat:
        gap = "" if text.prompt[-1].isspace() else "\n"
        whole = "\n\n".join([*(request + gap + answer for request, answer in asked), prompt])
        return list(tokenizer(whole, truncation=False, split_special_tokens=True, verbose=False)["input_ids"])
    if not tokenizer.chat_template:
        raise UserError(f"{_field('chat')}: the base's tokenizer has no chat template; write false.")
    if "sanitize_control_tokens" not in inspect.signature(tokenizer.apply_chat_template).parameters:
        raise UserError(
            f"{_field('chat')}: this transformers would take control tokens in a dialogue for its own; install "
            "transformers>=5.23 or write false."
        )
    turns, options = list[dict[str, str]](), _chat_options(tokenizer, text)
    for request, answer in asked:
        turns += [{"role": "user", "content": request}, {"role": "assistant", "content": answer}]
    turns.append({"role": "user", "content": prompt})
    try:
        ids = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, sanitize_control_tokens=True, return_dict=False, **options
        )
    except Exception as error:  # the template is a program of the model's makers
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{_field('chat')}: the tokenizer's chat template fails ({reason}); write false or repair it."
        ) from None
    return list(ids)


def _field(name: str) -> str:
    """A field of `text` as messages call it."""
    return f"params.yaml: text.{name} (the variant's own, where it has one)"


def _chat_options(tokenizer: PreTrainedTokenizerBase, text: TextConfig) -> dict[str, Any]:
    """What `apply_chat_template` is given beside the turn: the template's switches, and the template with its clock stopped."""
    template = str(tokenizer.get_chat_template())
    reserved = inspect.signature(tokenizer.apply_chat_template).parameters
    for option in text.chat_options:
        if option in reserved or not re.search(rf"\b{re.escape(option)}\b", template):
            raise UserError(
                f"{_field(f'chat_options.{option}')}: the tokenizer's chat template has no such switch; remove it."
            )
    if not re.search(r"strftime_now\s*\(", template):
        if text.chat_date is not None:
            raise UserError(f"{_field('chat_date')}: the tokenizer's chat template asks for no date; remove it.")
        return dict(text.chat_options)
    if text.chat_date is None:
        raise UserError(
            f"{_field('chat_date')}: the tokenizer's chat template writes today's date, so the study would have other "
            "input tomorrow; fix it, such as chat_date: 2026-01-01."
        )
    stopped = CLOCK.sub(lambda call: json.dumps(text.chat_date.strftime(call[2])), template)  # type: ignore[union-attr]
    if re.search(r"strftime_now\s*\(", stopped):
        raise UserError(
            f"{_field('chat')}: the tokenizer's chat template writes the date in a format that it computes, which cannot "
            "be fixed; write false."
        )
    return {**text.chat_options, "chat_template": stopped}


def encode_source(tokenizer: PreTrainedTokenizerBase, source: str, text: TextConfig) -> Encoded:
    """Encode the prompt round one dialogue, with as many of its shots as fit.

    The instruction after the dialogue is never cut: where even without a shot it does not fit, the dialogue is. Nothing in
    it is taken for a control token. A dialogue is no shot of its own.
    """
    shots = [shot for shot in text.examples if shot.source != source] if isinstance(text, Prompt) else []
    while True:
        whole = prompt_ids(tokenizer, source, text, shots)
        if len(whole) <= text.max_source_tokens:
            return Encoded(whole, False, len(shots))
        if not shots:
            return Encoded(prompt_ids(tokenizer, fitting(tokenizer, source, text), text), True, 0)
        shots.pop()


def fitting(tokenizer: PreTrainedTokenizerBase, source: str, text: TextConfig) -> str:
    """Return the dialogue without what has to be cut from its end for the prompt to fit."""
    whole = prompt_ids(tokenizer, source, text)
    if len(whole) <= text.max_source_tokens:
        return source
    offsets = tokenizer(
        source, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, verbose=False
    )["offset_mapping"]
    keep = text.max_source_tokens - (len(whole) - len(offsets))
    while keep > 0:
        cut = source[: offsets[keep - 1][1]]
        size = len(prompt_ids(tokenizer, cut, text))
        if size <= text.max_source_tokens:
            return cut
        keep -= size - text.max_source_tokens  # joining pieces can split a token at the seam
    raise UserError(
        f"{_field('max_source_tokens')}: {text.max_source_tokens} tokens do not hold the prompt alone; raise it."
    )


def encode_target(tokenizer: PreTrainedTokenizerBase, summary: str, text: TextConfig) -> list[int]:
    """Encode a summary, truncated to the limit, with the end-of-sequence token last.

    A tokenizer that begins texts and does not end them is a decoder-only model's, whose summary begins nothing: it goes
    on from the prompt.
    """
    ids = list(tokenizer(summary, truncation=False, split_special_tokens=True, verbose=False)["input_ids"])
    if ids and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    elif ids and ids[0] == tokenizer.bos_token_id:
        ids.pop(0)
    return [*ids[: text.max_target_tokens - 1], int(tokenizer.eos_token_id)]
