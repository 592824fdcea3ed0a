"""Draws what the rare-class programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    measured,
    new_figure,
)

REGIMES = {
    "epochs": {"one": "one rate", "root": "root rule", "tuned": "chosen"},
    "updates": {"one": "one rate", "tuned": "chosen"},
}
METRICS = {
    "average_precision": ("Average precision", "ranking"),
    "recall": ("Recall at one half", "recall"),
}


def series_of(results):
    """[(framework, its series)], Keras first."""
    return [
        (framework, result["series"])
        for (framework, _), result in measured(results).items()
    ]


def empty_batches(results):
    """Calculated and counted shares of batches without an attack."""
    found = series_of(results)
    figure, (axis,) = new_figure(height=3.2)
    draw_line(axis, found[0][1]["chance_without"], "calculated")
    for framework, series in found:
        name = FRAMEWORK_NAMES[framework]
        draw_line(axis, series["counted_without"], name, framework=framework)
        # Points only: their lines would hide the calculated one.
        axis.lines[-1].set_linestyle("none")
    axis.set(ylabel="Share of batches", ylim=(-0.1, 1))
    batch_axis(axis)
    return figure


def scores(results, budget):
    """Ranking above recall, against batch size."""
    found = series_of(results)
    figure, axes = new_figure(
        rows=len(METRICS), columns=len(found), height=5.2, sharey=True
    )
    axes = axes.reshape(len(METRICS), len(found))
    for row, (metric, (label, title)) in zip(axes, METRICS.items()):
        row[0].set_ylabel(label)
        for axis, (framework, series) in zip(row, found):
            for regime, name in REGIMES[budget].items():
                line = series[f"{metric}.{budget}.{regime}"]
                draw_line(axis, line, name, framework=framework)
            axis.set_ylim(0, 1)
            batch_axis(axis)
            axis.set_title(f"{FRAMEWORK_NAMES[framework]}, {title}")
    for axis in axes[0]:
        axis.set_xlabel("")
    return figure


def draw(results):
    return {"empty_batches": empty_batches(results)} | {
        f"scores_by_{budget}": scores(results, budget) for budget in REGIMES
    }
