"""A variant's summaries: by its own prompt and decoding, or the best of its start's samples."""

from __future__ import annotations

from collections.abc import Sequence

from bench import generation, methods
from bench.core import manifest, resume
from bench.core.parameters import Params
from bench.core.schema import Example, Prediction
from bench.lm import prompts
from bench.lm.models import Loaded
from bench.training.rewards import Reward
from bench.training.settings import RewardConfig


def summaries(
    params: Params, variant: str, loaded: Loaded, examples: Sequence[Example], work: resume.Work
) -> tuple[list[Prediction], float]:
    """Write the summaries of one training of a variant that stand for it in every table; also return the seconds it took."""
    text, generating = prompts.of(loaded.name, params.text), params.generation
    best = manifest.read_manifest(loaded.name).get("best_of")
    if best is None:
        _, decoding = params.decoding_of(variant)
        rows = generation.predict(loaded, examples, text, generating, 0, work, decoding=decoding)
        return rows, work.seconds(generation.rows_file(0))
    drawn = generation.predict(loaded, examples, text, generating, best["n"], work)
    config = RewardConfig.model_validate(best["reward"])
    reward = Reward.of(best["learns_from"], config, str(loaded.device), params.compute.inference)
    of = {example.id: example for example in examples}
    rewards = reward.ranked(reward.raw([of[row.id] for row in drawn], [row.text for row in drawn]))
    return best_of(drawn, rewards.tolist()), work.seconds(generation.rows_file(best["n"]))


def samples(
    params: Params, variant: str, loaded: Loaded, examples: Sequence[Example], work: resume.Work
) -> tuple[list[Prediction], float]:
    """Write the draws from a training's own distribution, and return the seconds; none where summaries are no such draws."""
    draws = params.generation.samples
    if not draws or not methods.find(params.variant(variant).method).OWN_DISTRIBUTION:
        return [], 0.0
    rows = generation.predict(loaded, examples, prompts.of(loaded.name, params.text), params.generation, draws, work)
    return rows, work.seconds(generation.rows_file(draws))


def best_of(drawn: Sequence[Prediction], rewards: Sequence[float]) -> list[Prediction]:
    """Keep each dialogue's sample of the highest reward, (n,) beside the rows; of equals the first."""
    best: dict[str, tuple[float, Prediction]] = {}
    for row, reward in zip(drawn, rewards, strict=True):
        if row.id not in best or reward > best[row.id][0]:
            best[row.id] = reward, row
    return [row.model_copy(update={"output": "greedy", "draw": 0}) for _, row in best.values()]
