"""Draws what the programs about several devices measured."""

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    measured,
    new_figure,
)
from _guide.site.table import Table, number

BUDGETS = ("epochs", "updates", "seconds")
EPOCH_SIZES = (97, 101)
# {what the table counts: key of its value}.
EPOCHS = {
    "Handed out again": "repeated.{}.keep",
    "Last shares differ by": "last_shares_differ.{}.keep",
    "Devices left with nothing": "empty_shares.{}.keep",
    "Left out, if the rest is dropped": "left_out.{}.drop",
}


def one_panel(results, name, xlabel, ylabel):
    """Both frameworks in one panel, on logarithmic axes."""
    figure, axes = new_figure()
    for (framework, _), result in measured(results).items():
        draw_line(
            axes[0],
            result["series"][name],
            FRAMEWORK_NAMES[framework],
            framework=framework,
        )
    batch_axis(axes[0])
    # Powers of two, for the range is too small for those of ten.
    axes[0].set_yscale("log", base=2)
    axes[0].set(xlabel=xlabel, ylabel=ylabel)
    return figure


def accuracy(results, budget):
    found = measured(results)
    figure, axes = new_figure(columns=len(found), height=3.0, sharey=True)
    for axis, ((framework, _), result) in zip(axes.flat, found.items()):
        axis.set_title(FRAMEWORK_NAMES[framework])
        series = result["series"]
        one, two = series["accuracy.one"], series[f"accuracy.two.{budget}"]
        draw_line(axis, one, "one", framework=framework)
        draw_line(axis, two, "two", framework=framework)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_locator(FixedLocator(one["x"][1::4]))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.1g}"))
        axis.set(xlabel="Learning rate", ylim=(0, None))
    axes.flat[0].set_ylabel("Test accuracy in percent")
    return figure


def draw(results):
    drawn = {
        "uneven": one_panel(
            results,
            "uneven",
            "Examples of the second device",
            "Relative difference",
        ),
        "normalised": one_panel(
            results,
            "normalised",
            "Examples of each device",
            "Relative difference",
        ),
        "exchange": one_panel(
            results,
            "exchange_share",
            "Examples of each device",
            "Exchange / update",
        ),
    }
    for budget in BUDGETS:
        drawn[f"rates_after_equal_{budget}"] = accuracy(results, budget)
    return drawn


def tables(results):
    """Which examples of an epoch the devices get, by the usual tool."""
    found = measured(results)
    columns = [
        f"{FRAMEWORK_NAMES[framework]}, `{size}`"
        for framework, _ in found
        for size in EPOCH_SIZES
    ]
    rows = [
        [title]
        + [
            number(result["values"][key.format(size)])
            for result in found.values()
            for size in EPOCH_SIZES
        ]
        for title, key in EPOCHS.items()
    ]
    return {"epochs_table": Table(["In an epoch", *columns], rows)}
