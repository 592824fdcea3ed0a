"""Draws what the rare-class programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_intervals,
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
# {figure: ({row: keys of its values}, {what stands for {}: its title})}.
DIFFERENCES = {
    "large_less_small": (
        {
            "Epochs, one rate": "large_less_small.{}.epochs.one",
            "Epochs, root rule": "large_less_small.{}.epochs.root",
            "Epochs, chosen": "large_less_small.{}.epochs.tuned",
            "Updates, one rate": "large_less_small.{}.updates.one",
            "Updates, chosen": "large_less_small.{}.updates.tuned",
        },
        {
            "average_precision": "Average precision",
            "recall": "Recall at one half",
            "recall_chosen": "Recall, own threshold",
        },
    ),
    "remedies": (
        {
            "Weights, 32": "weighted_less_plain.{}.32",
            "Weights, 1024": "weighted_less_plain.{}.1024",
            "Stratified, 32": "stratified_less_plain.{}.32",
            "Stratified, 1024": "stratified_less_plain.{}.1024",
        },
        {
            "average_precision": "Average precision",
            "recall": "Recall at one half",
            "f1_chosen": "F1, own threshold",
        },
    ),
}


def empty_batches(results):
    """Calculated and counted shares of batches without an attack."""
    figure, (axis,) = new_figure(height=3.2)
    for (framework, _), result in measured(results).items():
        series, name = result["series"], FRAMEWORK_NAMES[framework]
        if not axis.lines:
            draw_line(axis, series["chance_without"], "calculated")
        draw_line(axis, series["counted_without"], name, framework=framework)
        # Points only: their lines would hide the calculated one.
        axis.lines[-1].set_linestyle("none")
    axis.set(ylabel="Share of batches", ylim=(-0.1, 1))
    batch_axis(axis)
    return figure


def scores(results, budget):
    """Ranking above recall, against batch size."""
    found = measured(results)
    figure, axes = new_figure(
        rows=len(METRICS), columns=len(found), height=5.2, sharey=True
    )
    axes = axes.reshape(len(METRICS), len(found))
    for row, (metric, (label, title)) in zip(axes, METRICS.items()):
        row[0].set_ylabel(label)
        for axis, ((framework, _), result) in zip(row, found.items()):
            for regime, name in REGIMES[budget].items():
                line = result["series"][f"{metric}.{budget}.{regime}"]
                draw_line(axis, line, name, framework=framework)
            axis.set_ylim(0, 1)
            batch_axis(axis)
            axis.set_title(f"{FRAMEWORK_NAMES[framework]}, {title}")
    for axis in axes[0]:
        axis.set_xlabel("")
    return figure


def differences(results, rows, metrics):
    """A panel for each metric, a row for each pair of runs."""
    figure, axes = new_figure(rows=len(metrics), height=1.9 * len(metrics))
    for axis, (metric, title) in zip(axes, metrics.items()):
        axis.set_title(title)
        axis.axvline(0, color="0.5", linewidth=0.8)
        found = {
            label: {
                framework: result["values"][key.format(metric)]
                for (framework, _), result in measured(results).items()
            }
            for label, key in rows.items()
        }
        draw_intervals(axis, found)
    axes[-1].set_xlabel("Percentage points")
    return figure


def draw(results):
    drawn = {"empty_batches": empty_batches(results)}
    for budget in REGIMES:
        drawn[f"scores_by_{budget}"] = scores(results, budget)
    for name, (rows, metrics) in DIFFERENCES.items():
        drawn[name] = differences(results, rows, metrics)
    return drawn
