"""Draws what the programs about inference measured."""

from _guide.style import (
    FRAMEWORK_NAMES,
    INK,
    batch_axis,
    draw_line,
    new_figure,
)

DEVICES = {"cpu": "CPU", "gpu": "GPU"}
POLICIES = {"one at a time": "alone", "no wait": "greedy", "waits": "waiting"}


def panels(results, ylabel, height=2.8):
    """(figure, [(axis, framework, result)]), a row for each device."""
    found = [
        (framework, device, results[f"inference_{framework}.{device}"])
        for device in DEVICES
        for framework in FRAMEWORK_NAMES
        if results.get(f"inference_{framework}.{device}")
    ]
    rows = -(-len(found) // 2)
    figure, axes = new_figure(
        rows=rows,
        columns=min(2, len(found)),
        height=height * rows,
        sharey=True,
    )
    drawn = []
    for axis, (framework, device, result) in zip(axes.flat, found):
        axis.set_title(f"{FRAMEWORK_NAMES[framework]}, {DEVICES[device]}")
        axis.set_yscale("log")
        drawn.append((axis, framework, result))
    axes.flat[0].set_ylabel(ylabel)
    return figure, drawn


def draw_calls(results):
    """Examples per second rise with the batch, and so does the latency."""
    figure, drawn = panels(results, "Relative to batch size 1")
    for axis, framework, result in drawn:
        series = result["series"]
        draw_line(axis, series["gain"], "rate", framework=framework)
        draw_line(axis, series["call_time.p50"], "latency", framework=framework)
        batch_axis(axis)
    return figure


def draw_padding(results):
    """Exact, so that one program speaks for all."""
    series = results["inference_torch.cpu"]["series"]
    figure, (axis,) = new_figure(height=2.6)
    draw_line(axis, series["padding.random"], "at random", color=INK)
    draw_line(axis, series["padding.sorted"], "sorted", color="#1f83c6")
    batch_axis(axis)
    axis.set_ylim(0, 100)
    axis.set_ylabel("Percent of padding")
    return figure


def draw_loads(results, name, ylabel):
    figure, drawn = panels(results, ylabel)
    for axis, framework, result in drawn:
        for label, policy in POLICIES.items():
            series = result["series"][f"{name}.{policy}"]
            draw_line(axis, series, label, framework=framework)
        axis.set_xscale("log", base=2)
        loads = result["series"][f"{name}.waiting"]["x"]
        axis.set_xticks(loads, [f"{load}" for load in loads])
        axis.set_xticks([], minor=True)
        axis.set_xlabel("Load, percent")
    return figure


def draw(results):
    return {
        "calls": draw_calls(results),
        "padding": draw_padding(results),
        "tail_latency": draw_loads(results, "latency.p99", "p99, in calls"),
        "batch_size": draw_loads(results, "batch_size", "Mean batch size"),
    }
