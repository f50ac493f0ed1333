"""Which method to choose: what each gave up for its reward, and which is best by what none of them followed.

The picture is the over-optimisation curve of Gao et al. 2023: reward, truth and other measures of samples against their KL
to the start, along each training; the best of n samples, whose KL has a bound, is the yardstick.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import stats
from bench.report.estimates import finite
from bench.report.markdown import cell, code, section, table
from bench.report.scatter import COLOURS, SHAPES, figure_of, plain_heading
from bench.report.study import Study
from bench.report.view import NONE, UNITS, View, count, fixed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KL = "kl_start"
FEWEST = 2  # variants that make a comparison
PANELS = 4
TICKS = (0, 0.25, 1, 2, 4, 8, 16, 32, 64, 128)  # nats


def compared(study: Study) -> list[str]:
    """List the aligned variants that one measure judges which none of them followed: of those one may ask which is best.

    Those that followed a classifier of what is unwanted are judged in a panel of their own.
    """
    judges = {v: study.judge_of(v) for v in study.aligned if v in study.systems and not study.detoxified(v)}
    by: dict[str, list[str]] = {}
    for variant, key in judges.items():
        if key is not None:
            by.setdefault(key, []).append(variant)
    most = max(by.values(), key=len, default=[])
    return most if len(most) >= FEWEST else []


def measure(study: Study, collapsed: Any) -> dict[str, Any]:
    """Test every two of them against each other by what is true, or what no training saw: one family, by Holm."""
    variants = [variant for variant in compared(study) if variant not in collapsed]
    if len(variants) < FEWEST:
        return {}
    key, settings = str(study.judge_of(variants[0])), study.params.report
    side = 1 if study.columns[key].higher_is_better else -1
    pairs, gaps = [], []
    for one, other in itertools.combinations(variants, 2):
        columns = [study.systems[name].columns[key] for name in (one, other)]
        shared = np.intersect1d(columns[0].members, columns[1].members)
        means = [stats.cluster_means(stats.restrict(column, shared)) for column in columns]
        pairs.append((one, other))
        gaps.append(side * (means[0] - means[1]))
    adjusted = stats.holm(stats.sign_flips(gaps, settings.resamples, settings.seed))
    low, high = stats.mean_intervals(
        np.stack(gaps, axis=1), [None] * len(gaps), settings.confidence, settings.resamples, settings.seed
    )
    tests = []
    for (one, other), gap, p, a, b in zip(pairs, gaps, adjusted.tolist(), low.tolist(), high.tolist(), strict=True):
        mean = float(gap.mean())
        better, worse = (one, other) if mean >= 0 else (other, one)
        bounds = (a, b) if mean >= 0 else (-b, -a)
        tests.append(
            {"better": better, "worse": worse, "p_holm": p}
            | finite({"difference": abs(mean), "low": bounds[0], "high": bounds[1]})
        )
    return {"alignment": {"by": key, "pairs": tests}}


def methods(view: View, picture: str) -> str:
    """Write the section; empty where there is nothing to choose from."""
    found = view.metrics.get("alignment")
    if not found:
        return ""
    note = (
        "`samples` is how many summaries of its start or itself a method learnt from. The table is about greedy summaries (of the "
        "best of n about the sample that was chosen). Lines: samples of validation dialogues along training, marked at its end; "
        "the best of n is a point, at its bound log n - (n-1)/n. Differences are tested for every two variants, corrected by "
        "Holm over all of them."
    )
    return section("Which method?", _sentence(view, found), _table(view, str(found["by"])), picture, note)


def _sentence(view: View, found: dict[str, Any]) -> str:
    """Which is best, and of which others that is shown."""
    key, level = found["by"], view.level
    names = compared(view.study)
    ranked = sorted(names, key=lambda v: view.entry(v, key).get("value", -math.inf), reverse=True)
    if not view.study.columns[key].higher_is_better:
        ranked.reverse()
    first = ranked[0]
    beaten = [t for t in found["pairs"] if t["better"] == first and t["p_holm"] <= level]
    shown = {test["worse"] for test in beaten}
    others = [name for name in ranked[1:] if name not in shown]
    text = f"By {view.heading(key)}, which none of them followed, {code(first)} is highest ({view.result(first, key)})"
    if shown:
        text += f", better than {_listed([name for name in ranked if name in shown])}"
    text += f"; it cannot be told from {_listed(others)}" if others else ""
    starts = {view.study.start(name) for name in names}
    if len(starts) == 1 and (start := starts.pop()) is not None:
        moved = {side: [n for n in ranked if _moved(view, n, key) == side] for side in (1, -1)}
        text += f". Against {code(start)}, at {view.result(start, key)}: "
        text += f"better {_listed(moved[1])}; worse {_listed(moved[-1])}"
    return text + "."


def _moved(view: View, variant: str, key: str) -> int:
    return view.moved(view.change(variant, key)) * (1 if view.study.columns[key].higher_is_better else -1)


def _listed(names: list[str]) -> str:
    return ", ".join(map(code, names)) if names else "none"


def _columns(view: View, by: str) -> list[str]:
    """The rewards that were followed, what judges, unseen reward models, the primary measure, the judge's toxicity."""
    study = view.study
    followed = [key for variant in compared(study) for key in study.rewards_of(variant)]
    unseen = [key for key in study.keys("quality") if study.columns[key].classifier in study.params.rewards]
    wanted = [*followed, by, *unseen, view.primary, study.judge_key]
    return list(dict.fromkeys(key for key in wanted if key is not None))


def _table(view: View, by: str) -> str:
    study, keys = view.study, _columns(view, by)
    rows = []
    starts = [start for start in dict.fromkeys(study.start(v) for v in compared(study)) if start is not None]
    others = [v for v in study.aligned if v not in compared(study) and not study.detoxified(v)]
    for variant in (*starts, *compared(study), *others):
        samples = study.samples.get(variant)
        kl = view.entry(variant, KL) or view.entry(variant, f"{KL}_bound")
        rows.append(
            [
                cell(variant),
                _method(view, variant, by) if variant not in starts else "the start",
                count(samples) if samples else NONE,
                fixed(kl["value"], 2) if kl and variant not in starts else NONE,
                *(view.result(variant, key) for key in keys),
            ]
        )
    headers = ["", "method", "samples", "KL to start (nats)", *(view.heading(key) for key in keys)]
    return table(headers, rows, text_columns=2)


def _method(view: View, variant: str, by: str) -> str:
    """The method, and whether it followed the very measure that the others are judged by: what could be reached."""
    name = view.study.params.variants[variant].method
    return f"{name}, by {view.heading(by)} itself" if by in view.study.rewards_of(variant) else name


def rows(view: View) -> list[dict[str, Any]]:
    """Give one row a point: variant, step, KL, and the value of each panel's column, all of samples of validation dialogues.

    What kept nothing on its way, or has no way, is one point without a step: its test dialogues, samples where there are some.
    """
    if "alignment" not in view.metrics:
        return []
    study, keys = view.study, _columns(view, view.metrics["alignment"]["by"])[:PANELS]
    found = []
    others = [v for v in study.aligned if v not in compared(study) and not study.detoxified(v)]
    for variant in (*compared(study), *others):
        steps = study.progress.get(variant, [])
        found += [
            {"variant": variant, "step": row["step"], "kl": row["kl"]} | {k: row.get(k) for k in keys} for row in steps
        ]
        kl = view.entry(variant, f"{KL}_bound") or view.entry(variant, f"{KL}_sampled") or view.entry(variant, KL)
        if kl and not steps:
            ends = {
                key: (view.entry(variant, f"{key}_sampled") or view.entry(variant, key)).get("value") for key in keys
            }
            found.append({"variant": variant, "step": None, "kl": kl["value"], **ends})
    return found


def picture(view: View, points: list[dict[str, Any]]) -> Figure:
    """Draw each column against the KL to the start."""
    keys = [key for key in points[0] if key not in ("variant", "step", "kl")]
    figure = figure_of(9.6, 2.6 * math.ceil(len(keys) / 2))
    grid = list(figure.subplots(math.ceil(len(keys) / 2), 2, squeeze=False).flat)
    figure.subplots_adjust(left=0.07, right=0.82, bottom=0.1, top=0.94, hspace=0.38, wspace=0.2)
    variants = list(dict.fromkeys(row["variant"] for row in points))
    for axes, key in zip(grid, keys, strict=False):
        factor = UNITS[view.study.columns[key].unit][0]
        for k, variant in enumerate(variants):
            own = sorted((row for row in points if row["variant"] == variant), key=lambda row: row["step"] or 0)
            x, y = [max(row["kl"], 0.0) for row in own], [factor * row[key] for row in own]
            style = {"color": COLOURS[k % len(COLOURS)], "linestyle": "-" if k < len(COLOURS) else "--"}
            mark = {"marker": SHAPES[k % len(SHAPES)], "markersize": 5, "markevery": [len(own) - 1]}
            axes.plot(x, y, linewidth=1.1, label=variant, **style, **mark)
        axes.set_title(plain_heading(view, key), fontsize=8.5, loc="left")
        axes.tick_params(labelsize=7.5)
        axes.set_xscale("function", functions=(np.sqrt, np.square))  # as Gao et al. have it
        axes.set_xticks([tick for tick in TICKS if tick <= max(row["kl"] for row in points)])
        axes.set_xlabel("KL to the start (nats a summary)", fontsize=7.5)
    for axes in grid[len(keys) :]:
        axes.set_axis_off()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="center right", fontsize=7.5, frameon=False)
    return figure
