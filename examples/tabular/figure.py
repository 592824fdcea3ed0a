"""Draws what the tabular programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    line_of,
    measured,
    new_figure,
)
from _guide.site.table import Table, low_to_high, number

SIZES = [32, 256, 1024]
KINDS = ("easy", "hard")
ARMS = {"published": "one rate", "tuned": "tuned", "matched": "updates"}
MARGIN_POINTS = 1.0
BUDGETS = {"epoch": "Epochs", "update": "Updates", "second": "Seconds"}


def panels(results, ylabel, xlabel):
    """A figure, and (axis, kind, framework, result) for each of its panels.

    A column for each framework, so that its panels share their seconds.
    """
    found = measured(results).items()
    figure, axes = new_figure(rows=2, columns=len(found), height=4.8)
    cells = []
    for row, kind in zip(axes.reshape(2, -1), KINDS):
        row[0].set_ylabel(ylabel)
        for axis, ((framework, _), result) in zip(row, found):
            axis.set_title(f"{kind}, {FRAMEWORK_NAMES[framework]}")
            cells.append((axis, kind, framework, result))
    for axis in axes.reshape(2, -1)[-1]:
        axis.set_xlabel(xlabel)
    return figure, cells


def losses(results, name, ylabel, xlabel):
    figure, cells = panels(results, ylabel, xlabel)
    for axis, kind, _, result in cells:
        for size in SIZES:
            line = result["series"][f"{name}.{kind}.{size}"]
            draw_line(axis, line, str(size), batch_size=size)
        if name == "loss_by_rate":
            axis.set_xscale("log")
    return figure


def points_below_smallest(results):
    figure, cells = panels(results, "Points below 32", "")
    for axis, kind, framework, result in cells:
        for arm, label in ARMS.items():
            name = f"points_below_smallest.{arm}.{kind}"
            line = line_of(result["values"], name)
            # The smallest is what the others are compared with.
            line = {"x": SIZES} | {
                column: [0, *line[column]] for column in ("y", "low", "high")
            }
            draw_line(axis, line, label, framework=framework)
        axis.axhspan(-MARGIN_POINTS, MARGIN_POINTS, color="0.5", alpha=0.15)
        batch_axis(axis)
        if kind != KINDS[-1]:
            axis.set_xlabel("")
    return figure


def draw(results):
    drawn = {
        f"loss_by_{budget}": losses(
            results, f"loss_by_{budget}", "Validation loss", label
        )
        for budget, label in BUDGETS.items()
    }
    drawn["loss_by_rate"] = losses(
        results, "loss_by_rate", "Lowest validation loss", "Learning rate"
    )
    drawn["points_below_smallest"] = points_below_smallest(results)
    return drawn


def tables(results):
    losses, points = [], []
    for kind in KINDS:
        for (framework, _), result in measured(results).items():
            values = result["values"]
            heading = f"{kind.capitalize()}, {FRAMEWORK_NAMES[framework]}"
            key = f"validation_loss.published.{kind}"
            cells = [number(values[f"{key}.{size}"], 3) for size in SIZES]
            losses.append([heading, *cells])
            keys = [f"points_below_smallest.{a}.{kind}.1024" for a in ARMS]
            cells = [low_to_high(values[key], 1) for key in keys]
            points.append([heading, *cells])
    columns = ["Lowest validation loss", *(f"`{size}`" for size in SIZES)]
    arms = ["As published", "Tuned", "Same updates"]
    return {
        "validation_loss_table": Table(columns, losses),
        "points_table": Table(["Points below `32`, at `1024`", *arms], points),
    }
