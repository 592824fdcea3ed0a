"""Draws what the language-model programs measured."""

from matplotlib.ticker import FixedLocator, NullLocator

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

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


def frameworks(results):
    """(framework, series) of the CPU results there are, Keras first."""
    for framework in ("keras", "torch"):
        result = results.get(f"language_models_{framework}.cpu")
        if result:
            yield framework, result["series"]


def log_loss(axis, highest):
    """A logarithmic axis of the loss whose few ticks have their numbers."""
    axis.set_yscale("log")
    axis.set_ylim(0.05, highest)
    axis.yaxis.set_major_locator(FixedLocator(LOSS_TICKS))
    axis.yaxis.set_minor_locator(NullLocator())


def by_size(results, name, label):
    """A line for each optimizer over the batch size."""
    found = list(frameworks(results))
    figure, axes = new_figure(columns=len(found), height=3, sharey=True)
    for axis, (framework, series) in zip(axes.flat, found):
        axis.set_title(FRAMEWORK_NAMES[framework])
        for kind, words in KINDS.items():
            draw_line(
                axis, series[f"{name}.{kind}"], words, framework=framework
            )
        if name == "final":
            log_loss(axis, 0.7)
        else:
            axis.set_yscale("log")
        batch_axis(axis)
        axis.set_xlabel("Sequences per update")
    axes.flat[0].set_ylabel(label)
    return figure


def rate_map(results):
    """Excess loss over the learning rate, a line for each batch size."""
    found = list(frameworks(results))
    kinds = ("adam_short", "adam_kept")
    figure, axes = new_figure(
        rows=len(kinds), columns=len(found), height=4.8, sharey=True
    )
    axes = axes.reshape(len(kinds), len(found))
    for row, kind in zip(axes, kinds):
        for axis, (framework, series) in zip(row, found):
            axis.set_title(f"{FRAMEWORK_NAMES[framework]}, {TITLES[kind]}")
            for size in BATCH_SIZES:
                line = series[f"map.{kind}.{size}"]
                draw_line(axis, line, str(size), batch_size=size)
            axis.set_xscale("log")
            log_loss(axis, 0.6)
        row[0].set_ylabel("Excess loss (nats)")
    for axis in axes[-1]:
        axis.set_xlabel("Learning rate")
    return figure


def curves(results, budget):
    found = list(frameworks(results))
    kinds = ("sgd", "adam_kept")
    figure, axes = new_figure(
        rows=len(kinds), columns=len(found), height=4.8, sharey=True
    )
    axes = axes.reshape(len(kinds), len(found))
    for row, kind in zip(axes, kinds):
        for axis, (framework, series) in zip(row, found):
            axis.set_title(f"{FRAMEWORK_NAMES[framework]}, {TITLES[kind]}")
            for size in BATCH_SIZES:
                line = series[f"loss_by_{budget}.{kind}.{size}"]
                draw_line(axis, line, str(size), batch_size=size)
            axis.set_xscale("log")
            log_loss(axis, 2)
        row[0].set_ylabel("Excess loss (nats)")
    for axis in axes[-1]:
        axis.set_xlabel(BUDGETS[budget])
    return figure


def draw(results):
    drawn = {f"loss_by_{b}": curves(results, b) for b in BUDGETS}
    drawn["final_loss"] = by_size(results, "final", "Excess loss (nats)")
    drawn["best_rate"] = by_size(results, "best_rate", "Best learning rate")
    drawn["rates"] = rate_map(results)
    return drawn
