"""Draws what the generalisation programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

SIZES = [4, 32, 256, 1000]
# What the amounts of each budget are called at the ends of their lines.
BUDGETS = {
    "epochs": ["10", "20", "30"],
    "updates": ["50", "100", "200"],
    "time": ["40", "80", "160"],
}
GAPS = {
    "one_rate": "one rate",
    "epochs": "epochs",
    "updates": "updates",
    "early": "best",
}


def frameworks(results):
    """(framework, series) of the CPU results there are, Keras first."""
    for framework in ("keras", "torch"):
        result = results.get(f"generalisation_{framework}.cpu")
        if result:
            yield framework, result["series"]


def side_by_side(results):
    found = list(frameworks(results))
    figure, axes = new_figure(columns=len(found), height=2.9, sharey=True)
    for axis, (framework, _) in zip(axes.flat, found):
        axis.set_title(FRAMEWORK_NAMES[framework])
    return figure, list(zip(axes.flat, found))


def accuracy(results, kind):
    figure, panels = side_by_side(results)
    for axis, (framework, series) in panels:
        for number, label in enumerate(BUDGETS[kind]):
            line = series[f"accuracy_by_size.{kind}.{number}"]
            draw_line(axis, line, label, framework=framework)
        axis.set(ylim=(15, 45))
        batch_axis(axis)
    panels[0][0].set_ylabel("Test accuracy, %")
    return figure


def gaps(results):
    figure, panels = side_by_side(results)
    for axis, (framework, series) in panels:
        for regime, label in GAPS.items():
            draw_line(axis, series[f"gap.{regime}"], label, framework=framework)
        batch_axis(axis)
    panels[0][0].set_ylabel("Points from batch size 32")
    return figure


def sharpness(results):
    figure, panels = side_by_side(results)
    for axis, (_, series) in panels:
        for size in SIZES:
            line = series[f"sharpness_by_ratio.{size}"]
            draw_line(axis, line, str(size), batch_size=size)
        axis.set_xscale("log")
        axis.set(xlabel="Rate / batch size")
    panels[0][0].set_ylabel("Sharpness")
    return figure


def against_sharpness(results):
    figure, panels = side_by_side(results)
    for axis, (_, series) in panels:
        for size in SIZES:
            line = series[f"accuracy_by_sharpness.{size}"]
            draw_line(axis, line, str(size), batch_size=size)
        axis.set(xlabel="Sharpness")
    panels[0][0].set_ylabel("Test accuracy, %")
    return figure


def draw(results):
    drawn = {f"accuracy_by_{kind}": accuracy(results, kind) for kind in BUDGETS}
    drawn["gaps"] = gaps(results)
    drawn["sharpness"] = sharpness(results)
    drawn["accuracy_by_sharpness"] = against_sharpness(results)
    return drawn
