"""What an architecture offers, and the batch that goes through it. Shapes: B sources of S tokens, targets of T, V words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate.utils import extract_model_from_parallel

IGNORE_INDEX = -100


@dataclass(frozen=True)
class Batch:
    """Padded on the right: `input_ids`, `attention_mask` (B, S); `labels` (B, T), -100 where there is no target."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor

    def rows(self, index: torch.Tensor | slice) -> Batch:
        """Select some of its rows, as wide as before."""
        return Batch(self.input_ids[index], self.attention_mask[index], self.labels[index])


def collate(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], pad: int, device: torch.device | str
) -> Batch:
    """Pad to the longest of the batch, on the right."""

    def padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
        width = max(len(row) for row in rows)
        return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.long)

    mask = padded([[1] * len(row) for row in sources], 0)
    return Batch(padded(sources, pad).to(device), mask.to(device), padded(targets, IGNORE_INDEX).to(device))


def loss_of_targets(model: Any, labels: torch.Tensor, forward: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Compute the mean cross-entropy a target token, (), nats, of the logits that `forward` gives.

    The head, whose logits are the largest tensor of a training, is spared the padding: often half of `labels` (B, T).
    """
    targets = labels != IGNORE_INDEX
    with _head_sees(extract_model_from_parallel(model).get_output_embeddings(), targets):
        logits = forward()
    labels = labels[targets] if logits.dim() == 2 else labels.flatten()
    return F.cross_entropy(logits.flatten(0, -2).float(), labels, ignore_index=IGNORE_INDEX)


@contextmanager
def _head_sees(head: torch.nn.Module | None, rows: torch.Tensor) -> Iterator[None]:
    """Within the block a head that is given states (B, T, D) sees those of `rows` (B, T) alone, (N, D)."""

    def select(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        return (inputs[0][rows], *inputs[1:]) if inputs[0].shape[:-1] == rows.shape else None

    handle = head.register_forward_pre_hook(select) if head is not None else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def learns_prompts(model: Any) -> bool:
    """Tell whether the model has a prompt learner, whose prompts peft makes of what it is given and alone can place."""
    return bool(getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False))


@dataclass(frozen=True)
class Positions:
    """How many tokens a prompt may have, and how many its summary; None where nothing limits them.

    `together` is the limit of both in one sequence.
    """

    source: int | None = None
    target: int | None = None
    together: int | None = None


class DecodeState(ABC):
    """Rows that are being written, and what the model keeps of each."""

    @abstractmethod
    def step(self, last: torch.Tensor | None) -> torch.Tensor:
        """Compute logits (R, V) of each row's next token, after the `last` (R, 1) that were chosen; None before the first."""

    @abstractmethod
    def select(self, rows: torch.Tensor) -> None:
        """Keep these rows alone, (R',) indices; a row that is named again is written again from here on."""


class Architecture(ABC):
    """One family of models.

    `auto_class` loads its weights, `peft_task` is what peft calls it, `supports_prompt_learning` says whether peft gives
    its prompt learners positions.
    """

    auto_class: Any
    peft_task: str
    supports_prompt_learning: bool

    @abstractmethod
    def prepare(self, folder: Path, tokenizer: Any, model: Any) -> None:
        """Refuse with a UserError what the rest of this class could not work with; fill in what follows by itself."""

    @abstractmethod
    def positions(self, model: Any) -> Positions:
        """Return for how many tokens the model has positions."""

    @abstractmethod
    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Compute the mean cross-entropy a target token, (), nats."""

    @abstractmethod
    def logits(self, model: Any, batch: Batch, each: int = 1) -> torch.Tensor:
        """Compute what is predicted for `labels` at the same position, (B * each, T, V); `labels` holds `each` rows a source."""

    @abstractmethod
    def logits_and_states(self, model: Any, batch: Batch, each: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the same with the last hidden states (B * each, T, D) that they come from."""

    @abstractmethod
    def start_decoding(self, model: Any, sources: Sequence[Sequence[int]], pad: int) -> DecodeState:
        """Read the sources, each once; a row for each."""
