"""Figures: drawn from results, in one visual language, only when needed."""

import html
import re
import shutil
import subprocess
import sys

import markdown
import pytest
from matplotlib.colors import to_rgb

from _guide import results
from _guide.project import Program
from _guide.site import style, table

FIGURE = """\
from _guide.site.style import batch_axis, draw_line, new_figure


def draw(results):
    figure, axes = new_figure(columns=2)
    for axis, (name, result) in zip(axes, results.items()):
        axis.set_title(name)
        line = result["series"]["line"]
        draw_line(axis, line, "small", batch_size=4)
        draw_line(axis, line, "large", batch_size=512)
        batch_axis(axis)
    return {"lines": figure}
"""
TABLE = """

def tables(results):
    from _guide.site.table import Table, low_to_high, number

    (values,) = (result["values"] for result in results.values())
    count, mean = number(values["count"]), low_to_high(values["mean"], 1)
    row = ["`a_b`, *all*", count, mean]
    return {"counts": Table(["Size", "Count", "Mean of `5`"], [row])}
"""
RESULTS = """
# %%
results = {
    "values": {
        "count": {"value": 1234, "unit": "count", "exact": True},
        "mean": {"value": -0.5, "unit": "ratio", "ci": [-1, -0.01], "n": 10},
    },
    "series": {
        "line": {"x": [4, 8, 16], "y": [HEIGHT, None, 5], "low": [1, None, 4],
                 "high": [4, None, 6], "unit": "count"},
    },
}
"""
GROUNDS = {"white": "#ffffff", "Material's slate": "#1e2129"}


def measure(scratch, height):
    """Leave what a run of the program, now with this height, would leave."""
    work = f"HEIGHT = {height}"
    path = scratch.program("counts", work, RESULTS)
    left = {}
    exec(work + RESULTS, left)
    left["results"]["provenance"] = results.provenance(
        Program(scratch.root, path),
        settings={},
        versions={},
        backend=None,
        device="Some processor",
        threads=1,
        date="2026-01-02",
        seconds=1.5,
    )
    results.save(scratch.fresh("counts"), left["results"])


@pytest.fixture
def drawn(scratch):
    """A topic with one measured program and a figure."""
    measure(scratch, 3)
    shutil.copy(scratch.fresh("counts"), scratch.committed("counts"))
    scratch.figure = scratch.root / "examples/topic/figure.py"
    scratch.figure.write_text(FIGURE)
    scratch.made = scratch.root / "docs/figures/topic"
    return scratch


def draw(scratch, *words):
    """Draw, and return what was printed; it must succeed."""
    done = scratch.guide("draw", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def luminance(color):
    def linear(part):
        low = part <= 0.04045
        return part / 12.92 if low else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = map(linear, to_rgb(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_a_figure_and_its_data_are_drawn_from_the_committed_result(drawn):
    drawn.fresh("counts").unlink()
    draw(drawn)
    assert "<svg" in (drawn.made / "lines.svg").read_text()
    assert (drawn.made / "lines.csv").read_text().splitlines() == [
        "panel,line,x,y,low,high,made_by",
        'counts.cpu,small,4,3,1,4,"guide draw, from examples/topic/figure.py"',
        "counts.cpu,small,8,,,,",
        "counts.cpu,small,16,5,4,6,",
        "counts.cpu,large,4,3,1,4,",
        "counts.cpu,large,8,,,,",
        "counts.cpu,large,16,5,4,6,",
    ]


def test_a_fresh_result_of_the_present_code_is_drawn_before_the_committed(
    drawn,
):
    measure(drawn, 2)
    draw(drawn)
    assert ",small,4,2,1,4" in (drawn.made / "lines.csv").read_text()
    # Back to the code of the committed result: the fresh one is another's.
    drawn.program("counts", "HEIGHT = 3", RESULTS)
    draw(drawn)
    assert ",small,4,3,1,4" in (drawn.made / "lines.csv").read_text()


def test_nothing_is_drawn_twice(drawn):
    def imported():
        command = [sys.executable, "-X", "importtime", "-m", "_guide", "draw"]
        done = subprocess.run(
            command, cwd=drawn.root, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return "matplotlib" in done.stderr

    assert imported()
    assert not imported()
    (drawn.made / "lines.csv").unlink()
    assert imported()
    drawn.figure.write_text(FIGURE.replace("small", "tiny"))
    assert imported()
    assert ",tiny," in (drawn.made / "lines.csv").read_text()


def test_the_same_result_gives_the_same_bytes(drawn):
    draw(drawn)
    first = (drawn.made / "lines.svg").read_bytes()
    (drawn.made / "lines.svg").unlink()
    draw(drawn)
    assert (drawn.made / "lines.svg").read_bytes() == first


def test_a_figure_that_is_no_longer_made_goes_away(drawn):
    draw(drawn)
    drawn.figure.write_text(FIGURE.replace('"lines"', '"others"'))
    draw(drawn)
    assert sorted(path.name for path in drawn.made.iterdir()) == [
        "others.csv",
        "others.svg",
    ]
    drawn.figure.unlink()
    draw(drawn)
    assert not drawn.made.exists()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('["line"]', '["lime"]', ":8: KeyError: 'lime'"),
        ("return {", "return [", ":12: SyntaxError: "),
        ('{"lines": figure}', "figure", ":1: TypeError: draw returned"),
        ("columns=2", "columns=3", ":5: ValueError: 3 columns"),
    ],
)
def test_an_error_names_the_line_of_the_figure(drawn, old, new, expected):
    drawn.figure.write_text(FIGURE.replace(old, new))
    done = drawn.guide("draw")
    assert done.returncode == 1
    assert f"guide: examples/topic/figure.py{expected}" in done.stderr
    assert done.stderr.endswith("run: guide draw topic\n")


@pytest.fixture
def tabled(drawn):
    """A topic that has a table as well."""
    drawn.figure.write_text(FIGURE + TABLE)
    return drawn


def test_a_table_and_its_data_are_drawn(tabled):
    assert draw(tabled).endswith("drew 1 figures, 1 tables\n")
    text = (tabled.made / "counts.md").read_text()
    assert text.startswith("<!-- Made by: guide draw, from examples/topic/")
    assert '<th scope="col">Mean of <code>5</code></th>' in text
    assert '<th scope="row"><code>a' in text
    assert "<td>1,234</td><td>−1.0 to 0.0</td></tr>" in text
    assert (tabled.made / "counts.csv").read_text().splitlines()[1:] == [
        '"a_b, *all*",Count,1234,,,count,'
        '"guide draw, from examples/topic/figure.py"',
        '"a_b, *all*",Mean of 5,-0.5,-1,-0.01,ratio,',
    ]


@pytest.mark.parametrize("lead", ['=== "Tab"', '??? note "As a table"', ""])
def test_a_drawn_table_stays_in_its_figure_wherever_it_stands(tabled, lead):
    draw(tabled)
    lines = [
        "<figure markdown>",
        '--8<-- "docs/figures/topic/counts.md"',
        "<figcaption markdown>It is *so*.</figcaption>",
        "</figure>",
    ]
    text = "\n".join("    " * bool(lead) + line for line in lines)
    page = markdown.markdown(
        f"{lead}\n\n{text}",
        extensions=["md_in_html", "pymdownx.tabbed", "pymdownx.details"]
        + ["pymdownx.snippets"],
        extension_configs={"pymdownx.snippets": {"base_path": [tabled.root]}},
    )
    (figure,) = re.findall("<figure.*</figure>", html.unescape(page), re.S)
    shown, _, caption = figure.partition("</table>")
    assert "<code>a_b</code>, *all*" in shown
    assert shown.count("<tr>") == 2
    assert "<em>so</em>" in caption
    # No paragraph stands between the table and its caption.
    assert "<p>" not in caption.partition("<figcaption")[0]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("count, mean]", "'1,234', mean]", "has a cell '1,234'; expected"),
        ("[row]", "[row[:2]]", "has 1 cells, expected 2"),
        ('"Count", ', '*"abcdef", ', "8 columns; at most 6 fit"),
        ('{"counts"', '{"lines"', "a figure and a table are called lines"),
        ("return {", "return 1, {", "TypeError: tables returned (1, {"),
    ],
)
def test_a_table_that_is_typed_or_does_not_fit_is_refused(
    tabled, old, new, expected
):
    text = FIGURE + TABLE
    assert old in text
    head, _, tail = text.rpartition(old)
    tabled.figure.write_text(head + new + tail)
    done = tabled.guide("draw")
    assert done.returncode == 1
    assert expected in done.stderr
    assert done.stderr.endswith("run: guide draw topic\n")


def test_cells_say_what_was_measured():
    share = {"value": 0.943, "ci": [0.93, 0.95], "n": 10, "unit": "share"}
    assert table.number(share).text == "0.9430"
    assert table.number(share, percent=True, decimals=0).text == "94 %"
    assert table.low_to_high(share, 0, percent=True).text == "93 % to 95 %"
    assert table.low_to_high({"value": 4, "exact": True}).text == "4"
    assert table.number({"value": None, "reason": "not met"}).text == "not met"
    assert table.verdict({"holds": False}).text == "no"
    # What is not measured yet leaves a gap.
    assert {table.number(None).text, table.verdict(None).text} == {"–"}


def test_intervals_are_drawn_in_rows_with_a_marker_for_each_framework():
    def entry(value):
        return {"value": value, "ci": [value - 1, value + 2], "unit": "ratio"}

    figure, (axis, other) = style.new_figure(rows=2)
    missed = {"value": None, "reason": "not met"}
    rows = {
        "one": {"keras": entry(3), "torch": entry(4)},
        "two": {"keras": missed, "torch": {"value": 5, "exact": True}},
    }
    style.draw_intervals(axis, rows)
    style.draw_intervals(other, rows)
    markers = [line.get_marker() for line in axis.lines]
    assert markers == list(style.FRAMEWORK_MARKER.values())
    assert [t.get_text() for t in axis.get_yticklabels()] == ["one", "two"]
    # The first row is the upper one, and only the first panel names markers.
    assert axis.yaxis_inverted()
    assert [t.get_text() for t in axis.texts] == ["Keras", "PyTorch"]
    assert not other.texts
    assert style.rows(figure)[:4] == [
        ("", "Keras", "one", 3, 2, 5),
        ("", "Keras", "two", None, None, None),
        ("", "PyTorch", "one", 4, 3, 6),
        ("", "PyTorch", "two", 5, 5, 5),
    ]


def test_a_topic_without_results_is_passed_over_and_named(drawn):
    drawn.fresh("counts").unlink()
    drawn.committed("counts").unlink()
    assert "nothing to draw yet; run: guide run topic" in draw(drawn)
    assert not drawn.made.exists()


def test_an_unknown_topic_is_an_error(drawn):
    done = drawn.guide("draw", "tropic")
    assert (done.returncode, done.stderr) == (
        1,
        "guide: no topic tropic; there are: topic\n",
    )


def test_a_figure_follows_the_ground_of_the_page(drawn):
    draw(drawn)
    text = (drawn.made / "lines.svg").read_text()
    assert "@media (prefers-color-scheme:dark)" in text
    assert "currentColor" in text
    assert style.INK not in text
    # The colours of 4 and of 512 are set for either ground.
    for power in (2, 9):
        assert f"stroke: var(--b{power}," in text
        found = re.findall(rf"--b{power}:(#\w+)", text)
        assert len(found) == 2
        for color, ground in zip(found, GROUNDS.values()):
            assert contrast(color, ground) >= 3
    assert "sans-serif" in text
    assert "DejaVu" not in text
    assert "Matplotlib" not in text


def test_every_batch_size_can_be_told_from_both_grounds():
    parts = (style.LIGHT_GROUND, style.DARK_GROUND)
    for part, ground in zip(parts, GROUNDS.values()):
        colors = [style._ramp(2**power, part) for power in range(15)]
        assert min(contrast(color, ground) for color in colors) >= 3
        # Light is small, dark is large.
        levels = [luminance(color) for color in colors[1:13]]
        assert levels == sorted(levels, reverse=True)
        assert len(set(levels)) == len(levels)


@pytest.mark.parametrize("ground", GROUNDS)
def test_a_framework_can_be_told_from_both_grounds(ground):
    for color in style.FRAMEWORK_COLOR.values():
        assert contrast(color, GROUNDS[ground]) >= 3
    assert len(set(style.FRAMEWORK_MARKER.values())) == 2


def test_labels_at_the_ends_of_lines_do_not_cover_each_other():
    figure, (axis,) = style.new_figure()
    for number in range(6):
        series = {"x": [1, 2], "y": [0, 1 + number / 1000]}
        style.draw_line(axis, series, f"line {number}", batch_size=4)
    style.label_ends(figure)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axis.texts]
    # The box of an annotation holds its pointer; the text begins beside it.
    heights = sorted((box.y0 + box.y1) / 2 for box in boxes)
    texts = sorted(
        axis.transData.transform(text.xy)[1] + text.xyann[1] * figure.dpi / 72
        for text in axis.texts
    )
    assert len(texts) == len(heights) == 6
    size = style.SETTINGS["font.size"] * figure.dpi / 72
    assert all(upper - lower >= size for lower, upper in zip(texts, texts[1:]))


def test_spreading_moves_nothing_that_has_room():
    assert style.spread([0, 100, 200], 10) == [0, 100, 200]
    assert style.spread([100, 100], 10) == [95, 105]
    # The block that two make reaches the third.
    assert style.spread([100, 100, 109], 10) == [93, 103, 113]


def test_batch_size_is_on_a_logarithmic_axis_with_the_real_sizes():
    figure, (axis,) = style.new_figure()
    series = {"x": [4, 16, 512], "y": [1, 2, 3]}
    style.draw_line(axis, series, "", framework="keras")
    style.batch_axis(axis)
    figure.draw_without_rendering()
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert labels == ["4", "16", "512"]
    assert axis.get_xscale() == "log"
    assert axis.get_xlabel() == "Batch size"


def test_text_is_readable_on_a_phone():
    sizes = [
        size
        for key, size in style.SETTINGS.items()
        if key.endswith("size") and key != "lines.markersize"
    ]
    assert min(sizes) >= 10
    # In points; a phone shows at least 360 pixels.
    assert style.WIDTH * 72 <= 360
