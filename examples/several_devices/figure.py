"""Draws what the programs about several devices measured."""

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

BUDGETS = ("epochs", "updates", "seconds")


def measured(results):
    return [
        (framework, result["series"])
        for framework in ("keras", "torch")
        if (result := results.get(f"several_devices_{framework}.cpu"))
    ]


def one_panel(results, name, xlabel, ylabel):
    """Both frameworks in one panel, on logarithmic axes."""
    figure, axes = new_figure()
    for framework, series in measured(results):
        draw_line(
            axes[0],
            series[name],
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
    for axis, (framework, series) in zip(axes.flat, found):
        axis.set_title(FRAMEWORK_NAMES[framework])
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
