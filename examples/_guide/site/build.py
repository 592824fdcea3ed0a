"""`guide build`: compares, draws, checks, and builds site/."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from _guide.project import GuideError, programs
from _guide.results import disagreements
from _guide.site.draw import draw
from _guide.site.pages import Result, results_of, write_pages

# Tells the hook that what it would do has just been done.
PREPARED = "GUIDE_PREPARED"


def build(root: Path, preview: bool) -> int:
    """0 if what was measured, the text and the site are as they should be.

    With `preview`, only writes what the live preview needs.
    """
    if not preview and not agrees(root):
        print("No site was built.")
        return 1
    draw(root, [])
    found = write_pages(root)
    if preview:
        return 0
    settings = {"NOTEBOOKS": "1", "NO_MKDOCS_2_WARNING": "1", PREPARED: "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=root,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        print(f"{done.stdout}No site was built: MkDocs found what is above.")
        return 1
    tell(found)
    return 0


def agrees(root: Path) -> bool:
    """Whether text, committed and fresh results agree; tells all that do not.

    Comes before anything is drawn, which takes minutes.
    """
    from _guide.check.everything import check

    if find_spec("mkdocs") is None:
        raise GuideError("MkDocs is not installed; run: make site")
    wrong = check(root, False)
    try:
        differ = [compare(root, r) for r in results_of(programs(root))]
    except GuideError:
        # A broken result, which the check has told unless it is a fresh one.
        if not wrong:
            raise
        differ = []
    return not wrong and not any(differ)


def compare(root: Path, result: Result) -> bool:
    """Whether the fresh result is other than the committed one; tells how."""
    if not result.fresh:
        return False
    path = result.program.committed(result.device)
    where = path.relative_to(root).as_posix()
    accept = f"run: guide accept {result.program.topic}"
    if not result.committed:
        print(f"{where}:1: measured here, but not committed; {accept}")
        return True
    found = disagreements(result.committed, result.fresh)
    lines = path.read_text("utf-8").splitlines()
    for key, why in found:
        numbers = [
            n for n, line in enumerate(lines, 1) if f'"{key}": {{' in line
        ]
        # A series may have the name of a value; values come last, judgements
        # first.
        line = (numbers or [1])[-1 if key in result.committed["values"] else 0]
        print(f"{where}:{line}: {key}: {why}")
    if found:
        print(f"To take what was measured here, {accept}")
    return bool(found)


def tell(found: list[Result]) -> None:
    """Say what was measured again, what was not, and how to open the site."""
    again = [
        f"{r.name}, on {r.fresh['provenance']['date']}"
        for r in found
        if r.fresh
    ]
    others = [f"{r.name}, {r.words}" for r in found if not r.fresh]
    for title, names in (
        ("Measured again here, and it agrees:", again),
        ("Not run here:", others),
    ):
        if names:
            print("", title, *(f"  {name}" for name in names), sep="\n")
    if not os.environ.get("REPO_URL"):
        print("\nREPO_URL is not set: the pages have no edit links.")
    print(
        "\nThe site is in site/. To read it, open http://localhost:8000 "
        "after:\n  python -m http.server --directory site"
    )
