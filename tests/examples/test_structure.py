"""A program ends where the framework ends, and nothing is said twice."""

from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("examples/[!_]*/*.py"))
# So many equal lines in a row are a second copy.
COPY = 10
LONGEST = 500


def rows(path):
    """(number, line) of the lines that are not blank, without indentation."""
    lines = path.read_text("utf-8").split("\n")
    return [
        (n, line.strip()) for n, line in enumerate(lines, 1) if line.strip()
    ]


def copies(files):
    """`path:line` pairs where a run of COPY equal lines begins."""
    seen = {}
    for path in files:
        found = rows(path)
        for start in range(len(found) - COPY + 1):
            run = tuple(line for _, line in found[start : start + COPY])
            seen.setdefault(run, []).append(f"{path}:{found[start][0]}")
    return [
        pair
        for places in seen.values()
        for pair in combinations(places, 2)
        if pair[0].partition(":")[0] != pair[1].partition(":")[0]
    ]


def test_no_run_of_lines_stands_in_two_programs():
    assert copies(FILES) == []


def test_a_second_copy_is_noticed(tmp_path):
    lines = [f"line_{number} = {number}" for number in range(COPY)]
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(f"# {name}\n\n" + "\n\n".join(lines))
    (pair,) = copies(sorted(tmp_path.glob("*.py")))
    assert pair == (f"{tmp_path}/one.py:3", f"{tmp_path}/two.py:3")
    (tmp_path / "two.py").write_text("\n".join(lines[:-1]))
    assert copies(sorted(tmp_path.glob("*.py"))) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_program_is_no_longer_than_a_lesson(path):
    assert path.read_text("utf-8").count("\n") <= LONGEST
