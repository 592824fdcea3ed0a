"""Draws what the language-model programs measured."""

from matplotlib.ticker import FixedLocator, NullLocator

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_intervals,
    draw_line,
    measured,
    new_figure,
    result_panels,
)
from _guide.site.table import Table, low_to_high, number

BATCH_SIZES = [1, 4, 16, 64, 256]
KINDS = {
    "sgd": "SGD",
    "adam_short": "β₂ 0.95",
    "adam_default": "β₂ 0.999",
    "adam_kept": "β₂ kept",
}
TITLES = {
    "sgd": "SGD",
    "adam_short": "Adam, β₂ 0.95",
    "adam_kept": "Adam, half-life kept",
}
LOSS_TICKS = [0.06, 0.1, 0.2, 0.5, 1]
BUDGETS = {"epoch": "Epochs", "update": "Updates", "second": "Seconds"}


def log_loss(axis, highest):
    """A logarithmic axis of the loss whose few ticks have their numbers."""
    axis.set_yscale("log")
    axis.set_ylim(0.05, highest)
    axis.yaxis.set_major_locator(FixedLocator(LOSS_TICKS))
    axis.yaxis.set_minor_locator(NullLocator())


def by_size(results, name, label):
    """A line for each optimizer over the batch size."""
    figure, panels = result_panels(results, label)
    for axis, framework, _, result in panels:
        for kind, words in KINDS.items():
            line = result["series"][f"{name}.{kind}"]
            draw_line(axis, line, words, framework=framework)
        if name == "final":
            log_loss(axis, 0.7)
        else:
            axis.set_yscale("log")
        batch_axis(axis)
        axis.set_xlabel("Sequences per update")
    return figure


def by_kind(results, name, kinds, xlabel, highest):
    """Excess loss, a row for each optimizer, a line for each batch size."""
    found = measured(results)
    figure, axes = new_figure(
        rows=len(kinds), columns=len(found), height=4.8, sharey=True
    )
    axes = axes.reshape(len(kinds), len(found))
    for row, kind in zip(axes, kinds):
        for axis, ((framework, _), result) in zip(row, found.items()):
            axis.set_title(f"{FRAMEWORK_NAMES[framework]}, {TITLES[kind]}")
            for size in BATCH_SIZES:
                line = result["series"][f"{name}.{kind}.{size}"]
                draw_line(axis, line, str(size), batch_size=size)
            axis.set_xscale("log")
            log_loss(axis, highest)
        row[0].set_ylabel("Excess loss (nats)")
    for axis in axes[-1]:
        axis.set_xlabel(xlabel)
    return figure


def exponents(results):
    """The power of the batch size that the best rate follows, to 64."""
    figure, (axis,) = new_figure(height=2.3)
    rows = {
        words: {
            framework: result["values"][f"exponent.small.{kind}"]
            for (framework, _), result in measured(results).items()
        }
        for kind, words in KINDS.items()
    }
    draw_intervals(axis, rows)
    # What the rules say: the root, and in proportion.
    axis.set_xticks([0.5, 1])
    axis.set_xlabel("Exponent")
    return figure


def draw(results):
    drawn = {
        f"loss_by_{budget}": by_kind(
            results, f"loss_by_{budget}", ("sgd", "adam_kept"), xlabel, 2
        )
        for budget, xlabel in BUDGETS.items()
    }
    drawn["final_loss"] = by_size(results, "final", "Excess loss (nats)")
    drawn["best_rate"] = by_size(results, "best_rate", "Best learning rate")
    drawn["exponents"] = exponents(results)
    drawn["rates"] = by_kind(
        results, "map", ("adam_short", "adam_kept"), "Learning rate", 0.6
    )
    return drawn


def tables(results):
    """Losses of all sizes, and the ratios that tell what the memory does."""
    found = measured(results).items()
    names = {
        "sgd": "SGD",
        "adam_short": "`0.95`",
        "adam_default": "`0.999`",
        "adam_kept": "Kept",
    }
    losses = [
        [f"{words}, {FRAMEWORK_NAMES[framework]}"]
        + [
            number(result["values"][f"excess.{kind}.{size}"], 3)
            for size in BATCH_SIZES
        ]
        for kind, words in names.items()
        for (framework, _), result in found
    ]
    ratios = [
        [f"{names[kind]}, {FRAMEWORK_NAMES[framework]}"]
        + [
            low_to_high(result["values"][f"ratio.{kind}.{size}"], 2)
            for size in (1, 256)
        ]
        for kind in ("adam_short", "adam_default")
        for (framework, _), result in found
    ]
    sizes = [f"`{size}`" for size in BATCH_SIZES]
    return {
        "losses_table": Table(["Excess loss", *sizes], losses),
        "ratios_table": Table(["Ratio", "`1`", "`256`"], ratios),
    }
