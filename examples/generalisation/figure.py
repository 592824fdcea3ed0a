"""Draws what the generalisation programs measured."""

from _guide.site.style import (
    batch_axis,
    draw_line,
    result_panels,
)

# One over the rates at which each size was measured at equal loss.
INVERSE_RATES = {
    4: [512, 256],
    32: [128, 64, 32],
    256: [32, 16, 8],
    1000: [16, 8, 4],
}
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


def accuracy(results, kind):
    figure, panels = result_panels(results, "Test accuracy, %", 2.9)
    for axis, framework, _, result in panels:
        for number, label in enumerate(BUDGETS[kind]):
            drawn = result["series"][f"accuracy_by_size.{kind}.{number}"]
            draw_line(axis, drawn, label, framework=framework)
        axis.set(ylim=(15, 45))
        batch_axis(axis)
    return figure


def gaps(results):
    figure, panels = result_panels(results, "Points from batch size 32", 2.9)
    for axis, framework, _, result in panels:
        for regime, label in GAPS.items():
            drawn = result["series"][f"gap.{regime}"]
            draw_line(axis, drawn, label, framework=framework)
        batch_axis(axis)
    return figure


def at_equal_loss(result, what, size):
    """Values of the rates of a size."""
    return [
        result["values"][f"{what}.{size}.{inverse}"]
        for inverse in INVERSE_RATES[size]
    ]


def line(x, entries):
    low, high = zip(*(entry["ci"] for entry in entries))
    y = [entry["value"] for entry in entries]
    return {"x": x, "y": y, "low": low, "high": high}


def sharpness(results):
    figure, panels = result_panels(results, "Sharpness", 2.9)
    for axis, _, _, result in panels:
        for size, inverse_rates in INVERSE_RATES.items():
            ratios = [1 / inverse / size for inverse in inverse_rates]
            found = at_equal_loss(result, "sharpness", size)
            draw_line(axis, line(ratios, found), str(size), batch_size=size)
        axis.set_xscale("log")
        axis.set(xlabel="Rate / batch size")
    return figure


def against_sharpness(results):
    figure, panels = result_panels(results, "Test accuracy, %", 2.9)
    for axis, _, _, result in panels:
        for size in INVERSE_RATES:
            found = at_equal_loss(result, "sharpness", size)
            accuracy = at_equal_loss(result, "level_accuracy", size)
            drawn = line([entry["value"] for entry in found], accuracy)
            draw_line(axis, drawn, str(size), batch_size=size)
        axis.set(xlabel="Sharpness")
    return figure


def draw(results):
    drawn = {f"accuracy_by_{kind}": accuracy(results, kind) for kind in BUDGETS}
    drawn["gaps"] = gaps(results)
    drawn["sharpness"] = sharpness(results)
    drawn["accuracy_by_sharpness"] = against_sharpness(results)
    return drawn
