"""The better halves of preferences as references: the revisions of a constitution (Bai et al. 2022), or the best of ranked samples."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from bench.core import paths, storage
from bench.core.blocks import TrainingSetConfig
from bench.core.schema import Example, UserError
from bench.rankings import Ranking
from bench.training.context import TrainContext
from bench.training_sets import Made

LEARNS_FROM = "preferences"


class Config(TrainingSetConfig):
    """Of each training ranking of `learns_from` the best, if it is more than `margin` above the worst; of one `category` alone,
    such as `revision`, where that is given. With `keep` the study's own training split is imitated too."""

    margin: float = Field(0.0, ge=0)
    category: str | None = None
    keep: bool = False


def examples(config: Config, context: TrainContext) -> Made:
    """Take the best of each ranking.

    Raises:
        UserError: no ranking is left; the sentence names the categories that there are.
    """
    path = paths.preferences_path(Path(config.learns_from).name, "train")
    rankings, found = storage.read_rows(path, Ranking), list[Example]()
    for ranking in rankings:
        best, worst = max(ranking.scores), min(ranking.scores)
        if config.category in (None, ranking.category) and best - worst > config.margin:
            chosen = ranking.summaries[ranking.scores.index(best)]
            name = f"{ranking.id}-chosen"
            found.append(Example(id=name, dialogue_id=ranking.dialogue_id, source=ranking.source, references=(chosen,)))
    if not found:
        known = sorted({ranking.category for ranking in rankings if ranking.category})
        asked = f"is of the category '{config.category}' and " if config.category else "is "
        fixes = ["lower the margin"] if config.margin else []
        if config.category:
            fixes.append(f"name one of the categories there: {', '.join(known)}" if known else "leave out the category")
        raise UserError(
            f"params.yaml: {context.where}: none of {len(rankings)} rankings of {path} {asked}more than {config.margin:g} apart; "
            f"{', or '.join(fixes) or 'learn from other preferences'}."
        )
    own = list(context.train) if config.keep else []
    return Made([*own, *found], {"rankings": len(rankings), "chosen": len(found), "of data/train.jsonl": len(own)})
