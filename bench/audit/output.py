"""Findings as Markdown, as a terminal table and as JSON."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.audit import checks
from bench.audit.claims import TAGS, Claim, ClaimFile
from bench.audit.finding import FAILS, HOLDS, OPEN, READING, Finding
from bench.core.terminal import single_line
from bench.report.markdown import bullets, cell, line, section, table

RULES = (
    (
        "holds",
        "the stated number is the recomputed one within half a unit of its last printed digit; and where the claim is that "
        "something changed, the data show it.",
    ),
    (
        READING,
        "the source prints a per cent sign, and the figure is right in one of its two readings alone: points (a "
        "difference of two percentages) or per cent of the value before.",
    ),
    (
        "does not follow",
        "another number comes out, or the opposite is shown. A *rounding difference* is smaller than what the "
        "rounding of the printed inputs can make: harmless, yet the printed table does not give it.",
    ),
    (
        "inconclusive",
        "the arithmetic may be right, but the interval includes 0 or p is above .05. It is not evidence that "
        "nothing changed.",
    ),
)
QUOTED = (
    "Words in quotation marks are the source's, to the letter. What stands behind 'reported as' is told in words of ours, for "
    "the source's own are not at hand; notes are ours too."
)
METHOD = (
    "Brackets are 95 % intervals over the listed rows, pairs kept together, by Student's t: of a mean its own, of a change "
    "in per cent Fieller's, of a ratio of standard deviations Pitman and Morgan's; `by rounding` is what the printed digits "
    f"leave open. p is a two-sided sign-flip test ({checks.FLIPS:,} flips, seed {checks.SEED}) where nothing else is said. Where a table prints no rows, the noise of one item is assumed and the claim says so. "
    "The rows of one run say nothing about another run of training."
)
HOW = (
    "Write `claims/<name>.json` as `bench/audit/papers/thesis.json` is written and run `bench audit`: numbers in quotes as "
    "printed, a `check` a claim ("
    + ", ".join(f"`{tag}`" for tag in TAGS)
    + "); `quote` takes the source's own words, to the letter, or is left out."
)
Audited = Mapping[Path, tuple[ClaimFile, Sequence[Finding]]]


def headline(audited: Audited) -> str:
    """Count the claims and each verdict."""
    found = [finding for _, findings in audited.values() for finding in findings]
    counts, rounding = Counter(finding.verdict for finding in found), sum(finding.rounding for finding in found)
    small = f" ({rounding} of them by rounding alone)" if rounding else ""
    reading = f"{counts[READING]} hold in one reading of a per cent sign alone, " if counts[READING] else ""
    return f"{len(found)} claims: {counts[HOLDS]} hold, {reading}{counts[FAILS]} do not follow{small}, {counts[OPEN]} inconclusive"


def words(claim: Claim) -> str:
    """Tell a claim in the source's words, and in ours what is checked; without such words as 'reported as'."""
    return f"“{claim.quote}”: {claim.claim}" if claim.quote else f"reported as: {claim.claim}"


def markdown(audited: Audited) -> str:
    """Write the whole page."""
    parts = [
        "# Audit of published claims",
        f"{headline(audited)}.",
        QUOTED,
        bullets([(f"**{a}**", b) for a, b in RULES]),
    ]
    for path, (file, findings) in audited.items():
        parts.append(section(cell(path.stem), line(file.about), *_tables(findings)))
    parts += [section("How this is computed", METHOD), section("Add a paper", HOW)]
    return "\n\n".join(parts) + "\n"


def _tables(findings: Sequence[Finding]) -> list[str]:
    """One table a source, in the order of the file; notes that several claims share are said once below it."""
    parts = []
    for source in dict.fromkeys(finding.claim.source for finding in findings):
        some = [finding for finding in findings if finding.claim.source == source]
        notes = list(dict.fromkeys(finding.claim.note for finding in some if finding.claim.note))
        rows = [
            [
                cell(words(finding.claim))
                + (f" ({notes.index(finding.claim.note) + 1})" if finding.claim.note else ""),
                cell(finding.stated),
                finding.recomputed,
                finding.interval,
                finding.words if finding.verdict == HOLDS else f"**{finding.words}**",
                cell(finding.reason),
            ]
            for finding in some
        ]
        headers = ["claim", "stated", "recomputed", "interval", "verdict", "reason"]
        below = "\n".join(f"{k}. {line(note)}" for k, note in enumerate(notes, 1))
        parts.append(section(cell(source), table(headers, rows, len(headers)), below, level=3))
    return parts


def terminal(audited: Audited) -> str:
    """Format a table for the terminal: the claim folded, no reason."""
    from tabulate import tabulate

    rows = [
        [
            "\n".join(textwrap.wrap(single_line(words(finding.claim)), 46)),
            finding.stated,
            finding.recomputed,
            finding.words,
        ]
        for _, findings in audited.values()
        for finding in findings
    ]
    return tabulate(rows, ["claim", "stated", "recomputed", "verdict"], tablefmt="simple", disable_numparse=True)


def as_json(audited: Audited) -> dict[str, Any]:
    """Format the findings with their numbers at six digits, less what is not finite."""
    files: list[dict[str, Any]] = []
    for path, (file, findings) in audited.items():
        rows = [
            {
                "claim": finding.claim.claim,
                "quote": finding.claim.quote,
                "source": finding.claim.source,
                "check": finding.claim.model_dump()["check"],
                "stated": finding.stated,
                "verdict": finding.verdict,
                "words": finding.words,
                "rounding": finding.rounding,
                "reason": finding.reason,
                "n": finding.n,
                "numbers": {k: float(f"{v:.6g}") for k, v in finding.numbers.items() if math.isfinite(v)},
            }
            for finding in findings
        ]
        files.append({"file": path.name, "about": file.about, "findings": rows})
    return {"summary": headline(audited), "files": files}
