"""`guide check` finds what its rules forbid, at its place, and nothing else.

Every rule is tried on a small project, in this process.
"""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from _guide import results
from _guide.check.everything import Examined, check
from _guide.check.text import place
from _guide.project import Program, is_generated
from _guide.reference import Reference, Unknown

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[2]

PROGRAM = """\
# %% [markdown]
# # Small ({framework})
#
# Measures little.
#
# - Install: `pip install {framework}`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
import {framework}

from snippets.add_one import add_one

# %%
SHORT = False

BATCH_SIZES = [4, 32, 512]
LEARNING_RATE = 10**-3
NUM_EXAMPLES = 100 if SHORT else 1000
FLIPPED = 0.05

# %% [markdown]
# The rate is `0.001`, and there are `1,000` examples.

# %%
results = {{"values": {{"test.count": add_one(1267)}}}}
"""
SNIPPET = """\
# --8<-- [start:NAME]
def NAME(number):
    return number + 1


# --8<-- [end:NAME]
"""
PAGE = """\
---
title: Small
search:
  boost: 2
---

# A small study

With `32` it takes <data value="small.cpu:test.count">1,268</data> tries.

=== "Keras"

    ```python
    --8<-- "snippets/add_one.py:add_one"
    ```

<figure markdown>
![A line that rises](../figures/small/line.svg)
<figcaption markdown>It <data value="small.cpu:test.holds">rises</data>.
[Data](../figures/small/line.csv)</figcaption>
</figure>

[Smith](../references.md#smith2018) used 8,192. See
[evidence](../evidence/index.md).
"""
PHRASES = """
["test.holds"]
holds = ["rises", "is faster at `batch_size=7`", "twice as fast"]
fails = ["falls", "is no faster"]

["test.fails"]
holds = ["needs fewer"]
fails = ["needs *no fewer*"]
"""
FILES = {
    "mkdocs.yml": "site_url: !ENV [SITE_URL, '']\nnav:\n  - index.md\n"
    "  - Lab:\n      - lab/small.md\n  - references.md\n",
    "constraints.txt": "torch==2.13.0\nkeras==3.15.1\nscikit-learn==1.9.1\n",
    "README.md": "# Small\n\nNeeds Python 3.11. It <data "
    'value="small.cpu:test.fails">needs no fewer</data>.\n',
    "docs/index.md": "# First\n\n[A study](lab/small.md).\n",
    "docs/references.bib": "@article{smith2018,\n  title = {On 8,192}\n}\n",
    "docs/lab/small.md": PAGE,
    "examples/small/small_keras.py": PROGRAM.format(framework="keras"),
    "examples/small/small_torch.py": PROGRAM.format(framework="torch"),
    "examples/small/figure.py": "def tables(results):\n    return {\n"
    '        "counts": one, **{f"{n}_by_size": two for n in "ab"}\n    }\n',
    "snippets/__init__.py": "",
    "snippets/add_one.py": SNIPPET.replace("NAME", "add_one"),
    "examples/small/phrases.toml": PHRASES,
}

# Put into the results of both frameworks, so that rules have what to break.
VALUES = {
    "test.count": {"value": 1268, "unit": "steps", "ci": [1251, 1285], "n": 10},
    "test.twenty": {"value": 20.3, "unit": "ratio", "ci": [18, 22], "n": 10},
    "test.share": {"value": 0.943, "unit": "share", "ci": [0.93, 0.95], "n": 9,
                   "because": "they take long"},
    "test.gap": {"value": -1.25, "unit": "points", "exact": True},
    "test.third": {"value": 0.333333, "unit": "ratio", "exact": True},
    "test.large": {"value": 1234567, "unit": "count", "exact": True},
    "test.zero": {"value": 0.0, "unit": "ratio", "exact": True},
    "test.speedup": {"value": 20.3, "unit": "ratio", "ci": [18, 22], "n": 10,
                     "timing": True},
    "test.seconds": {"value": 20.3, "unit": "seconds", "ci": [18, 22],
                     "n": 10, "timing": True},
    "test.none": {"value": None, "unit": "steps", "reason": "not reached"},
}  # fmt: skip
JUDGEMENTS = {
    "test.holds": {"holds": True, "because": ["test.count"]},
    "test.fails": {"holds": False, "because": ["test.count"]},
    "test.uncited": {"holds": True, "because": ["test.count"]},
}
PLACE = "docs/lab/small.md"
DATA = '<data value="small.cpu:test.{}">{}</data>'


class Project:
    """A project to break."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, newline="")
        return file

    def append(self, path: str, text: str) -> str:
        """Add the text; returns path:line:column of the ¦ in it."""
        file = self.root / path
        whole = file.read_text() + "\n" + text
        before, mark, after = whole.partition("¦")
        file.write_text(before + after)
        line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        return f"{path}:{line}:{column}" if mark else path

    def change(self, path: str, change) -> None:
        """Change what a JSON file holds."""
        file = self.root / path
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    def guide(self, update: bool = False) -> tuple[int, list[str]]:
        """The exit status of the check, and the lines that it prints."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            status = check(self.root, update)
        return status, said.getvalue().splitlines()

    def found(self) -> list[str]:
        """What the check says is wrong."""
        return [str(problem) for problem in Examined(self.root).problems]


def make_small(root: Path) -> Project:
    """The small project, with the results that the tests name."""
    project = Project(root)
    for path, text in FILES.items():
        project.write(path, text)
    for framework in ("keras", "torch"):
        path = root / f"examples/small/small_{framework}.py"
        provenance = results.provenance(
            Program(root, path),
            settings={},
            versions={},
            backend=None,
            device="Some processor",
            threads=1,
            date="2026-01-02",
            seconds=1.5,
        )
        result = {"values": VALUES, "judgements": JUDGEMENTS}
        result["provenance"] = provenance
        path.with_suffix(".cpu.json").write_text(json.dumps(result))
    return project


@pytest.fixture
def small(tmp_path: Path) -> Project:
    return make_small(tmp_path)


FIGURE = """\
¦<figure markdown>
![A line that rises](../figures/small/line.svg)
{caption}
</figure>
"""
CAPTION = (
    "<figcaption markdown>It "
    + DATA.format("holds", "rises")
    + ". [Data](../figures/small/line.csv)</figcaption>"
)

# What is added to a page, with ¦ before what is wrong, and what is said.
CELL = '| <data value="small.cpu:test.count">1,268</data> '
TABLE = (
    '¦<figure markdown>\n--8<-- "docs/figures/small/{}.md"\n'
    '<figcaption markdown>It <data value="small.cpu:test.holds">rises</data>. '
    "[Data](../figures/small/{}.csv)</figcaption>\n</figure>"
)

BROKEN = {
    "a number that disagrees": (
        '<data value="small.cpu:test.count">¦1,240</data> tries',
        "text says 1,240, measured 1,268 [1,251–1,285] (small.cpu:test.count)",
    ),
    "a bound that does not hold": (
        '<data value="small.cpu:test.count">¦at least 1,260</data> tries',
        "text says at least 1,260, measured 1,268 [1,251–1,285] "
        "(small.cpu:test.count); rewrite",
    ),
    "words that tell the opposite": (
        '<data value="small.cpu:test.fails">¦needs fewer</data>',
        "text says needs fewer, but it does not hold: test.count is 1,268 "
        "[1,251–1,285] (small.cpu:test.fails); expected one of: 'needs *no "
        "fewer*'; rewrite",
    ),
    "words that tell the opposite of what holds": (
        '<data value="small.cpu:test.holds">¦falls</data>',
        "text says falls, but it holds: test.count is",
    ),
    "words that are no phrase": (
        '<data value="small.cpu:test.holds">¦climbs</data>',
        "text says climbs, which is no phrase for small.cpu:test.holds, which "
        "holds; expected one of: 'rises', 'is faster at `batch_size=7`', "
        "'twice as fast'; write one of these, or add yours to holds in "
        "examples/small/phrases.toml",
    ),
    "one framework that is not named": (
        '¦<data value="small_keras.cpu:test.count">1,268</data> tries',
        "small_keras.cpu:test.count is about Keras alone, which the sentence "
        "does not name; write small.cpu:test.count, which must hold in both",
    ),
    "one framework where the other is named": (
        'PyTorch: ¦<data value="small_keras.cpu:test.count">1,268</data>',
        "about Keras alone",
    ),
    "one framework, named in another sentence": (
        "It was in Keras. Then it takes "
        '¦<data value="small_keras.cpu:test.count">1,268</data>.',
        "about Keras alone",
    ),
    "one framework, named in another row": (
        "| A | B |\n| --- | --- |\n| Keras | 7 |\n| Other | "
        '¦<data value="small_keras.cpu:test.count">1,268</data> |'.replace(
            " 7 ", " none "
        ),
        "about Keras alone",
    ),
    "one framework, named in another column": (
        "| A | Keras | B |\n| --- | --- | --- |\n| b | c | "
        '¦<data value="small_keras.cpu:test.count">1,268</data> |',
        "about Keras alone",
    ),
    "one framework, named in a tab that has ended": (
        '=== "Keras"\n\n    Text.\n\nIt takes '
        '¦<data value="small_keras.cpu:test.count">1,268</data>.',
        "about Keras alone",
    ),
    "one framework, named in the heading before the last": (
        "## In Keras\n\n### Tries\n\nIt takes "
        '¦<data value="small_keras.cpu:test.count">1,268</data>.',
        "about Keras alone",
    ),
    "a number bound to a judgement": (
        '<data value="small.cpu:test.holds">¦about 20</data>',
        "small.cpu:test.holds is a judgement",
    ),
    "a number in code bound to a judgement": (
        '<data value="small.cpu:test.holds">¦`20`</data>',
        "small.cpu:test.holds is a judgement",
    ),
    "words bound to a value": (
        '<data value="small.cpu:test.count">¦twice</data>',
        "text says twice, but it names a value (small.cpu:test.count)",
    ),
    "a number in words that are no form": (
        '<data value="small.cpu:test.count">¦some 1,268 tries</data>',
        "cannot be compared",
    ),
    "a value that was not reached": (
        '<data value="small.cpu:test.none">¦about 20</data>',
        "measured nothing (not reached)",
    ),
    "a timing as a plain number": (
        '<data value="small.cpu:test.speedup">¦20</data>',
        "a timing, which differs from machine to machine",
    ),
    "seconds, even as a bound": (
        '<data value="small.cpu:test.seconds">¦about 20</data>',
        "in seconds, which differ from machine to machine",
    ),
    "a result said to be missing that exists": (
        '¦<data value="small.cpu:test.count">not measured yet</data>',
        "small_keras.cpu.json exists",
    ),
    "a result that does not exist": (
        '¦<data value="small.gpu:test.count">about 20</data>',
        "examples/small/small_keras.gpu.json does not exist "
        "(small.gpu:test.count); run: guide run small",
    ),
    "a program that does not exist": (
        '¦<data value="smal.cpu:test.count">about 20</data>',
        "there is no program smal_keras (smal.cpu:test.count); did you mean "
        "small?",
    ),
    "a program that does not exist and is not measured": (
        '¦<data value="nothing.cpu:test.count">not measured yet</data>',
        "there is no program nothing_keras",
    ),
    "a key that does not exist": (
        '¦<data value="small.cpu:test.cuont">1,268</data>',
        "no test.cuont in examples/small/small_keras.cpu.json; did you mean "
        "test.count?",
    ),
    "a value that names no device": (
        '¦<data value="small_keras:test.count">1,268</data>',
        "names no result; expected TOPIC.DEVICE:KEY",
    ),
    "data without a value": (
        "¦<data>1,268</data>",
        "a <data> without value=",
    ),
    "data that is not closed": (
        '¦<data value="small.cpu:test.holds">rises\n\nNext paragraph.',
        "a <data> that is not closed",
    ),
    "data that the next paragraph closes": (
        '¦<data value="small.cpu:test.fails">fewer\n\nNext</data> one.',
        "not closed by </data> in its paragraph",
    ),
    "data within data": (
        '<data value="small.cpu:test.holds">¦'
        '<data value="small.cpu:test.holds">rises</data>',
        "within another",
    ),
    "a closing tag alone": ("It rises¦</data>.", "without its <data>"),
    "a tag without its end": ("It ¦<data value= rises.", "without its '>'"),
    "data without text": (
        '¦<data value="small.cpu:test.holds"> </data>',
        "no text is bound",
    ),
    "a bare number": ("It takes ¦5 tries.", "a bare number, 5;"),
    "a bare number with separators": ("In ¦1,268.5 tries", "1,268.5;"),
    "a bare negative number": ("At ¦−5 points", "a bare number, −5;"),
    "a bare number with a unit": ("It takes ¦5ms.", "a bare number"),
    "a bare factor": ("That is ¦20x faster.", "a bare number, 20;"),
    "a bare power": ("At a rate of ¦1e-3.", "a bare number, 1e-3;"),
    "a bare share": ("That is ¦95 % of it.", "a bare number, 95;"),
    "a bare number in bold": ("It is **¦5** or so.", "a bare number"),
    "a bare number in a list": ("- one\n- takes ¦5", "a bare number"),
    "a bare number in a numbered list": ("1. takes ¦5", "a bare number"),
    "a bare number in a table": (
        "| A | B |\n| --- | --- |\n| c | ¦5 |",
        "a bare number",
    ),
    "a bare number in a tab": (
        '=== "One"\n\n    !!! note\n\n        It is ¦5.',
        "a bare number",
    ),
    "a bare number in a quotation": ("> It is\n> ¦5.", "a bare number"),
    "a count that looks like a year": ("In ¦2000 examples", "a bare number"),
    "a factor that looks like a version": (
        "With PyTorch ¦2 times as fast",
        "a bare number",
    ),
    "a version that does not exist": ("With PyTorch ¦20", "a bare number"),
    "a number beside a sentence that cites": (
        "It is ¦5. Here [Smith](../references.md#smith2018) agrees.",
        "a bare number",
    ),
    "a number in a row that does not cite": (
        "| A | B |\n| --- | --- |\n| ¦5 | b |\n"
        "| [Smith](../references.md#smith2018) | 7 |",
        "a bare number",
    ),
    "a number in words": (
        "It takes ¦half\nthe time.",
        "a bare number, half; bind it to a result",
    ),
    "a number in words in a heading": ("## ¦Twice", "Twice in a heading"),
    "a number in words in link text": (
        "See [¦twice as fast](https://example.org).",
        "twice in link text; say it in the text",
    ),
    "a lone number in code that is no setting": (
        "It takes ¦`77777`.",
        "a lone number in code, 77777, is no setting of small_keras",
    ),
    "a lone number in code with a unit": ("It is ¦`77777 ms`.", "77777 ms, is"),
    "a lone number in mathematics": ("It takes ¦$77777$.", "77777, is"),
    "a lone power in mathematics": ("It is ¦$7^{7}$.", "7^{7}, is"),
    "a number in a heading": ("## The ¦5 sizes", "5 in a heading"),
    "a number in an underlined heading": (
        "The ¦5 sizes\n------------",
        "5 in a heading",
    ),
    "a number in a tab's title": ('=== "The ¦5 sizes"\n\n    Text', "5 in a"),
    "a measured number in a heading": (
        '## The ¦<data value="small.cpu:test.twenty">about 20</data> sizes',
        "about 20 is measured, in a heading",
    ),
    "a number in alt text": (
        "![The ¦5 sizes](image.png)",
        "5 in alt text",
    ),
    "a number in an HTML image's alt text": (
        '<img src="image.png" alt="The ¦5 sizes">',
        "5 in alt text",
    ),
    "a number in link text": (
        "See [the ¦5 sizes](https://example.org).",
        "5 in link text",
    ),
    "a measured number in link text": (
        'See [¦<data value="small.cpu:test.twenty">about 20</data>](#there).',
        "about 20 is measured, in link text",
    ),
    "a reference that does not exist": (
        "See [¦Smith](../references.md#smyth1999).",
        "no work smyth1999 in docs/references.bib",
    ),
    "a reference by label that does not exist": (
        "See [¦Smith][s].\n\n[s]: ../references.md#smyth1999",
        "no work smyth1999",
    ),
    "a link to a page that does not exist": (
        "See [¦it](../lab/smalls.md#there).",
        "a link to docs/lab/smalls.md, which does not exist; did you mean "
        "docs/lab/small.md?",
    ),
    "an image without alt text": (
        "![¦](image.png)",
        "an image without alt text (image.png)",
    ),
    "an HTML image without alt text": (
        'An ¦<img src="image.png">',
        "an image without alt text (image.png)",
    ),
    "a figure outside of <figure>": (
        "![¦A line](../figures/small/line.svg)",
        "stands outside of a <figure markdown>",
    ),
    "a figure without a caption": (
        FIGURE.format(caption="[Data](../figures/small/line.csv)"),
        "a figure without a caption",
    ),
    "a figure that is not closed, before one with a caption": (
        FIGURE.format(caption="").replace("</figure>\n", "")
        + "\n"
        + FIGURE.replace("¦", "").format(caption=CAPTION),
        "a figure without a caption",
    ),
    "a caption without a bound number": (
        FIGURE.replace("¦", "").format(
            caption="<figcaption markdown>¦It rises. "
            "[Data](../figures/small/line.csv)</figcaption>"
        ),
        "a caption without a bound number",
    ),
    "a figure without its data": (
        FIGURE.format(caption=CAPTION.replace("line.csv", "other.csv")),
        "without a link to its data",
    ),
    "a figure without alt text": (
        FIGURE.replace("¦", "")
        .replace("A line that rises", "¦")
        .format(caption=CAPTION),
        "an image without alt text",
    ),
    "a fence without a language": (
        "¦```\ntext\n```",
        "a fence without a language",
    ),
    "a fence that is never closed": (
        "¦```text\nIt takes 5.",
        "never closed",
    ),
    "a fence in a language that no test runs": (
        "¦```js\nalert(1)\n```",
        "no test runs js",
    ),
    "a Python session": ("¦```pycon\n>>> 1\n```", "no test runs pycon"),
    "a fence in a tab that no test runs": (
        '=== "A"\n\n    ¦~~~{ .ruby }\n    puts 1\n    ~~~',
        "no test runs ruby",
    ),
    "a fence that says so without a reason": (
        "<!-- not run, because: -->\n¦```js\nalert(1)\n```",
        "no test runs js",
    ),
    "a fence that says wrongly that it is not run": (
        "<!-- not run, because: slow -->\n¦```sh\nls\n```",
        "says that it is not run, but the tests run sh",
    ),
    "a fence that the tests pass over": (
        "<!--pytest.mark.skip-->\n¦```python\nprint(1)\n```",
        "the tests pass over this fence; say why",
    ),
    "a fence that imports a snippet": (
        "```python\nimport os\n¦from snippets.add_one import add_one\n```",
        "imports a snippet, which a reader who copies this does not have",
    ),
    "an include beside code": (
        '¦```python\nimport os\n--8<-- "snippets/add_one.py:add_one"\n```',
        "an include beside other code",
    ),
    "an include that the tests do not run": (
        '¦```python\n--8<-- "README.md"\n```',
        "embeds README.md, which the tests do not run",
    ),
    "an include of a file that does not exist": (
        '```python\n--8<-- "¦snippets/add_onee.py:add_one"\n```',
        "no file snippets/add_onee.py; did you mean add_one.py?",
    ),
    "an include of a section that does not exist": (
        '```python\n--8<-- "¦snippets/add_one.py:add_onee"\n```',
        "no section add_onee in snippets/add_one.py; did you mean add_one?",
    ),
    "an include outside of a fence": (
        '¦--8<-- "README.md"',
        "an include outside of a fence",
    ),
    "an include that a formatter took for a comparison": (
        '```python\n¦--8 < --"snippets/ONE.py:ONE"\n```',
        '--8 < --"snippets/ONE.py:ONE" looks like an include and is none; '
        'expected, alone on its line: --8<-- "FILE:SECTION"',
    ),
    "an include without quotes": (
        "```python\n¦--8<-- snippets/ONE.py:ONE\n```",
        "looks like an include and is none",
    ),
    "an include with other dashes": (
        '```python\n¦–8<– "snippets/ONE.py:ONE"\n```',
        "looks like an include and is none",
    ),
    "an include that is quoted": (
        '> ¦--8<-- "snippets/ONE.py:ONE"',
        "looks like an include and is none",
    ),
    "an include with a blank behind it": (
        '¦--8<-- "snippets/ONE.py:ONE" \n',
        "looks like an include and is none",
    ),
    "a drawn table outside of a figure": (
        '¦--8<-- "docs/figures/small/counts.md"',
        "embed a drawn table, docs/figures/TOPIC/NAME.md, in a <figure",
    ),
    "a table that is not drawn": (
        TABLE.replace("¦", "").replace("--8", "¦--8").format("count", "count"),
        "examples/small/figure.py draws no table count; return it from",
    ),
    "a table of a topic that draws none": (
        TABLE.replace("¦", "")
        .replace("--8", "¦--8")
        .replace("small/", "large/")
        .format("counts", "counts"),
        "examples/large/figure.py draws no table counts; return it from",
    ),
    "a drawn table without its data": (
        TABLE.format("counts", "count"),
        "a figure without a link to its data; write in its caption: "
        "[Data](figures/small/counts.csv)",
    ),
}


def test_a_sound_project_has_no_problem(small: Project):
    status, lines = small.guide()
    assert lines == [
        "guide check: 3 pages, 3 bound numbers, 2 results: no problems"
    ]
    assert status == 0


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_page_is_found_at_its_place(small: Project, name):
    text, message = BROKEN[name]
    place = small.append(PLACE, text + "\n")
    (found,) = small.found()
    assert found.startswith(f"{place}: ")
    assert message in found


SOUND = [
    "ResNet-18 in fp32 on MNIST-1D, an H200 and Qwen2.5-7B, in 2D and 16-bit",
    "PyTorch 2.13.0 with Keras 3, scikit-learn 1.9 and Python 3.11 to 3.13",
    "Python 3.11, 3.12 or 3.13",
    "since 2017, in 1998–2004 and on 2026-11-21",
    "[Smith, 2018](../references.md#smith2018) used batches of 8,192 examples",
    "In 7 runs, e.g. of 3 h, the work\nof [Smith][s] is half as fast."
    "\n\n[s]: ../references.md#smith2018",
    "| a | b |\n| --- | --- |\n| 7 | [Smith](../references.md#smith2018) |",
    "[Smith](../references.md#smith2018) in vol.  \nand page took 7 runs",
    "[Smith](../references.md#smith2018) used `77777`",
    "1. one\n2. two\n\n    3) three",
    "A note.[^1]\n\n[^1]: Text.",
    "<!-- 5 and twice -->",
    '<span style="width: 5px">text</span>',
    "[text](https://example.org/5) and https://example.org/5?a=5",
    '[text](#at-5 "at 5") { .big width=5 }',
    "## Heading { #at-5 }",
    "`batch_size=777` and ``a ` 5 b`` and $B = 777$ and\n\n$$\nx = 777\n$$",
    r"\(B = 777\) and \[ x < 777 \] and Caf&#233;",
    "It is twice as fast, says [Smith](../references.md#smith2018).",
    'It is <data value="small.cpu:test.holds">twice as fast</data>.',
    'It <data value="small.cpu:test.holds">is\nfaster at '
    "`batch_size=7`</data>.",
    'In <data value="small.cpu:test.count">**1,268**</data> tries',
    '<data value="small.gpu:test.count">not measured\nyet</data>',
    'In Keras <data value="small_keras.cpu:test.count">1,268</data> tries',
    'On TensorFlow <data value="small_keras.cpu:test.count">1,268</data>',
    'It rises <data value="small_torch.cpu:test.count">1,268</data> (PyTorch)',
    "| A | Keras |\n| --- | --- |\n| b | "
    '<data value="small_keras.cpu:test.count">1,268</data> |',
    "| Tries, Keras | A |\n| --- | --- |\n| b | "
    '<data value="small_keras.cpu:test.count">1,268</data> |',
    "| A | B |\n| --- | --- |\n| Keras | "
    '<data value="small_keras.cpu:test.count">1,268</data> |',
    "- In Keras it is so. It takes\n"
    '  <data value="small_keras.cpu:test.count">1,268</data>.\n- Another.',
    '=== "Keras"\n\n    !!! note "Tries"\n\n        It takes '
    '<data value="small_keras.cpu:test.count">1,268</data>.',
    '??? note "In PyTorch"\n\n    It takes '
    '<data value="small_torch.cpu:test.count">1,268</data>.',
    '## In Keras\n\nFirst.\n\nIt <data value="small_keras.cpu:test.count">'
    "1,268</data>.",
    "<figure markdown>\n![A line that rises](../figures/small/line.svg)\n"
    "<figcaption markdown>It is in PyTorch. It takes "
    '<data value="small_torch.cpu:test.count">1,268</data>. '
    "[Data](../figures/small/line.csv)</figcaption>\n</figure>",
    "```text\n5\n```\n\n~~~{ .json }\n[5]\n~~~\n\n````md\n```\n5\n```\n````",
    "```python\nprint(1)\n```\n\n```py title='a'\nprint(1)\n```",
    "<!-- because: no GPU here -->\n<!--pytest.mark.skip-->\n"
    "```python\nprint(1)\n```",
    "<!-- not run, because: no browser here -->\n```js\nalert(1)\n```",
    '=== "Keras"\n\n    ```python\n'
    '    --8<-- "snippets/add_one.py:add_one"\n    ```',
    "[page](small.md#there) and [generated](../evidence/small.md)",
    FIGURE.replace("¦", "").format(caption=CAPTION),
    TABLE.replace("¦", "").format("counts", "counts"),
    TABLE.replace("¦", "").format("seconds_by_size", "seconds_by_size"),
    "| a | b | c | d |\n| --- | --- | --- | --- |\n"
    + f"| a{CELL * 3}|\n" * 2
    + f"| a{CELL * 2}{CELL.replace('| ', '| then ')}|\n"
    + '| a | <data value="small.gpu:test.count">not measured yet</data> | | |',
]


@pytest.mark.parametrize("text", SOUND)
def test_what_is_allowed_is_not_reported(small: Project, text):
    small.append(PLACE, text + "\n")
    assert small.found() == []


def test_a_typed_table_of_more_than_eight_measured_cells_is_told(small):
    head = "| a | b | c | d |\n| --- | --- | --- | --- |\n"
    place = small.append(PLACE, f"¦{head}" + f"| a{CELL * 3}|\n" * 3)
    (found,) = small.found()
    assert found == (
        f"{place}: a typed table with 9 measured cells, at most 8; "
        "draw it: return it from tables(results) in figure.py and embed it, "
        "as CONTRIBUTING.md shows"
    )


def test_a_lone_number_in_code_may_be_a_setting(small: Project):
    settings = "`512`, `1,000`, `1000`, `0.001`, `1e-3`, `5 %`, $10^{-3}$, $32$"
    small.append(PLACE, f"Settings: {settings}\n")
    assert small.guide()[0] == 0


def test_a_lone_number_may_be_what_a_setting_was_calculated_as(small: Project):
    place = small.append(PLACE, "A rate of ¦`0.123`.\n")
    assert small.guide()[1][0].startswith(place)
    small.change(
        "examples/small/small_torch.cpu.json",
        lambda result: result["provenance"].update(
            settings={"RATES": [{"a": 0.123}]}
        ),
    )
    assert small.guide()[0] == 0


def test_settings_of_a_bound_or_embedded_program_count_as_well(small: Project):
    bound = 'At `512` it <data value="small.cpu:test.holds">rises</data>.'
    embedded = (
        'At `512`.\n\n```text\n--8<-- "examples/small/small_keras.py"\n```'
    )
    for text in (bound, embedded):
        small.write("docs/index.md", f"# First\n\n{text}\n")
        assert small.guide()[0] == 0
    small.write("docs/index.md", "# First\n\nAt `512`.\n")
    (found, _) = small.guide()[1]
    assert found.startswith("docs/index.md:3:4: a lone number in code, 512")


def break_markdown_cell(project):
    path = "examples/small/small_keras.py"
    return project.append(path, "# %% [markdown]\n# # A\n# takes ¦5.\n")


def break_fence_in_cell(project):
    path = "examples/small/small_keras.py"
    cell = "# %% [markdown]\n# ¦```python\n# print(1)\n# ```\n"
    return project.append(path, cell)


def break_readme(project):
    return project.append("README.md", "It takes ¦5.\n")


def list_page(project, page):
    """Put the page into nav, below the first; returns its line and column."""
    settings = (project.root / "mkdocs.yml").read_text()
    first = re.search(r"(?m)^( *- )(?:\w+: )?index\.md\n", settings)
    settings = settings.replace(first[0], f"{first[0]}{first[1]}{page}\n")
    project.write("mkdocs.yml", settings)
    line = settings[: first.end()].count("\n") + 1
    return f"{line}:{len(first[1]) + 1}"


def break_front_matter(project):
    project.write("docs/lab/new.md", "---\ntitle: The 5 sizes\n---\n\n# A\n")
    list_page(project, "lab/new.md")
    return "docs/lab/new.md:2:12"


def break_navigation(project):
    project.write("docs/lab/new.md", "# A\n")
    return "docs/lab/new.md:1:1"


def break_page_in_navigation(project):
    return f"mkdocs.yml:{list_page(project, 'lab/new.md')}"


def header(device):
    return (
        "# %% [markdown]\n# # Lonely\n#\n# Measures nothing.\n#\n"
        f"# - Install: `pip install keras`\n# - Runs on: `{device}`\n"
        "# - Expected: `2` minutes\n\n# %%\nSHORT = False\n"
    )


def break_twin_snippet(project):
    project.write(
        "snippets/lonely_torch.py", SNIPPET.replace("NAME", "lonely_torch")
    )
    project.append(
        PLACE,
        '```python\n--8<-- "snippets/lonely_torch.py:lonely_torch"\n```\n',
    )
    return "snippets/lonely_torch.py:1:1"


def break_section(project):
    project.write("snippets/lonely.py", SNIPPET.replace("NAME", "lonely"))
    return "snippets/lonely.py:1:1"


def break_second_section(project):
    second = SNIPPET.replace("def NAME", "def other")
    text = SNIPPET.replace("NAME", "lonely") + second.replace("NAME", "second")
    project.write("snippets/lonely.py", text)
    project.append(
        PLACE, '```python\n--8<-- "snippets/lonely.py:lonely"\n```\n'
    )
    return "snippets/lonely.py:7:1"


def break_section_name(project):
    project.write("snippets/lonely.py", "def other():\n    pass\n")
    return "snippets/lonely.py:1:1"


def result_of(project, framework="keras", device="cpu"):
    return f"examples/small/small_{framework}.{device}.json"


def break_code(project):
    project.append("examples/small/small_keras.py", "print(1)\n")
    return result_of(project)


def break_keys(project):
    def take_out(result):
        del result["values"]["test.none"]

    project.change(result_of(project, "torch"), take_out)
    return result_of(project)


def break_judgement_keys(project):
    def take_out(result):
        del result["judgements"]["test.uncited"]

    project.change(result_of(project, "torch"), take_out)
    return result_of(project)


def break_form(project):
    def make_nan(result):
        result["values"]["test.none"]["value"] = "five"

    project.change(result_of(project), make_nan)
    return result_of(project)


def break_short(project):
    project.change(
        result_of(project),
        lambda result: result["provenance"].update(short=True),
    )
    return result_of(project)


def break_provenance(project):
    project.change(result_of(project), lambda result: result.pop("provenance"))
    return result_of(project)


def break_whole_result(project):
    """A page of the topic has a lone number in code, which asks for it."""
    project.write(result_of(project), '{"provenance": null, "values": {}}')
    return result_of(project)


def break_settings(project):
    return project.append("mkdocs.yml", "# \a\n") + ":1:1"


def break_spaced_name(project):
    path = "examples/small/scratch copy.py"
    project.write(path, "x = 1\n")
    return f"{path}:1:1"


def break_json(project):
    project.write(result_of(project), '{"values": {},\n')
    return f"{result_of(project)}:2:1"


def break_owner(project):
    path = "examples/small/nobody.cpu.json"
    project.write(path, "{}")
    return path


def break_result(project):
    waiver = "# no twin, because: a test\n"
    path = "examples/small/alone_keras.py"
    project.write(path, header("cpu").replace("# %%\n", f"# %%\n{waiver}"))
    return path.replace(".py", ".cpu.json")


def break_header(project):
    text = header("gpu").replace("Runs on", "Works on")
    waiver = "# no twin, because: a test\n"
    path = "examples/small/alone.py"
    project.write(path, text.replace("# %%\n", f"# %%\n{waiver}"))
    return f"{path}:2:1"


def break_syntax(project):
    path = "examples/small/alone.py"
    project.write(path, header("gpu") + "if\n")
    return f"{path}:12:3"


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (break_markdown_cell, "a bare number, 5;"),
        (break_fence_in_cell, "code in a Markdown cell, which nothing runs"),
        (break_readme, "a bare number, 5;"),
        (break_front_matter, "5 in the front matter"),
        (break_navigation, "the navigation does not reach it; add lab/new.md"),
        (break_page_in_navigation, "nav leads to docs/lab/new.md, which does"),
        (break_twin_snippet, "has no twin for Keras; write snippets/lonely_k"),
        (break_section, "no page embeds section lonely"),
        (break_second_section, "no page embeds section second"),
        (break_section_name, "no function lonely in a section of that name"),
        (break_code, "older than its program; run: guide run small"),
        (break_keys, "value test.none is in small_keras.cpu.json only"),
        (break_judgement_keys, "judgement test.uncited is in small_keras.cpu"),
        (break_form, "is 'five', expected a finite number; run: guide run"),
        (break_short, "from a short run, which measures nothing; run: guide"),
        (break_provenance, "without provenance; expected what"),
        (break_whole_result, "without provenance; expected what"),
        (break_settings, "no YAML"),
        (break_spaced_name, "the first cell must be"),
        (break_json, "no JSON"),
        (break_owner, "no program has this result; expected nobody.py"),
        (break_result, "is missing; run: guide run alone_keras, then: guide "),
        (break_header, "header without '- Runs on: `cpu`'"),
        (break_syntax, "no Python"),
    ],
    ids=lambda part: getattr(part, "__name__", "").removeprefix("break_"),
)
def test_what_breaks_the_project_is_found(small: Project, break_it, message):
    place = break_it(small)
    (found,) = small.found()
    assert found.startswith(f"{place}: ")
    assert message in found


# Key, text, and whether they agree: just inside and just outside of each form.
EDGES = [
    ("count", "1,268", True),
    ("count", "1268", True),
    ("count", "1,267", False),
    ("count", "1,269", False),
    ("count", "1,268.0", True),
    ("count", "at least 1,251", True),
    ("count", "At least 1,252", False),
    ("count", "more than 1,250", True),
    ("count", "more than 1,251", False),
    ("count", "at most 1,285", True),
    ("count", "at most 1,284", False),
    ("count", "under 1,286", True),
    ("count", "under 1,285", False),
    ("count", "between 1,251 and 1,285", True),
    ("count", "between 1,252 and 1,285", False),
    ("count", "between 1,251 and 1,284", False),
    ("twenty", "20", True),
    ("twenty", "21", False),
    ("twenty", "20.3", True),
    ("twenty", "20.2", False),
    ("twenty", "about 16.5", True),
    ("twenty", "about 16.2", False),
    ("twenty", "about 27", True),
    ("twenty", "about 27.1", False),
    ("twenty", "20×", False),
    ("twenty", "20 times", False),
    ("wide", "about 20", True),
    ("wide", "about 20.1", False),
    ("wide", "about 19.9", False),
    ("share", "94 %", True),
    ("share", "94.3%", True),
    ("share", "95 %", False),
    ("share", "0.94", True),
    ("share", "94", False),
    ("share", "at least 93 %", True),
    ("share", "at least 93.1 %", False),
    ("share", "between 93 and 95 %", True),
    ("share", "between 93 and 94 %", False),
    ("share", "about 90 %", True),
    ("gap", "−1.25", True),
    ("gap", "-1.25", True),
    ("gap", "1.25", False),
    ("gap", "−1.2", True),
    ("gap", "−1.3", True),
    ("gap", "−1.4", False),
    ("gap", "about −1.5", True),
    ("gap", "about −1", True),
    ("gap", "about −0.9", False),
    ("gap", "at most −1.25", True),
    ("gap", "at most −1.3", False),
    ("gap", "between −1.3 and −1.2", True),
    ("third", "0.333", True),
    ("third", "0.334", False),
    ("large", "1,234,567", True),
    ("large", "1,234,566", False),
    ("zero", "0", True),
    ("zero", "0.01", False),
    ("zero", "at least 0", True),
    ("zero", "more than 0", False),
    ("speedup", "about 20", True),
    ("speedup", "at least 18", True),
    ("speedup", "20.3", False),
    ("seconds", "at least 18", False),
    ("none", "0", False),
    ("holds", "rises", True),
    ("holds", "Rises", True),
    ("holds", "**rises**", True),
    ("holds", "is faster\nat `batch_size=7`", True),
    ("holds", "Is Faster at `batch_size=7`", False),
    ("holds", "falls", False),
    ("holds", "climbs", False),
    ("holds", "18", False),
    ("fails", "needs no  fewer", True),
    ("fails", "needs fewer", False),
    ("count", "many", False),
    ("count", "1,26", False),
    ("count", "roughly 1,268", False),
]


@pytest.fixture(scope="module")
def disagreeing(tmp_path_factory) -> set[int]:
    """The rows of EDGES that one run of the check reports."""
    project = make_small(tmp_path_factory.mktemp("edges"))
    wide = {"value": 20, "unit": "ratio", "ci": [10.04, 40], "n": 10}
    project.change(
        "examples/small/small_keras.cpu.json",
        lambda result: result["values"].update({"test.wide": wide}),
    )
    project.change(
        "examples/small/small_torch.cpu.json",
        lambda result: result["values"].update({"test.wide": wide}),
    )
    lines = [DATA.format(key, text) for key, text, _ in EDGES]
    project.write("docs/index.md", "\n\n".join(["# Edges", *lines]) + "\n")
    found = project.guide()[1][:-1]
    places = [re.match(r"docs/index\.md:(\d+):", line) for line in found]
    return {(int(place[1]) - 3) // 2 for place in places}


@pytest.mark.parametrize("row", range(len(EDGES)), ids=lambda r: str(EDGES[r]))
def test_a_text_agrees_exactly_within_its_form(disagreeing, row):
    assert (row not in disagreeing) == EDGES[row][2]


# What a text is wrapped in, with where its lines go.
CONTAINERS = {
    "page": "{}",
    "tab": '=== "One"\n\n    {}',
    "box": "!!! note\n\n    {}",
    "box in a tab": '=== "One"\n\n    ??? note "Two"\n\n        {}',
    "list": "- one\n\n    {}",
    "numbered list": "1. one\n\n    {}",
}
# What hides the numbers in it.
HIDDEN = {
    "fence": "```text\nIt is 7.\n```",
    "tildes": "~~~ { .text }\nIt is 7.\n```\n7\n~~~",
    "fence in a fence": "````text\n```\n7\n```\nIt is 7.\n````",
    "include": '```python\n--8<-- "snippets/add_one.py:add_one"\n```',
    "code": "Set `seeds = 7` and ``a ` 7``.",
    "comment": "A <!-- 7\nand twice -->.",
    "tag": '<span data-n="7" style="margin: 7px">A</span>',
    "link": '[A](https://example.org/7/(7) "7").',
    "address": "A <https://example.org/7> and https://example.org/7/a7.",
    "attributes": "*A*{ width=7 .big }",
    "mathematics": "Let $n = 7$ and \\(m < 7\\).",
    "block of mathematics": "$$\nn = 7\n$$",
    "style": "<style>\na { margin: 7px }\n</style>",
    "bound": '<data value="small.cpu:test.count">1,268</data> tries.',
}


def test_numbers_are_hidden_only_where_they_are_no_prose(small: Project):
    expected, names = set(), []
    for container, wrap in CONTAINERS.items():
        indent = " " * (len(wrap) - len(wrap.rstrip("{}").rstrip(" ")) - 2)
        for hidden, text in HIDDEN.items():
            name = f"{container}-{hidden}.md".replace(" ", "-")
            body = f"{text}\n\nIt takes ¦5 tries.".replace("\n", f"\n{indent}")
            page = "# A\n\n" + wrap.format(body) + "\n"
            before, _, after = page.partition("¦")
            small.write(f"docs/{name}", before + after)
            line = before.count("\n") + 1
            expected.add(f"docs/{name}:{line}:{len(indent) + 10}")
            names.append(name)
    for name in names:
        list_page(small, name)
    found = small.guide()[1][:-1]
    assert {": ".join(line.split(": ")[:1]) for line in found} == expected
    assert len(found) == len(expected)


# Where a number may stand, in a block of its own.
BLOCKS = {
    "paragraph": "It takes ¦ here.",
    "list": "- One.\n- It takes ¦ here.",
    "numbered list": "1. It takes ¦ here.",
    "quotation": "> It takes ¦ here.",
    "table": "| A | B |\n| --- | --- |\n| one | ¦ |",
    "table's head": "| A | ¦ |\n| --- | --- |\n| one | two |",
    "caption": FIGURE.replace("¦", "").format(
        caption=CAPTION.replace("It ", "It takes ¦ here. It ")
    ),
    "admonition": "!!! note\n\n    It takes ¦ here.",
    "admonition's title": '!!! note "It takes ¦"\n\n    Text.',
    "folded title": '??? note "It takes ¦"\n\n    Text.',
    "tab": '=== "One"\n\n    It takes ¦ here.',
    "tab's label": '=== "It takes ¦"\n\n    Text.',
    "heading": "## It takes ¦",
    "footnote": "A note.[^1]\n\n[^1]: It takes ¦ here.",
    "link": "See [it takes ¦](https://example.org).",
    "alt text": "![A line takes ¦](image.png)",
}
NUMBERS = [
    "twice", "thrice", "double", "doubling", "triples", "halves",
    "half", "half of it", "a half", "one and a half", "nearly half",
    "a third of it", "a third less", "by a third", "two thirds",
    "three-quarters", "one tenth", "a tenth as", "a hundredth of",
    "ten times", "ten-times", "twenty fold", "tenfold", "three percent",
    "an order of magnitude", "two orders of magnitude",
    "by a factor of ten", "within about a factor of two",
    "dozens", "a dozen", "hundreds of them", "thousands of it",
    "½", "2½", "¼", "⅔", "10³", "2^10", "1e3", "1e-3", "５", "x10", "Ⅷ",
    "&frac12;", "&#53;", "&#xbd;",
]  # fmt: skip
# What only looks like one of them.
NO_NUMBERS = [
    "one half of the seeds", "the second half", "the other half",
    "half-life", "half precision", "double precision", "a double-check",
    "a third size", "the last quarter", "three pages", "two devices",
    "one of them", "sometimes", "manifold", "many times", "a few times",
    "a factor of two apart", "its order of magnitude", "m²", "CO₂",
    "one example in a hundred", "H200", "the tenth epoch", "Caf&#233;",
]  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS)
def test_every_number_is_found_in_every_kind_of_block(small: Project, block):
    expected, pages = {}, ["# Blocks\n"]
    line = 3
    for number in NUMBERS:
        text = BLOCKS[block].replace("¦", f"¦{number}")
        before, _, after = text.partition("¦")
        expected[line + before.count("\n")] = number
        pages.append(before + after + "\n")
        line += text.count("\n") + 2
    small.write("docs/index.md", "\n".join(pages))
    places = (re.match(r"docs/index\.md:(\d+):", one) for one in small.found())
    lines = {int(place[1]) for place in places if place}
    missed = [expected[line] for line in sorted(set(expected) - lines)]
    assert missed == []


def test_words_that_only_look_like_numbers_are_let_pass(small: Project):
    text = "".join(f"It has {words} here.\n\n" for words in NO_NUMBERS)
    small.append("docs/index.md", text)
    assert small.found() == []


@pytest.mark.parametrize("code", ["`½`", "`10³`", "$½$", "`2½ ms`"])
def test_a_number_in_code_has_plain_digits(small: Project, code):
    place = small.append("docs/index.md", f"It takes ¦{code} tries.\n")
    (found,) = small.found()
    assert found.startswith(f"{place}: a lone number in code, ")


def test_every_problem_is_told_at_once_in_order(small: Project):
    second = small.append("docs/index.md", "A ¦5.\n")
    third = small.append(
        PLACE, "A <data value='small.cpu:test.count'>¦1,240</data>, 5."
    )
    first = break_owner(small)
    status, lines = small.guide()
    assert status == 1
    assert [line.split(": ")[0] for line in lines[:3]] == [
        second,
        third,
        re.sub(r"\d+$", lambda column: str(int(column[0]) + 14), third),
    ]
    assert lines[3].startswith(f"{first}: ")
    assert lines[4:] == [
        "4 problems. To accept the measured numbers: guide check --update"
    ]


def test_update_is_not_advised_where_it_cannot_help(small: Project):
    small.append(PLACE, "It takes 5.\n")
    assert small.guide()[1][-1] == "1 problem."


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("count", "1,240", "1,268"),
        ("count", "1240", "1268"),
        ("count", "999", "1,268"),
        ("count", "1.00", "1,268.00"),
        ("share", "90 %", "94 %"),
        ("share", "90.0%", "94.3%"),
        ("gap", "−1.0", "−1.2"),
        ("gap", "-1.0", "-1.2"),
        ("gap", "3.00", "−1.25"),
        ("twenty", "−3", "20"),
        ("zero", "−0.4", "0.0"),
        ("count", "\n**1,240**", "\n**1,268**"),
    ],
)
def test_update_writes_the_number_in_the_form_it_had(small, key, old, new):
    place = small.append(PLACE, f"A ¦{DATA.format(key, old)} b 7 c\n")
    before = (small.root / PLACE).read_text()
    status, lines = small.guide(update=True)
    after = (small.root / PLACE).read_text()
    assert after == before.replace(f">{old}<", f">{new}<")
    assert place.rpartition(":")[0].rpartition(":")[0] in lines[0]
    # The bare 7 is left to a person.
    assert (status, lines[-1]) == (1, "1 problem.")


def test_update_changes_nothing_that_a_person_has_to_rewrite(small: Project):
    small.append(
        PLACE,
        "\n".join(
            DATA.format(key, text)
            for key, text in [
                ("count", "about 20"),
                ("count", "many"),
                ("speedup", "5"),
                ("fails", "needs fewer"),
                ("none", "7"),
            ]
        ),
    )
    before = (small.root / PLACE).read_bytes()
    assert small.guide(update=True)[0] == 1
    assert (small.root / PLACE).read_bytes() == before


def test_update_keeps_line_ends_and_ends_well(small: Project):
    text = f"# A\r\n\r\n{DATA.format('count', '1,240')}\r\n"
    path = small.write("docs/index.md", text)
    status, lines = small.guide(update=True)
    assert status == 0
    assert lines[0].startswith("docs/index.md:3:36: text says 1,240, measured")
    assert lines[0].endswith("; now says 1,268")
    assert lines[1].startswith("guide check: 3 pages, 4 bound numbers, 2 res")
    expected = text.replace("1,240", "1,268")
    assert path.read_bytes().decode() == expected


def in_torch(project: Project, key: str, **fields) -> None:
    """Change a value or a judgement of PyTorch's result alone."""

    def change(result):
        part = "judgements" if "holds" in fields else "values"
        result[part][key] |= fields

    project.change(result_of(project, "torch"), change)


@pytest.mark.parametrize(
    ("key", "text", "fields", "message"),
    [
        (
            "test.count",
            "1,268",
            {"value": 1300, "ci": [1290, 1310]},
            "text says 1,268, measured 1,268 [1,251–1,285] in Keras and "
            "measured 1,300 [1,290–1,310] in PyTorch (small.cpu:test.count); "
            "say 'about X', 'between X and Y' or a bound, or write one "
            "reference for each framework",
        ),
        (
            "test.count",
            "at most 1,285",
            {"value": 1300, "ci": [1290, 1310]},
            "text says at most 1,285, measured 1,300 [1,290–1,310] in PyTorch "
            "(small.cpu:test.count); rewrite the sentence, or write one",
        ),
        (
            "test.count",
            "1,268",
            {"value": None, "reason": "not reached"},
            "text says 1,268, measured nothing (not reached) in PyTorch",
        ),
        (
            "test.holds",
            "rises",
            {"holds": False},
            "text says rises, but it does not hold: test.count is 1,268 "
            "[1,251–1,285] in PyTorch (small.cpu:test.holds); expected one of: "
            "'falls', 'is no faster'; rewrite the sentence, or write one "
            "reference for each framework",
        ),
    ],
)
def test_a_shared_number_holds_in_both_frameworks(
    small: Project, key, text, fields, message
):
    in_torch(small, key, **fields)
    data = f'<data value="small.cpu:{key}">¦{text}</data>'
    place = small.append("docs/index.md", f"It is {data}.\n")
    (found,) = [line for line in small.found() if "docs/index.md" in line]
    assert found.startswith(f"{place}: {message}")
    # Update leaves it to a person.
    before = (small.root / "docs/index.md").read_text()
    assert small.guide(update=True)[0] == 1
    assert (small.root / "docs/index.md").read_text() == before


def test_a_shared_number_agrees_if_both_round_to_it(small: Project):
    in_torch(small, "test.twenty", value=19.6)
    texts = ("20", "about 20", "between 18 and 22")
    data = " or ".join(DATA.format("twenty", text) for text in texts)
    small.append("docs/index.md", f"It is {data}.\n")
    assert small.found() == []


def test_update_mends_a_shared_number_that_rounds_alike(small: Project):
    in_torch(small, "test.twenty", value=19.6)
    small.append("docs/index.md", f"It is {DATA.format('twenty', '21')}.\n")
    assert small.guide(update=True)[0] == 0
    assert (
        DATA.format("twenty", "20")
        in (small.root / "docs/index.md").read_text()
    )


def test_a_key_of_one_framework_is_bound_by_its_name(small: Project):
    def add(result):
        result["values"]["test.more"] = VALUES["test.gap"]

    small.change(result_of(small), add)
    place = small.append("docs/index.md", "It is ¦" + DATA.format("more", "−1"))
    found = small.found()
    assert found[0].startswith(
        f"{place}: text says −1, but test.more is in one framework only, not "
        "in examples/small/small_torch.cpu.json (small.cpu:test.more); name "
        "the framework that has it"
    )
    assert len(found) == 2


def test_not_measured_yet_is_said_of_both_frameworks(small: Project):
    result = (small.root / result_of(small)).read_text()
    small.write(result_of(small, "torch", "gpu"), result)
    text = '<data value="small.gpu:test.count">not measured yet</data>'
    place = small.append("docs/index.md", f"It is ¦{text}.")
    (found,) = small.found()
    assert found.startswith(
        f"{place}: text says not measured yet, but "
        "examples/small/small_torch.gpu.json exists; write what it says"
    )


TABLE = """\
["test.holds"]
holds = ["rises", "is faster at `batch_size=7`", "twice as fast"]
fails = ["falls", "is no faster"]
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        (TABLE, "", "", "has no phrases for test.holds, which texts cite; "
         'write: ["test.holds"], holds = ["…"], fails = ["…"]'),
        ('["falls", "is no faster"]', "[]", ":2:1", "test.holds has no phrase "
         "in fails; write one that a text would say if it does not hold"),
        ('"falls", ', '"Rises", ', ":2:1", "test.holds is told by 'rises' if "
         "it holds and if it does not; take it out of one list"),
        ('"falls", ', "7, ", ":2:1", "test.holds has another form"),
        ('["test.holds"]', "[test.holds]", ":2:1", "test has another form; "
         'expected ["test"], holds'),
        (TABLE, TABLE + TABLE.replace('holds"', 'uncited"'), ":5:1",
         "test.uncited is cited by no text; mend the key, or delete it"),
        (TABLE, TABLE + TABLE.replace('holds"', 'hold"'), ":5:1",
         "test.hold is no judgement; did you mean test.holds?; mend the key"),
        (TABLE, "[", ":2:", "no TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_phrases_is_told(
    small: Project, old, new, place, message
):
    path = small.root / "examples/small/phrases.toml"
    path.write_text(path.read_text().replace(old, new))
    found = small.found()
    told = f"examples/small/phrases.toml{place}"
    assert any(one.startswith(told) and message in one for one in found)


def test_update_in_a_markdown_cell_leaves_the_result_valid(small: Project):
    path = "examples/small/small_keras.py"
    cell = f"# %% [markdown]\n# It takes {DATA.format('count', '1,240')}\n"
    small.append(path, cell)
    assert small.guide(update=True)[0] == 0
    assert ">1,268<" in (small.root / path).read_text()


def test_an_older_gpu_result_is_a_warning(small: Project):
    result = json.loads((small.root / result_of(small)).read_text())
    result["provenance"]["code"] = "0" * 64
    for framework in ("keras", "torch"):
        path = result_of(small, framework, "gpu")
        small.write(path, json.dumps(result))
    status, lines = small.guide()
    assert status == 0
    assert lines[0] == (
        f"{result_of(small, device='gpu')}: warning: older than its program; "
        "run: guide run small"
    )
    assert lines[2].endswith("4 results: no problems")


@pytest.mark.parametrize(
    ("comment", "problems"),
    [
        ("# no twin, because: Keras has no such thing", 0),
        ("# because: Keras has no such thing, no twin", 0),
        ("# no twin", 1),
        ("# no twin, because:", 1),
        ("\n" * 15 + "# no twin, because: it stands too low", 1),
    ],
)
def test_a_missing_twin_needs_a_reason(small: Project, comment, problems):
    text = SNIPPET.replace("NAME", "lonely_torch")
    small.write("snippets/lonely_torch.py", f"{comment}\n{text}")
    small.append(
        PLACE,
        '```python\n--8<-- "snippets/lonely_torch.py:lonely_torch"\n```\n',
    )
    assert len(small.guide()[1]) - 1 == problems


def test_a_program_without_a_twin_is_found(small: Project):
    small.write("examples/other/lonely_keras.py", header("gpu"))
    (found, _) = small.guide()[1]
    assert found.startswith(
        "examples/other/lonely_keras.py:1:1: has no twin for PyTorch; write "
        "examples/other/lonely_torch.py"
    )


def test_a_file_that_is_embedded_whole_shows_all_its_sections(small: Project):
    second = SNIPPET.replace("def NAME", "def other").replace("NAME", "second")
    text = SNIPPET.replace("NAME", "lonely") + second
    small.write("snippets/lonely.py", text)
    small.append(PLACE, '```python\n--8<-- "snippets/lonely.py"\n```\n')
    assert small.guide()[0] == 0


def test_a_page_made_by_the_build_is_not_checked(small: Project):
    for path in ("docs/evidence/a.md", "docs/references.md"):
        small.write(path, "# The 5\n\n7 and twice and `9`\n")
    assert small.guide()[0] == 0


CODE = """# %% [markdown]
# # Title

# %%
'''About the module.'''
TEXT = "a # b"
LONG = \"\"\"one

  # two   \n\"\"\"


class A:
    "About the class."

    def f(self):  # A comment.
        '''About

        é the function.'''
        return 1


def g(): "About"; return 2
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("A comment.", "Another.", True),
        ("  # A comment.", "", True),
        ("# # Title", "# # Another\n#\n# with text", True),
        ("About the module.", "Of the module.", True),
        ("'''About the module.'''\n", "", True),
        ("About the class", "Of\nthe class", True),
        ("About\n", "About #\n\n\n", True),
        ("\n\nclass", "\n\n\n\nclass", True),
        ("return 1", "return 1   ", True),
        ('g(): "About"', 'g(): "Of"', True),
        ("return 1", "return 3", False),
        ("return 2", "return 3", False),
        ("a # b", "a # c", False),
        ("one\n\n", "one\n", False),
        ("# two", "# three", False),
        ("# two   ", "# two", False),
        ("        return 1", "    return 1", False),
        ("class A", "class B", False),
    ],
)
def test_only_code_counts_in_the_hash(tmp_path: Path, old, new, same):
    code = CODE.replace('"About the class."', "'''About the class.'''")
    assert old in code
    hashes = []
    for text in (code, code.replace(old, new)):
        path = tmp_path / f"p{len(hashes)}.py"
        path.write_text(text)
        hashes.append(Program(tmp_path, path).code_hash)
    assert (hashes[0] == hashes[1]) == same


# A bound text, also as it stands in a ledger, where quotes may be escaped.
BOUND = re.compile(
    r"""<data\s+value=\\?["'](?P<value>[^"'\\]+)\\?["']>"""
    r"(?P<text>.*?)</data>",
    re.S,
)


def flipped(project: Examined, text: str) -> tuple[str, list[int]]:
    """The text with every judgement told wrongly, and where those words are."""
    parts, places, last, size = [], [], 0, 0
    for match in BOUND.finditer(text):
        reference = Reference.read(match["value"])
        if not reference or "measured" in match["text"].split():
            continue
        try:
            part, found = project.find(reference)
        except Unknown:
            # What is not there is told without being turned.
            continue
        if part != "judgements":
            continue
        truths = {r[part][reference.key]["holds"] for r in found.values()}
        lists = project.asked(reference).phrases.lists.get(reference.key)
        if len(truths) > 1 or not lists:
            continue
        opposite = next(iter(lists[not truths.pop()].values()))
        parts += [text[last : match.start("text")], opposite]
        size += match.start("text") - last
        places.append(size)
        size += len(opposite)
        last = match.end("text")
    return "".join([*parts, text[last:]]), places


def test_no_word_of_the_guide_can_be_turned_into_its_opposite(tmp_path: Path):
    project = Examined(ROOT)
    for name in ("examples", "snippets", "mkdocs.yml", "constraints.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    expected = set()
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*")]:
        where = path.relative_to(ROOT).as_posix()
        if path.suffix not in (".md", ".toml", ".bib") or is_generated(where):
            continue
        text, places = flipped(project, path.read_text("utf-8"))
        (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / where).write_text(text)
        expected |= {(where, *place(text, start)) for start in places}
    found = {
        (problem.path, problem.line, problem.column)
        for problem in Examined(tmp_path).problems
        if ", but it " in problem.message
    }
    assert len(expected) > 300
    assert sorted(expected - found) == []
