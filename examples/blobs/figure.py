"""Draws what the blobs programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    measured,
    new_figure,
)
from _guide.site.table import Table, low_to_high, number

GRID_SIZES = [4, 8, 16, 32, 64, 128, 256, 512]
CURVE_SIZES = [4, 16, 64, 128, 512]
BUDGETS = {"epoch": "Epochs", "update": "Updates", "second": "Seconds"}
GAPS = {
    "`100` epochs, one rate": "fixed",
    "Same updates, one rate": "matched",
    "`100` epochs, rate × size": "linear",
}


def frameworks(results):
    """(framework, series) of the CPU results there are, Keras first."""
    for framework in ("keras", "torch"):
        result = results.get(f"blobs_{framework}.cpu")
        if result:
            yield framework, result["series"]


def grid(series):
    figure, axes = new_figure(rows=4, columns=2, height=6.4, sharey=True)
    for axis, size in zip(axes.flat, GRID_SIZES):
        mean = series[f"accuracy_by_epoch.fixed.{size}"]
        axis.set_title(f"batch_size={size}")
        draw_line(axis, series[f"one_run.fixed.{size}"], "", color="0.5")
        draw_line(axis, mean, "", batch_size=size)
        axis.set(xlim=(0, None), ylim=(0.3, 0.9))
    for axis in axes[-1]:
        axis.set_xlabel("Epochs")
    for axis in axes[:, 0]:
        axis.set_ylabel("Accuracy")
    return figure


def curves(results, budget):
    found = list(frameworks(results))
    figure, axes = new_figure(columns=len(found), height=2.9, sharey=True)
    for axis, (framework, series) in zip(axes.flat, found):
        axis.set_title(FRAMEWORK_NAMES[framework])
        for size in CURVE_SIZES:
            line = series[f"accuracy_by_{budget}.fixed.{size}"]
            draw_line(axis, line, str(size), batch_size=size)
        axis.set(xlabel=BUDGETS[budget], xlim=(0, None), ylim=(0.3, 0.9))
    axes.flat[0].set_ylabel("Test accuracy")
    return figure


def epochs_to_target(results):
    found = list(frameworks(results))
    figure, axes = new_figure(columns=len(found), height=2.9, sharey=True)
    for axis, (framework, series) in zip(axes.flat, found):
        axis.set_title(FRAMEWORK_NAMES[framework])
        for rule in ("fixed", "root", "linear"):
            draw_line(
                axis,
                series[f"epochs_to_target.{rule}"],
                rule,
                framework=framework,
            )
        axis.set_yscale("log", base=2)
        batch_axis(axis)
    axes.flat[0].set_ylabel("Epochs to the target")
    return figure


def draw(results):
    drawn = {f"accuracy_by_{b}": curves(results, b) for b in BUDGETS}
    drawn["epochs_to_target"] = epochs_to_target(results)
    for _, series in frameworks(results):
        drawn["grid"] = grid(series)
        break
    return drawn


def tables(results):
    found = measured(results).items()
    targets = [
        [f"{unit.capitalize()}, {FRAMEWORK_NAMES[framework]}"]
        + [
            number(result["values"][f"{unit}_to_target.fixed.{size}"])
            for size in (4, 32, 512)
        ]
        for unit in ("epochs", "updates")
        for (framework, _), result in found
    ]
    gaps = [
        [f"`{size}`, {FRAMEWORK_NAMES[framework]}"]
        + [
            low_to_high(result["values"][f"gap.{rule}.{size}"], 1)
            for rule in GAPS.values()
        ]
        for size in (4, 512)
        for (framework, _), result in found
    ]
    return {
        "targets_table": Table(
            ["Until `0.8`", "`4`", "`32`", "`512`"], targets
        ),
        "gaps_table": Table(["Batch size", *GAPS], gaps),
    }
