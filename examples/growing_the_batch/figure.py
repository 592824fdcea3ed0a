"""Draws what the growing-the-batch programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_intervals,
    draw_line,
    measured,
    new_figure,
)

OPTIMIZERS = {"momentum": "Momentum", "adam": "Adam"}
# Growing and decaying at once lies so close to decaying that it hides it.
WAYS = ["neither", "decay", "grow"]
COMPARED = {
    "grow": "grow",
    "both": "both",
    "neither": "neither",
    "grow_square": "grow by 4 × 4",
}
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


def ways(results):
    """Accuracy of each way less that of decaying, from the smallest start."""
    figure, axes = new_figure(height=3.1)
    rows = {
        f"{label}, {name}": {
            framework: result["values"][f"gap.{optimizer}.{way}.16"]
            for (framework, _), result in measured(results).items()
        }
        for optimizer, label in OPTIMIZERS.items()
        for way, name in COMPARED.items()
    }
    draw_intervals(axes.flat[0], rows)
    axes.flat[0].axvline(0, linewidth=0.8, color="gray", zorder=1)
    axes.flat[0].set_xlabel("Percentage points of accuracy")
    return figure


def draw(results):
    drawn = {f"loss_by_{budget}": losses(results, budget) for budget in BUDGETS}
    drawn["gaps"] = gaps(results)
    drawn["ways"] = ways(results)
    return drawn
