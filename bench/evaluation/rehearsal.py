"""Each model does once, in small, what its stages will ask of it for hours: what it cannot do is said at once.

A model that loads can still lack positions, a cache that drops rows, or give one row other figures beside another.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from bench.core import paths
from bench.core.schema import UserError

if TYPE_CHECKING:
    from bench.classifiers.loading import Classifier
    from bench.classifiers.reward_models import RewardModel
    from bench.core.schema import Example
    from bench.lm.models import Loaded

CLOSE = 1e-3  # of the largest logit: what rounding may change when a row is padded; a row that reads padding moves more
WRITTEN = 4  # tokens of a summary that is written on trial
SHORT = 3  # tokens of the shorter of two rows
NOISE = 0.02  # a standard deviation, put on an adapter that has learnt nothing
TRIAL = ".check"  # below models/, where no variant can have that name
TEXTS = ("Fine.", "You say that we meet at noon in the park, and then you are late again, as always.")


@contextmanager
def _asked(where: str, what: str) -> Iterator[None]:
    """Say which of a stage's requests a model could not do; libraries' errors here are of every kind."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{where}: the model cannot {what} ({type(error).__name__}: {reason}); name another one; docs/studies.md "
            "says which kinds work."
        ) from None


def rehearse(loaded: Loaded, source: int, target: int, where: str) -> None:
    """Let a model that writes do a training step's passes and write, on made-up tokens.

    `source` and `target` are the most tokens that a prompt and its summary will have; `where` names the model.

    Raises:
        UserError: it cannot, or padding changes its figures.
    """
    import torch

    from bench.lm import architectures, models

    architecture, pad = architectures.of(loaded.model), int(loaded.tokenizer.pad_token_id)
    row = _tokens(loaded, max(source, SHORT + 1))
    short, summary = row[-SHORT:], _tokens(loaded, max(target, 2))
    few = summary[:2]
    with torch.no_grad(), _asked(where, f"read {source} tokens and predict {target}"):
        batch = models.collate([row, short], [summary, few], pad, "cpu")
        logits, states = architecture.logits_and_states(loaded.model, batch)
        alone = models.collate([short], [few], pad, "cpu")
        expected = models.target_logits(loaded.model, alone)[0]
        head = loaded.model.get_output_embeddings()
        if head is not None and states.shape[-1] != head.weight.shape[-1]:
            raise RuntimeError(f"states of {states.shape[-1]} numbers and a head that reads {head.weight.shape[-1]}")
        twice = models.target_logits(loaded.model, models.collate([short], [few, few], pad, "cpu"), each=2)
    _same(expected, logits[1, : len(few)], where, "padding changes its figures")
    _same(expected, twice[1], where, "two summaries of one dialogue get other figures than one")
    with _asked(where, "be trained"):
        architecture.loss(loaded.model, alone).backward()
        loaded.model.zero_grad(set_to_none=True)
    _write(loaded, [row[-2 * SHORT :], short], where)


def rehearse_adapter(loaded: Loaded, where: str) -> None:
    """Let a model with a fresh adapter do a training step and write.

    Raises:
        UserError: it cannot; `where` names the block.
    """
    from bench.lm import architectures, models

    short = _tokens(loaded, SHORT)
    batch = models.collate([short, short[1:]], [short, short], int(loaded.tokenizer.pad_token_id), "cpu")
    with _asked(where, "be trained with this adapter"):
        architectures.of(loaded.model).loss(loaded.model, batch).backward()
    _write(loaded, [short, short[1:]], where)


def rehearse_storing(loaded: Loaded, where: str) -> None:
    """Store a model and read it again, an adapter somewhat changed and merged as well: all say the same.

    Raises:
        UserError: they do not, or it cannot be stored; `where` names the block or the model.
    """
    import torch

    from bench.lm import models

    row = _tokens(loaded, 2 * SHORT)
    batch = models.collate([row[:SHORT]], [row[SHORT:]], int(loaded.tokenizer.pad_token_id), "cpu")
    adapted = loaded.kind == "adapter"
    try:
        with torch.no_grad(), _asked(where, "be stored and read again"):
            for parameter in loaded.model.parameters() if adapted else ():  # a fresh adapter changes nothing yet
                if parameter.requires_grad:
                    noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
                    parameter += NOISE * noise.to(parameter.dtype)
            expected = models.target_logits(loaded.model, batch)
            models.save(loaded, TRIAL, "check", {})
            again = models.load(TRIAL, "cpu")
            found = models.target_logits(again.model, batch)
            whole = models.target_logits(models.merged(again).model, batch) if adapted else found
    finally:
        shutil.rmtree(paths.model_path(TRIAL), ignore_errors=True)
    _same(expected, found, where, "stored and read again it gives other figures")
    _same(expected, whole, where, "merged into its base it gives other figures")


def _write(loaded: Loaded, sources: list[list[int]], where: str) -> None:
    """Greedy and two samples a row; a step of it must say what training computes, and of several rows what it says of one."""
    import torch

    from bench import generation
    from bench.lm import architectures, models

    architecture, pad = architectures.of(loaded.model), int(loaded.tokenizer.pad_token_id)
    each = torch.arange(len(sources))
    several = each.repeat_interleave(2)[1:]  # of one source one summary fewer is left
    first = torch.tensor([row[-2:-1] for row in sources])

    def second_step(rows: torch.Tensor) -> torch.Tensor:
        state = architecture.start_decoding(loaded.model, sources, pad)
        state.step(None)
        state.select(rows)
        return state.step(first[rows])

    with _asked(where, "write"):
        generation.generate(loaded, sources, WRITTEN)
        generation.generate(loaded, sources, WRITTEN, torch.full((len(sources), 2, WRITTEN), 0.5))
        if architectures.learns_prompts(loaded.model):
            return
        with torch.inference_mode():
            trained = models.target_logits(
                loaded.model, models.collate(sources, first.expand(-1, 2).tolist(), pad, "cpu")
            )
            alone, together = second_step(each), second_step(several)
    _same(trained[:, 1], alone, where, "it writes with other figures than those that it is trained on")
    _same(alone[several], together, where, "several summaries of one dialogue are written with other figures than one")


def _tokens(loaded: Loaded, count: int) -> list[int]:
    """So many ordinary tokens of a text, again and again."""
    text = loaded.tokenizer(" ".join(TEXTS), add_special_tokens=False)["input_ids"]
    special = set(loaded.tokenizer.all_special_ids)
    ordinary = [token for token in text if token not in special] or [0]
    return (ordinary * (count // len(ordinary) + 1))[:count]


def _same(expected: object, found: object, where: str, what: str) -> None:
    one, other = (np.asarray(x, dtype=np.float64) for x in (expected, found))
    if not np.isfinite(one).all():
        raise UserError(f"{where}: its figures are no numbers (nan or infinite); restore the weights.")
    gap, largest = float(np.abs(one - other).max()), float(np.abs(one).max())
    if not gap <= CLOSE * max(largest, 1.0):
        raise UserError(
            f"{where}: {what} (by {gap:.2g} where the largest is {largest:.2g}), so no number of it would mean anything; "
            "name another model."
        )


def rehearse_reward_model(model: RewardModel, example: Example, where: str) -> None:
    """Let a reward model that has learnt nothing take a training step on two summaries of a dialogue, and score both.

    Raises:
        UserError: it cannot; `where` names the block.
    """
    summaries = [example.references[0], TEXTS[0]]
    with _asked(where, "learn from a pair of summaries"):
        (row,) = model.prepared([model.encode(example.source, summaries)])
        found = model.rewards(
            model.module, {key: value.to(model.loaded.device) for key, value in model.collate([row]).items()}
        )
        (found[:, 1] - found[:, 0]).sum().backward()
        model.module.zero_grad(set_to_none=True)
    scores = model.score([(example.source, summary) for summary in summaries], where)
    _same(found.detach()[0], scores, where, "a summary's reward depends on what stands beside it")


def rehearse_classifier(classifier: Classifier, where: str) -> None:
    """Let a classifier score two texts of different length together and alone, and one of nothing.

    Raises:
        UserError: it cannot, or a text's score depends on what stands beside it.
    """
    with _asked(where, "score two texts at once"):
        together = classifier.logits([*TEXTS, ""])
        alone = [classifier.logits([text])[0] for text in TEXTS]
    _same(np.stack(alone), together[: len(TEXTS)], where, "a text's score depends on what stands beside it")
