"""What must hold of a dataset's splits before anything learns from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.core import paths
from bench.core.blocks import DatasetConfig
from bench.core.schema import Example, UserError

Splits = Mapping[str, Sequence[Example]]


def checked(splits: Splits, config: DatasetConfig) -> tuple[dict[str, list[Example]], dict[str, int]]:
    """Check the splits and drop dialogues that a later one holds too; also count what was dropped from each.

    Of two splits with the same dialogue, test keeps it before validation, and validation before train.

    Raises:
        UserError: a split is empty, an id stands twice, a text is too long, or a dialogue stands in two splits and
            `overlap` does not say that it may be dropped.
    """
    kept: dict[str, list[Example]] = {}
    dropped: dict[str, int] = {}
    seen: dict[str, str] = {}
    for split in reversed(paths.SPLITS):
        _check_rows(splits[split], config, f"data.{split}", "data")
        bare = next((example for example in splits[split] if not example.references), None)
        if bare is not None:
            raise UserError(
                f"params.yaml: data.{split}: '{bare.id}' has no reference; name the columns of the references, or move the "
                "dataset to evaluate_on."
            )
        doubles = [example for example in splits[split] if _words(example) in seen]
        if doubles and config.overlap == "refuse":
            first = doubles[0]
            raise UserError(
                f"params.yaml: data.{split}: {len(doubles)} dialogues stand in another split too, the first is "
                f"'{first.id}', which is '{seen[_words(first)]}' as well; remove them, or write data.overlap: drop."
            )
        left_out = {example.id for example in doubles}
        kept[split] = [example for example in splits[split] if example.id not in left_out]
        if not kept[split]:
            raise UserError(f"params.yaml: data.{split}: no dialogue is left; name a split that holds others.")
        dropped[split] = len(doubles)
        seen |= {_words(example): f"{example.id} of {split}" for example in kept[split]}
    return {split: kept[split] for split in paths.SPLITS}, {s: dropped[s] for s in paths.SPLITS if dropped[s]}


def unseen(examples: Sequence[Example], learnt: Splits, config: DatasetConfig, where: str) -> list[Example]:
    """Check another dataset's test examples, and leave out those whose dialogue stands in a split that was learnt from.

    Raises:
        UserError: as `checked`; `where` names the block.
    """
    _check_rows(examples, config, f"{where}.test", where)
    seen = {_words(example): f"{example.id} of {split}" for split, rows in learnt.items() for example in rows}
    kept = [example for example in examples if _words(example) not in seen]
    if len(kept) < len(examples) and config.overlap == "refuse":
        first = next(example for example in examples if _words(example) in seen)
        raise UserError(
            f"params.yaml: {where}: {len(examples) - len(kept)} dialogues stand in the study's own data, the first is "
            f"'{first.id}', which is '{seen[_words(first)]}' as well; remove them, or write {where}.overlap: drop."
        )
    if not kept:
        raise UserError(f"params.yaml: {where}: no dialogue is left; name a dataset that holds others.")
    return kept


def held_out_left(examples: Sequence[Example], held_out: Splits, where: str) -> list[Example]:
    """Return the examples of a training set that stand in no split that is held out.

    Raises:
        UserError: none is left, or an id stands twice; `where` names the block.
    """
    seen = {_words(example) for rows in held_out.values() for example in rows}
    kept, ids = [example for example in examples if _words(example) not in seen], set[str]()
    for example in kept:
        if example.id in ids:
            raise UserError(f"params.yaml: {where}: the id '{example.id}' stands twice; give each row its own.")
        ids.add(example.id)
    if not kept:
        raise UserError(f"params.yaml: {where}: no example is left; name what holds others than validation and test.")
    return kept


def _check_rows(examples: Sequence[Example], config: DatasetConfig, rows: str, where: str) -> None:
    """Ids are unique, and no text is longer than anything that people say."""
    seen = set[str]()
    for example in examples:
        if example.id in seen:
            raise UserError(f"params.yaml: {rows}: the id '{example.id}' stands twice; give each row its own.")
        seen.add(example.id)
        longest = max(map(len, (example.source, *example.references)))
        if longest > config.max_characters:
            raise UserError(
                f"params.yaml: {rows}: '{example.id}' holds a text of {longest:,} characters, and "
                f"{where}.max_characters allows {config.max_characters:,}; mend that row or raise the limit."
            )


def _words(example: Example) -> str:
    """The dialogue, less what copying changes: white space and case."""
    return " ".join(example.source.split()).casefold()
