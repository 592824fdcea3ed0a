"""Draws what the programs about inference measured."""

from _guide.site.style import (
    INK,
    batch_axis,
    draw_line,
    new_figure,
    result_panels,
)

POLICIES = {"one at a time": "alone", "no wait": "greedy", "waits": "waiting"}


def draw_calls(results):
    """Examples per second rise with the batch, and so does the latency."""
    figure, drawn = result_panels(results, "Relative to batch size 1", 2.8)
    for axis, framework, _, result in drawn:
        axis.set_yscale("log")
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
    figure, drawn = result_panels(results, ylabel, 2.8)
    for axis, framework, _, result in drawn:
        axis.set_yscale("log")
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
