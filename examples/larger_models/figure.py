"""Draws what the programs about larger models measured, on a GPU."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

NETWORKS = {"transformer": "Transformer", "cnn": "Convolutional network"}
LABELS = {
    "updates": "Updates to the target",
    "epochs": "Epochs to the target",
    "rate": "Best learning rate",
}


def measured(results):
    """{framework: result}, those that there are."""
    return {
        framework: results[f"larger_models_{framework}.gpu"]
        for framework in FRAMEWORK_NAMES
        if f"larger_models_{framework}.gpu" in results
    }


def draw_by_size(found, kind):
    """A panel for each network, with both frameworks."""
    figure, axes = new_figure(columns=2, height=2.8)
    for axis, (name, title) in zip(axes, NETWORKS.items()):
        axis.set_yscale("log")
        axis.set_title(title)
        for framework, result in found.items():
            draw_line(
                axis,
                result["series"][f"{kind}.{name}"],
                FRAMEWORK_NAMES[framework],
                framework=framework,
            )
        batch_axis(axis)
    axes[0].set_ylabel(LABELS[kind])
    return figure


def draw_map(found, name):
    """Updates against learning rate, a panel for each framework."""
    figure, axes = new_figure(columns=len(found), height=3.2, sharey=True)
    for axis, (framework, result) in zip(axes, found.items()):
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(FRAMEWORK_NAMES[framework])
        axis.set_xlabel("Learning rate")
        prefix = f"map.{name}."
        sizes = sorted(
            int(key.removeprefix(prefix))
            for key in result["series"]
            if key.startswith(prefix)
        )
        for size in sizes:
            series = result["series"][f"{prefix}{size}"]
            draw_line(axis, series, str(size), framework, batch_size=size)
    axes[0].set_ylabel(LABELS["updates"])
    return figure


def draw(results):
    found = measured(results)
    drawn = {f"{kind}_by_size": draw_by_size(found, kind) for kind in LABELS}
    for name in NETWORKS:
        drawn[f"map_{name}"] = draw_map(found, name)
    return drawn
