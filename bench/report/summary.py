"""The report in one paragraph. Every word about a result is chosen by the numbers."""

from __future__ import annotations

from typing import Any

from bench.report.inputs import Study
from bench.report.markdown import code, line
from bench.report.view import View, reading, share


def summary(view: View) -> str:
    """Summarise what was compared, what tuning reached, and what alignment changed."""
    return " ".join([_setting(view), *_tuning(view), *(_alignment(view, name) for name in view.study.aligned)])


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


def _setting(view: View) -> str:
    params, n = view.study.params, view.metrics["n_dialogues"]
    names = list(params.variants)
    about = f"{line(params.about)} " if params.about else ""
    return (
        f"{about}{len(names)} variant{'s' * (len(names) > 1)} of {code(model_name(view.study))} "
        f"{'were' if len(names) > 1 else 'was'} scored on {n} dialogues of {code(dataset_name(view.study))}. "
        f"Brackets are {view.per_cent} intervals over dialogues; {view.heading(view.primary)} was declared "
        "the primary measure beforehand."
    )


def _tuning(view: View) -> list[str]:
    """The untrained variants, then the best of the others, then adapters with their share of the parameters."""
    params, key = view.study.params, view.primary
    sentences, title = [], view.heading(key)
    better = view.study.columns[key].higher_is_better is not False
    untrained = [variant for variant, block in params.variants.items() if block.method == "none"]
    tuned = [variant for variant in params.variants if variant not in {*untrained, *view.study.aligned}]
    for variant in untrained:
        sentences.append(f"Untrained, `{variant}` has {title} {view.bounded(key, view.entry(variant, key))}.")
    ranked = sorted(tuned, key=lambda variant: view.entry(variant, key)["value"], reverse=better)
    for variant in ranked:
        part = view.costs["variants"][variant].get("trainable_share")
        with_share = f", training {share(part)} of the parameters" if part is not None else ""
        change = view.change(variant, key)
        against = (
            f" ({view.bounded(key, change, 'difference', sign=True)} against `{change['against']}`)" if change else ""
        )
        collapsed = variant in view.metrics["collapsed"]
        result = "collapsed" if collapsed else f"reaches {view.result(variant, key)}"
        sentences.append(f"`{variant}` {result}{against}{with_share}.")
    return sentences


def _alignment(view: View, variant: str) -> str:
    """What one aligned variant did to the judge's toxicity, to the reward's, and to the primary column."""
    judge_key, followed_key, key = view.study.judge_key, view.study.followed_key(variant), view.primary
    toxicity, quality = view.change(variant, judge_key), view.change(variant, key)
    if variant in view.metrics["collapsed"]:
        return f"`{variant}` collapsed: it gives most dialogues one and the same summary, or none."
    if not toxicity or not quality or judge_key is None:
        return ""
    relative = toxicity.get("mean_improvement")
    drop = f", an improvement of {share(relative, 0)}" if relative is not None and view.moved(toxicity) < 0 else ""
    title = "toxicity as the independent judge sees it"
    text = f"From `{toxicity['against']}` to `{variant}`, {_effect(view, title, judge_key, toxicity, f' points{drop}')}"
    followed = view.change(variant, followed_key)
    if followed_key and followed_key != judge_key and followed:
        text += _followed(view, variant)
    return f"{text}; {_effect(view, view.heading(key), key, quality)}."


def _effect(view: View, title: str, key: str, change: dict[str, Any], unit: str = "") -> str:
    """The side to which a column moved; where no change is shown, the reading that the tables have."""
    difference = view.bounded(key, change, "difference", sign=True) + unit
    side = {-1: "falls", 1: "rises"}.get(view.moved(change))
    return f"{title} {side} ({difference})" if side else f"{title}: {difference}, {reading(view, key, change)}"


def _followed(view: View, variant: str) -> str:
    """The verdict over greedy and sampled summaries together, the same as in its own section."""
    return f", verdict: {view.metrics['panel'][variant]['verdict']}"
