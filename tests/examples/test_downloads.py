"""A downloaded program runs with what its own first cell says to install."""

import os
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from _guide.project import programs

ROOT = Path(__file__).parents[2]


def by_install_line():
    """The programs of each line, so that a line is installed once."""
    found = {}
    for program in programs(ROOT):
        found.setdefault(program.header["install"], []).append(program)
    return found


LINES = by_install_line()


def run(*command, folder, **more):
    """Run a command as a reader would, without anything of this project."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment | {"MPLBACKEND": "Agg"} | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def new_python(folder):
    """The interpreter of a new and empty environment."""
    venv.create(folder, with_pip=True)
    return folder / "bin/python"


@pytest.fixture
def python(tmp_path):
    """A new interpreter; its packages are gone again after the test."""
    yield new_python(tmp_path / "python")
    # because: pytest keeps folders, and these hold gigabytes.
    run("rm", "-rf", tmp_path / "python", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES)
def test_a_download_needs_only_its_install_line(line, python, tmp_path):
    constraints = str(ROOT / "constraints.txt")
    done = run(
        *(python, "-m", "pip", "install", "-q", *line.split()),
        folder=tmp_path,
        # Pins the versions, so that PyTorch's build for CPUs is taken.
        PIP_CONSTRAINT=constraints,
    )
    assert done.returncode == 0, done.stdout

    def short_run(program):
        folder = tmp_path / program.name
        folder.mkdir()
        path = folder / f"{program.name}.py"
        path.write_text(program.expanded(short=True), encoding="utf-8")
        return program, run(python, path.name, folder=folder)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for program, done in pool.map(short_run, LINES[line]):
            assert done.returncode == 0, f"{program.where}\n{done.stdout}"


@pytest.mark.parametrize("module", ["snippets", "_guide", "numpy"])
def test_a_new_interpreter_has_nothing_that_would_hide_a_need(
    module, python, tmp_path
):
    assert (
        run(sys.executable, "-c", "import numpy", folder=tmp_path).stdout == ""
    )
    done = run(python, "-c", f"import {module}", folder=tmp_path)
    assert "ModuleNotFoundError" in done.stdout
