"""The pictures, and beside each the CSV it was drawn from. Equal input gives equal bytes."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import storage
from bench.report import alignment, claims, scatter
from bench.report.scatter import COLOURS, SHAPES, figure_of
from bench.report.view import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        ("tradeoff", scatter.tradeoff_rows(view), scatter.tradeoff),
        ("trained", scatter.trained_rows(view), scatter.trained),
        ("diversity", scatter.diversity_rows(view), scatter.diversity),
        ("alignment", alignment.rows(view), alignment.picture),
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


def _save(figure: Figure, path: Path) -> None:
    """Write a PNG without the library's version, which would make equal pictures differ."""
    with storage.atomic_file(path) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})


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
    figure = figure_of(8.2, tall)
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
    figure = figure_of(9.6, 1.9 * lines + 0.2)
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
