"""The report in one paragraph. Every word about a result is chosen by the numbers."""

from __future__ import annotations

from bench.report.inputs import Study
from bench.report.markdown import code, line
from bench.report.view import NOT_SHOWN, View, outcome, share


def summary(view: View) -> str:
    """Summarise what was compared, what tuning reached, and what alignment changed."""
    return " ".join([_setting(view), *_tuning(view), *(_alignment(view, name) for name in view.study.aligned)])


def headline(view: View) -> str:
    """Write one line for the terminal: the primary column of every variant."""
    title = view.study.columns[view.primary].title
    found = [f"{name} {view.result(name, view.primary)}" for name in view.study.params.variants]
    return f"{len(found)} variants, {title} {', '.join(found)}"


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
        f"Brackets are {view.per_cent} bootstrap intervals over dialogues; {view.heading(view.primary)} was declared "
        "the primary measure beforehand."
    )


def _tuning(view: View) -> list[str]:
    """The untrained variants, then the best of the others, then adapters with their share of the parameters."""
    params, key = view.study.params, view.primary
    said, title = [], view.heading(key)
    better = view.study.columns[key].higher_is_better is not False
    untrained = [name for name, block in params.variants.items() if block.method == "none"]
    tuned = [name for name in params.variants if name not in {*untrained, *view.study.aligned}]
    for name in untrained:
        said.append(f"Untrained, `{name}` has {title} {view.bounded(key, view.entry(name, key))}.")
    ranked = sorted(tuned, key=lambda name: view.entry(name, key)["value"], reverse=better)
    for name in ranked:
        part = view.costs["variants"][name].get("trainable_share")
        with_share = f", training {share(part)} of the parameters" if part is not None else ""
        change = view.change(name, key)
        against = (
            f" ({view.bounded(key, change, 'difference', sign=True)} against `{change['against']}`)" if change else ""
        )
        reached = "collapsed" if name in view.metrics["collapsed"] else f"reaches {view.result(name, key)}"
        said.append(f"`{name}` {reached}{against}{with_share}.")
    return said


def _alignment(view: View, name: str) -> str:
    """What one aligned variant did to the judge's toxicity, to the reward's, and to the primary column."""
    judged, taught, key = view.study.judge_key, view.study.followed_key(name), view.primary
    toxicity, quality = view.change(name, judged), view.change(name, key)
    if name in view.metrics["collapsed"]:
        return f"`{name}` collapsed: it gives most dialogues one and the same summary, or none."
    if not toxicity or not quality or judged is None:
        return ""
    start = f"`{toxicity['against']}`"
    verb = {-1: "lowers", 0: "shows no change of", 1: "raises"}[outcome(toxicity)]
    relative = toxicity.get("mean_improvement")
    drop = f", an improvement of {share(relative, 0)}" if relative is not None and outcome(toxicity) < 0 else ""
    text = (
        f"Starting from {start}, `{name}` {verb} toxicity as the independent judge sees it "
        f"({view.bounded(judged, toxicity, 'difference', sign=True)} points{drop})"
    )
    teacher = view.change(name, taught)
    if taught and taught != judged and teacher:
        text += _teacher(view, taught, outcome(teacher), outcome(toxicity))
    effect = {-1: "falls", 0: NOT_SHOWN, 1: "rises"}[outcome(quality)]
    text += f"; {view.heading(key)} {effect} ({view.bounded(key, quality, 'difference', sign=True)}"
    if outcome(quality) == 0 and "smallest_detectable" in quality:
        text += f"; ±{view.number(key, quality['smallest_detectable'])} would be found"
    return text + ")."


def _teacher(view: View, taught: str, seen: int, judged: int) -> str:
    """Whether the classifier that training followed tells the same story as the judge."""
    if seen == judged:
        return ", and the classifier it was trained against agrees"
    if seen < 0:
        return ", while the classifier it was trained against reports a fall: the reward may have been gamed"
    return ", which the classifier it was trained against does not show"
