"""Draws what the programs about feeding the device measured."""

from _guide.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

DEVICES = {"cpu": "CPU", "gpu": "GPU"}
RATES = {
    "in memory": "rate.ready",
    "cached": "rate.cached",
    "whole": "rate.whole",
    "ahead": "rate.ahead",
    "plain": "rate.plain",
}
RATIOS = {"plain": "ratio.plain", "ahead": "ratio.ahead"}
# The plain loop over the sum, the loop with a worker over the maximum.
RULES = {"plain": "sum_rule", "ahead": "maximum_rule"}


def panels(results, ylabel, lines, bottom=None):
    """A figure with a panel for each result, a row for each device."""
    found = {
        (framework, device): results[f"feeding_the_device_{framework}.{device}"]
        for device in DEVICES
        for framework in FRAMEWORK_NAMES
        if results.get(f"feeding_the_device_{framework}.{device}")
    }
    rows = -(-len(found) // 2)
    figure, axes = new_figure(
        rows=rows, columns=min(2, len(found)), height=3.0 * rows, sharey=True
    )
    for axis, ((framework, device), result) in zip(axes.flat, found.items()):
        axis.set_title(f"{FRAMEWORK_NAMES[framework]}, {DEVICES[device]}")
        axis.set_yscale("log", base=10 if bottom is None else 2)
        for label, name in lines.items():
            series = result["series"][name]
            # Nothing is drawn where nothing could be measured.
            if series["y"][0] is not None:
                draw_line(axis, series, label, framework=framework)
        batch_axis(axis)
    if bottom:
        axes.flat[0].set_ylim(bottom, None)
    axes.flat[0].set_ylabel(ylabel)
    return figure


def draw(results):
    return {
        "examples_per_second": panels(
            results, "Examples per second, plain at 1 is 1", RATES
        ),
        "loop_over_ready": panels(
            results, "Time of the loop, 1 in memory", RATIOS, bottom=0.5
        ),
        "rules": panels(
            results, "Measured time over the rule", RULES, bottom=0.25
        ),
    }
