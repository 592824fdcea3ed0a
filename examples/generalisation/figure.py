"""Draws what the generalisation programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    INK,
    batch_axis,
    draw_intervals,
    draw_line,
    measured,
    new_figure,
    result_panels,
)
from _guide.site.table import Table, low_to_high

# One over the rates at which each size was measured at equal loss.
INVERSE_RATES = {
    4: [512, 256],
    32: [128, 64, 32],
    256: [32, 16, 8],
    1000: [16, 8, 4],
}
# What the amounts of each budget are called at the ends of their lines.
BUDGETS = {
    "epochs": ["10", "20", "30"],
    "updates": ["50", "100", "200"],
    "time": ["40", "80", "160"],
}
# What is compared with a batch of 32, at what, and under which key.
COMPARED = [4, 256, 1000]
GAPS = {
    "One rate": "gap.one_rate",
    "Epochs": "gap.epochs",
    "Updates": "gap.updates",
    "Best length": "gap.early",
    "Equal loss": "level_gap",
}


def accuracy(results, kind):
    figure, panels = result_panels(results, "Test accuracy, %", 2.9)
    for axis, framework, _, result in panels:
        for number, label in enumerate(BUDGETS[kind]):
            drawn = result["series"][f"accuracy_by_size.{kind}.{number}"]
            draw_line(axis, drawn, label, framework=framework)
        axis.set(ylim=(15, 45))
        batch_axis(axis)
    return figure


def gaps(results):
    """A panel for each size, a row for each comparison."""
    figure, axes = new_figure(rows=len(COMPARED), height=5.2)
    for axis, size in zip(axes, COMPARED):
        axis.set_title(f"batch_size={size}")
        axis.axvline(0, color=INK, linewidth=0.8)
        rows = {
            name: {
                framework: result["values"][f"{key}.{size}"]
                for (framework, _), result in measured(results).items()
            }
            for name, key in GAPS.items()
        }
        draw_intervals(axis, rows)
    axes[-1].set_xlabel("Points from batch size 32")
    return figure


def at_equal_loss(result, what, size):
    """Values of the rates of a size."""
    return [
        result["values"][f"{what}.{size}.{inverse}"]
        for inverse in INVERSE_RATES[size]
    ]


def line(x, entries):
    low, high = zip(*(entry["ci"] for entry in entries))
    y = [entry["value"] for entry in entries]
    return {"x": x, "y": y, "low": low, "high": high}


def sharpness(results):
    figure, panels = result_panels(results, "Sharpness", 2.9)
    for axis, _, _, result in panels:
        for size, inverse_rates in INVERSE_RATES.items():
            ratios = [1 / inverse / size for inverse in inverse_rates]
            found = at_equal_loss(result, "sharpness", size)
            draw_line(axis, line(ratios, found), str(size), batch_size=size)
        axis.set_xscale("log")
        axis.set(xlabel="Rate / batch size")
    return figure


def against_sharpness(results):
    figure, panels = result_panels(results, "Test accuracy, %", 2.9)
    for axis, _, _, result in panels:
        for size in INVERSE_RATES:
            found = at_equal_loss(result, "sharpness", size)
            accuracy = at_equal_loss(result, "level_accuracy", size)
            drawn = line([entry["value"] for entry in found], accuracy)
            draw_line(axis, drawn, str(size), batch_size=size)
        axis.set(xlabel="Sharpness")
    return figure


def draw(results):
    drawn = {f"accuracy_by_{kind}": accuracy(results, kind) for kind in BUDGETS}
    drawn["gaps"] = gaps(results)
    drawn["sharpness"] = sharpness(results)
    drawn["accuracy_by_sharpness"] = against_sharpness(results)
    return drawn


def tables(results):
    """The gaps once more, as numbers."""
    rows = [
        [f"{name}, {FRAMEWORK_NAMES[framework]}"]
        + [
            low_to_high(result["values"][f"{key}.{size}"], 1)
            for size in COMPARED
        ]
        for name, key in GAPS.items()
        for (framework, _), result in measured(results).items()
    ]
    sizes = [f"`{size}`" for size in COMPARED]
    return {"gaps_table": Table(["Points from `32`", *sizes], rows)}
