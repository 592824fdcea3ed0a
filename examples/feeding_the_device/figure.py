"""Draws what the programs about feeding the device measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    line_of,
    measured,
    result_panels,
)
from _guide.site.table import Table, low_to_high

SIZES = [1, 8, 64, 256]
RATES = {
    "in memory": "rate.ready",
    "cached": "rate.cached",
    "whole": "rate.whole",
    "two workers": "rate.workers",
    "one ahead": "rate.ahead",
    "plain": "rate.plain",
}
GAINS = {
    "whole": "gain.whole",
    "cached": "gain.cached",
    "two workers": "gain.workers",
    "one ahead": "gain.ahead",
}
# The plain loop over the sum, the loop with a worker over the maximum.
RULES = {"plain": "sum_rule", "ahead": "maximum_rule"}


def panels(results, ylabel, lines, base):
    """A figure with a panel for each result."""
    figure, drawn = result_panels(results, ylabel)
    for axis, framework, _, result in drawn:
        axis.set_yscale("log", base=base)
        for label, name in lines.items():
            line = line_of(result["values"], name)
            draw_line(axis, line, label, framework=framework)
        batch_axis(axis)
    return figure


def draw(results):
    rates = panels(results, "Examples per second, plain at 1 is 1", RATES, 10)
    rules = panels(results, "Measured time over the rule", RULES, 2)
    rules.axes[0].set_ylim(0.25, None)
    return {"examples_per_second": rates, "rules": rules}


def tables(results):
    rows = [
        [f"{label.capitalize()}, {FRAMEWORK_NAMES[framework]}"]
        + [low_to_high(result["values"][f"{key}.{size}"], 1) for size in SIZES]
        for label, key in GAINS.items()
        for (framework, _), result in measured(results).items()
    ]
    sizes = [f"`{size}`" for size in SIZES]
    return {"remedies_table": Table(["Rate over plain loading", *sizes], rows)}
