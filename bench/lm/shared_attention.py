"""Cross-attention of several summaries to one copy of their source's keys and values.

transformers keeps a copy for each row it writes: for 512 rows of flan-t5-base and 512 tokens 19 GB. Rows of one source ask
as if they were further tokens of one row, which no attention mask tells apart from another batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

FUSED = "sdpa"
PLAIN = ALL_ATTENTION_FUNCTIONS[FUSED]


class SharedCrossAttention:
    """Stands in for transformers' fused attention while R rows of at most R sources are written.

    A model whose cross-attention is another keeps a copy for each row, as before.
    """

    def __init__(self) -> None:
        # What comes by in the first pass, which tells whether cross-attention does.
        self.keys: list[torch.Tensor] | None = []
        self.source: torch.Tensor | None = None  # (R,) which copy is a row's; None: each row has its own

    @contextmanager
    def active(self) -> Iterator[None]:
        """Stand in for it within the block."""
        ALL_ATTENTION_FUNCTIONS[FUSED] = self
        try:
            yield
        finally:
            del ALL_ATTENTION_FUNCTIONS[FUSED]

    def settle(self, cache: Any) -> None:
        """Find out after the first pass whether rows can share: whether all cross-attention came by here.

        `cache` is transformers' EncoderDecoderCache.
        """
        came, self.keys = {id(key) for key in self.keys or ()}, None
        keys = [layer.keys for layer in cache.cross_attention_cache.layers]
        if all(id(key) in came for key in keys):
            self.source = torch.arange(len(keys[0]), device=keys[0].device)

    def select(self, rows: torch.Tensor) -> torch.Tensor:
        """Keep these rows, (R',) indices, and return the copies that they need; rows side by side share theirs."""
        if self.source is None:
            return rows
        kept, self.source, counts = torch.unique_consecutive(self.source[rows], return_inverse=True, return_counts=True)
        self.first = counts.cumsum(0) - counts
        self.place = torch.arange(len(rows), device=rows.device) - self.first[self.source]
        self.shape = len(counts), int(counts.max())
        return kept

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, Any]:
        """Attend from query (R, H, 1, D) to key and value (R or fewer, H, S, D): (R, 1, H, D), and no weights."""
        if self.keys is not None:
            self.keys.append(key)
        if len(query) == len(key):
            return PLAIN(module, query, key, value, attention_mask, **kwargs)  # type: ignore[no-any-return]
        sources, most = self.shape
        full = sources * most == len(query)
        if full:
            asked = query.reshape(sources, most, *query.shape[1::2])
        else:
            asked = query.new_zeros(sources, most, *query.shape[1::2])
            asked[self.source, self.place] = query[:, :, 0]
        if attention_mask is not None and len(attention_mask) > 1:
            attention_mask = attention_mask[self.first]
        kwargs["is_causal"] = False  # they are rows, not tokens one after the other
        found, weights = PLAIN(module, asked.transpose(1, 2), key, value, attention_mask, **kwargs)
        found = found.flatten(0, 1) if full else found[self.source, self.place]
        return found.unsqueeze(1), weights
