"""report.md from top to bottom."""

from __future__ import annotations

from pathlib import Path

from bench.core import storage
from bench.report import (
    agreement,
    claims,
    costs,
    examples,
    published,
    reward_hacking,
    seed_variance,
    summary,
    tables,
    truncation,
)
from bench.report.markdown import cell, code, section
from bench.report.provenance import provenance
from bench.report.view import View, share


def document(view: View, pictures: dict[str, Path]) -> str:
    """Write the report as Markdown."""
    parts = [
        f"# {cell(view.study.params.study)}: a summariser before and after tuning and alignment",
        summary.summary(view),
        warnings(view),
        _results(view, pictures),
        _alignment(view),
        reward_hacking.hacking(view),
        _tuning(view),
        agreement.agreement(view),
        seed_variance.trainings(view),
        _elsewhere(view),
        _details(view),
        truncation.limits(view),
        _online(view),
        _costs(view, pictures),
        examples.reward_table(view),
        examples.side_by_side(view),
        published.published(view),
        section(
            "Signatures",
            "What each number depends on; two numbers are comparable when these agree.",
            tables.signature_list(view),
        ),
        provenance(view.study),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def warnings(view: View) -> str:
    """List what a reader must know before the numbers; empty when there is nothing."""
    texts = [cell(text) for text in view.study.warnings]
    texts += [
        f"{code(tag)} of `report.slices` is no tag that splits the test dialogues: nothing is said of it."
        for tag in view.study.params.report.slices
        if tag not in view.metrics["slices"]
    ]
    texts += [
        f"`{variant}` collapsed: {share(share_of_dialogues, 0)} of the dialogues got one and the same summary, or none. Its scores are no "
        "result; they stand in metrics.json and are left out of every comparison."
        for variant, share_of_dialogues in view.metrics["collapsed"].items()
    ]
    return "\n".join(f"> **Warning:** {text}\n>" for text in texts).removesuffix("\n>")


def _picture(pictures: dict[str, Path], name: str, words: str) -> str:
    return f"![{words}](plots/{pictures[name].name})" if name in pictures else ""


def _results(view: View, pictures: dict[str, Path]) -> str:
    note = (
        "`human` is one reference held against the others, `lead-3` the first three turns; no model wrote these. "
        "ROUGE is F1 times 100. `trainable` is the share of the parameters that training could change."
    )
    return section(
        "Results",
        tables.main_table(view),
        note,
        _picture(pictures, "tradeoff", "quality against toxicity, each system with its interval"),
    )


def _alignment(view: View) -> str:
    study = view.study
    keys = claims.results(study.columns, view.primary, aligned=True)
    note = (
        "Paired by dialogue. `improvement` is (mean before - mean after) / mean before: positive means less of it. "
        "`p` is a two-sided sign-flip test, corrected by Holm over the whole table: where nothing changed, the chance of any "
        f"'better' or 'worse' in it is below {100 * view.level:g} %. Elsewhere stands the difference that this many dialogues "
        "would have found with 80 % power. Intervals cover what so few dialogues may have missed, a rare insult too, so one may "
        f"include 0 beside a change that the test shows. {seed_variance.left_out(view)}"
    )
    made = tables.change_table(view, study.aligned, keys, improvement=True)
    return section("What alignment changed", made, note if made else "")


def _tuning(view: View) -> str:
    study = view.study
    tuned = [variant for variant in study.params.variants if variant not in study.aligned]
    keys = claims.results(study.columns, view.primary, aligned=False)
    return section("What fine-tuning changed", tables.change_table(view, tuned, keys, improvement=False))


def _details(view: View) -> str:
    study = view.study
    shape = tables.other_keys(view)
    divergence = [
        "KL(variant ‖ reference), exact sums over the vocabulary unless called sampled; `base` is the untrained model, "
        "`start` what the variant was trained from."
        if study.keys("distance", sampled=None)
        else "",
        tables.by_measure(view, study.keys("distance", sampled=None)),
    ]
    return "\n\n".join(
        part
        for part in (
            section("Toxicity in detail", tables.toxicity_table(view)),
            section("By slice", tables.slice_table(view), *_slice_changes(view)),
            section("Distance from base and start", *divergence),
            section("Shape of the output", tables.by_measure(view, shape), *_gaming(view, shape)),
        )
        if part
    )


def _gaming(view: View, keys: list[str]) -> list[str]:
    """How alignment changed the shape: a reward is often gamed by length, repetition or saying the same to everyone."""
    made = tables.change_table(view, view.study.aligned, keys, improvement=False)
    return ["What alignment changed of it; a gamed reward shows here first:", made] if made else []


def _slice_changes(view: View) -> list[str]:
    """What alignment changed on the declared slices, and what puts a dialogue on one."""
    made = tables.slice_change_table(view)
    if not made:
        return []
    data, slices = view.study.params.data, view.study.params.report.slices
    words = [
        f"{code(tag)}: at least {config.at_least} of {len(config.words)} words of params.yaml (sha256 "
        f"{storage.sha256_text(' '.join(config.words))[:8]}), chosen by neither reward nor judge."
        for tag, config in data.tags.items()
        if {tag, f"not-{tag}"} & set(slices)
    ]
    note = f"What alignment changed there, corrected by Holm over this table. {' '.join(words)}"
    return [note, made]


def _elsewhere(view: View) -> str:
    made = tables.elsewhere_table(view)
    note = (
        "Greedy summaries of dialogues of another dataset by the same models, with the same prompt and limits: how far "
        "tuning carries over. No dialogue there stands in the data that was learnt from."
    )
    return section("On other datasets", made, note if made else "")


def _online(view: View) -> str:
    made = tables.online_table(view)
    note = (
        "`clipped` is the share of generated tokens at which the ratio to the policy that wrote them left the bounds of "
        "`clip`, over all passes and minibatches: where it is 0 throughout, nothing was proximal about it."
    )
    return section("How it learnt from its own samples", made, note if made else "")


def _costs(view: View, pictures: dict[str, Path]) -> str:
    measured = costs.measured(view.costs, costs.places(view.study.params))
    return "\n\n".join(
        part
        for part in (
            section("Cost", tables.cost_table(view), seed_variance.summed(view), measured),
            section("Where the time went", tables.time_table(view)),
            section("Training curves", _picture(pictures, "curves", "training curves, one panel a quantity")),
        )
        if part
    )
