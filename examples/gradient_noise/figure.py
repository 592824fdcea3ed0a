"""Draws what the gradient noise programs measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    batch_color,
    draw_line,
    new_figure,
)

# From light to dark along training, on the ramp that batch sizes use.
STAGES = {
    "start": batch_color(2),
    "early": batch_color(16),
    "middle": batch_color(128),
    "late": batch_color(4096),
}
DATA_NAMES = {"mnist1d": "MNIST-1D", "digits": "digits"}
DRAWS = {"with": "with replacement", "without": "without replacement"}


def frameworks(results):
    """(framework, series) of the CPU results there are, Keras first."""
    for framework in ("keras", "torch"):
        result = results.get(f"gradient_noise_{framework}.cpu")
        if result:
            yield framework, result["series"]


def noise(series, framework):
    figure, axes = new_figure(columns=2, height=3.1, sharey=True)
    for axis, (draw, title) in zip(axes.flat, DRAWS.items()):
        axis.set_title(title)
        for stage, color in STAGES.items():
            draw_line(
                axis,
                series[f"noise.mnist1d.{stage}.{draw}"],
                stage,
                framework=framework,
                color=color,
            )
        axis.set_yscale("log")
        batch_axis(axis)
    axes.flat[0].set_ylabel("Noise / squared full gradient")
    return figure


def by_size(results, table, label):
    """A row for each data set, a column for each framework."""
    found = list(frameworks(results))
    figure, axes = new_figure(
        rows=2, columns=len(found), height=4.8, sharey=True
    )
    axes = axes.reshape(2, len(found))
    for row, (name, title) in zip(axes, DATA_NAMES.items()):
        for axis, (framework, series) in zip(row, found):
            axis.set_title(f"{title}, {FRAMEWORK_NAMES[framework]}")
            for stage, color in STAGES.items():
                draw_line(
                    axis,
                    series[f"{table}.{name}.{stage}"],
                    stage,
                    framework=framework,
                    color=color,
                )
            batch_axis(axis)
            if table == "wrong_way":
                # Room below for the labels of lines that end at zero.
                axis.set_ylim(-14, 56)
        row[0].set_ylabel(label)
    for axis in axes[0]:
        axis.set_xlabel("")
    return figure


def draw(results):
    drawn = {
        "wrong_way": by_size(results, "wrong_way", "Wrong way, % of batches"),
        "cosine": by_size(results, "cosine", "Cosine to full gradient"),
    }
    for framework, series in frameworks(results):
        drawn["noise"] = noise(series, framework)
        break
    return drawn
