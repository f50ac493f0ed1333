"""Systems as points: quality against toxicity, against the trained share, against diversity. Every point has its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.report.view import UNITS, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito: distinguishable with every kind of colour vision. Shapes repeat the distinction.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHAPES = "osD^vPX"
DIVERSITY = "distinct_2"  # the column of the metric `diversity`


def figure_of(width: float, height: float) -> Figure:
    """Make an empty picture of so many inches; without pyplot, which takes long to import and looks for a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def tradeoff_rows(view: View) -> list[dict[str, Any]]:
    """Give one row a system that has both quality and toxicity, in the columns' own units."""
    key, judge_key, rows = view.primary, view.study.judge_key, []
    if judge_key is None or judge_key == key:
        return []
    for system in (system for system in view.study.systems if system not in view.metrics["collapsed"]):
        good, bad = view.entry(system, key), view.entry(system, judge_key)
        if good and bad:
            rows.append({"system": system} | _with_bounds(judge_key, bad) | _with_bounds(key, good))
    return rows


def tradeoff(view: View, rows: list[dict[str, Any]]) -> Figure:
    """Draw quality against the judge's toxicity, each with its interval, and an arrow from each start to what was aligned.

    Yardsticks are hollow; one far from every variant stands at the edge with its values, or it would take the room.
    """
    figure = figure_of(6.4, 3.0)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.09, right=0.97, bottom=0.155, top=0.915)
    sides = (str(view.study.judge_key), view.primary)
    written = [row for row in rows if row["system"] in view.study.params.variants] or rows
    room = [_room(view, written, key) for key in sides]
    points: dict[str, tuple[float, float]] = {}
    far: dict[int, tuple[float, float]] = {}
    for k, row in enumerate(rows):
        (x, across), (y, along) = (_error_bars(view, row, key) for key in sides)
        if not (room[0][0] <= x <= room[0][1] and room[1][0] <= y <= room[1][1]):
            far[k] = x, y
            continue
        bars = {"xerr": across, "yerr": along, "elinewidth": 1.2, "capsize": 2.5}
        _point(axes, x, y, k, hollow=row not in written, **bars)
        points[row["system"]] = x, y
    for variant in view.study.aligned:
        if (start := view.study.start(variant)) in points and variant in points:
            arrow = {"arrowstyle": "->", "color": "0.45", "shrinkA": 6, "shrinkB": 6, "linewidth": 0.9}
            axes.annotate("", points[variant], points[str(start)], arrowprops=arrow)
    axes.margins(0.1)
    names = list(points)
    edges = [axes.get_xlim(), axes.get_ylim()]
    for k, place in far.items():
        x, y = (min(max(value, low), high) for value, (low, high) in zip(place, edges, strict=True))
        _point(axes, x, y, k, hollow=True, clip_on=False)
        names.append(f"{rows[k]['system']}, at {place[0]:.0f}, {place[1]:.0f}")
    axes.set_xlim(edges[0])
    axes.set_ylim(edges[1])
    axes.set_xlabel(plain_heading(view, sides[0]))
    axes.set_ylabel(plain_heading(view, sides[1]))
    good = "better is up and left" if view.study.columns[view.primary].higher_is_better else "better is left"
    axes.set_title(f"Quality against toxicity: {good} ({view.per_cent} intervals)", fontsize=9, loc="left")
    _label_points(figure, axes, names)
    return figure


def _room(view: View, rows: list[dict[str, Any]], key: str) -> tuple[float, float]:
    """The printed range of a column with its intervals, and half as much again on each side."""
    values = [_error_bars(view, row, key) for row in rows]
    low, high = min(x - below[0][0] for x, below in values), max(x + above[1][0] for x, above in values)
    return low - (high - low) / 2, high + (high - low) / 2


def _point(axes: Axes, x: float, y: float, number: int, hollow: bool, **bars: Any) -> None:
    """The mark of a system by its place in the study; hollow for what no model wrote."""
    colour = COLOURS[number % len(COLOURS)]
    fill = "white" if hollow else colour
    axes.errorbar(
        x,
        y,
        fmt=SHAPES[number % len(SHAPES)],
        color=colour,
        markerfacecolor=fill,
        markersize=6,
        zorder=3,
        **bars,
    )


FEWEST = 3  # points that make a picture


def trained_rows(view: View) -> list[dict[str, Any]]:
    """Give one row a fine-tuned variant: its primary result and the share of the parameters that training could change.

    Empty below `FEWEST` different shares: fewer are no curve.
    """
    study, key, rows = view.study, view.primary, list[dict[str, Any]]()
    for variant in study.params.variants:
        share, entry = view.costs["variants"][variant].get("trainable_share"), view.entry(variant, key)
        if share and entry and variant not in study.aligned and variant not in view.metrics["collapsed"]:
            rows.append({"system": variant, "trainable_share": share} | _with_bounds(key, entry))
    return rows if len({row["trainable_share"] for row in rows}) >= FEWEST else []


def trained(view: View, rows: list[dict[str, Any]]) -> Figure:
    """Draw the primary result against the trained share, which is on a logarithmic scale."""
    return _against(view, rows, "trainable_share", "trained share of the parameters (%)", logarithmic=True)


def diversity_rows(view: View) -> list[dict[str, Any]]:
    """Give one row a system whose decoding draws several summaries a dialogue: its primary result and their distinct-2."""
    rows = []
    for variant in view.study.params.variants:
        wide, entry = view.entry(variant, DIVERSITY), view.entry(variant, view.primary)
        if wide and entry:
            rows.append({"system": variant, DIVERSITY: wide["value"]} | _with_bounds(view.primary, entry))
    return rows if len({row[DIVERSITY] for row in rows}) >= FEWEST else []


def diversity(view: View, rows: list[dict[str, Any]]) -> Figure:
    """Draw the primary result against the diversity of a dialogue's own summaries."""
    return _against(view, rows, DIVERSITY, "distinct-2 of a dialogue's summaries (%)")


def _with_bounds(key: str, entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry["value"], f"{key}_low": entry.get("low"), f"{key}_high": entry.get("high")}


def _against(view: View, rows: list[dict[str, Any]], x: str, title: str, logarithmic: bool = False) -> Figure:
    figure = figure_of(6.4, 2.7)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.09, right=0.97, bottom=0.175, top=0.9)
    if logarithmic:
        axes.set_xscale("log")
    systems = list(view.study.systems)
    for row in rows:
        y, along = _error_bars(view, row, view.primary)
        _point(
            axes, 100 * row[x], y, systems.index(row["system"]), hollow=False, yerr=along, elinewidth=1.2, capsize=2.5
        )
    axes.margins(0.1)
    axes.set_xlabel(title)
    axes.set_ylabel(plain_heading(view, view.primary))
    axes.set_title(f"{view.study.columns[view.primary].title} ({view.per_cent} intervals)", fontsize=9, loc="left")
    _label_points(figure, axes, [row["system"] for row in rows])
    return figure


def plain_heading(view: View, key: str) -> str:
    """Return a column's title with its unit, not escaped."""
    column = view.study.columns[key]
    return column.title + UNITS[column.unit][2]


def _error_bars(view: View, row: dict[str, Any], key: str) -> tuple[float, list[list[float]]]:
    """A value and the lengths of its arms, as printed."""
    factor = UNITS[view.study.columns[key].unit][0]
    ends = [row[key] if row[name] is None else row[name] for name in (f"{key}_low", f"{key}_high")]
    return factor * row[key], [[factor * max(row[key] - ends[0], 0)], [factor * max(ends[1] - row[key], 0)]]


def _label_points(figure: Figure, axes: Axes, names: list[str]) -> None:
    """Name each point, at the first of some places round it where the name covers no other name and no arm."""
    figure.draw_without_rendering()
    taken: list[tuple[float, ...]] = []
    for container in axes.containers:
        for collection in container[2]:
            for segment in collection.get_segments():
                ends = axes.transData.transform(segment)
                taken.append((*(ends.min(axis=0) - 3), *(ends.max(axis=0) + 3)))
    places = [(s * d * 8, t * d * 7) for d in (1, 2, 3, 4, 5) for t in (1, -1) for s in (1, -1)]
    scale = figure.dpi / 72  # points to pixels
    for name, container in zip(names, axes.containers, strict=True):
        point = container[0].get_xydata()[0]
        text = axes.annotate(
            name, point, xytext=(0, 0), textcoords="offset points", va="center", color=container[0].get_color()
        )
        box, (x, y) = text.get_window_extent(), axes.transData.transform(point)
        boxes = []
        for dx, dy in places:
            left = x + dx * scale - (box.width if dx < 0 else 0)
            low = y + dy * scale - box.height / 2
            boxes.append((left, low, left + box.width, low + box.height))
        costs = [sum(_overlap(one, other) for other in taken) + 1e6 * _outside(axes, one) for one in boxes]
        best = costs.index(min(costs))
        text.set_position(places[best])
        text.set_horizontalalignment("left" if places[best][0] > 0 else "right")
        taken.append(boxes[best])


def _outside(axes: Axes, box: Any) -> bool:
    frame = axes.bbox
    return bool(box[0] < frame.x0 or box[1] < frame.y0 or box[2] > frame.x1 or box[3] > frame.y1)


def _overlap(one: Any, other: Any) -> float:
    """Common area of two boxes (x0, y0, x1, y1)."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return float(max(width, 0) * max(height, 0))
