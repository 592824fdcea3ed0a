"""A benchmark says whether its bound holds, and its exit status too."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
SCRIPT = "from _bench import Row, report; report([Row('it', 3, 's', {bound})])"


@pytest.mark.parametrize(
    ("bound", "status", "told"),
    [
        ("at_most=3", 0, "holds   it: 3 s (expected at most 3)"),
        ("at_most=2.9", 1, "MISSED  it: 3 s (expected at most 2.9)"),
        ("at_least=3", 0, "holds   it: 3 s (expected at least 3)"),
        ("at_least=3.1", 1, "MISSED  it: 3 s (expected at least 3.1)"),
    ],
)
def test_a_bound_decides_the_exit_status(bound, status, told):
    command = [sys.executable, "-c", SCRIPT.format(bound=bound)]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (status, told)


def test_an_unknown_benchmark_is_refused_with_those_there_are():
    command = [sys.executable, FOLDER / "run.py", "unknown"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        "unknown: no such benchmark; there are: check, commands, lines"
        in done.stderr
    )
