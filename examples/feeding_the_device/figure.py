"""Draws what the programs about feeding the device measured."""

from _guide.site.style import (
    batch_axis,
    draw_line,
    result_panels,
)

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
    """A figure with a panel for each result."""
    figure, drawn = result_panels(results, ylabel)
    for axis, framework, _, result in drawn:
        axis.set_yscale("log", base=10 if bottom is None else 2)
        for label, name in lines.items():
            series = result["series"][name]
            # Nothing is drawn where nothing could be measured.
            if series["y"][0] is not None:
                draw_line(axis, series, label, framework=framework)
        batch_axis(axis)
    if bottom:
        drawn[0][0].set_ylim(bottom, None)
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
