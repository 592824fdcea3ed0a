"""Draws what the programs about memory measured."""

from _guide.site.style import (
    FRAMEWORK_COLOR,
    FRAMEWORK_NAMES,
    INK,
    batch_axis,
    draw_intervals,
    draw_line,
    measured,
    new_figure,
)
from _guide.site.table import Table, low_to_high, number

KINDS = {"mlp": "Perceptron", "transformer": "Transformer"}
NETWORKS = KINDS | {"cnn": "Convolutions"}
ARCHITECTURES = {
    "vgg16": "VGG-16",
    "resnet50": "ResNet-50",
    "mobilenetv2": "MobileNetV2",
}
# {what the table counts: (key of its value, decimals)}.
IMAGES = {
    "Parameters, millions": ("parameters", 1),
    "Kept of an image, MB": ("kept", 0),
    "Fixed part, GB": ("fixed", 2),
    "`64` images, GB": ("total", 1),
    "Over `4` GiB, times": ("over_device", 1),
    "Images that fit, at most": ("fit", 0),
    "`64` of side `224`, over `4` GiB": ("small_over_device", 2),
}
MODES = {"checkpoint": "Checkpoints", "bfloat16": "bfloat16"}
# {what the table compares: (key of its value, decimals, in percent)}.
SAVINGS = {
    "Kept between the passes": ("held_share", 0, True),
    "Growth of the process, times": ("slope_share", 2, False),
    "Time of an update, times": ("time", 1, False),
}
SLOPES = {
    "kept": "Over what the formula keeps",
    "rule": "Over the rule",
}


def lines(results, framework):
    """Resident memory of two of the networks, with the two formulas."""
    series = results[f"memory_{framework}.cpu"]["series"]
    figure, axes = new_figure(columns=2, height=3.0)
    for axis, (kind, title) in zip(axes.flat, KINDS.items()):
        axis.set_title(f"{title}, {FRAMEWORK_NAMES[framework]}")
        found = series[f"resident.{kind}"]
        draw_line(axis, found, "process", framework=framework)
        draw_line(axis, series[f"kept.{kind}"], "kept", color=INK)
        draw_line(axis, series[f"rule.{kind}"], "rule", color="#888888")
        batch_axis(axis)
        axis.set_ylim(0, None)
    axes.flat[0].set_ylabel("MB")
    return figure


def sides(results):
    """Where in the three architectures the memory of an image is."""
    framework = "torch" if "memory_torch.cpu" in results else "keras"
    series = results[f"memory_{framework}.cpu"]["series"]
    figure, (axis,) = new_figure(height=3.0)
    colors = (INK, FRAMEWORK_COLOR["keras"], FRAMEWORK_COLOR["torch"])
    for (name, label), color in zip(ARCHITECTURES.items(), colors):
        draw_line(axis, series[f"by_side.{name}"], label, color=color)
    axis.set_xscale("log", base=2)
    axis.set_xticks([16, 32, 64, 128, 256, 512])
    axis.set_xticklabels(["16", "32", "64", "128", "256", "512"])
    axis.set(xlabel="Side of the layer's output, in pixels", ylabel="MB")
    axis.set_ylim(0, None)
    return figure


def slopes(results):
    """The slope of the process, over both formulas."""
    figure, axes = new_figure(rows=2, height=3.6)
    for axis, (key, title) in zip(axes, SLOPES.items()):
        rows = {
            label: {
                framework: result["values"][f"slope.over_{key}.{kind}"]
                for (framework, _), result in measured(results).items()
            }
            for kind, label in NETWORKS.items()
        }
        draw_intervals(axis, rows)
        axis.axvline(1, linewidth=0.8, color="gray", zorder=1)
        axis.set_title(title)
        # Room for the frameworks' names.
        axis.set_xlim(0, 2.5)
    axes[-1].set_xlabel("Times")
    return figure


def draw(results):
    drawn = {"by_side": sides(results), "slopes": slopes(results)}
    for framework in ("keras", "torch"):
        if f"memory_{framework}.cpu" in results:
            drawn[f"lines_{framework}"] = lines(results, framework)
    return drawn


def tables(results):
    found = {
        framework: result["values"]
        for (framework, _), result in measured(results).items()
    }
    either = next(iter(found.values()))
    kept = [
        [label, number(either[f"kept.formula.{kind}"], 1)]
        + [number(each[f"kept.counted.{kind}"], 1) for each in found.values()]
        for kind, label in NETWORKS.items()
    ]
    images = [
        [label]
        + [
            number(either[f"images.{key}.{name}"], digits)
            for name in ARCHITECTURES
        ]
        for label, (key, digits) in IMAGES.items()
    ]
    savings = [
        [label]
        + [
            low_to_high(values[f"{key}.{mode}"], digits, percent)
            for mode in MODES
            for values in found.values()
        ]
        for label, (key, digits, percent) in SAVINGS.items()
    ]
    names = [FRAMEWORK_NAMES[framework] for framework in found]
    modes = [f"{mode}, {name}" for mode in MODES.values() for name in names]
    counts = [f"{name} counts" for name in names]
    return {
        "kept_table": Table(["Of an example, in kB", "Formula", *counts], kept),
        "images_table": Table(["", *ARCHITECTURES.values()], images),
        "savings_table": Table(["Against float32", *modes], savings),
    }
