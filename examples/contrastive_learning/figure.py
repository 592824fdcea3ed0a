"""Draws what the programs on contrastive learning measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

BUDGETS = ("epochs", "updates", "seconds")
LOSSES = {
    "chance": "chance",
    "8": "trained with 8",
    "32": "with 32",
    "128": "with 128",
}


def panels(results, height):
    """A figure, and (axis, framework, series) of the CPU results there are."""
    found = []
    for framework in ("keras", "torch"):
        result = results.get(f"contrastive_learning_{framework}.cpu")
        if result:
            found.append((framework, result["series"]))
    figure, axes = new_figure(columns=len(found), height=height, sharey=True)
    drawn = []
    for axis, (framework, series) in zip(axes.flat, found):
        axis.set_title(FRAMEWORK_NAMES[framework])
        drawn.append((axis, framework, series))
    return figure, drawn


def accuracy(results, budget):
    figure, drawn = panels(results, 2.9)
    for axis, framework, series in drawn:
        draw_line(
            axis, series[f"accuracy.{budget}"], "trained", framework=framework
        )
        for name, label in (
            ("raw_neighbour", "raw"),
            ("random_encoder", "new"),
        ):
            draw_line(axis, series[f"accuracy.{name}"], label, color="0.5")
        axis.set_ylim(0, 80)
        batch_axis(axis)
    drawn[0][0].set_ylabel("Test accuracy, %")
    return figure


def bias(results):
    figure, drawn = panels(results, 2.9)
    for axis, framework, series in drawn:
        for name in ("trained", "initial"):
            draw_line(axis, series[f"bias.{name}"], name, framework=framework)
        axis.set_yscale("log")
        batch_axis(axis)
    drawn[0][0].set_ylabel("Off the full gradient, %")
    return figure


def loss(results):
    # Both frameworks measure the same; one panel leaves room for the labels.
    figure, axes = new_figure(height=2.9)
    series = results["contrastive_learning_torch.cpu"]["series"]
    for name, label in LOSSES.items():
        line, look = series[f"loss.{name}"], {"color": "0.5"}
        if name != "chance":
            look = {"batch_size": int(name)}
        draw_line(axes[0], line, label, **look)
    batch_axis(axes[0])
    axes[0].set(xlabel="Pairs among which partners are sought", ylim=(0, None))
    axes[0].set_ylabel("Loss, nats")
    return figure


def draw(results):
    drawn = {
        f"accuracy_by_{budget}": accuracy(results, budget) for budget in BUDGETS
    }
    drawn["bias"] = bias(results)
    drawn["loss"] = loss(results)
    return drawn
