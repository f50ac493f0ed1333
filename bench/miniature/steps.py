"""The steps of a training loop, shown as a bar, and gone on with after a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from bench.core.resume import Work

Item = TypeVar("Item")
Progress = Callable[[Iterable[Any], str, int | None], Iterable[Any]]


def resumable(
    items: Sequence[Item],
    parts: Mapping[str, Any],
    losses: list[float],
    label: str,
    progress: Progress | None = None,
    work: Work | None = None,
) -> Iterator[Item]:
    """Yield the items that are not done. The caller adds one loss an item, so `losses` counts what is done.

    `parts` are model, optimisers and schedules, anything with `state_dict`: restored before the first item, kept
    in `work` whenever that is due.
    """
    if work and (state := work.load_state()):
        for name, part in parts.items():
            part.load_state_dict(state[name])
        losses += state["losses"]
    done = len(losses)
    for number, item in enumerate(items if progress is None else progress(items, label, len(items))):
        if number < done:
            continue
        yield item
        if work and work.due():
            work.save_state({name: part.state_dict() for name, part in parts.items()} | {"losses": losses})
