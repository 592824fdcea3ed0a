"""The decision flow is the same in the picture and in the list below it."""

import importlib.util
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[2]
PAGE = "docs/choosing/batch-size.md"
FIGURE = "examples/data_set_size/figure.py"


def drawn_flow():
    """(step or question, answer, action) of each box, without line breaks."""
    spec = importlib.util.spec_from_file_location("figure", ROOT / FIGURE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [
        tuple(part and " ".join(part.split()) for part in step)
        for step in module.FLOW
    ]


def written_flow(text):
    """The same of a page: its list, and of each answer what leads out."""
    listed = text.split("<!-- flow:")[1].replace("`", "")
    found = []
    for step in re.split(r"\n\d+\. ", listed)[1:]:
        question, *answers = step.split("\n    - ")
        ways = dict(answer.split(": ", 1) for answer in answers)
        ways = {
            answer: action.split("\n")[0].rstrip(".")
            for answer, action in ways.items()
            if not action.startswith(("go on", "back to"))
        }
        out = ways.popitem() if ways else (None, None)
        assert not ways, f"more than one way leads out of: {question}"
        found.append((question.split("\n")[0].rstrip("."), *out))
    return found


def test_the_list_says_what_the_picture_shows():
    text = (ROOT / PAGE).read_text("utf-8")
    assert written_flow(text) == drawn_flow(), (
        f"{PAGE} and FLOW in {FIGURE} differ; make them the same"
    )


def test_a_list_that_says_something_else_is_found():
    text = (ROOT / PAGE).read_text("utf-8")
    changed = text.replace("- no: Take the size before.", "- no: Give up.", 1)
    assert changed != text
    assert written_flow(changed) != drawn_flow()
