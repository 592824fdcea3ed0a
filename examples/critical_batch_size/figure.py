"""Draws what the critical-batch-size programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_intervals,
    draw_line,
    measured,
    new_figure,
)

DATA = {"mnist1d": "MNIST-1D", "digits": "Digits"}
OPTIMIZERS = {"sgd": "SGD", "momentum": "momentum"}
BUDGETS = {"epoch": "Epochs", "update": "Updates", "second": "Seconds"}
# What a target was reached with, the critical batch size that the runs show,
# and the noise scale against it.
STUDIES = {
    "SGD, early": ("critical.{}.sgd.early", "prediction.{}.early"),
    "SGD, late": ("critical.{}.sgd.late", "prediction.{}.late"),
    "momentum, early": ("critical.{}.momentum.early", "prediction_momentum.{}"),
}
NOISE = {"exact": "exact", "two_batch": "two batches"}


def frameworks(results):
    """(framework, series) of the CPU results there are, Keras first."""
    for framework in ("keras", "torch"):
        result = results.get(f"critical_batch_size_{framework}.cpu")
        if result:
            yield framework, result["series"]


def panels(results, height=5):
    """A figure; then (axis, data set, framework, series) for each panel."""
    found = list(frameworks(results))
    figure, axes = new_figure(
        rows=len(DATA), columns=len(found), height=height, sharey=True
    )
    axes = axes.reshape(len(DATA), len(found))
    cells = [
        (axes[row, column], name, framework, series)
        for row, name in enumerate(DATA)
        for column, (framework, series) in enumerate(found)
    ]
    for axis, name, framework, _ in cells:
        axis.set_title(f"{DATA[name]}, {FRAMEWORK_NAMES[framework]}")
    return figure, cells


def to_target(results, budget):
    """A budget spent until the early target, over batch size."""
    figure, cells = panels(results)
    for axis, name, framework, series in cells:
        for optimizer, label in OPTIMIZERS.items():
            line = series[f"{budget}.{name}.{optimizer}.early"]
            draw_line(axis, line, label, framework=framework)
        axis.set_yscale("log")
        batch_axis(axis)
        axis.set_xlabel("Batch size" if name == "digits" else "")
        if framework == "keras":
            axis.set_ylabel(f"{BUDGETS[budget]} to target")
    return figure


def fits(results):
    """Updates to either target with plain SGD, and the fitted hyperbola."""
    figure, cells = panels(results)
    for axis, name, framework, series in cells:
        for stage in ("early", "late"):
            fitted = series.get(f"fit.{name}.sgd.{stage}")
            if fitted:
                draw_line(axis, fitted, "", color="0.5")
            line = series[f"update.{name}.sgd.{stage}"]
            draw_line(axis, line, stage, framework=framework)
        axis.set_yscale("log")
        batch_axis(axis)
        axis.set_xlabel("Batch size" if name == "digits" else "")
        if framework == "keras":
            axis.set_ylabel("Updates to target")
    return figure


def noise_scale(results):
    figure, cells = panels(results)
    for axis, name, framework, series in cells:
        for way, label in NOISE.items():
            line = series[f"noise_scale.{way}.{name}"]
            draw_line(axis, line, label, framework=framework)
        # Logarithmic but for its beginning, so that update 0 has a place.
        axis.set_xscale("symlog", base=2, linthresh=8, linscale=0.7)
        axis.set_xticks([0, 8, 32, 128], ["0", "8", "32", "128"])
        axis.set_yscale("log")
        axis.set_ylim(10, 1000)
        axis.set_xlabel("Updates" if name == "digits" else "")
        if framework == "keras":
            axis.set_ylabel("Noise scale, examples")
    return figure


def by_study(results, part, label):
    """A row for each data set, optimizer and target."""
    figure, axes = new_figure(height=2.7)
    axis = axes.flat[0]
    rows = {
        f"{title}, {study}": {
            framework: result["values"][keys[part].format(name)]
            for (framework, _), result in measured(results).items()
        }
        for name, title in DATA.items()
        for study, keys in STUDIES.items()
    }
    draw_intervals(axis, rows)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel(label)
    return figure


def draw(results):
    drawn = {f"by_{budget}": to_target(results, budget) for budget in BUDGETS}
    drawn["fits"] = fits(results)
    drawn["noise_scale"] = noise_scale(results)
    drawn["critical"] = by_study(results, 0, "Critical batch size, examples")
    drawn["prediction"] = by_study(results, 1, "Noise scale / critical size")
    axis = drawn["prediction"].axes[0]
    # What counts as a prediction.
    axis.axvspan(1 / 2, 2, color="gray", alpha=0.15, zorder=0)
    return drawn
