"""Tokenizers built from counts of whole words. Nothing is trained: the same texts always give the same pieces.

A Unigram or WordPiece trainer on a corpus this small shatters common words, since it seeds from distinct words.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

SPACE = "▁"
SENTINELS = tuple(f"<extra_id_{number}>" for number in range(8))
_PIECE = re.compile(r"#Person\d#|\w+(?:'\w+)?|[^\w\s]")
_CHARACTERS = string.ascii_letters + string.digits + string.punctuation


def count_pieces(texts: Iterable[str]) -> Counter[str]:
    """Count how often each word (`▁word` after a space or at the start) and punctuation mark occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        for chunk in text.split():
            for match in _PIECE.finditer(chunk):
                counts[(SPACE if match.start() == 0 else "") + match[0]] += 1
    return counts


def ranked(counts: Counter[str], size: int) -> list[tuple[str, int]]:
    """Rank the `size` commonest, ties in the order of the alphabet: the order of the texts must not matter."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:size]


def unigram(texts: Iterable[str], size: int, control: Sequence[str]) -> Any:
    """Build a raw Unigram tokenizer of about `size` pieces: control tokens, common words, and characters for the rest.

    `#Person1#` is an ordinary piece, so that decoding keeps it and the space before it. All whitespace, the newline
    between two turns included, reads as one space.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    spare = [SPACE, *_CHARACTERS]
    common = ranked(count_pieces(texts), size - len(control) - len(spare))
    total = sum(count for _, count in common)
    scores = {piece: math.log(count / total) for piece, count in common}
    # A word must always beat its letters: they cost more than any word.
    worst = math.log(0.5 / total)
    vocabulary = [(piece, 0.0) for piece in control]
    vocabulary += scores.items()
    vocabulary += [(piece, worst) for piece in spare if piece not in scores]
    raw = Tokenizer(models.Unigram(vocabulary, unk_id=list(control).index("<unk>"), byte_fallback=False))
    raw.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    raw.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=True)
    raw.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always", split=True)
    return raw


def t5(texts: Iterable[str], size: int, limit: int) -> Any:
    """Build a tokenizer by T5's conventions: `<pad>` 0, `</s>` 1 at the end of every text, `<unk>` 2, sentinels for spans left out."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    raw = unigram(texts, size, ("<pad>", "</s>", "<unk>", *SENTINELS))
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(SENTINELS),
        model_max_length=limit,
    )


def roberta(texts: Iterable[str], size: int, limit: int) -> Any:
    """Build a tokenizer by RoBERTa's conventions: `<s> text </s>`, padding 1; pieces that keep their case."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    raw = unigram(texts, size, ("<s>", "<pad>", "</s>", "<unk>"))
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=limit,
    )


def bert(texts: Iterable[str], size: int, limit: int) -> Any:
    """Build a tokenizer by BERT's conventions: lower case, `[CLS] text [SEP]`, unknown words in letters."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    control = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    counts = Counter(word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    spare = [
        *string.ascii_lowercase,
        *string.digits,
        *string.punctuation,
        *(f"##{letter}" for letter in string.ascii_lowercase + string.digits),
    ]
    words = [word for word, _ in ranked(counts, size - len(spare) - len(control)) if word not in spare]
    vocabulary = {piece: number for number, piece in enumerate((*control, *words, *spare))}
    raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=limit,
    )
