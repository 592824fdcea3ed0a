"""A snippet works where a reader pastes it: alone, in an empty folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from _guide.project import FRAMEWORKS, Source

ROOT = Path(__file__).parents[2]
SNIPPETS = sorted(ROOT.glob("snippets/[!_]*.py"))

# The editable install would let a copied file import the project; a reader
# has no such install, so both names are taken away.
ALONE = """\
import importlib, os, runpy, sys
sys.modules["snippets"] = sys.modules["_guide"] = None
sys.path.insert(0, "")
for name in sys.argv[1:]:
    print("alone:", name, flush=True)
    os.chdir(os.path.join(os.environ["FOLDER"], name))
    runpy.run_path(name + ".py", run_name="__main__")
    assert callable(getattr(importlib.import_module(name), name))
    left = {*os.listdir()} - {name + ".py", "__pycache__"}
    assert not left, left
"""


def run_alone(texts, folder):
    """Run copies of snippets, each in its folder, then import its function.

    In one process, since to import a framework takes longer than the rest.
    """
    for name, text in texts.items():
        (folder / name).mkdir()
        (folder / name / f"{name}.py").write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-c", ALONE, *texts],
        env={"PATH": "", "FOLDER": str(folder)},
        capture_output=True,
        text=True,
    )


def framework(path):
    last = path.stem.rpartition("_")[2]
    return last if last in FRAMEWORKS else "neither"


def pasted(path):
    """The snippet's text below what it imports of ours, as on its page."""
    source = Source(ROOT, path)
    cells = [c for s in (*source.imported, source) for c in s.parts()]
    return "\n".join(cell.text for cell in cells)


@pytest.mark.parametrize("which", [*FRAMEWORKS, "neither"])
def test_a_snippet_stands_alone(which, tmp_path):
    texts = {p.stem: pasted(p) for p in SNIPPETS if framework(p) == which}
    done = run_alone(texts, tmp_path)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr
    assert done.stdout.count("alone:") == len(texts) > 5


@pytest.mark.parametrize(
    "text",
    [
        "from snippets.mean_interval import mean_interval\nalone = print\n",
        "import _guide\nalone = print\n",
        "open('left', 'w').close()\nalone = print\n",
        "other = print\n",
    ],
    ids=["imports a snippet", "imports the tool", "leaves", "has another name"],
)
def test_a_snippet_that_needs_more_is_noticed(text, tmp_path):
    assert run_alone({"alone": text}, tmp_path).returncode != 0
