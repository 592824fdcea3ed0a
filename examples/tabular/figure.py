"""Draws what the tabular programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

SIZES = [32, 256, 1024]
KINDS = ("easy", "hard")
ARMS = {"published": "one rate", "tuned": "tuned", "matched": "updates"}
MARGIN_POINTS = 1.0
BUDGETS = {"epoch": "Epochs", "update": "Updates", "second": "Seconds"}


def frameworks(results):
    """(framework, series) of the CPU results there are, Keras first."""
    for framework in ("keras", "torch"):
        result = results.get(f"tabular_{framework}.cpu")
        if result:
            yield framework, result["series"]


def panels(results, label):
    """A figure, and (axis, kind, framework, series) for each of its panels.

    A column for each framework, so that its panels share their seconds.
    """
    found = list(frameworks(results))
    figure, axes = new_figure(rows=2, columns=len(found), height=4.8)
    cells = []
    for row, kind in zip(axes.reshape(2, -1), KINDS):
        for axis, (framework, series) in zip(row, found):
            axis.set_title(f"{kind}, {FRAMEWORK_NAMES[framework]}")
            cells.append((axis, kind, framework, series))
        row[0].set_ylabel(label)
    return figure, cells


def label_below(cells, label):
    """Name the x axis of the lowest row."""
    for axis, kind, _, _ in cells:
        if kind == KINDS[-1]:
            axis.set_xlabel(label)


def losses(results, budget):
    figure, cells = panels(results, "Validation loss")
    for axis, kind, _, series in cells:
        for size in SIZES:
            line = series[f"loss_by_{budget}.{kind}.{size}"]
            draw_line(axis, line, str(size), batch_size=size)
    label_below(cells, BUDGETS[budget])
    return figure


def loss_by_rate(results):
    figure, cells = panels(results, "Lowest validation loss")
    for axis, kind, _, series in cells:
        for size in SIZES:
            line = series[f"loss_by_rate.{kind}.{size}"]
            draw_line(axis, line, str(size), batch_size=size)
        axis.set_xscale("log")
    label_below(cells, "Learning rate")
    return figure


def points_below_smallest(results):
    figure, cells = panels(results, "Points below 32")
    for axis, kind, framework, series in cells:
        for arm, label in ARMS.items():
            line = series[f"points_below_smallest.{arm}.{kind}"]
            draw_line(axis, line, label, framework=framework)
        axis.axhspan(-MARGIN_POINTS, MARGIN_POINTS, color="0.5", alpha=0.15)
        batch_axis(axis)
        axis.set_xlabel("")
    label_below(cells, "Batch size")
    return figure


def draw(results):
    drawn = {f"loss_by_{budget}": losses(results, budget) for budget in BUDGETS}
    drawn["loss_by_rate"] = loss_by_rate(results)
    drawn["points_below_smallest"] = points_below_smallest(results)
    return drawn
