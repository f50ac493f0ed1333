"""The report in a sentence a variant. Every word about a result is chosen by the numbers."""

from __future__ import annotations

from typing import Any

from bench.report.markdown import code, line
from bench.report.study import Study
from bench.report.view import View, reading, relative, share


def setting(view: View) -> str:
    """Say in a paragraph what was compared and how the numbers read."""
    params, n = view.study.params, view.metrics["n_dialogues"]
    names = list(params.variants)
    about = f"{line(params.about)} " if params.about else ""
    return (
        f"{about}{len(names)} variant{'s' * (len(names) > 1)} of {code(model_name(view.study))}, scored on {n:,} dialogues of "
        f"{code(dataset_name(view.study))}. ± and brackets are {view.per_cent} intervals over dialogues; "
        f"{view.heading(view.primary)} was declared the primary measure beforehand."
    )


def verdicts(view: View) -> str:
    """List what may be said of each variant, a sentence each: the start, what was tuned or asked otherwise by its result,
    then aligned ones."""
    study, key = view.study, view.primary
    better = study.columns[key].higher_is_better is not False
    untrained = [v for v, block in study.params.variants.items() if block.method == "none" and study.start(v) is None]
    tuned = [variant for variant in study.params.variants if variant not in {*untrained, *study.aligned}]
    tuned.sort(key=lambda variant: view.entry(variant, key).get("value", 0.0), reverse=better)
    sentences = [(variant, _untrained(view, variant)) for variant in untrained]
    sentences += [(variant, _tuned(view, variant)) for variant in tuned]
    sentences += [(variant, _aligned(view, variant)) for variant in study.aligned]
    return "\n".join(f"- `{variant}` {sentence}." for variant, sentence in sentences)


def headline(view: View) -> str:
    """Write one line for the terminal: the primary column of every variant."""
    title = view.study.columns[view.primary].title
    results = [f"{variant} {view.result(variant, view.primary)}" for variant in view.study.params.variants]
    return f"{len(results)} variants, {title} {', '.join(results)}"


def dataset_name(study: Study) -> str:
    """Return the dataset as params.yaml names it."""
    return study.params.data.dataset


def model_name(study: Study) -> str:
    """Return the base model as params.yaml names it: by repository, by name, or by what builds it."""
    block = study.params.checkpoints["base"]
    return str(getattr(block, "repo", None) or getattr(block, "name", None) or block.source)


def _untrained(view: View, variant: str) -> str:
    return f"(untrained): {view.heading(view.primary)} {view.result(variant, view.primary)}"


def _tuned(view: View, variant: str) -> str:
    """What tuning reached, against its start, with its share of the parameters."""
    if variant in view.metrics["collapsed"]:
        return "**collapsed**: it gives most dialogues one and the same summary, or none"
    change, part = view.change(variant, view.primary), view.costs["variants"][variant].get("trainable_share")
    text = f"reaches {view.heading(view.primary)} {view.result(variant, view.primary)}"
    text += f": {_effect(view, view.primary, change)} than `{change['against']}`" if view.moved(change) else ""
    if change and not view.moved(change):
        text += f": against `{change['against']}` {reading(view, view.primary, change)}"
    return text + (f", training {share(part)} of the parameters" if part else "")


def _aligned(view: View, variant: str) -> str:
    """The verdict on toxicity over greedy and sampled summaries, with the judge's figures, and what became of quality."""
    facts, key = view.metrics["panel"][variant], view.study.judge_of(variant)
    text = f"(from `{facts['against']}`): " if "against" in facts else ": "
    text += f"**{facts['verdict']}**"
    toxicity, quality = view.change(variant, key), view.change(variant, view.primary)
    if key is not None and toxicity:
        who = "the judge" if view.study.detoxified(variant) else view.heading(key)
        text += f" (by {who} {view.bounded(key, toxicity, 'difference', sign=True)}{relative(view, toxicity)})"
    other = quality if key != view.primary else {}
    return text + (f"; {view.heading(view.primary)} {_effect(view, view.primary, other)}" if other else "")


def _effect(view: View, key: str, change: dict[str, Any]) -> str:
    """A difference with its sign and what may be said of it."""
    return f"{view.bounded(key, change, 'difference', sign=True)}, {reading(view, key, change)}"
