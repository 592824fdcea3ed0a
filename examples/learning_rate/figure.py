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
PLACES = {
    f"{optimizer_name}, {data_name}": f"{name}.{optimizer}"
    for optimizer, optimizer_name in OPTIMIZERS.items()
    for name, data_name in DATA.items()
}
CURVE_RULES = {
    "fixed": "one rate",
    "linear": "rate × size",
    "tuned": "rate tuned",
}
COSTS = {
    f"{row}, `{size}`": f"{place}.{size}"
    for row, place in PLACES.items()
    for size in (256, 1024)
}
GAPS = {
    f"{budget_name}, {rule_name}": f"{budget}s.{rule}"
    for budget, budget_name in BUDGETS.items()
    for rule, rule_name in CURVE_RULES.items()
}
# {name: ({panel: key of its values}, {row: what stands in the key}, axis)}.
INTERVALS = {
    "exponents_by_size": (
        {
            "Sizes `4` to `64`": "exponent.small.{}",
            "Sizes `64` to `1024`": "exponent.large.{}",
        },
        PLACES,
        "Exponent",
    ),
    "exponents_by_budget": (
        {
            "Epochs": "exponent.all.{}",
            "Updates": "exponent.updates.all.{}",
            "Seconds": "exponent.seconds.all.{}",
        },
        PLACES,
        "Exponent",
    ),
    "costs": (
        {
            "One rate": "lost.fixed.{}",
            "Root": "lost.root.{}",
            "Linear": "lost.linear.{}",
        },
        COSTS,
        "Percentage points lost",
    ),
    "gaps": (
        {"`256`": "curve_gap.{}.256", "`1024`": "curve_gap.{}.1024"},
        GAPS,
        "Percentage points against 64",
    ),
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


def intervals(results, panels, rows, label):
    """Points with their bars, by panel and row."""
    figure, axes = new_figure(rows=len(panels), height=2.3 * len(panels))
    for axis, (title, key) in zip(axes, panels.items()):
        axis.set_title(title.replace("`", ""))
        entries = {
            row.replace("`", ""): {
                framework: result["values"][key.format(place)]
                for (framework, _), result in measured(results).items()
            }
            for row, place in rows.items()
        }
        draw_intervals(axis, entries)
        axis.axvline(0, linewidth=0.8, color="gray", zorder=1)
    axes[-1].set_xlabel(label)
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
    for name, shown in INTERVALS.items():
        drawn[name] = intervals(results, *shown)
    return {name: figure for name, figure in drawn.items() if figure}


def tables(results):
    """What the pictures of intervals show, as numbers."""
    found = {}
    for name, (panels, places, label) in INTERVALS.items():
        rows = [
            [f"{row}, {FRAMEWORK_NAMES[framework]}"]
            + [
                low_to_high(result["values"][key.format(place)], 1)
                for key in panels.values()
            ]
            for row, place in places.items()
            for (framework, _), result in measured(results).items()
        ]
        found[f"{name}_table"] = Table([label, *panels], rows)
    return found
