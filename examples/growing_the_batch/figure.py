"""Draws what the growing-the-batch programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

OPTIMIZERS = {"momentum": "Momentum", "adam": "Adam"}
# Growing and decaying at once lies so close to decaying that it hides it.
WAYS = ["neither", "decay", "grow"]
BUDGETS = {"epoch": "Epochs", "update": "Updates", "second": "Seconds"}


def frameworks(results):
    """(framework, series) of the CPU results there are, Keras first."""
    for framework in ("keras", "torch"):
        result = results.get(f"growing_the_batch_{framework}.cpu")
        if result:
            yield framework, result["series"]


def losses(results, budget):
    """Validation loss on the way, from the smallest start."""
    found = list(frameworks(results))
    figure, axes = new_figure(
        rows=len(OPTIMIZERS), columns=len(found), height=5.2, sharey=True
    )
    axes = axes.reshape(len(OPTIMIZERS), len(found))
    for row, optimizer in zip(axes, OPTIMIZERS):
        for axis, (framework, series) in zip(row, found):
            axis.set_title(
                f"{OPTIMIZERS[optimizer]}, {FRAMEWORK_NAMES[framework]}"
            )
            for way in WAYS:
                line = series[f"loss.{budget}.{optimizer}.{way}"]
                draw_line(axis, line, way, framework=framework)
            axis.set_xlim(0, None)
        row[0].set_ylabel("Validation loss")
    for axis in axes[-1]:
        axis.set_xlabel(BUDGETS[budget])
    return figure


def gaps(results):
    """Accuracy of the growing batch less that of the falling rate."""
    found = list(frameworks(results))
    figure, axes = new_figure(columns=len(found), height=2.9, sharey=True)
    for axis, (framework, series) in zip(axes.flat, found):
        axis.set_title(FRAMEWORK_NAMES[framework])
        for optimizer, label in OPTIMIZERS.items():
            line = series[f"gap.{optimizer}"]
            draw_line(axis, line, label, framework=framework)
        batch_axis(axis)
        axis.set_xlabel("Batch size at the start")
    axes.flat[0].set_ylabel("Percentage points")
    return figure


def draw(results):
    drawn = {f"loss_by_{budget}": losses(results, budget) for budget in BUDGETS}
    drawn["gaps"] = gaps(results)
    return drawn
