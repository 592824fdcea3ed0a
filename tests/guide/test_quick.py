"""`make quick` imports no framework, whatever its tests do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = ROOT / "tests/conftest.py"


def run_pytest(folder, *words):
    """(exit status, output) of pytest there; counts imports of frameworks."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pytest", *words],
        cwd=folder,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def test_reading_the_quick_tests_imports_no_framework():
    status, output, imported = run_pytest(
        ROOT, "-m", "quick", "tests", "--collect-only", "-q"
    )
    assert status == 0, output
    assert "tests/guide/test_check.py" in output
    for framework in ("keras", "tensorflow", "torch"):
        assert not any(
            line.split("|")[-1].strip().split(".")[0] == framework
            for line in imported.splitlines()
        )


@pytest.mark.parametrize("framework", ["keras", "tensorflow", "torch"])
def test_a_quick_test_that_imports_one_fails(tmp_path, framework):
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = quick: x\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\npytestmark = pytest.mark.quick\n\n\n"
        f"def test_it():\n    import {framework}\n"
    )
    status, output, _ = run_pytest(tmp_path, "-m", "quick", "-q")
    assert status == 1
    assert f"a quick test imports {framework}; take its mark" in output


def test_other_tests_are_not_even_read(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = quick: x\n")
    (tmp_path / "test_other.py").write_text("1 / 0\n")
    status, output, _ = run_pytest(tmp_path, "-m", "quick", "-q")
    assert status == 5, output
