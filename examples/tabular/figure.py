"""Draws what the tabular programs measured."""

from _guide.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

SIZES = [32, 256, 1024]
KINDS = ("easy", "hard")
ARMS = {"published": "one rate", "tuned": "tuned", "matched": "updates"}
BUDGETS = {"epoch": "Epochs", "update": "Updates", "second": "Seconds"}


def frameworks(results):
    """(framework, series) of the CPU results there are, Keras first."""
    for framework in ("keras", "torch"):
        result = results.get(f"tabular_{framework}.cpu")
        if result:
            yield framework, result["series"]


def panels(results, height):
    """A figure, and (axis, kind, framework, series) for each of its panels."""
    found = list(frameworks(results))
    figure, axes = new_figure(rows=len(found), columns=2, height=height)
    cells = []
    for row, (framework, series) in zip(axes.reshape(-1, 2), found):
        for axis, kind in zip(row, KINDS):
            axis.set_title(f"{kind}, {FRAMEWORK_NAMES[framework]}")
            cells.append((axis, kind, framework, series))
    return figure, cells


def losses(results, budget):
    figure, cells = panels(results, 4.8)
    for axis, kind, _, series in cells:
        for size in SIZES:
            line = series[f"loss_by_{budget}.{kind}.{size}"]
            draw_line(axis, line, str(size), batch_size=size)
        axis.set_xlabel(BUDGETS[budget])
        if kind == KINDS[0]:
            axis.set_ylabel("Validation loss")
    return figure


def loss_by_rate(results):
    figure, cells = panels(results, 4.8)
    for axis, kind, _, series in cells:
        for size in SIZES:
            line = series[f"loss_by_rate.{kind}.{size}"]
            draw_line(axis, line, str(size), batch_size=size)
        axis.set_xscale("log")
        axis.set_xlabel("Learning rate")
        if kind == KINDS[0]:
            axis.set_ylabel("Lowest validation loss")
    return figure


def test_accuracy(results):
    figure, cells = panels(results, 4.8)
    for axis, kind, framework, series in cells:
        for arm, label in ARMS.items():
            line = series[f"test_accuracy.{arm}.{kind}"]
            draw_line(axis, line, label, framework=framework)
        batch_axis(axis)
        if kind == KINDS[0]:
            axis.set_ylabel("Test accuracy")
    return figure


def draw(results):
    drawn = {f"loss_by_{budget}": losses(results, budget) for budget in BUDGETS}
    drawn["loss_by_rate"] = loss_by_rate(results)
    drawn["test_accuracy"] = test_accuracy(results)
    return drawn
