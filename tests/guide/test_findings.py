"""What a program measures is kept, and can be concluded from again."""

import json

import pytest

from _guide.project import GuideError, Program

PROBLEM = """\
# %% [markdown]
# ## Settings

# %%
SHORT = False

SIZES = [4, 8]
"""
FINDINGS = """\
# %% [markdown]
# ## What is read from the runs

# %%
from snippets.double import double
from topic_problem import *

MARGIN = 1


def topic_findings(runs):
    print("concluded")
    return {
        "values": {
            f"count.{size}": {
                "value": double(count), "unit": "count", "exact": True
            }
            for size, count in zip(SIZES, runs)
        },
        "judgements": {},
        "series": {},
    }
"""
PROGRAM = """\
# %% [markdown]
# # Topic
#
# Counts something.
#
# - Install: `pip install numpy`
# - Runs on: `cpu`
# - Expected: `0.1` minutes
# - Timing: `alone`

# %%
from topic_findings import topic_findings
from topic_problem import *

# %% [markdown]
# ## Count

# %%
with open({ran!r}, "a") as stream:
    stream.write("ran ")
print("measured")
runs = [size + 1 for size in SIZES]

# %% [markdown]
# ## What was found

# %%
results = topic_findings(runs)
"""
DOUBLE = """\
# --8<-- [start:double]
def double(x):
    return 2 * x


# --8<-- [end:double]
"""


class Study:
    """A program with its problem and its findings, and what it left."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.folder = scratch.root / "examples/topic"
        self.folder.mkdir()
        self.ran = scratch.root / "ran"
        self.path = self.folder / "topic_torch.py"
        self.path.write_text(PROGRAM.format(ran=str(self.ran)))
        (self.folder / "topic_problem.py").write_text(PROBLEM)
        (self.folder / "topic_findings.py").write_text(FINDINGS)
        (scratch.root / "snippets/double.py").write_text(DOUBLE)

    @property
    def program(self):
        return Program(self.scratch.root, self.path)

    @property
    def times(self):
        """How often the program has measured."""
        return self.ran.read_text().count("ran") if self.ran.exists() else 0

    @property
    def values(self):
        found = self.scratch.load(self.scratch.fresh("topic_torch"))["values"]
        return {key: entry["value"] for key, entry in found.items()}

    def change(self, name, old, new):
        path = self.scratch.root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def run(self, *words):
        return self.scratch.guide("run", *words)


@pytest.fixture
def study(scratch):
    return Study(scratch)


def test_what_runs_is_problem_then_program_then_findings(study):
    text = study.program.expanded()
    places = [
        text.index(part)
        for part in (
            "SIZES = [4, 8]",
            "## Count",
            "def double",
            "def topic_findings",
            "## What was found",
            "results = topic_findings(runs)",
        )
    ]
    assert places == sorted(places)
    for ours in ("topic_problem import", "topic_findings import", "snippets"):
        assert ours not in text
    assert "SHORT = True" in study.program.expanded(short=True)


def test_changed_findings_are_found_again_without_measuring(study):
    first = study.run()
    assert first.returncode == 0, first.stderr
    assert "Measured again:\n  topic_torch: 2 values" in first.stdout
    assert study.values == {"count.4": 10, "count.8": 18}

    study.change("snippets/double.py", "2 * x", "20 * x")
    again = study.run()

    assert again.returncode == 0, again.stderr
    assert "Found again from kept runs, nothing measured:" in again.stdout
    assert study.times == 1
    assert study.values == {"count.4": 100, "count.8": 180}
    found = study.scratch.load(study.scratch.fresh("topic_torch"))
    assert study.program.is_current(found["provenance"])
    assert found["provenance"]["settings"] == {
        "SHORT": False,
        "SIZES": [4, 8],
        "MARGIN": 1,
    }
    notebook = study.scratch.root / ".build/notebooks/topic_torch.cpu.ipynb"
    cells = json.loads(notebook.read_text())["cells"]
    printed = [
        output["text"]
        for cell in cells
        for output in cell.get("outputs", ())
        if output["output_type"] == "stream"
    ]
    assert printed == [["measured\n"], ["concluded\n"]]
    sources = ["".join(cell["source"]) for cell in cells]
    assert sources[-1] == "results = topic_findings(runs)"
    assert not any("_guide" in source for source in sources)

    assert "already run here" in study.run().stdout
    study.change("examples/topic/topic_problem.py", "[4, 8]", "[4, 16]")
    assert "Measured again" in study.run().stdout
    assert study.times == 2
    assert study.values == {"count.4": 100, "count.16": 340}
    assert study.run("--fresh").returncode == 0
    assert study.times == 3


def test_findings_that_raise_leave_the_runs(study):
    study.change(
        "examples/topic/topic_findings.py",
        '    print("concluded")',
        "    1 / 0",
    )
    failed = study.run()
    assert failed.returncode == 1
    line = FINDINGS.splitlines().index('    print("concluded")') + 1
    assert (
        f"examples/topic/topic_findings.py:{line}: ZeroDivisionError"
        in failed.stderr
    )
    study.change("examples/topic/topic_findings.py", "    1 / 0\n", "")
    mended = study.run()
    assert mended.returncode == 0, mended.stderr
    assert "Found again from kept runs" in mended.stdout
    assert study.times == 1


def test_a_short_run_keeps_no_runs(study):
    assert study.run("--short").returncode == 0
    assert not list((study.scratch.root / ".build").rglob("*"))


@pytest.mark.parametrize(
    "last",
    [
        "results = topic_findings(runs)\nprint(results)",
        "found = topic_findings(runs)",
        "results = dict(topic_findings(runs))",
    ],
)
def test_a_last_cell_that_does_more_is_refused(study, last):
    study.change(
        "examples/topic/topic_torch.py", "results = topic_findings(runs)", last
    )
    with pytest.raises(GuideError, match="topic_torch.py:28: the last cell"):
        study.program.expanded()


@pytest.mark.parametrize(
    ("imports", "why"),
    [
        ("from topic_problem import SIZES", "expected: from topic_problem"),
        ("import topic_problem", "a form of import that is not replaced"),
        ("from other_problem import *", "no file examples/topic/other_problem"),
    ],
)
def test_an_import_of_a_sibling_has_one_form(study, imports, why):
    study.change(
        "examples/topic/topic_torch.py", "from topic_problem import *", imports
    )
    with pytest.raises(GuideError, match=f"topic_torch.py:13: .*{why}"):
        study.program.expanded()
