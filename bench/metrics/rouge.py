"""ROUGE by rouge_score (Google's port of ROUGE-1.5.5): F1 against every reference, one row a greedy summary."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import re
import statistics
import sys
import types
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from bench.core.schema import Example, ScoreRow, Strict
from bench.data import texts
from bench.metrics import Column, ScoreContext

# Where a word may be any letters (`tokenizer: unicode`): those of scripts that set no spaces count one by one.
UNICODE = "bench-unicode-1"
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
LOST = 0.1  # share of a study's letters and digits that rouge_score's own tokenizer may drop without a word about it

# Lin (2004), sections 3.1 and 3.2: the paper's own sentences; rouge_score's README; two closed forms.
_PAPER, _UNSTEMMED = "police killed the gunman", {"stemmer": False}
EXAMPLES: tuple[dict[str, Any], ...] = (
    {
        "from": "Lin 2004, S2 against S1",
        "prediction": "police kill the gunman",
        "references": (_PAPER,),
        "config": _UNSTEMMED,
        "values": {"rouge1": 3 / 4, "rouge2": 1 / 3, "rougeL": 3 / 4, "rougeLsum": 3 / 4},
    },
    {
        "from": "Lin 2004, S3 against S1",
        "prediction": "the gunman kill police",
        "references": (_PAPER,),
        "config": _UNSTEMMED,
        "values": {"rouge1": 3 / 4, "rouge2": 1 / 3, "rougeL": 2 / 4, "rougeLsum": 2 / 4},
    },
    {
        "from": "Lin 2004, S2 stemmed: killed = kill",
        "prediction": "police kill the gunman",
        "references": (_PAPER,),
        "config": {},
        "values": {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0, "rougeLsum": 1.0},
    },
    {
        "from": "Lin 2004, union LCS: 4 of 5 reference words, 4 of 10 candidate words",
        "prediction": "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5",
        "references": ("w1 w2 w3 w4 w5",),
        "config": {},
        "values": {"rougeLsum": 8 / 15},
    },
    {
        "from": "README of rouge_score",
        "prediction": "The quick brown dog jumps on the log.",
        "references": ("The quick brown fox jumps over the lazy dog",),
        "config": {},
        "values": {"rouge1": 12 / 17, "rougeL": 10 / 17},
    },
    {
        "from": "closed form, mean over two references",
        "prediction": "a b c d",
        "references": ("a b c d", "a b x y"),
        "config": {},
        "values": {"rouge1": 3 / 4, "rouge2": 2 / 3, "rougeL": 3 / 4},
    },
    {
        "from": "closed form, maximum over two references",
        "prediction": "a b c d",
        "references": ("a b x y", "a b c d"),
        "config": {"references": "max"},
        "values": {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0},
    },
    {
        "from": "closed form, words of another script: 2 of 3 and 2 of 4",
        "prediction": "Анна идёт домой",
        "references": ("анна идёт в парк",),
        "config": {"tokenizer": "unicode"},
        "values": {"rouge1": 4 / 7, "rouge2": 2 / 5, "rougeL": 4 / 7, "rougeLsum": 4 / 7},
    },
    {
        "from": "closed form, characters of a script without spaces: 4 of 4 and 4 of 6, in two sentences",
        "prediction": "我明天去。",
        "references": ("我去。明天见她。",),
        "config": {"tokenizer": "unicode"},
        "values": {"rouge1": 2 * 4 / (4 + 6), "rougeLsum": 2 * 4 / (4 + 6)},
    },
    {
        "from": "closed form, nothing in common and nothing written",
        "prediction": "",
        "references": ("a b",),
        "config": {},
        "values": {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0, "rougeLsum": 0.0},
    },
)


class Config(Strict):
    """`types` as rouge_score names them; `references` says how several references of a dialogue become one number.

    `tokenizer`: `rouge_score` keeps a-z and digits alone, as published figures do; `unicode` every letter, digit and mark,
    and is the one for texts that are not English. `stemmer` is Porter's, for English; off with `unicode` unless asked for.
    """

    types: tuple[Annotated[str, Field(pattern=r"^rouge([1-9]|L|Lsum)$")], ...] = Field(
        default=("rouge1", "rouge2", "rougeL", "rougeLsum"),
        min_length=1,
        strict=False,  # YAML has lists alone
    )
    tokenizer: Literal["rouge_score", "unicode"] = "rouge_score"
    stemmer: bool | None = None
    references: Literal["mean", "max", "first"] = "mean"

    @property
    def stems(self) -> bool:
        """Whether words are stemmed."""
        return self.tokenizer == "rouge_score" if self.stemmer is None else self.stemmer

    @field_validator("types")
    @classmethod
    def _once(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(types)) < len(types):
            raise ValueError("a type is named twice; name each once")
        return types


def columns(config: Config) -> dict[str, Column]:
    """List one column a ROUGE type."""
    return {
        key: Column(title=f"ROUGE-{key[5:]}", unit="points", higher_is_better=True, role="quality")
        for key in config.types
    }


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """State what a figure depends on besides data and generation: implementation, stemmer, sentences, references."""
    counts = sorted({len(example.references) for example in context.examples}) or [0]
    count = "-".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    stem = f"nltk-porter-{metadata.version('nltk')}" if config.stems else "none"
    head = f"rouge_score-{metadata.version('rouge_score')}|{f'tok:{UNICODE}|' if config.tokenizer == 'unicode' else ''}stem:{stem}"
    splitter = texts.WIDE_SPLITTER if config.tokenizer == "unicode" else texts.SPLITTER
    tail = f"refs:{count},{config.references}"
    return {key: f"{key}|{head}|{f'lsum:{splitter}|' if key == 'rougeLsum' else ''}{tail}" for key in config.types}


def score(config: Config, context: ScoreContext) -> list[ScoreRow]:
    """Compute F1 in [0, 1] of every greedy prediction."""
    greedy = [prediction for prediction in context.predictions if prediction.output == "greedy"]
    references = [context.example(prediction.id).references for prediction in greedy]
    rows = rouge_rows([prediction.text for prediction in greedy], references, config)
    return [ScoreRow.of(p, "rouge", values) for p, values in zip(greedy, rows, strict=True)]


def warnings(config: Config, examples: Sequence[Example]) -> list[str]:
    """Say where the references hold letters that rouge_score's own tokenizer drops: what is left says nothing."""
    if config.tokenizer == "unicode":
        return []
    text = "".join(reference for example in examples for reference in example.references).lower()
    letters = [sign for sign in text if sign.isalnum()]
    dropped = sum(not sign.isascii() for sign in letters)
    if not letters or dropped <= LOST * len(letters):
        return []
    return [
        f"ROUGE drops {100 * dropped / len(letters):.0f} % of the references' letters, for its own tokenizer knows a to z "
        "alone; write metrics.rouge.tokenizer: unicode."
    ]


def rouge_rows(
    predictions: Sequence[str], references: Sequence[Sequence[str]], config: Config
) -> list[dict[str, float]]:
    """Compute F1 in [0, 1] by type for each prediction against its one or more references, in order."""
    pair = _pair_scorer(config)
    combine: Callable[[list[float]], float] = max if config.references == "max" else statistics.fmean
    rows = []
    for text, several in zip(predictions, references, strict=True):
        pairs = [pair(reference, text) for reference in (several[:1] if config.references == "first" else several)]
        rows.append({key: float(combine([values[key] for values in pairs])) for key in config.types})
    return rows


def words(text: str) -> list[str]:
    """Split a text of any script into words in lower case: letters, digits and marks; NFKC first, so that forms agree."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    spaced = "".join(
        f" {sign} " if _UNSPACED.match(sign) else sign if unicodedata.category(sign)[0] in "LNM" else " "
        for sign in folded
    )
    return spaced.split()


@contextlib.contextmanager
def _one_file_of_nltk() -> Iterator[None]:
    """Import nltk's modules without its packages' own code.

    rouge_score needs one file of nltk, the stemmer; `import nltk` runs all of it, scikit-learn and scipy too: 2.7 s
    instead of 0.1 s in every scoring process. Afterwards nltk can be imported as usual.
    """
    found = None if "nltk" in sys.modules else importlib.util.find_spec("nltk")
    if found is None or not found.submodule_search_locations:
        yield
        return
    root = Path(found.submodule_search_locations[0])
    for name, folder in (("nltk", root), ("nltk.stem", root / "stem")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "nltk"]:
            del sys.modules[name]


def _pair_scorer(config: Config) -> Callable[[str, str], dict[str, float]]:
    """RougeScorer.score from rouge_score's own parts, but each word is stemmed once and each text tokenised once."""
    with _one_file_of_nltk():
        from nltk.stem.porter import PorterStemmer
        from rouge_score import rouge_scorer, tokenize

    class Stemmer:
        stem = staticmethod(functools.cache(PorterStemmer().stem))

    def tokenised(text: str) -> list[str]:
        if config.tokenizer == "rouge_score":
            return list(tokenize.tokenize(text, Stemmer if config.stems else None))
        return [Stemmer.stem(word) if len(word) > 3 else word for word in words(text)] if config.stems else words(text)

    split = texts.wide_sentences if config.tokenizer == "unicode" else texts.sentences
    tokens = functools.cache(tokenised)
    by_sentence = functools.cache(lambda text: [tokens(sentence) for sentence in split(text)])
    ngrams = functools.cache(lambda text, n: rouge_scorer._create_ngrams(tokens(text), n))

    def one(key: str, target: str, prediction: str) -> float:
        if key == "rougeL":
            return rouge_scorer._score_lcs(tokens(target), tokens(prediction)).fmeasure
        if key == "rougeLsum":
            return rouge_scorer._summary_level_lcs(by_sentence(target), by_sentence(prediction)).fmeasure
        n = int(key[5:])
        return rouge_scorer._score_ngrams(ngrams(target, n), ngrams(prediction, n)).fmeasure

    return lambda target, prediction: {key: one(key, target, prediction) for key in config.types}


def as_evaluate_metric(config: Config | None = None) -> Any:
    """Wrap the same figures as an `evaluate.Metric`, for whoever composes metrics with that library; needs no network.

    `compute(predictions=[str], references=[[str]])` returns the exact mean of each type over the predictions, where
    evaluate's own rouge returns the middle of unseeded resamples.
    """
    import datasets
    import evaluate

    settings = config or Config()

    class Rouge(evaluate.Metric):
        def _info(self) -> evaluate.MetricInfo:
            text = datasets.Value("string")
            return evaluate.MetricInfo(
                description="ROUGE F1 by rouge_score, exact means.",
                citation="Lin 2004",
                inputs_description="",
                features=datasets.Features({"predictions": text, "references": datasets.Sequence(text)}),
            )

        def _compute(self, predictions: list[str], references: list[list[str]]) -> dict[str, float]:
            rows = rouge_rows(predictions, references, settings)
            return {key: statistics.fmean(row[key] for row in rows) for key in settings.types}

    return Rouge(keep_in_memory=True)


def _reward(key: str) -> Callable[[Sequence[Example], Sequence[str]], list[float]]:
    def measure(examples: Sequence[Example], texts: Sequence[str]) -> list[float]:
        rows = rouge_rows(texts, [example.references for example in examples], Config(types=(key,)))
        return [row[key] for row in rows]

    return measure


REWARDS = {key: _reward(key) for key in ("rouge1", "rouge2", "rougeL")}
