"""Draws what the programs about gradient accumulation measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_intervals,
    draw_line,
    measured,
    new_figure,
)
from _guide.site.table import Table, low_to_high

OPTIMIZERS = {"sgd": "SGD with momentum", "adam": "Adam"}
MISTAKES = {
    "mean_of_means": "Mean of means",
    "wrong_divisor": "Wrong divisor",
    "dropped_group": "Last dropped",
    "carried_group": "Last carried over",
    "no_division": "Not divided",
    "no_reset": "Not reset",
}


def on_cpu(results):
    """{framework: result}, those that there are."""
    return {
        framework: result
        for (framework, device), result in measured(results).items()
        if device == "cpu"
    }


def draw_cost(results):
    figure, axes = new_figure(columns=2, height=2.9)
    for framework, result in on_cpu(results).items():
        name = FRAMEWORK_NAMES[framework]
        for axis, key in zip(axes, ("saved_share", "example_time")):
            draw_line(axis, result["series"][key], name, framework=framework)
    # The shares in tens: halves would be labelled with many digits.
    axes[0].set_yscale("log")
    axes[0].set_ylim(0.005, 1)
    axes[1].set_yscale("log", base=2)
    for axis in axes:
        batch_axis(axis)
        axis.set_xlabel("Micro-batch size")
    axes[0].set(title="Saved bytes", ylabel="Share of the whole batch's")
    axes[1].set(title="Time", ylabel="Times that of the whole batch")
    return figure


def draw_mistakes(results):
    found = on_cpu(results)
    figure, axes = new_figure(rows=2, height=4.6)
    for axis, (kind, title) in zip(axes, OPTIMIZERS.items()):
        rows = {
            name: {
                framework: result["values"][f"lost.{kind}.{mistake}"]
                for framework, result in found.items()
            }
            for mistake, name in MISTAKES.items()
        }
        draw_intervals(axis, rows)
        axis.axvline(0, linewidth=0.8, color="gray", zorder=1)
        axis.set_title(title)
    axes[-1].set_xlabel("Points of accuracy lost")
    return figure


def draw(results):
    return {"cost": draw_cost(results), "mistakes": draw_mistakes(results)}


def tables(results):
    rows = [
        [f"{title}, {FRAMEWORK_NAMES[framework]}"]
        + [
            low_to_high(result["values"][f"lost.{kind}.{mistake}"], 1)
            for kind in OPTIMIZERS
        ]
        for mistake, title in MISTAKES.items()
        for framework, result in on_cpu(results).items()
    ]
    columns = ["Points lost", *OPTIMIZERS.values()]
    return {"mistakes_table": Table(columns, rows)}
