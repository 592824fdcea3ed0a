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
ONCE = {
    "First batch with a new worker, over one without": "first_batch.ahead",
    "Images unpacked again, cache behind a worker": (
        "unpacked_again.cached_ahead"
    ),
    "Epochs with new crops, of `3`: after a seed": "epochs_that_differ.seeded",
    "with a generator that keeps its state": "epochs_that_differ.generator",
    "crops kept in the cache": "epochs_that_differ.crops_kept",
    "images kept, crops drawn afterwards": "epochs_that_differ.images_kept",
}


def panels(results, ylabel, lines, bottom=None):
    """A figure with a panel for each result."""
    figure, drawn = result_panels(results, ylabel)
    for axis, framework, _, result in drawn:
        axis.set_yscale("log", base=10 if bottom is None else 2)
        for label, name in lines.items():
            line = line_of(result["values"], name)
            draw_line(axis, line, label, framework=framework)
        batch_axis(axis)
    if bottom:
        drawn[0][0].set_ylim(bottom, None)
    return figure


def draw(results):
    return {
        "examples_per_second": panels(
            results, "Examples per second, plain at 1 is 1", RATES
        ),
        "rules": panels(
            results, "Measured time over the rule", RULES, bottom=0.25
        ),
    }


def tables(results):
    found = measured(results)
    names = [FRAMEWORK_NAMES[framework] for framework, _ in found]
    gains = [
        [f"{label.capitalize()}, {FRAMEWORK_NAMES[framework]}"]
        + [low_to_high(result["values"][f"{key}.{size}"], 1) for size in SIZES]
        for label, key in GAINS.items()
        for (framework, _), result in found.items()
    ]
    once = [
        [label, *(low_to_high(each["values"][key]) for each in found.values())]
        for label, key in ONCE.items()
    ]
    sizes = [f"`{size}`" for size in SIZES]
    return {
        "remedies_table": Table(["Rate over plain loading", *sizes], gains),
        "once_per_epoch_table": Table(["Once per epoch", *names], once),
    }
