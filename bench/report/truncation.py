"""What the limits on length cut off: dialogues, references and summaries, each by its rule and counted."""

from __future__ import annotations

from bench.report.markdown import cell, joined, table
from bench.report.view import NONE, View, count, share


def limits(view: View) -> str:
    """Write the rules with their figures, what each variant lost to them, and what each split lost."""
    text, generation = view.study.params.text, view.study.params.generation
    rules = (
        f"A dialogue that does not fit into {text.max_source_tokens:,} tokens together with its prompt loses its end; "
        "the instruction around it is not cut. A reference above "
        f"{text.max_target_tokens:,} tokens loses its end where a model is trained on it or its KL is taken, and is "
        f"not cut where summaries are scored. A summary is ended after {generation.max_new_tokens:,} tokens."
    )
    return joined(rules, _by_variant(view), _by_split(view))


def _by_variant(view: View) -> str:
    rows = []
    for variant, predictions in view.study.predictions.items():
        greedy = [row for row in predictions if row.output == "greedy"]
        samples = [row for row in predictions if row.output == "sample"]
        rows.append(
            [
                cell(variant),
                count(len(greedy)),
                _of(sum(row.source_truncated for row in greedy), len(greedy)),
                _of(sum(row.hit_limit for row in greedy), len(greedy)),
                _of(sum(row.hit_limit for row in samples), len(samples)),
            ]
        )
    return table(["", "dialogues", "dialogues cut", "summaries cut", "samples cut"], rows)


def _by_split(view: View) -> str:
    """What the data and check stages counted; a study run without them has no such table."""
    rows = []
    for start, splits in view.study.lengths.items():
        for split, counts in splits.items():
            rows.append(
                [
                    cell(split),
                    cell(start),
                    count(counts.rows),
                    _of(counts.sources_cut, counts.rows),
                    _of(counts.references_cut, counts.rows),
                    count(view.study.dropped.get(split, 0)),
                ]
            )
    headers = [
        "split",
        "tokens of",
        "dialogues",
        "dialogues cut",
        "references cut",
        "left out, as a later split has them",
    ]
    return table(headers, rows, text_columns=2)


def _of(some: int, total: int) -> str:
    """A count with its share."""
    return f"{count(some)} ({share(some / total)})" if total else NONE
