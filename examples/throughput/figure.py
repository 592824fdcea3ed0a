"""Draws what the programs about throughput measured."""

from _guide.site.style import (
    DEVICE_NAMES,
    FRAMEWORK_NAMES,
    batch_axis,
    draw_line,
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


def draw_gain(results):
    figure, drawn = result_panels(results, "Examples per second, 1 at size 1")
    for axis, framework, _, result in drawn:
        axis.set_yscale("log")
        for label, name in NETWORKS.items():
            series = result["series"][f"gain.{name}"]
            draw_line(axis, series, label, framework=framework)
            # Only a GPU is given these.
            if wide := result["series"].get(f"gain.wide_{name}"):
                draw_line(axis, wide, f"wide {label}", framework=framework)
        batch_axis(axis)
    return figure


def draw_matrix_share(results):
    """Perceptron and transformer in panels of their own: their lines cross."""
    found = measured(results)
    cells = [
        (device, name)
        for device in DEVICE_NAMES
        for name in ("mlp", "transformer", "wide_mlp", "wide_transformer")
        if any(
            other == device and f"matrix_share.{name}" in result["series"]
            for (_, other), result in found.items()
        )
    ]
    rows = len(cells) // 2
    figure, axes = new_figure(
        rows=rows, columns=2, height=3.0 * rows, sharey=True
    )
    for axis, (device, name) in zip(axes.flat, cells):
        title = name.replace("_", " ").replace("mlp", "MLP")
        axis.set_title(f"{title}, {DEVICE_NAMES[device]}")
        for framework, label in FRAMEWORK_NAMES.items():
            if (framework, device) in found:
                series = found[framework, device]["series"]
                shares = series[f"matrix_share.{name}"]
                draw_line(axis, shares, label, framework=framework)
        batch_axis(axis)
        axis.set_ylim(0, None)
    axes.flat[0].set_ylabel("Percent of the matrix rate")
    return figure


def draw_update_time(results):
    """The measured times of the perceptron, and the line through them."""
    figure, drawn = result_panels(results, "Time of an update, 1 at size 1")
    for axis, framework, _, result in drawn:
        axis.set_yscale("log")
        series = result["series"]
        draw_line(axis, series["line.mlp"], "line")
        draw_line(axis, series["update_time.mlp"], "", framework=framework)
        batch_axis(axis)
    return figure


def draw_target(results, kind):
    """Both frameworks in a panel, one for each device."""
    found = measured(results)
    devices = sorted({device for _, device in found})
    figure, axes = new_figure(columns=len(devices), height=2.8, sharey=True)
    for axis, device in zip(axes.flat, devices):
        # Powers of two, for the range is too small for those of ten.
        axis.set_yscale("log", base=2)
        if len(devices) > 1:
            axis.set_title(DEVICE_NAMES[device])
        for framework, name in FRAMEWORK_NAMES.items():
            if (framework, device) in found:
                series = found[framework, device]["series"][kind]
                draw_line(axis, series, name, framework=framework)
        batch_axis(axis)
    axes.flat[0].set_ylabel(TARGETS[kind])
    return figure


def draw_shared(results):
    """Time and cost against devices, a panel for each framework and device."""
    figure, drawn = result_panels(results, "1 on one device")
    for axis, framework, _, result in drawn:
        axis.set_yscale("log", base=2)
        for kind in ("time", "cost"):
            series = result["series"][f"{kind}_shared"]
            draw_line(axis, series, kind, framework=framework)
        batch_axis(axis)
        axis.set_xlabel("Devices")
    return figure


def draw(results):
    drawn = {
        "examples_per_second": draw_gain(results),
        "update_time": draw_update_time(results),
        "matrix_share": draw_matrix_share(results),
    }
    drawn["devices"] = draw_shared(results)
    for kind in TARGETS:
        drawn[f"{kind}_to_target"] = draw_target(results, kind)
    return drawn
