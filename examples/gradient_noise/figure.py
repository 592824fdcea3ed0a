"""Draws what the gradient noise programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    batch_color,
    draw_intervals,
    draw_line,
    measured,
    new_figure,
)

# From light to dark along training, on the ramp that batch sizes use.
STAGES = {
    "start": batch_color(2),
    "early": batch_color(16),
    "middle": batch_color(128),
    "late": batch_color(4096),
}
DATA = {"mnist1d": "MNIST-1D", "digits": "Digits"}
DRAWS = {"with": "with replacement", "without": "without replacement"}


def noise(results):
    """Of the first result there is."""
    (framework, _), result = next(iter(measured(results).items()))
    figure, axes = new_figure(columns=2, height=3.1, sharey=True)
    for axis, (draw, title) in zip(axes.flat, DRAWS.items()):
        axis.set_title(title)
        for stage, color in STAGES.items():
            line = result["series"][f"noise.mnist1d.{stage}.{draw}"]
            draw_line(axis, line, stage, framework=framework, color=color)
        axis.set_yscale("log")
        batch_axis(axis)
    axes.flat[0].set_ylabel("Noise / squared full gradient")
    return figure


def by_size(results, quantity, label):
    """A row for each data set, a column for each framework."""
    found = measured(results)
    figure, axes = new_figure(
        rows=2, columns=len(found), height=4.8, sharey=True
    )
    axes = axes.reshape(2, len(found))
    for row, (name, title) in zip(axes, DATA.items()):
        for axis, ((framework, _), result) in zip(row, found.items()):
            axis.set_title(f"{title}, {FRAMEWORK_NAMES[framework]}")
            for stage, color in STAGES.items():
                line = result["series"][f"{quantity}.{name}.{stage}"]
                draw_line(axis, line, stage, framework=framework, color=color)
            batch_axis(axis)
            if quantity == "wrong_way":
                # Room below for the labels of lines that end at zero.
                axis.set_ylim(-14, 56)
        row[0].set_ylabel(label)
    for axis in axes[0]:
        axis.set_xlabel("")
    return figure


def by_stage(results, quantity, label, scale):
    """A row for each stage and data set."""
    figure, axes = new_figure(height=3.1)
    rows = {
        f"{title}, {stage}": {
            framework: result["values"][f"{quantity}.{name}.{stage}"]
            for (framework, _), result in measured(results).items()
        }
        for name, title in DATA.items()
        for stage in STAGES
    }
    draw_intervals(axes.flat[0], rows)
    axes.flat[0].set(xscale=scale, xlabel=label)
    return figure


def draw(results):
    return {
        "wrong_way": by_size(results, "wrong_way", "Wrong way, % of batches"),
        "cosine": by_size(results, "cosine", "Cosine to full gradient"),
        "noise": noise(results),
        "noise_scale": by_stage(
            results, "noise_scale", "Noise scale, examples", "log"
        ),
        "fresh": by_stage(
            results, "fresh_cosine", "Cosine to fresh gradient", "linear"
        ),
    }
