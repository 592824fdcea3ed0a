"""Draws what the programs about memory measured."""

from _guide.site.style import (
    FRAMEWORK_COLOR,
    FRAMEWORK_NAMES,
    INK,
    batch_axis,
    draw_line,
    new_figure,
)

KINDS = {"mlp": "Perceptron", "transformer": "Transformer"}
ARCHITECTURES = {
    "vgg16": "VGG-16",
    "resnet50": "ResNet-50",
    "mobilenetv2": "MobileNetV2",
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


def draw(results):
    drawn = {"by_side": sides(results)}
    for framework in ("keras", "torch"):
        if f"memory_{framework}.cpu" in results:
            drawn[f"lines_{framework}"] = lines(results, framework)
    return drawn
