"""Draws what the rare-class programs measured."""

from _guide.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    measured,
    new_figure,
    result_panels,
)

REGIMES = {
    "epochs": {"one": "one rate", "root": "root rule", "tuned": "chosen"},
    "updates": {"one": "one rate", "tuned": "chosen"},
}
METRICS = {"average_precision": "Average precision", "recall": "Recall"}


def empty_batches(results):
    """Calculated and counted shares of batches without an attack."""
    figure, axes = new_figure(height=3.2)
    for (framework, _), result in measured(results).items():
        if framework == "keras":
            line = result["series"]["chance_without"]
            draw_line(axes[0], line, "calculated")
        line = result["series"]["counted_without"]
        # Points beside the line, which they would hide.
        name = FRAMEWORK_NAMES[framework]
        draw_line(axes[0], line, name, framework=framework)
        axes[0].lines[-1].set_linestyle("none")
    axes[0].set(ylabel="Share of batches", ylim=(-0.03, 1))
    batch_axis(axes[0])
    return figure


def scores(results, metric, budget):
    figure, panels = result_panels(results, METRICS[metric])
    for axis, framework, _, result in panels:
        for regime, label in REGIMES[budget].items():
            line = result["series"][f"{metric}.{budget}.{regime}"]
            draw_line(axis, line, label, framework=framework)
        axis.set_ylim(0, 1)
        batch_axis(axis)
    return figure


def draw(results):
    return {"empty_batches": empty_batches(results)} | {
        f"{metric}_by_{budget}": scores(results, metric, budget)
        for metric in METRICS
        for budget in REGIMES
    }
