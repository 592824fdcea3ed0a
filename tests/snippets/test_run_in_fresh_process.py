"""A function's text runs elsewhere, and its failure is told."""

import os

import pytest

from snippets.run_in_fresh_process import run_in_fresh_process

SOURCE = """\
import os

def tell(number):
    return [number + 1, os.getpid(), os.environ.get("SAID")]

def fail():
    raise KeyError("lost")

def end():
    os._exit(9)
"""


def test_it_runs_in_another_process_with_its_environment():
    number, process, said = run_in_fresh_process(
        SOURCE, "tell", [4], {"SAID": "yes"}
    )
    assert number == 5 and said == "yes" and process != os.getpid()


def test_failures_are_told():
    with pytest.raises(RuntimeError, match="lost"):
        run_in_fresh_process(SOURCE, "fail")
    with pytest.raises(RuntimeError, match="end ended with 9"):
        run_in_fresh_process(SOURCE, "end")
    with pytest.raises(ValueError, match="no function other"):
        run_in_fresh_process(SOURCE, "other")
