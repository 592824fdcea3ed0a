"""Draws what the programs about inference measured."""

from _guide.site.style import (
    FRAMEWORK_NAMES,
    INK,
    batch_axis,
    draw_line,
    line_of,
    measured,
    new_figure,
    result_panels,
)
from _guide.site.table import Table, low_to_high

POLICIES = {"one at a time": "alone", "no wait": "greedy", "waits": "waiting"}
LOADS = [50, 80, 200, 400]


def draw_calls(results):
    """Examples per second rise with the batch, and so does the latency."""
    figure, drawn = result_panels(results, "Relative to batch size 1", 2.8)
    for axis, framework, _, result in drawn:
        axis.set_yscale("log")
        for name, label in (("gain", "rate"), ("call_time.p50", "latency")):
            line = line_of(result["values"], name)
            draw_line(axis, line, label, framework=framework)
        batch_axis(axis)
    return figure


def draw_padding(results):
    """Exact, so that one program speaks for all."""
    values = results["inference_torch.cpu"]["values"]
    figure, (axis,) = new_figure(height=2.6)
    for kind, label, color in (
        ("random", "at random", INK),
        ("sorted", "sorted", "#1f83c6"),
    ):
        line = line_of(values, f"padding.{kind}")
        draw_line(axis, line, label, color=color)
    batch_axis(axis)
    axis.set_ylim(0, 100)
    axis.set_ylabel("Percent of padding")
    return figure


def draw_loads(results, name, ylabel):
    figure, drawn = result_panels(results, ylabel, 2.8)
    for axis, framework, _, result in drawn:
        axis.set_yscale("log")
        for label, policy in POLICIES.items():
            line = line_of(result["values"], f"{name}.{policy}")
            draw_line(axis, line, label, framework=framework)
        axis.set_xscale("log", base=2)
        axis.set_xticks(LOADS, [f"{load}" for load in LOADS])
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


def tables(results):
    """Latency in calls, by load and policy."""
    found = measured(results)
    columns = [
        f"{FRAMEWORK_NAMES[framework]} p{percent}"
        for framework, _ in found
        for percent in (50, 99)
    ]
    rows = [
        [f"`{load}`, {label}"]
        + [
            # The longest queue is not measured one at a time.
            low_to_high(
                each["values"].get(f"latency.p{percent}.{policy}.{load}"), 1
            )
            for each in found.values()
            for percent in (50, 99)
        ]
        for load in LOADS
        for label, policy in POLICIES.items()
    ]
    return {"latency_table": Table(["Load, in percent", *columns], rows)}
