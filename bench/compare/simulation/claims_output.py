"""The page about how often a report is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from bench.compare.simulation import claims
from bench.compare.simulation.claims import CONFIDENCE, LEVEL, Found, Rates
from bench.report.markdown import cell, section, table
from bench.report.view import NONE, share


def headline(found: Found) -> str:
    """State the figures that the page promises."""
    worst = claims.headline(found)
    return (
        f"where nothing changed, a false verdict in at most {share(worst['verdicts'])} of reports and a false reading in "
        f"at most {share(worst['readings'])}; intervals hold the truth in at least {share(worst['coverage'].mean)} "
        f"({worst['coverage'].kind}, n = {worst['coverage'].n}); a false best method in at most {share(worst['better'])}"
    )


def document(found: Found) -> str:
    """Write the report."""
    exact = 100 * (LEVEL * (1 - LEVEL) / found.studies) ** 0.5
    rows = "; ".join(
        f"`{cell(one.study)}` ({len(one.values)} dialogues, {', '.join(f'`{cell(name)}`' for name in one.systems[1:])} "
        f"from `{cell(one.systems[0])}`)"
        for one in found.populations
    )
    parts = [
        "# How often a report is wrong",
        f"{headline(found).capitalize()}.",
        f"Simulated from the rows of {rows}: {found.studies:,} studies a line, each of n dialogues drawn with replacement "
        f"and judged by the report's own code at the level {share(LEVEL, 0)}, seed {claims.SEED}. A rate of "
        f"{share(LEVEL, 0)} is exact to {exact:.1f} points.",
        section(
            "Where nothing changed",
            "Start and aligned variants change places at random within each dialogue. A false verdict is any other than "
            "'no change shown' in the panel; a false reading is any 'better' or 'worse' in 'What alignment changed'; a "
            "false best any two variants told apart by the column that judges them, every two tested.",
            table(
                ["study", "n", "false verdict", "'only the reward moved'", "false reading", "false best"],
                list(_null(found)),
            ),
        ),
        section(
            "Where something changed",
            "All: the rows as they are. Half: on half of the dialogues a variant has its "
            "start's rows. 'Less toxic', or of a reward of quality 'better', is the share of variants that get this verdict (power); a "
            f"report accuses where some variant is said to have gamed its reward. In the rows themselves, toxicity fell by: {_truth(found)}.",
            table(
                ["study", "n", "changed", "'less toxic', 'better'", "'the reward moved'", "accuses"],
                list(_power(found)),
            ),
        ),
        section(
            f"How often a {share(CONFIDENCE, 0)} interval holds the truth",
            f"The mean over all columns of a kind, and in brackets the lowest of them; '{NONE}' where none is printed.",
            _coverage(found),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _truth(found: Found) -> str:
    """What is true of the rows: the fall of toxicity by the reward and by the judge, of each variant."""
    told = []
    for one in found.populations:
        if one.sides[0] and one.columns[one.sides[0][0]].role != "safety":
            continue
        for system, each in claims.evidence(one, one.values).items():
            falls = [1 - after.mean() / before.mean() for before, after in (each.followed or each.judge, each.judge)]
            told.append(
                f"`{cell(system)}` of `{cell(one.study)}` {share(falls[0], 0)} (reward), {share(falls[1], 0)} (judge)"
            )
    return "; ".join(told)


def _scene(found: Found, scene: str) -> Iterator[tuple[str, int, Rates]]:
    for (study, n, which), rates in found.rates.items():
        if which == scene:
            yield study, n, rates


def _null(found: Found) -> Iterator[list[str]]:
    for study, n, rates in _scene(found, "nothing"):
        counts = (rates.any_verdict, rates.accused, rates.any_reading, rates.any_better)
        yield [cell(study), str(n), *(share(count / rates.studies) for count in counts)]


def _power(found: Found) -> Iterator[list[str]]:
    for scene in ("half", "all"):
        for study, n, rates in _scene(found, scene):
            variants = sum(rates.verdicts.values())
            told = [rates.verdicts[verdict] / variants for verdict in ("less", "reward")]
            yield [cell(study), str(n), scene, *map(share, told), share(rates.accused / rates.studies)]


def _coverage(found: Found) -> str:
    kinds = list(dict.fromkeys(each.kind for each in found.coverage))
    sizes = sorted({each.n for each in found.coverage})
    known = {(each.kind, each.n): each for each in found.coverage}
    rows = [[kind, *(_shares(known.get((kind, n))) for n in sizes)] for kind in kinds]
    return table(["interval", *(f"n = {n}" for n in sizes)], rows)


def _shares(found: claims.Coverage | None) -> str:
    return NONE if found is None else f"{share(found.mean)} [{share(found.lowest)}]"
