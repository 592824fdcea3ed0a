"""A snippet works where a reader pastes it: alone, in an empty folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from _guide.project import Source

ROOT = Path(__file__).parents[2]
SNIPPETS = sorted(ROOT.glob("snippets/[!_]*.py"))

# The editable install would let a copied file import the project; a reader
# has no such install, so both names are taken away.
ALONE = """\
import importlib, runpy, sys
sys.modules["snippets"] = sys.modules["_guide"] = None
sys.path.insert(0, "")
name = sys.argv[1]
runpy.run_path(name + ".py", run_name="__main__")
assert callable(getattr(importlib.import_module(name), name))
"""


def run_alone(text, name, folder):
    """Run a copy of the snippet, then import its function, elsewhere."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-c", ALONE, name],
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_a_snippet_stands_alone(path, tmp_path):
    source = Source(ROOT, path)
    # What it imports of ours stands above it on the page.
    cells = [c for s in (*source.imported, source) for c in s.parts()]
    text = "\n".join(cell.text for cell in cells)
    done = run_alone(text, path.stem, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [left.name for left in tmp_path.iterdir()] in (
        [path.name],
        [path.name, "__pycache__"],
        ["__pycache__", path.name],
    )


@pytest.mark.parametrize(
    "text",
    [
        "from snippets.mean_interval import mean_interval\nalone = print\n",
        "import _guide\nalone = print\n",
        "other = print\n",
    ],
    ids=["imports a snippet", "imports the tool", "has another name"],
)
def test_a_snippet_that_needs_more_is_noticed(text, tmp_path):
    assert run_alone(text, "alone", tmp_path).returncode != 0
