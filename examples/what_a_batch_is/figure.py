"""Draws what the programs about batches, orders and descent measured."""

from _guide.site.style import FRAMEWORK_NAMES, draw_line, new_figure

# Line name of each batch size, of 1,000 training examples.
SIZES = {1: "1", 32: "32", 1000: "all"}
BUDGETS = {"epoch": "Epochs", "update": "Updates", "second": "Seconds"}
# For the eye only: the orders have no order of their own.
ORDER_COLOR = {
    "reshuffled": "#1f83c6",
    "reshuffled_whole": "#009e73",
    "fixed": "#d55e00",
    "sorted": "#8a8a8a",
}
# The rule that leaves the last partial batch out.
ORDER_NAME = {"reshuffled_whole": "dropped"}


def frameworks(results):
    """(framework, series) of the CPU results there are, Keras first."""
    for framework in ("keras", "torch"):
        result = results.get(f"what_a_batch_is_{framework}.cpu")
        if result:
            yield framework, result["series"]


def descent(results, budget):
    found = list(frameworks(results))
    figure, axes = new_figure(columns=len(found), height=2.9, sharey=True)
    for axis, (framework, series) in zip(axes.flat, found):
        axis.set_title(FRAMEWORK_NAMES[framework])
        for size, name in SIZES.items():
            line = series[f"accuracy_by_{budget}.{size}"]
            draw_line(axis, line, name, batch_size=max(2, size))
        axis.set_xscale("log")
        axis.set(xlabel=BUDGETS[budget], ylim=(0, 1))
    axes.flat[0].set_ylabel("Test accuracy")
    return figure


def orders(results, name, label, limits):
    found = list(frameworks(results))
    figure, axes = new_figure(columns=len(found), height=2.9, sharey=True)
    for axis, (framework, series) in zip(axes.flat, found):
        axis.set_title(FRAMEWORK_NAMES[framework])
        for rule, color in ORDER_COLOR.items():
            line = series.get(f"{name}_by_order.{rule}")
            if line:
                name_shown = ORDER_NAME.get(rule, rule)
                draw_line(axis, line, name_shown, color=color)
        axis.set(xlabel="Epochs", xlim=(0, None), ylim=limits)
    axes.flat[0].set_ylabel(label)
    return figure


def draw(results):
    drawn = {f"accuracy_by_{b}": descent(results, b) for b in BUDGETS}
    drawn["accuracy_by_order"] = orders(
        results, "accuracy", "Test accuracy", (0.6, 1)
    )
    drawn["loss_of_one_run"] = orders(
        results, "one_run", "Test loss", (0.1, 0.4)
    )
    return drawn
