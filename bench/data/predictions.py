"""What must hold of a variant's summaries before they are scored or reported."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core import paths
from bench.core.schema import Example, Prediction, UserError


def check(
    variant: str,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    samples: int | None = None,
    draws: int = 1,
) -> None:
    """Check that there are exactly `draws` summaries a dialogue, and `samples` samples where their number is given.

    Raises:
        UserError: a row is missing, stands twice, or is about something else; a mean over what is left would be wrong.
    """
    path = paths.predictions_path(variant)
    fix = f"run `dvc repro generate@{variant.partition('/')[0]}` to write the summaries again."
    dialogue_of = {example.id: example.dialogue_id for example in examples}
    missing = {(identity, "greedy", draw) for identity in dialogue_of for draw in range(draws)}
    missing |= {(identity, "sample", draw) for identity in dialogue_of for draw in range(samples or 0)}
    seen = set[tuple[str, str, int]]()
    for row in predictions:
        place = (row.id, row.output, row.draw)
        if dialogue_of.get(row.id) != row.dialogue_id:
            raise UserError(
                f"{path}: '{row.id}' of dialogue '{row.dialogue_id}' is not in {paths.split_path('test')}; {fix}"
            )
        if place in seen or (place not in missing and (row.output == "greedy" or samples is not None)):
            raise UserError(f"{path}: {row.output} summary {row.draw} of '{row.id}' is one too many; {fix}")
        seen.add(place)
    missing -= seen
    if missing:
        identity, output, draw = min(missing)
        raise UserError(f"{path}: {output} summary {draw} of '{identity}' is missing; {fix}")
