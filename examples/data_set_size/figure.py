"""Draws what the data-set-size programs measured, and the decision flow."""

from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from _guide.site.style import (
    FRAMEWORK_NAMES,
    INK,
    Line,
    draw_line,
    measured,
    new_figure,
)
from _guide.site.table import Table, low_to_high

SIZES = [8, 128, 512]
DATA_SET_SIZES = [500, 2000, 10000, 50000]
# What is drawn in each figure: the arms of the programs, and their titles.
FIGURES = {
    "by_epoch": {
        "low": "rate 0.001",
        "high": "rate 0.01",
        "tuned": "tuned rates",
    },
    "by_update": {"updates": "tuned rates"},
}

# The decision flow, from the top down: a step and nothing, or a question and
# what to do if the answer is the one named; the other leads further down.
# The list below the picture says the same, and a test compares them. A line
# break here is one in the picture.
FLOW = [
    ("Take 32 and tune its rate", None, None),
    ("Is training quick enough?", "yes", "Keep this size"),
    ("Enlarge the batch and\nraise the rate", None, None),
    ("Does it fit in memory?", "no", "Take the size before"),
    ("More examples\nper second?", "no", "Take the size before"),
    ("Sooner at the target?", "no", "Take the size before"),
]
# From the last question, if the answer is the other one, to the third box.
BACK_TO = 2


def gaps(result, arm, size):
    """Points above a batch of 32 over the size of the data set, as a line."""
    found = [
        result["values"][f"gap.{arm}.{count}.{size}"]
        for count in DATA_SET_SIZES
    ]
    low, high = zip(*(each["ci"] for each in found))
    mean = [each["value"] for each in found]
    return {"x": DATA_SET_SIZES, "y": mean, "low": low, "high": high}


def by_data(results, arms):
    found = measured(results)
    figure, axes = new_figure(
        rows=len(arms),
        columns=len(found),
        height=2.5 * len(arms) + 0.3,
        sharey="row",
    )
    rows = axes.reshape(len(arms), len(found))
    for row, (arm, title) in zip(rows, arms.items()):
        for axis, ((framework, _), result) in zip(row, found.items()):
            for size in SIZES:
                line = gaps(result, arm, size)
                draw_line(axis, line, str(size), batch_size=size)
            axis.axhline(0, color=INK, linewidth=0.8)
            axis.set_title(f"{FRAMEWORK_NAMES[framework]}, {title}")
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(FixedLocator([500, 5000, 50000]))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.xaxis.set_major_formatter(
                FuncFormatter(lambda x, _: f"{x:,.0f}")
            )
        row[0].set_ylabel("Points above 32")
    for axis in rows[-1]:
        axis.set_xlabel("Examples")
    return figure


def flow():
    """The steps of FLOW in a column, and beside it where each one ends."""
    figure, axes = new_figure(height=6.2)
    axis = axes[0]
    axis.set_axis_off()
    axis.set(xlim=(0, 101), ylim=(-len(FLOW) * 10, 0))
    # Left and right edge of a box in the column, and of one beside it.
    column, beside = (11, 55), (64, 100)

    def box(edges, middle, text, question=False):
        left, right = edges
        axis.add_patch(
            FancyBboxPatch(
                (left + 1, middle - 2.2),
                right - left - 2,
                4.4,
                boxstyle="round,pad=1",
                edgecolor=INK,
                facecolor="none",
                linewidth=1.6 if question else 0.8,
            )
        )
        # Line by line: each is then centred in the reader's own font too.
        lines = text.split("\n")
        for number, line in enumerate(lines):
            axis.text(
                (left + right) / 2,
                middle + 2.3 * ((len(lines) - 1) / 2 - number),
                line,
                ha="center",
                va="center",
                fontsize=11.5,
            )

    def arrow(points, label=None, at=None):
        """Along the points; the last piece has the head."""
        for start, end in zip(points, points[1:]):
            style = "->" if end == points[-1] else "-"
            axis.annotate(
                "",
                xy=end,
                xytext=start,
                arrowprops={
                    "arrowstyle": style,
                    "color": INK,
                    "linewidth": 1.2,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )
        if label:
            axis.text(*at, label, ha="center", va="bottom", fontsize=11.5)

    middles = [-5 - 10 * row for row in range(len(FLOW))]
    centre = sum(column) / 2
    for number, (text, answer, action) in enumerate(FLOW):
        middle = middles[number]
        steps = f"{text} {answer}: {action}" if answer else text
        # For the table that goes with every figure: the steps as text.
        series = {"x": [number + 1], "y": [None]}
        figure.guide_lines.append(
            Line(axis, series, "", " ".join(steps.split()), INK)
        )
        box(column, middle, text, question=answer is not None)
        if answer:
            box(beside, middle, action)
            ends = [(column[1], middle), (beside[0], middle)]
            arrow(ends, answer, (sum(x for x, _ in ends) / 2, middle + 0.3))
        if middle != middles[-1]:
            further = {"yes": "no", "no": "yes"}.get(answer)
            arrow(
                [(centre, middle - 3.2), (centre, middle - 6.8)],
                further,
                (centre + 4, middle - 6),
            )
    last, target = middles[-1], middles[BACK_TO]
    arrow(
        [(column[0], last), (3, last), (3, target), (column[0], target)],
        "yes",
        (7, last + 0.3),
    )
    return figure


def draw(results):
    drawn = {name: by_data(results, arms) for name, arms in FIGURES.items()}
    drawn["flow"] = flow()
    return drawn


def tables(results):
    """Points of the largest batch above a batch of 32."""
    rows = [
        [f"{arm}, {FRAMEWORK_NAMES[framework]}"]
        + [
            low_to_high(result["values"][f"gap.{key}.{count}.512"], 1)
            for count in DATA_SET_SIZES
        ]
        for key, arm in {
            "low": "Epochs, rate `0.001`",
            "high": "Epochs, rate `0.01`",
            "tuned": "Epochs, tuned",
            "updates": "Updates, tuned",
        }.items()
        for (framework, _), result in measured(results).items()
    ]
    counts = [f"`{count}`" for count in DATA_SET_SIZES]
    return {"gaps_table": Table(["Examples", *counts], rows)}
