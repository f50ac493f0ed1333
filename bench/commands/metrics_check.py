"""`bench metrics-check`: what metrics are worth, measured against people: those that need no model, and a study's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands import Command
from bench.core import parameters, paths, storage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="where dialsummeval.jsonl, faceval.csv and factcorr_aligned.json lie, or some of them",
    )
    parser.add_argument(
        "--dialogues",
        type=Path,
        metavar="FILE",
        help="DialogSum's test file, which the corrections are of (default: dialogsum.test.jsonl in FOLDER)",
    )
    parser.add_argument(
        "--out", type=Path, default=paths.REPORTS, metavar="FOLDER", help="where metrics-check.md and .json go"
    )
    parser.add_argument(
        "--study",
        action="store_true",
        help="also the metrics of params.yaml that need a model (BERTScore, entailment, unseen reward models), from models/",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="also write the sentence into bench/report/worth.json, from where reports print it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, write metrics-check.md and metrics-check.json, and print the sentence that the figures give; 0.

    Raises:
        UserError: no file of judgements is there, or one is broken.
    """
    from bench.judgements import output, study

    found = study.measure(arguments.folder, arguments.dialogues, parameters.read() if arguments.study else None)
    page = arguments.out / "metrics-check.md"
    storage.write_json(arguments.out / "metrics-check.json", output.as_json(found))
    storage.write_text(page, output.markdown(found))
    if arguments.record:
        storage.write_json(output.RECORD, {"sentence": output.sentence(found)})
    print(f"{output.sentence(found)}\n\nmetrics-check -> {page}")
    return 0


COMMAND = Command("measure metrics against human judgements", add_arguments, run)
