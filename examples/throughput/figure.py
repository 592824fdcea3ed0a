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
TARGETS = {
    "epochs": "Epochs to the target",
    "updates": "Updates to the target",
    "seconds": "Seconds, 1 at 64",
}


def draw_networks(results, kind, ylabel):
    """A line for each network, in a panel for each result."""
    figure, drawn = result_panels(results, ylabel)
    for axis, framework, _, result in drawn:
        for label, name in NETWORKS.items():
            # Only a GPU is given wide networks.
            for each in (name, f"wide_{name}"):
                line = line_of(result["values"], f"{kind}.{each}")
                if line["x"]:
                    wide = "" if each == name else "wide "
                    draw_line(axis, line, wide + label, framework=framework)
        batch_axis(axis)
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


def draw_target(results, kind):
    """Both frameworks in a panel, one for each device."""
    found = measured(results)
    devices = list(dict.fromkeys(device for _, device in found))
    figure, axes = new_figure(columns=len(devices), height=2.8, sharey=True)
    for axis, device in zip(axes.flat, devices):
        # Powers of two, for the range is too small for those of ten.
        axis.set_yscale("log", base=2)
        if len(devices) > 1:
            axis.set_title(DEVICE_NAMES[device])
        for framework, name in FRAMEWORK_NAMES.items():
            if (framework, device) in found:
                values = found[framework, device]["values"]
                line = line_of(values, f"{kind}_to_target")
                draw_line(axis, line, name, framework=framework)
        batch_axis(axis)
    axes.flat[0].set_ylabel(TARGETS[kind])
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
    gain = draw_networks(results, "gain", "Examples per second, 1 at size 1")
    for axis in gain.axes:
        axis.set_yscale("log")
    share = draw_networks(results, "matrix_share", "Percent of the matrix rate")
    share.axes[0].set_ylim(0, None)
    drawn = {
        "examples_per_second": gain,
        "update_time": draw_update_time(results),
        "matrix_share": share,
        "devices": draw_shared(results),
    }
    for kind in TARGETS:
        drawn[f"{kind}_to_target"] = draw_target(results, kind)
    return drawn
