"""The pictures, and beside each the CSV it was drawn from. Equal input gives equal bytes."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import storage
from bench.report import claims
from bench.report.view import UNITS, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito: distinguishable with every kind of colour vision. Shapes repeat the distinction.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHAPES = "osD^vPX"
# Curves worth a panel, in reading order; a method may log more.
CURVES = ("loss", "reward", "kl", "entropy", "accuracy", "margin", "clip_fraction")
COLUMNS = 4
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "figure.dpi": 150,
    "savefig.dpi": 150,
}


def draw(view: View, folder: Path) -> dict[str, Path]:
    """Draw every picture that the study has data for; returns their files by name and removes earlier ones."""
    import matplotlib

    wanted = [
        ("tradeoff", _tradeoff_rows(view), _tradeoff),
        ("differences", _difference_rows(view), _differences),
        ("curves", _curve_rows(view), _curves),
    ]
    paths: dict[str, Path] = {}
    with matplotlib.rc_context(STYLE):
        for name, data, picture in wanted:
            if data:
                _store(folder, name, data)
                paths[name] = folder / f"{name}.png"
                _save(picture(view, data), paths[name])
    for path in folder.glob("*.*"):
        if path.stem not in paths and path.suffix in (".png", ".csv"):
            path.unlink()
    return paths


def _store(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """The numbers behind a picture, as `dvc plots` reads them: curves as one folder a quantity, one file a variant."""
    if name != "curves":
        storage.write_table(folder / f"{name}.csv", rows)
        return
    shutil.rmtree(folder / name, ignore_errors=True)
    lines: dict[Path, list[dict[str, Any]]] = {}
    for row in rows:
        path = folder / name / row["quantity"] / f"{row['variant']}.csv"
        lines.setdefault(path, []).append({"step": row["step"], "value": row["value"]})
    for path, points in lines.items():
        storage.write_table(path, points)


def _figure(width: float, height: float) -> Figure:
    """An empty picture; without pyplot, which takes long to import and looks for a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    """Write a PNG without the library's version, which would make equal pictures differ."""
    with storage.atomic_file(path) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})


def _tradeoff_rows(view: View) -> list[dict[str, Any]]:
    """One row a system that has both quality and toxicity, in the columns' own units."""
    key, judge_key, rows = view.primary, view.study.judge_key, []
    if judge_key is None or judge_key == key:
        return []
    for system in (system for system in view.study.systems if system not in view.metrics["collapsed"]):
        good, bad = view.entry(system, key), view.entry(system, judge_key)
        if good and bad:
            row: dict[str, Any] = {"system": system}
            for column, entry in ((judge_key, bad), (key, good)):
                row |= {column: entry["value"], f"{column}_low": entry.get("low"), f"{column}_high": entry.get("high")}
            rows.append(row)
    return rows


def _tradeoff(view: View, rows: list[dict[str, Any]]) -> Figure:
    """Quality against the judge's toxicity, each with its interval, and an arrow from each start to what was aligned.

    Yardsticks are hollow; one far from every variant stands at the edge with its values, or it would take the room.
    """
    figure = _figure(6.4, 3.0)
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


def _difference_rows(view: View) -> list[dict[str, Any]]:
    """One row a result of a variant that is printed in points or per cent: its difference to the start."""
    study, rows = view.study, list[dict[str, Any]]()
    tuned = [variant for variant in study.params.variants if variant not in study.aligned]
    for kind, variants, aligned in (("alignment", study.aligned, True), ("fine-tuning", tuned, False)):
        keys = [key for key in claims.results(study.columns, view.primary, aligned) if _in_forest(view, key)]
        for variant in variants:
            for key in keys:
                if change := view.change(variant, key):
                    rows.append(
                        {
                            "changed_by": kind,
                            "variant": variant,
                            "column": key,
                            "difference": change["difference"],
                            "low": change.get("low"),
                            "high": change.get("high"),
                            "shown": int(view.moved(change) != 0),
                        }
                    )
    return rows


def _in_forest(view: View, key: str) -> bool:
    column = view.study.columns[key]
    return column.unit in ("points", "share") and (key == view.primary or column.role == "safety")


def _differences(view: View, rows: list[dict[str, Any]]) -> Figure:
    """A forest plot: differences to the start with their intervals, filled where the test shows them."""
    kinds = list(dict.fromkeys(row["changed_by"] for row in rows))
    most = max(sum(row["changed_by"] == kind for row in rows) for kind in kinds)
    tall = 0.2 * most + 0.75
    figure = _figure(8.2, tall)
    grid = figure.subplots(1, len(kinds), squeeze=False)[0]
    longest = max(len(_row_name(view, row)) for row in rows)
    figure.subplots_adjust(
        left=0.0085 * longest, right=0.985, bottom=0.42 / tall, top=1 - 0.26 / tall, wspace=0.0195 * longest
    )
    colour = {system: COLOURS[k % len(COLOURS)] for k, system in enumerate(view.study.systems)}
    keys = list(dict.fromkeys(row["column"] for row in rows))
    for axes, kind in zip(grid, kinds, strict=True):
        some = [row for row in rows if row["changed_by"] == kind]
        axes.axvline(0, color="0.3", linewidth=0.8)
        for place, row in enumerate(some):
            x = 100 * row["difference"]
            ends = [100 * (row["difference"] if row[end] is None else row[end]) for end in ("low", "high")]
            axes.errorbar(
                x,
                place,
                xerr=[[max(x - ends[0], 0)], [max(ends[1] - x, 0)]],
                fmt=SHAPES[keys.index(row["column"]) % len(SHAPES)],
                color=colour[row["variant"]],
                markerfacecolor=None if row["shown"] else "white",
                markersize=4.5,
                elinewidth=1.2,
            )
        axes.set_yticks(range(len(some)), [_row_name(view, row) for row in some], fontsize=7.5)
        axes.set_ylim(len(some) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="x", labelsize=7.5)
        axes.set_xlabel("points, and points of per cent, to the start", fontsize=8)
        axes.set_title(f"What {kind} changed", fontsize=9, loc="left")
    return figure


def _row_name(view: View, row: dict[str, Any]) -> str:
    return f"{row['variant']}: {view.study.columns[row['column']].title}"


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


def _curve_rows(view: View) -> list[dict[str, Any]]:
    """One row a point: variant, quantity, step, value."""
    return [
        {"variant": variant, "quantity": quantity, "step": row.get("step", k), "value": row[quantity]}
        for variant, curve in view.study.curves.items()
        for quantity in CURVES
        for k, row in enumerate(curve)
        if quantity in row
    ]


def _curves(view: View, rows: list[dict[str, Any]]) -> Figure:
    """Small multiples: one panel for each quantity that a variant logged."""
    panels: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        panels.setdefault((row["variant"], row["quantity"]), []).append((row["step"], row["value"]))
    moving = {place: points for place, points in panels.items() if len({value for _, value in points}) > 1}
    panels = moving or panels  # a line that never moves takes a panel and says nothing
    lines = math.ceil(len(panels) / COLUMNS)
    figure = _figure(9.6, 1.9 * lines + 0.2)
    grid = list(figure.subplots(lines, COLUMNS, squeeze=False).flat)
    tall = 1.9 * lines + 0.2
    figure.subplots_adjust(left=0.045, right=0.99, bottom=0.4 / tall, top=1 - 0.25 / tall, wspace=0.24, hspace=0.45)
    colour = {variant: COLOURS[k % len(COLOURS)] for k, variant in enumerate(view.study.systems)}
    for axes, ((variant, quantity), points) in zip(grid, panels.items(), strict=False):
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, color=colour[variant], linewidth=1.2, marker="o" if len(points) == 1 else "")
        axes.set_title(f"{variant}: {quantity.replace('_', ' ')}", fontsize=8.5, loc="left")
        axes.tick_params(labelsize=7)
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=4)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[max(0, len(panels) - COLUMNS) : len(panels)]:
        axes.set_xlabel("step", fontsize=7.5)
    return figure
