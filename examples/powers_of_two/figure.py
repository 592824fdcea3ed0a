"""Draws what the programs about powers of two measured."""

from matplotlib.ticker import FixedLocator

from _guide.site.style import (
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    measured,
    new_figure,
    result_panels,
)

# Two for each device; a GPU is about wide networks and tensor cores.
NETWORKS = {
    "cpu": {"mlp": "MLP", "cnn": "CNN"},
    "gpu": {"wide_mlp": "float32", "wide_mlp_bfloat16": "bfloat16"},
}
KINDS = {"±1": "gain", "±8": "gain_over_multiples"}


def powers_axis(axis, result):
    """The axis of batch size, with the powers of two as its labels."""
    batch_axis(axis)
    powers = result["series"]["gain.mlp"]["x"]
    axis.xaxis.set_major_locator(FixedLocator(powers))


def draw_time_per_example(results):
    """All sizes in a row: a power of two that is faster would be a dip."""
    figure, drawn = result_panels(results, "Time per example, 1 at 512")
    for axis, framework, device, result in drawn:
        axis.set_yscale("log", base=2)
        for name, label in NETWORKS[device].items():
            series = result["series"][f"time_per_example.{name}"]
            draw_line(axis, series, label, framework=framework)
        powers_axis(axis, result)
    return figure


def draw_gain(results, device):
    """The percent that the neighbours of a power of two take more."""
    found = {
        framework: result
        for (framework, where), result in measured(results).items()
        if where == device
    }
    ends = [
        end
        for result in found.values()
        for name in NETWORKS[device]
        for kind in KINDS.values()
        for part in ("low", "high")
        for end in result["series"][f"{kind}.{name}"][part]
    ]
    # Wide enough that a few percent look like a few percent.
    reach = max(20, *map(abs, ends))
    figure, axes = new_figure(rows=2, columns=2, height=4.8, sharey=True)
    for row, (name, network) in zip(axes, NETWORKS[device].items()):
        row[0].set_ylabel("Neighbours take more, %")
        for axis, (framework, result) in zip(row, found.items()):
            axis.set_title(f"{network}, {FRAMEWORK_NAMES[framework]}")
            axis.axhline(0, linewidth=0.8, color="gray", zorder=1)
            for label, kind in KINDS.items():
                series = result["series"][f"{kind}.{name}"]
                draw_line(axis, series, label, framework=framework)
            powers_axis(axis, result)
            axis.set_ylim(-reach, reach)
    return figure


def draw(results):
    drawn = {"time_per_example": draw_time_per_example(results)}
    for device in sorted({device for _, device in measured(results)}):
        name = "neighbours" if device == "cpu" else f"neighbours_{device}"
        drawn[name] = draw_gain(results, device)
    return drawn
