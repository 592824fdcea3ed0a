"""How long the project is, in lines, and what stands in it twice."""

import sys

from _bench import ROOT, Row, report

sys.path.insert(0, str(ROOT / "tests/examples"))
from test_structure import FILES, copies


def lines(files):
    """In thousands."""
    return sum(path.read_text("utf-8").count("\n") for path in files) / 1000


def measure():
    tool = (ROOT / "examples/_guide").rglob("*.py")
    tests = (ROOT / "tests").glob("*/*.py")
    yield Row(
        "the topics' programs", lines(FILES), "thousand lines", at_most=18
    )
    yield Row("runs that two share", len(copies(FILES)), "runs", at_most=0)
    yield Row("the tool", lines(tool), "thousand lines", at_most=5.8)
    yield Row("the tests", lines(tests), "thousand lines", at_most=13)


if __name__ == "__main__":
    report(measure())
