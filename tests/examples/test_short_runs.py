"""Every example runs from end to end in its short form."""

import subprocess
import sys
from pathlib import Path

import pytest

from _guide.project import programs

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", programs(ROOT), ids=lambda found: found.name
)
def test_the_short_form_runs_to_its_end(program):
    committed = {
        path: path.read_bytes() for path in program.path.parent.glob("*.json")
    }
    done = subprocess.run(
        [sys.executable, "-m", "_guide", "run", "--short", program.name],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # A short run says nothing about batch size, so it must change nothing.
    assert committed == {
        path: path.read_bytes() for path in program.path.parent.glob("*.json")
    }
