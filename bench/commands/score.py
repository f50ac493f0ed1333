"""`bench score` and `bench compare`: summaries of any system against references, without a study."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands import Command
from bench.core.schema import UserError

TERMINAL = ("terminal", "markdown", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that both commands have."""
    parser.add_argument(
        "systems",
        nargs="+",
        metavar="SUMMARIES",
        help="files of summaries, one a system: .jsonl, .json, .csv, .tsv, .parquet, or .txt with one a line",
    )
    parser.add_argument("--references", required=True, metavar="FILE", help="the references, in any of those formats")
    parser.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="WHAT=NAME",
        help="columns of other names: id, summary, reference, dialogue",
    )
    parser.add_argument("--tokenizer", choices=("rouge_score", "unicode"), default="rouge_score", help="of ROUGE")
    parser.add_argument("--bleu", action="store_true", help="also sacrebleu's BLEU and chrF of each summary")
    parser.add_argument(
        "--toxicity", metavar="CLASSIFIER", help="its folder, OWNER/NAME@COMMIT of the hub, or `profanity`"
    )
    parser.add_argument("--toxic", metavar="LABEL", help="the classifier's label for toxic texts")
    parser.add_argument("--format", choices=TERMINAL, default="terminal")
    parser.add_argument("--resamples", type=int, default=10_000, metavar="N", help="resamples and sign flips (10000)")


def _add_arguments_of_compare(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser)
    parser.add_argument(
        "--by", default="rouge1", metavar="COLUMN", help="what the summaries that changed most are found by"
    )
    parser.add_argument("--changed", type=int, default=3, metavar="N", help="how many of them are shown (3)")


def _scores(given: argparse.Namespace) -> object:
    from bench import standalone

    if given.resamples < 100:
        raise UserError(f"--resamples: {given.resamples} are too few for an interval; write 1000 or more.")
    names = {}
    for each in given.columns:
        what, sign, name = each.partition("=")
        if not sign or what not in standalone.Columns.names() or not name:
            known = ", ".join(standalone.Columns.names())
            raise UserError(f"--columns: '{each}' is not WHAT=NAME, where WHAT is one of: {known}.")
        names[what] = name
    return standalone.score(
        [Path(path) for path in given.systems],
        given.references,
        columns=standalone.Columns(**names),
        rouge={"tokenizer": given.tokenizer},
        toxicity=given.toxicity,
        toxic=given.toxic,
        bleu=given.bleu,
        resamples=given.resamples,
    )


def run(given: argparse.Namespace) -> int:
    """Print a table of every system.

    Raises:
        UserError: a file is missing or wrong.
    """
    from bench.standalone import output

    print(output.scores(_scores(given), given.format), end="")  # type: ignore[arg-type]
    return 0


def compare(given: argparse.Namespace) -> int:
    """Print the differences of every system to the first.

    Raises:
        UserError: a file is missing or wrong, or there is one system alone.
    """
    from bench import standalone
    from bench.standalone import output

    if len(given.systems) < 2:
        raise UserError(
            "bench compare: one file of summaries is given; name two or more, the first is what others are held to."
        )
    found = _scores(given)
    standalone.check_primary(found, given.by)  # type: ignore[arg-type]
    print(output.comparison(found, given.format, given.by, max(given.changed, 0)), end="")  # type: ignore[arg-type]
    return 0


COMMAND = Command("score any summaries against references, without a study", add_arguments, run)
COMPARE = Command(
    "compare any systems on the same references: what changed, and may it be said", _add_arguments_of_compare, compare
)
