"""A sequence classifier of transformers in a folder of strangers: nothing of it is run, and what does not fit is said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import untrusted
from bench.core.schema import UserError

if TYPE_CHECKING:
    import torch

LONGEST = 512  # tokens, where neither tokenizer nor model states a limit
HEADS = ("score.", "classifier.", "classification_head.", "pooler.", "pre_classifier.", "head.")


def read(folder: Path, where: str, labels: int | None = None, fresh: bool = False) -> tuple[Any, Any]:
    """Read tokenizer and float32 model, safetensors alone, on the CPU; the tokenizer pads, and the model knows by what.

    `labels` is how many the head has, where its config is not to say; a `fresh` head is drawn at random on any body's weights.

    Raises:
        UserError: weights, keys, vocabulary or padding do not fit; `where` stands before a fault of the tokenizer.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from bench.lm import architectures

    untrusted.check_folder(folder)
    with untrusted.loading(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=fresh,
            output_loading_info=True,
            **({} if labels is None else {"num_labels": labels}),
        )
        missing = {key for key in report["missing_keys"] if not (fresh and key.startswith(HEADS))}
        unexpected = set() if fresh else set(report["unexpected_keys"])
        untrusted.check_keys(folder, missing, unexpected, model)
    if tokenizer.pad_token_id is None:  # any token will do where the mask is 0
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise UserError(f"{where}: the tokenizer has no padding token; {untrusted.AT_THE_SOURCE}, with a pad_token.")
    untrusted.check_vocabulary(folder, tokenizer, model)
    if architectures.of_config(model.config) is not None:
        # A decoder's head looks for the last token that is no padding, by the config's word for it; we pad by the tokenizer's.
        # An encoder's config stays: RoBERTa counts positions from its padding on, also when it is stored and read again.
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return tokenizer, model


def longest(tokenizer: Any, model: torch.nn.Module) -> int:
    """Return the most tokens a text may have: the tokenizer's limit and that of the model's position table."""
    import torch

    limits = [int(tokenizer.model_max_length)] if tokenizer.model_max_length < 10**6 else []
    for key, module in model.named_modules():
        if key.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa and its kin start counting after the padding index.
            limits.append(module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1))
    return min(limits, default=LONGEST)
