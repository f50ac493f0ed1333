"""The figures as Markdown and JSON, and the one sentence that says what a point of ROUGE is evidence of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import bench.report
from bench import correlations
from bench.correlations import Agreement
from bench.judgements import files
from bench.judgements.study import Measured, Preferred, Ranked, length_key
from bench.metrics import Column
from bench.report.markdown import bullets, cell, section, table
from bench.stats import Estimate

RECORD = Path(bench.report.__file__).with_name("worth.json")
MEASURES = {
    "system_spearman": "by system, ρ",
    "system_kendall": "by system, τ",
    "summary_spearman": "by summary, ρ",
    "summary_kendall": "by summary, τ",
    "clear_pairs": "clear pairs (%)",
    "slope": "rating a unit",
}
READ = (
    ("by system", "rank correlation of the systems' means with the raters' means: Spearman's ρ, Kendall's τ-b."),
    (
        "by summary",
        "the same within a dialogue, over the systems' summaries of it, averaged over dialogues. `–`: too few dialogues in "
        "which the column differs at all.",
    ),
    (
        "clear pairs",
        f"share of pairs of summaries of one dialogue, rated {correlations.APART:g} or more apart, that the column ranks as "
        "the raters do; a tie is half, a coin gives 50 %.",
    ),
    (
        "rating a unit",
        "by how much the rating rises where the column is one unit higher (a point of ROUGE, a word, a per cent), among "
        "summaries of one dialogue, by least squares.",
    ),
    (
        "one rater",
        "each rater against the mean of the others, averaged over raters: what a person who rates too would reach. The "
        "release names no raters: they are the first, second and third rating of each summary.",
    ),
)
HOW = (
    f"Brackets are 95 % percentile bootstrap intervals ({correlations.RESAMPLES:,} resamples, seed {correlations.SEED}): by "
    "system over dialogues and systems both, else over dialogues, whose pairs are kept together. Fewer than "
    f"{correlations.FEWEST} systems or dialogues have none. Columns are the quality and shape columns of metrics: those that "
    "need no model by their defaults, those that need one (where they are asked for) by the blocks of a study. A column that "
    "is better when lower counts as its negative. Nothing is corrected for the number of figures in these tables."
)
REFERENCES = (
    "SAMSum has one summary by people a dialogue. It is the reference that ROUGE and the ratio of lengths are counted "
    "against, and therefore no ranked system."
)
LEFT_OUT = "Without a value for some of these texts, or the same for all"
GROUPS = ("evidence of", "weak evidence of", "not shown to be evidence of")
GRADES = (
    "In the sentence above, what raters rated is 'evidence' where ρ by summary is above 0 by its interval and at least half of "
    "what one rater reaches, 'weak evidence' where it is above 0 alone, and 'not shown' else; a preference for corrections is "
    "weak evidence where its interval lies above 50 %."
)


class _Judged(NamedTuple):
    """A target, the coefficient of a column within a dialogue, what one rater reaches and what the length alone does."""

    target: str
    own: Estimate
    rater: float
    length: float

    @property
    def group(self) -> int:
        """A place in GROUPS."""
        if not self.own.low > 0:
            return 2
        return 0 if self.own.value >= self.rater / 2 else 1


def sentence(found: Measured) -> str:
    """Say from the figures what a point of the first ROUGE is evidence of and what it is not, among one dialogue's summaries.

    What the raters rated is `evidence` where the coefficient within a dialogue is above 0 by its interval and at least
    half of what one rater reaches, `weak evidence` where it is above 0 alone, else not shown. Empty without such a column
    or a judgement.
    """
    key = next((k for k, column in found.columns.items() if column.role == "quality" and column.unit == "points"), None)
    if key is None:
        return ""
    judged = [
        _judged(given, target, key, length_key(found.columns)) for given in found.ranked for target in given.agreements
    ]
    groups = [[one for one in judged if one and one.group == place] for place in range(len(GROUPS))]
    words = [[_group(some)] if some else [] for some in groups]
    if found.preferred and key in found.preferred.shares:
        words[1 if found.preferred.shares[key].low > 0.5 else 2].append(_corrections(found.preferred, key))
    parts = [f"{strength} {' and of '.join(some)}" for strength, some in zip(GROUPS, words, strict=True) if some]
    if not parts:
        return ""
    rated = [
        agreements[key]
        for given in found.ranked
        for t, agreements in given.agreements.items()
        if t in given.ceilings and key in agreements
    ]
    slope = _span([agreement.slope.value for agreement in rated], 3) if rated else ""
    rise = f"goes with {slope} points of a rating from 1 to 5; it is" if slope else "is"
    return f"Among summaries of one dialogue, a point of {found.columns[key].title} {rise} {_listed(parts)}."


def _judged(given: Ranked, target: str, key: str, length: str | None) -> _Judged | None:
    agreements = given.agreements[target]
    if key not in agreements:
        return None
    rater = given.ceilings[target].summary_spearman.value if target in given.ceilings else math.nan
    alone = agreements[length].summary_spearman.value if length in agreements else math.nan
    return _Judged(target, agreements[key].summary_spearman, rater, alone)


def _group(some: Sequence[_Judged]) -> str:
    """The targets of a group with the span of their coefficients, those of a rater, and where the length alone does better."""
    figures = [f"ρ {_bracket(some[0].own, 2) if len(some) == 1 else _span([one.own.value for one in some])}"]
    raters = [one.rater for one in some if math.isfinite(one.rater)]
    figures += [f"one rater {_span(raters)}"] if raters else []
    longer = [f"{one.length:.2f} for {one.target}" for one in some if one.length > one.own.value]
    words = f"; the number of words alone reaches {_listed(longer)}" if longer else ""
    return f"{_listed([one.target for one in some])} ({', '.join(figures)}{words})"


def _corrections(preferred: Preferred, key: str) -> str:
    share = _percent(preferred.shares[key]).replace(" ", " % ", 1)
    return f"correct facts (it prefers the human correction to the wrong summary in {share} of {preferred.pairs} pairs)"


def _span(values: Sequence[float], digits: int = 2) -> str:
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _bracket(found: Estimate, digits: int) -> str:
    """`value [low, high]`, the value alone where there is no interval; `–` where there is no value."""
    if not math.isfinite(found.value):
        return "–"
    ends = f" [{found.low:.{digits}f}, {found.high:.{digits}f}]" if math.isfinite(found.low) else ""
    return f"{found.value:.{digits}f}{ends}"


def _percent(found: Estimate) -> str:
    return _bracket(Estimate(*(100 * end for end in found)), 1)


def markdown(found: Measured) -> str:
    """Write the whole page."""
    parts = ["# What the metrics are worth", f"**{cell(sentence(found))}**" if sentence(found) else ""]
    parts += ["Metrics held against what people said of dialogue summaries.", bullets(_named(READ))]
    parts += [_ranked(given, found.columns) for given in found.ranked]
    parts += [_preferred(found.preferred, found.columns) if found.preferred else ""]
    parts += [section("How this is computed", GRADES, HOW, _refused(found)), section("Read from", _sources(found))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _named(items: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(f"**{name}**", text) for name, text in items]


def _ranked(given: Ranked, columns: Mapping[str, Column]) -> str:
    """A table a target: a row a column, and the raters' own."""
    count = f"{given.raters} raters" if given.raters > 1 else "one verdict a summary"
    intro = f"{given.dialogues} dialogues, {given.systems} systems, {count}. {REFERENCES}"
    parts = []
    for target, agreements in given.agreements.items():
        rows = [[_title(key, columns), *_cells(agreement)] for key, agreement in agreements.items()]
        if target in given.ceilings:
            rows.append(["**one rater**", *_cells(given.ceilings[target])])
        pairs = f"{next(iter(agreements.values())).pairs:,} clear pairs." if agreements else ""
        parts.append(section(cell(target), table(["", *MEASURES.values()], rows), pairs, level=3))
    return section(cell(given.name), intro, *parts, _constant(given.constant, columns))


def _cells(agreement: Agreement) -> list[str]:
    summary = [
        _bracket(one, 2) if math.isfinite(one.low) else "–"
        for one in (agreement.summary_spearman, agreement.summary_kendall)
    ]
    systems = [_bracket(agreement.system_spearman, 2), _bracket(agreement.system_kendall, 2)]
    return [*systems, *summary, _percent(agreement.clear_pairs), _bracket(agreement.slope, 3)]


def _title(key: str, columns: Mapping[str, Column]) -> str:
    column = columns[key]
    notes = ["its negative"] if column.higher_is_better is False else []
    notes += ["the length alone"] if key == length_key(columns) else []
    return cell(column.title) + (f" ({', '.join(notes)})" if notes else "")


def _constant(keys: Sequence[str], columns: Mapping[str, Column]) -> str:
    return f"{LEFT_OUT}: {', '.join(cell(columns[key].title) for key in keys)}." if keys else ""


def _preferred(given: Preferred, columns: Mapping[str, Column]) -> str:
    intro = (
        f"{given.pairs} summaries of {given.dialogues} dialogues of DialogSum's test split (three references each), and what "
        "people made of them to mend their facts. How often is the correction preferred? A coin gives 50 %. Groups are used "
        f"whose dialogue is found safely (its ratio {files.SAFE} or more, and no other group's too)."
    )
    rows = [[_title(key, columns), _percent(share)] for key, share in given.shares.items()]
    shares = table(["", "prefers the correction (%)"], rows)
    return section("DialSummFactCorr", intro, shares, _constant(given.constant, columns))


def _refused(found: Measured) -> str:
    return bullets([(f"left out `{name}`", cell(reason)) for name, reason in found.refused.items()])


def _sources(found: Measured) -> str:
    """What was read and how the columns were computed; no text of it stands here."""
    items = [(f"`{name}`", f"sha256 {digest}") for name, digest in found.digests.items()]
    return bullets(items + [(f"`{key}`", cell(text)) for key, text in found.signatures.items()])


def as_json(found: Measured) -> dict[str, Any]:
    """Format every figure at six digits; what does not exist is null."""
    return {
        "sentence": sentence(found),
        "ranked": {
            given.name: {
                "dialogues": given.dialogues,
                "systems": given.systems,
                "raters": given.raters,
                "targets": {
                    target: {key: _agreement(one) for key, one in agreements.items()}
                    for target, agreements in given.agreements.items()
                },
                "one rater": {target: _agreement(one) for target, one in given.ceilings.items()},
            }
            for given in found.ranked
        },
        "corrections": {
            "pairs": found.preferred.pairs,
            "dialogues": found.preferred.dialogues,
            "preferred": {key: _estimate(share) for key, share in found.preferred.shares.items()},
        }
        if found.preferred
        else None,
        "left out": found.refused,
        "files": found.digests,
        "signatures": found.signatures,
    }


def _agreement(found: Agreement) -> dict[str, Any]:
    return {name: _estimate(getattr(found, name)) for name in MEASURES} | {"pairs": found.pairs}


def _estimate(found: Estimate) -> dict[str, float | None]:
    return {name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in found._asdict().items()}
