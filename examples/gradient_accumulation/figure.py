"""Draws what the programs about gradient accumulation measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    new_figure,
)

OPTIMIZER_NAMES = {"sgd": "SGD with momentum", "adam": "Adam"}
# In the order of the programs.
MISTAKES = (
    "mean of\nmeans",
    "wrong\ndivisor",
    "last\ndropped",
    "last\ncarried",
    "not\ndivided",
    "not\nreset",
)
# Beside each other, so that one point does not hide the other.
SIDE = {"keras": -0.12, "torch": 0.12}


def found_series(results):
    """(framework, its series) for each framework with a result."""
    return [
        (framework, result["series"])
        for framework in FRAMEWORK_NAMES
        if (result := results.get(f"gradient_accumulation_{framework}.cpu"))
    ]


def draw_cost(results):
    figure, axes = new_figure(columns=2, height=2.9)
    for framework, series in found_series(results):
        name = FRAMEWORK_NAMES[framework]
        for axis, key in zip(axes, ("saved_share", "example_time")):
            draw_line(axis, series[key], name, framework=framework)
    # The shares in tens: halves would be labelled with many digits.
    axes[0].set_yscale("log")
    axes[0].set_ylim(0.005, 1)
    axes[1].set_yscale("log", base=2)
    for axis in axes:
        batch_axis(axis)
        axis.set_xlabel("Micro-batch size")
    axes[0].set(title="Saved bytes", ylabel="Share of the whole batch's")
    axes[1].set(title="Time", ylabel="Times that of the whole batch")
    return figure


def draw_mistakes(results):
    figure, axes = new_figure(rows=2, height=4.2, sharey=True)
    for axis, (kind, title) in zip(axes, OPTIMIZER_NAMES.items()):
        for framework, series in found_series(results):
            points = dict(series[f"lost.{kind}"])
            points["x"] = [x + SIDE[framework] for x in points["x"]]
            name = FRAMEWORK_NAMES[framework]
            draw_line(axis, points, name, framework=framework)
            # The label goes to its own side of the last two points, which
            # are close; the name stays for the CSV.
            figure.guide_lines[-1].label = ""
            left = SIDE[framework] < 0
            axis.annotate(
                name,
                (points["x"][-1], points["y"][-1]),
                (-8 if left else 8, 0),
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
            )
            # Mistakes have no order, so no line leads from one to the next.
            axis.lines[-1].set_linestyle("none")
        axis.set(title=title, ylabel="Points lost", xlim=(0.5, 7.2))
        axis.set_xticks(range(1, len(MISTAKES) + 1), MISTAKES, fontsize=8.5)
        axis.tick_params(labelbottom=True)
    return figure


def draw(results):
    return {"cost": draw_cost(results), "mistakes": draw_mistakes(results)}
