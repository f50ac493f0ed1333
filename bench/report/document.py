"""report.md from top to bottom."""

from __future__ import annotations

from pathlib import Path

from bench import datasets
from bench.report import (
    agreement,
    alignment,
    claims,
    costs,
    examples,
    published,
    reward_hacking,
    rewards,
    seed_variance,
    summary,
    tables,
    truncation,
    wording,
    writing,
)
from bench.report.markdown import cell, code, folded, line, section
from bench.report.provenance import provenance
from bench.report.view import View, share


def document(view: View, pictures: dict[str, Path]) -> str:
    """Write the report as Markdown: what may be said on the first screen, then what changed, the rest folded."""
    parts = [
        f"# {cell(view.study.params.study)}, before and after tuning and alignment",
        warnings(view),
        summary.setting(view),
        _results(view, pictures),
        alignment.methods(
            view, _picture(pictures, "alignment", "reward, truth and other measures against the KL to the start", 960)
        ),
        rewards.preferences(view),
        rewards.training_sets(view),
        rewards.reward_models(view),
        _changes(view, pictures),
        reward_hacking.hacking(view),
        agreement.agreement(view),
        seed_variance.trainings(view),
        _elsewhere(view),
        _online(view),
        _details(view, pictures),
    ]
    page = "\n\n".join(part for part in parts if part) + "\n"
    if datasets.find(view.study.params.data.dataset).DIALOGUES:
        return page
    return wording.of_examples(
        page, [line(view.study.params.about), examples.reward_table(view), examples.side_by_side(view)]
    )


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


def _picture(pictures: dict[str, Path], name: str, words: str, width: int) -> str:
    """A picture at a width in pixels: Markdown's own images take the whole page."""
    return f'<img src="plots/{pictures[name].name}" width="{width}" alt="{words}">' if name in pictures else ""


def _results(view: View, pictures: dict[str, Path]) -> str:
    yardsticks = {"human": "one reference held against the others", "lead-3": "the first three turns"}
    named = [f"`{name}` is {words}" for name, words in yardsticks.items() if name in view.study.systems]
    note = f"{', '.join(named)}; no model wrote these. " if named else ""
    note += "ROUGE is F1 times 100. " if any(key.startswith("rouge") for key in tables.front_keys(view)) else ""
    note += "`trained` is the share of the parameters that training could change."
    return section(
        "Results",
        summary.verdicts(view),
        tables.front_table(view),
        _picture(pictures, "tradeoff", "quality against toxicity, each system with its interval", 600),
        _picture(pictures, "trained", "the primary result against the trained share of the parameters", 600),
        _picture(pictures, "diversity", "the primary result against the diversity of a dialogue's summaries", 600),
        note,
    )


def _changes(view: View, pictures: dict[str, Path]) -> str:
    """The paired differences of all results: aligned variants first, each against its start."""
    study = view.study
    tuned = [variant for variant in study.params.variants if variant not in study.aligned]
    by_kind = ((study.aligned, True), (tuned, False))
    wanted = [
        (variant, key)
        for variants, aligned in by_kind
        for variant in variants
        for key in claims.results(study.columns, view.primary, aligned=aligned)
    ]
    first = [(variant, key) for variant, key in wanted if variant in study.aligned or key in tables.front_keys(view)]
    others_changed = "fine-tuning, prompts and decodings" if writing.differs(view) else "fine-tuning"
    made = tables.change_table(view, first)
    others = tables.change_table(view, [place for place in wanted if place not in first])
    note = (
        "Paired by dialogue, each variant against its start. ▲ better, ▼ worse: a two-sided sign-flip test, corrected by Holm over "
        f"what alignment changed and over what {others_changed} changed; where nothing changed, the chance of any ▲ or ▼ in one of "
        f"these families is below {100 * view.level:g} %. ○: not shown, with the difference that so many dialogues would find with "
        "80 % power. Intervals cover what so few dialogues may have missed, a rare insult too, so one may include 0 beside a "
        f"change that the test shows. {seed_variance.left_out(view)}"
    )
    truths = [key for key in study.keys("quality", detail=False) if study.columns[key].truth]
    slices = tables.slice_change_table(view, {view.primary, study.judge_key or "", *truths[:1]})
    return section(
        "What changed",
        _picture(pictures, "differences", "paired differences to the start, each with its interval", 760),
        made,
        folded(f"What {others_changed} changed of every other result", others),
        note if made else "",
        "On the slices that the study declared, corrected by Holm over all that was tested on slices:"
        if slices
        else "",
        slices,
        _slice_words(view) if slices else "",
    )


def _details(view: View, pictures: dict[str, Path]) -> str:
    """Everything else, each under a line to open."""
    study = view.study
    shape = tables.other_keys(view)
    of_shape = [
        (variant, key) for variant in study.aligned for key in shape if view.change(variant, key).get("changed")
    ]
    distances = study.keys("distance", sampled=None)
    of_distances = (
        "KL(variant ‖ reference), exact sums over the vocabulary unless called sampled; `base` is the untrained model, "
        "`start` what the variant was trained from."
    )
    measured = costs.measured(view.costs, costs.places(study.params))
    return section(
        "Details",
        folded("Every result", tables.results_table(view)),
        folded("Toxicity in detail", tables.toxicity_table(view)),
        folded("By slice", tables.slice_table(view), tables.slice_change_table(view)),
        folded("Distance from base and start", of_distances if distances else "", tables.by_measure(view, distances)),
        folded("Shape of the output", tables.by_measure(view, shape), *_shape_changes(view, of_shape)),
        folded("Prompts and decodings", writing.writing(view)),
        folded("Limits", truncation.limits(view)),
        folded("Cost", tables.cost_table(view), seed_variance.summed(view), measured, tables.time_table(view)),
        folded("Training curves", _picture(pictures, "curves", "training curves, one panel a quantity", 960)),
        folded("Rewards before and after alignment", examples.reward_table(view)),
        folded("Examples side by side", examples.side_by_side(view)),
        folded("Published figures beside ours", published.published(view)),
        folded(
            "Signatures",
            "What each number depends on; two numbers are comparable when these agree.",
            tables.signature_list(view),
        ),
        folded("Provenance", provenance(study)),
    )


def _shape_changes(view: View, changes: list[tuple[str, str]]) -> list[str]:
    """How alignment changed the shape: a reward is often gamed by length, repetition or saying the same to everyone."""
    made = tables.change_table(view, changes)
    return ["What alignment changed of it; a gamed reward shows here first:", made] if made else []


def _slice_words(view: View) -> str:
    """What puts a dialogue on a slice, where params.yaml says it."""
    data, slices = view.study.params.data, view.study.params.report.slices
    return " ".join(
        f"{code(tag)}: {config.rule}, chosen by neither reward nor judge."
        for tag, config in data.tags.items()
        if {tag, f"not-{tag}"} & set(slices)
    )


def _elsewhere(view: View) -> str:
    made = tables.elsewhere_tables(view)
    note = (
        "What the same models write for another dataset, with the same prompts and limits: how far tuning carries over. None of it "
        "stands in the data that was learnt from."
    )
    return section("On other datasets", *made, note) if made else ""


def _online(view: View) -> str:
    made = tables.online_table(view)
    note = (
        "`clipped` is the share of generated tokens at which the ratio to the policy that wrote them left the bounds of "
        "`clip`, over all passes and minibatches: where it is 0 throughout, nothing was proximal about it."
    )
    return section("How it learnt from its own samples", made, note if made else "")
