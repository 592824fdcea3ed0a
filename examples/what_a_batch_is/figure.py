"""Draws what the programs about batches, orders and descent measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    draw_line,
    measured,
    result_panels,
)
from _guide.site.table import Table, low_to_high, number

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


# Examples and batch size; and the epochs, if it is not one.
CASES = ["1600.32", "1600.256", "1600.1024", "1600.1600", "5000.32"]
CASES += ["10000.1024", "1000.512", "1000.32.5_epochs", "20.32"]


def descent(results, budget):
    figure, panels = result_panels(results, "Test accuracy", 2.9)
    for axis, _, _, result in panels:
        for size, name in SIZES.items():
            line = result["series"][f"accuracy_by_{budget}.{size}"]
            draw_line(axis, line, name, batch_size=max(2, size))
        axis.set_xscale("log")
        axis.set(xlabel=BUDGETS[budget], ylim=(0, 1))
    return figure


def orders(results, name, label, limits):
    figure, panels = result_panels(results, label, 2.9)
    for axis, _, _, result in panels:
        for rule, color in ORDER_COLOR.items():
            line = result["series"].get(f"{name}_by_order.{rule}")
            if line:
                name_shown = ORDER_NAME.get(rule, rule)
                draw_line(axis, line, name_shown, color=color)
        axis.set(xlabel="Epochs", xlim=(0, None), ylim=limits)
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


def tables(results):
    """What was counted, and what it takes to reach the target."""
    found = [
        (FRAMEWORK_NAMES[framework], result["values"])
        for (framework, _), result in measured(results).items()
    ]
    columns = ["Updates", "Last batch"]
    counts = []
    for case in CASES:
        examples, size, *epochs = case.split(".")
        words = f"`{examples}` in `{size}`" + ", five epochs" * len(epochs)
        counts.append(
            [words]
            + [
                number(values[f"{key}.{case}"])
                for key in ("updates.kept", "last_batch_size")
                for _, values in found
            ]
        )
    targets = [
        [f"{words}, {name}"]
        + [low_to_high(values.get(f"{key}.{size}"), decimals) for size in SIZES]
        for words, key, decimals in (
            ("Rate", "chosen_rate", 2),
            ("Epochs", "epochs_to_target", 1),
            ("Updates", "updates_to_target", 0),
            ("Seconds / those of `32`", "seconds_ratio", 1),
        )
        for name, values in found
    ]
    heads = [f"{words}, {name}" for words in columns for name, _ in found]
    return {
        "counts_table": Table(["Examples", *heads], counts),
        "targets_table": Table(["To `0.9`", "`1`", "`32`", "`1000`"], targets),
    }
