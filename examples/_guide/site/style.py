"""The one visual language of the guide's figures.

A figure is drawn once and read on a light and on a dark ground: ink takes the
colour of the text, and batch sizes take their colours from variables that the
SVG itself sets for either ground.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from itertools import repeat

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
)

from _guide.project import DEVICE_NAMES, FRAMEWORK_NAMES
from _guide.results import interval
from _guide.site.table import as_csv

# About the width of a phone in CSS pixels, so that text keeps its size there.
WIDTH = 4.8
INK = "#010203"
FRAMEWORK_MARKER = {"keras": "o", "torch": "^"}
FRAMEWORK_COLOR = {"keras": "#d55e00", "torch": "#1f83c6"}
# Where one framework has several lines in a panel.
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))

# Batch sizes from 2 to 4096 have a colour each; others take the nearest.
SMALLEST, LARGEST = 1, 12
# Parts of a ramp that is even for the colour-blind, from the smallest size to
# the largest. Each has a contrast of three or more on its ground.
LIGHT_GROUND, DARK_GROUND = (0.63, 0.0), (1.0, 0.45)

COLUMNS = ["panel", "line", "x", "y", "low", "high"]

# Up to so many points, each shows its own interval instead of a band.
FEW_POINTS = 12

SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "guide",
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
}
THEME = (
    "<style>:root{{color:#1f2328;--ground:#fff;{light}}}"
    "@media (prefers-color-scheme:dark)"
    "{{:root{{color:#e6e6e6;--ground:#1e2129;{dark}}}}}"
    # Keeps a label readable where a line runs through it.
    "[id^=label] text{{paint-order:stroke;stroke:var(--ground);"
    "stroke-width:3px;stroke-linejoin:round}}</style>"
)


@dataclass
class Line:
    """What `draw_line` drew, for the label at its end and for the CSV."""

    axis: object
    series: dict
    label: str
    name: str
    color: str


def new_figure(rows=1, columns=1, height=2.6, sharey=False):
    """A figure and an array of its axes, as wide as a phone.

    The array has one dimension unless there are several rows and columns.
    Two columns are the most that stay readable.
    """
    if columns > 2:
        raise ValueError(f"{columns} columns; at most 2 fit on a phone")
    matplotlib.rcParams.update(SETTINGS)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.guide_lines = []
    sharing = {"sharex": "col" if rows > 1 else False, "sharey": sharey}
    axes = figure.subplots(rows, columns, squeeze=False, **sharing)
    for axis in axes.flat:
        # Two panels side by side have room for a few numbers each.
        axis.xaxis.set_major_locator(MaxNLocator(6 // columns))
        axis.yaxis.set_major_locator(MaxNLocator(5))
    return figure, axes.ravel() if 1 in (rows, columns) else axes


def measured(results):
    """{(framework, device): result} of a topic, those that there are.

    The processor comes before the GPU, and Keras before PyTorch.
    """
    return {
        (framework, device): result
        for device in DEVICE_NAMES
        for framework in FRAMEWORK_NAMES
        for name, result in results.items()
        if result and name.endswith(f"_{framework}.{device}")
    }


def result_panels(results, ylabel, height=3.0):
    """(figure, [(axis, framework, device, result)]), a panel for each result.

    A row is a device; height is that of a row, in inches.
    """
    found = measured(results)
    rows = -(-len(found) // 2)
    columns = min(2, len(found))
    figure, axes = new_figure(rows, columns, height * rows, sharey=True)
    axes.flat[0].set_ylabel(ylabel)
    drawn = []
    for axis, ((framework, device), result) in zip(axes.flat, found.items()):
        axis.set_title(f"{FRAMEWORK_NAMES[framework]}, {DEVICE_NAMES[device]}")
        drawn.append((axis, framework, device, result))
    return figure, drawn


def batch_axis(axis):
    """Make the x axis that of batch size: base two, with the real sizes."""
    axis.set_xscale("log", base=2)
    lines = [line for line in axis.figure.guide_lines if line.axis is axis]
    sizes = sorted({x for line in lines for x in line.series["x"]})
    if sizes:
        # Labels need room; with many sizes every second or third has one.
        wide = axis.get_subplotspec().get_gridspec().ncols == 1
        step = math.ceil(len(sizes) / (10 if wide else 4))
        axis.xaxis.set_major_locator(FixedLocator(sizes[::step]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
    axis.set_xlabel("Batch size")


def line_of(values, name):
    """The values NAME.X over all numbers X that there are, as a series."""
    key = re.compile(rf"{re.escape(name)}\.(\d+)")
    x = sorted(int(match[1]) for match in map(key.fullmatch, values) if match)
    entries = [values[f"{name}.{each}"] for each in x]
    series = {"x": x, "y": [entry["value"] for entry in entries]}
    if any("ci" in entry for entry in entries):
        series["low"], series["high"] = zip(*map(interval, entries))
    return series


def batch_color(batch_size):
    """The colour of a batch size on a light ground: light small, dark large."""
    return _ramp(batch_size, LIGHT_GROUND)


def _ramp(batch_size, part):
    where = (math.log2(batch_size) - SMALLEST) / (LARGEST - SMALLEST)
    first, last = part
    color = first + min(max(where, 0), 1) * (last - first)
    return matplotlib.colors.to_hex(matplotlib.colormaps["plasma"](color))


def draw_line(axis, series, label, framework=None, batch_size=None, color=None):
    """Draw y over x with its interval; the label stands at the line's end.

    None in a series leaves a gap.
    """
    lines = axis.figure.guide_lines
    before = [line for line in lines if line.axis is axis]
    if color is None and batch_size is not None:
        color = batch_color(batch_size)
    color = matplotlib.colors.to_hex(
        color or FRAMEWORK_COLOR.get(framework, INK)
    )
    x, y, low, high = columns(series)
    look = {"color": color, "zorder": 3}
    few = len(x) <= FEW_POINTS
    if framework:
        look["marker"] = FRAMEWORK_MARKER[framework]
        look["markevery"] = 1 if few else 0.15
        if batch_size is None:
            same = sum(line.color == color for line in before)
            look["linestyle"] = DASHES[same % len(DASHES)]
    axis.plot(x, y, **look)
    if "low" in series and few:
        # As lines rather than as matplotlib's error bars, which fail where
        # an interval does not hold its value.
        axis.vlines(x, low, high, color=color, linewidth=1.2, zorder=2)
    elif "low" in series:
        axis.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    name = label or ("" if batch_size is None else f"batch_size={batch_size}")
    lines.append(Line(axis, series, label, name, color))


def draw_intervals(axis, rows):
    """Draw values as points with their intervals, a row for each label.

    `rows` is {label: {framework: value}} from top to bottom, with values as
    they stand in a result; one that is None or was not reached leaves a gap.
    The first panel says which marker is which framework.
    """
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    frameworks = [f for f in FRAMEWORK_NAMES if f in rows[next(iter(rows))]]
    for place, framework in enumerate(frameworks):
        color, name = FRAMEWORK_COLOR[framework], FRAMEWORK_NAMES[framework]
        series = {"x": list(rows), "y": [], "low": [], "high": []}
        for row in rows.values():
            entry = row[framework]
            reached = entry and entry["value"] is not None
            low, high = interval(entry) if reached else (None, None)
            series["y"].append(entry["value"] if reached else None)
            series["low"].append(low)
            series["high"].append(high)
        x, y, low, high = columns(series | {"x": range(len(rows))})
        # Beside each other, so that none covers the other.
        shift = 0.32 * (place - (len(frameworks) - 1) / 2)
        heights = [row + shift for row in x]
        axis.hlines(heights, low, high, color=color)
        axis.plot(y, heights, FRAMEWORK_MARKER[framework], color=color)
        axis.figure.guide_lines.append(Line(axis, series, "", name, color))
        if axis is axis.figure.axes[0]:
            axis.annotate(
                name,
                xy=(series["high"][0] or 0, 0),
                xytext=(5, 6 - 12 * place),
                textcoords="offset points",
                va="center",
                color=color,
                gid=f"label-{place}",
            )


def columns(series):
    """x, y, low and high as lists of floats of one length."""
    absent = [None] * len(series["x"])
    return [
        [math.nan if n is None else n for n in series.get(key) or absent]
        for key in COLUMNS[2:]
    ]


def files(name, figure, made_by):
    """The figure as SVG, and its data."""
    return {
        f"{name}.svg": to_svg(figure, made_by),
        f"{name}.csv": as_csv(COLUMNS, rows(figure), made_by),
    }


def rows(figure):
    """What was drawn: a row of the CSV for each point."""
    return [
        (line.axis.get_title(), line.name, *point)
        for line in figure.guide_lines
        for point in zip(
            *(line.series.get(key) or repeat(None) for key in COLUMNS[2:])
        )
    ]


def label_ends(figure):
    """Write each label beside the end of its line, none over another."""
    for axis in figure.axes:
        if axis.get_yscale() == "log":
            axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    figure.draw_without_rendering()
    height = 11 * figure.dpi / 72
    for axis in figure.axes:
        ends = []
        for line in figure.guide_lines:
            last = last_shown(line, axis) if line.label else None
            if line.axis is axis and last:
                ends.append((axis.transData.transform(last), last, line))
        # From the bottom up; lines that end elsewhere do not push.
        ends.sort(key=lambda end: end[0][1])
        for group in side_by_side(ends):
            heights = spread([end[0][1] for end in group], height)
            for (pixels, last, line), wanted in zip(group, heights):
                move = (wanted - pixels[1]) * 72 / figure.dpi
                axis.annotate(
                    line.label,
                    xy=last,
                    xytext=(9, move),
                    textcoords="offset points",
                    va="center",
                    annotation_clip=False,
                    gid=f"label-{len(axis.texts)}",
                    arrowprops={
                        "arrowstyle": "-",
                        "color": line.color,
                        "linewidth": 0.9,
                        "shrinkA": 0,
                        "shrinkB": 1,
                        "relpos": (0, 0.5),
                    },
                )


def last_shown(line, axis):
    """The last point of a line that lies inside the axis, or None."""
    x, y, _, _ = columns(line.series)
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    for point in reversed(list(zip(x, y))):
        if left <= point[0] <= right and bottom <= point[1] <= top:
            return point
    return None


def side_by_side(ends, width=45):
    """The ends in groups, one for each place where their labels may meet."""
    groups = []
    for end in ends:
        for group in groups:
            if any(abs(end[0][0] - other[0][0]) < width for other in group):
                group.append(end)
                break
        else:
            groups.append([end])
    return groups


def spread(heights, gap):
    """Ascending heights at least `gap` apart, moved as little as may be."""

    def lowest(block):
        return sum(block) / len(block) - len(block) * gap / 2

    # Those that touch become a block about the mean of their heights.
    blocks = []
    for height in heights:
        block = [height]
        while blocks and (
            lowest(blocks[-1]) + len(blocks[-1]) * gap > lowest(block)
        ):
            block = blocks.pop() + block
        blocks.append(block)
    return [
        lowest(block) + gap / 2 + index * gap
        for block in blocks
        for index in range(len(block))
    ]


def to_svg(figure, made_by):
    """The figure as SVG text that is the same for the same figure."""
    label_ends(figure)
    stream = io.StringIO()
    nothing = {"Date": None, "Creator": None}
    figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue().replace(INK, "currentColor")
    # The reader's own font; ours, which is wider, was only measured with.
    text = re.sub(r"'DejaVu Sans'[^;\"]*sans-serif", "sans-serif", text)
    light, dark = "", ""
    for power in range(SMALLEST, LARGEST + 1):
        on_light = _ramp(2**power, LIGHT_GROUND)
        if on_light in text:
            text = text.replace(on_light, f"var(--b{power},{on_light})")
            light += f"--b{power}:{on_light};"
            dark += f"--b{power}:{_ramp(2**power, DARK_GROUND)};"
    theme = THEME.format(light=light, dark=dark)
    head, start, rest = text.partition("<svg ")
    tag, end, rest = rest.partition(">")
    comment = f"<!-- Made by: {made_by} -->\n"
    lines = (head + comment + start + tag + end + theme + rest).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"
