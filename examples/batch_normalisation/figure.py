"""Draws what the programs about batch normalisation measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

BUDGETS = ("epochs", "updates", "seconds")
KINDS = ("batch", "layer", "group", "none")


def panels(results, lines, xlabel):
    """One panel for each framework; lines are {label: name of a series}."""
    found = [
        (framework, result["series"])
        for framework in ("keras", "torch")
        if (result := results.get(f"batch_normalisation_{framework}.cpu"))
    ]
    figure, axes = new_figure(columns=len(found), height=3.1, sharey=True)
    for axis, (framework, series) in zip(axes.flat, found):
        axis.set_title(FRAMEWORK_NAMES[framework])
        for label, name in lines.items():
            draw_line(axis, series[name], label, framework=framework)
        batch_axis(axis)
        axis.set(xlabel=xlabel, ylim=(0, None))
    axes.flat[0].set_ylabel("Test accuracy in percent")
    return figure


def draw(results):
    ghosts = {"batch": "ghost.accuracy"}
    ghosts |= {kind: f"ghost.{kind}" for kind in KINDS[1:]}
    drawn = {"ghost_batches": panels(results, ghosts, "Ghost batch")}
    statistics = {
        "running": "ghost.accuracy",
        "population": "ghost.population",
        "batch's own": "ghost.training",
    }
    drawn["statistics"] = panels(results, statistics, "Ghost batch")
    for budget in BUDGETS:
        lines = {kind: f"{budget}.{kind}" for kind in KINDS}
        drawn[f"after_equal_{budget}"] = panels(results, lines, "Batch size")
    return drawn
