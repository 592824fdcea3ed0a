"""Draws what the learning-rate programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_intervals,
    draw_line,
    measured,
    new_figure,
)
from _guide.site.table import Table, low_to_high

BATCH_SIZES = [4, 16, 64, 256, 1024]
CURVE_SIZES = [64, 256, 1024]
DATA = {"mnist1d": "MNIST-1D", "digits": "Digits"}
OPTIMIZERS = {"sgd": "SGD", "momentum": "Momentum", "adam": "Adam"}
RULES = ["fixed", "root", "linear", "tuned"]
BUDGETS = {"epoch": "Epochs", "update": "Updates", "second": "Seconds"}
# What the exponent is told of, and where its values stand.
EXPONENTS = {
    "exponents_by_size": {
        "Sizes `4` to `64`": "exponent.small",
        "Sizes `64` to `1024`": "exponent.large",
    },
    "exponents_by_budget": {
        "Epochs": "exponent.all",
        "Updates": "exponent.updates.all",
        "Seconds": "exponent.seconds.all",
    },
}
CURVE_RULES = {
    "fixed": "one rate",
    "linear": "rate × size",
    "tuned": "rate tuned",
}


def frameworks(results):
    """(framework, series) of the CPU results there are, Keras first."""
    for framework in ("keras", "torch"):
        result = results.get(f"learning_rate_{framework}.cpu")
        if result:
            yield framework, result["series"]


def rate_map(results, name, budget):
    """Validation loss over learning rate, a line for each batch size."""
    found = list(frameworks(results))
    figure, axes = new_figure(
        rows=len(OPTIMIZERS), columns=len(found), height=6.4, sharey=True
    )
    axes = axes.reshape(len(OPTIMIZERS), len(found))
    for row, optimizer in zip(axes, OPTIMIZERS):
        for axis, (framework, series) in zip(row, found):
            axis.set_title(
                f"{OPTIMIZERS[optimizer]}, {FRAMEWORK_NAMES[framework]}"
            )
            for size in BATCH_SIZES:
                line = series[f"map.{budget}s.{name}.{optimizer}.{size}"]
                draw_line(axis, line, str(size), batch_size=size)
            axis.set_xscale("log")
            # Room above for the labels of lines that end near chance.
            axis.set_ylim((1.1, 3.1) if name == "mnist1d" else (0, 3.4))
            axis.margins(x=0.12)
        row[0].set_ylabel("Validation loss")
    for axis in axes[-1]:
        axis.set_xlabel("Learning rate")
    # Each optimizer has rates of its own.
    for axis in axes.flat:
        axis.tick_params(labelbottom=True)
    return figure


def best_rate(results, budget):
    found = list(frameworks(results))
    figure, axes = new_figure(
        rows=len(DATA), columns=len(found), height=5, sharey=True
    )
    axes = axes.reshape(len(DATA), len(found))
    for row, name in zip(axes, DATA):
        for axis, (framework, series) in zip(row, found):
            axis.set_title(f"{DATA[name]}, {FRAMEWORK_NAMES[framework]}")
            for optimizer in OPTIMIZERS:
                draw_line(
                    axis,
                    series[f"best_rate.{budget}s.{name}.{optimizer}"],
                    OPTIMIZERS[optimizer],
                    framework=framework,
                )
            axis.set_yscale("log")
            batch_axis(axis)
            axis.set_xlabel("")
        row[0].set_ylabel("Best learning rate")
    for axis in axes[-1]:
        axis.set_xlabel("Batch size")
    return figure


def exponents(results, panels):
    """A panel for each of `panels`, a row for each optimizer and data set."""
    figure, axes = new_figure(rows=len(panels), height=2.3 * len(panels))
    for axis, (title, stem) in zip(axes, panels.items()):
        axis.set_title(title.replace("`", ""))
        rows = {
            f"{OPTIMIZERS[optimizer]}, {DATA[name]}": {
                framework: result["values"][f"{stem}.{name}.{optimizer}"]
                for (framework, _), result in measured(results).items()
            }
            for optimizer in OPTIMIZERS
            for name in DATA
        }
        draw_intervals(axis, rows)
        # What the rules say: one rate, the root, and in proportion.
        axis.set_xticks([0, 0.5, 1])
    axes[-1].set_xlabel("Exponent")
    return figure


def rules(results, budget):
    """Test accuracy by rule; columns are data sets, from one framework."""
    for framework, series in frameworks(results):
        figure, axes = new_figure(
            rows=len(OPTIMIZERS), columns=len(DATA), height=6.4
        )
        for row, optimizer in zip(axes, OPTIMIZERS):
            for axis, name in zip(row, DATA):
                axis.set_title(f"{OPTIMIZERS[optimizer]}, {DATA[name]}")
                for rule in RULES:
                    line = series[f"rule.{budget}s.{rule}.{name}.{optimizer}"]
                    draw_line(axis, line, rule, framework=framework)
                batch_axis(axis)
                axis.set_xlabel("")
            row[0].set_ylabel("Test accuracy")
        for axis in axes[-1]:
            axis.set_xlabel("Batch size")
        return figure


def curves(results, budget):
    found = list(frameworks(results))
    figure, axes = new_figure(
        rows=len(CURVE_RULES), columns=len(found), height=6, sharey=True
    )
    axes = axes.reshape(len(CURVE_RULES), len(found))
    for row, (rule, words) in zip(axes, CURVE_RULES.items()):
        for axis, (framework, series) in zip(row, found):
            axis.set_title(f"{FRAMEWORK_NAMES[framework]}, {words}")
            for size in CURVE_SIZES:
                line = series[f"curve.{budget}.{rule}.{size}"]
                draw_line(axis, line, str(size), batch_size=size)
            axis.set(xlim=(0, None), ylim=(1.1, 2.5))
        row[0].set_ylabel("Validation loss")
    for axis in axes[-1]:
        axis.set_xlabel(BUDGETS[budget])
    return figure


def warmup(results):
    found = list(frameworks(results))
    figure, axes = new_figure(columns=len(found), height=2.9, sharey=True)
    for axis, (framework, series) in zip(axes.flat, found):
        axis.set_title(f"Adam, {FRAMEWORK_NAMES[framework]}")
        without = series["map.epochs.mnist1d.adam.1024"]
        draw_line(axis, without, "without", framework=framework)
        draw_line(axis, series["warmup.adam"], "with", framework=framework)
        axis.set_xscale("log")
        axis.set_xlabel("Learning rate")
    axes.flat[0].set_ylabel("Validation loss")
    return figure


def draw(results):
    drawn = {"warmup": warmup(results)}
    for budget in BUDGETS:
        for name in DATA:
            drawn[f"map_{name}_by_{budget}"] = rate_map(results, name, budget)
        drawn[f"best_rate_by_{budget}"] = best_rate(results, budget)
        drawn[f"rules_by_{budget}"] = rules(results, budget)
        drawn[f"curves_by_{budget}"] = curves(results, budget)
    for name, panels in EXPONENTS.items():
        drawn[name] = exponents(results, panels)
    return {name: figure for name, figure in drawn.items() if figure}


def tables(results):
    """The exponents once more, as numbers."""
    found = {}
    for table, panels in EXPONENTS.items():
        rows = [
            [f"{OPTIMIZERS[optimizer]}, {DATA[name]}, {FRAMEWORK_NAMES[f]}"]
            + [
                low_to_high(result["values"][f"{stem}.{name}.{optimizer}"], 1)
                for stem in panels.values()
            ]
            for optimizer in OPTIMIZERS
            for name in DATA
            for (f, _), result in measured(results).items()
        ]
        found[f"{table}_table"] = Table(["Exponent", *panels], rows)
    return found
