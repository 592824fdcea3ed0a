"""Draws what the programs about throughput measured."""

from _guide.site.style import (
    DEVICE_NAMES,
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
    line_of,
    measured,
    new_figure,
    result_panels,
)

NETWORKS = {"MLP": "mlp", "CNN": "cnn", "transformer": "transformer"}
# Only a GPU is given wide networks.
NETWORKS |= {f"wide {label}": f"wide_{n}" for label, n in NETWORKS.items()}
TARGETS = {
    "epochs": "Epochs to the target",
    "updates": "Updates to the target",
    "seconds": "Seconds, 1 at 64",
}


def draw_gain(results):
    figure, drawn = result_panels(results, "Examples per second, 1 at size 1")
    for axis, framework, _, result in drawn:
        axis.set_yscale("log")
        for label, name in NETWORKS.items():
            line = line_of(result["values"], f"gain.{name}")
            if line["x"]:
                draw_line(axis, line, label, framework=framework)
        batch_axis(axis)
    return figure


def draw_both(results, names, ylabel):
    """Both frameworks in a panel, one for each name and device.

    names: {title: name of the values}; those that were not measured are left
        out.
    """
    found = {(device, title): [] for device in DEVICE_NAMES for title in names}
    for (framework, device), result in measured(results).items():
        for title, name in names.items():
            line = line_of(result["values"], name)
            if line["x"]:
                found[device, title].append((framework, line))
    cells = {cell: lines for cell, lines in found.items() if lines}
    columns = min(2, len(cells))
    rows = -(-len(cells) // columns)
    figure, axes = new_figure(rows, columns, height=2.9 * rows, sharey=True)
    for axis, ((device, title), lines) in zip(axes.flat, cells.items()):
        if len(cells) > 1:
            axis.set_title(f"{title} {DEVICE_NAMES[device]}".strip())
        for framework, line in lines:
            label = FRAMEWORK_NAMES[framework]
            draw_line(axis, line, label, framework=framework)
        batch_axis(axis)
    axes.flat[0].set_ylabel(ylabel)
    return figure


def draw_update_time(results):
    """The measured times of the perceptron, and the line through them."""
    figure, drawn = result_panels(results, "Time of an update, 1 at size 1")
    for axis, framework, _, result in drawn:
        axis.set_yscale("log")
        draw_line(axis, result["series"]["line.mlp"], "line")
        line = line_of(result["values"], "update_time.mlp")
        draw_line(axis, line, "", framework=framework)
        batch_axis(axis)
    return figure


def draw_shared(results):
    """Time and cost against devices, a panel for each framework and device."""
    figure, drawn = result_panels(results, "1 on one device")
    for axis, framework, _, result in drawn:
        axis.set_yscale("log", base=2)
        for kind in ("time", "cost"):
            line = line_of(result["values"], f"{kind}_shared")
            draw_line(axis, line, kind, framework=framework)
        batch_axis(axis)
        axis.set_xlabel("Devices")
    return figure


def draw(results):
    shares = {
        f"{label},": f"matrix_share.{name}"
        for label, name in NETWORKS.items()
        if "CNN" not in label
    }
    share = draw_both(results, shares, "Percent of the matrix rate")
    share.axes[0].set_ylim(0, None)
    drawn = {
        "examples_per_second": draw_gain(results),
        "update_time": draw_update_time(results),
        "matrix_share": share,
        "devices": draw_shared(results),
    }
    for kind, label in TARGETS.items():
        name = f"{kind}_to_target"
        drawn[name] = draw_both(results, {"": name}, label)
        for axis in drawn[name].axes:
            # Powers of two, for the range is too small for those of ten.
            axis.set_yscale("log", base=2)
    return drawn
