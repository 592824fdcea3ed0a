"""A downloaded program runs with what its own first cell says to install."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from _guide.project import FRAMEWORKS, programs

ROOT = Path(__file__).parents[2]
PROGRAMS = programs(ROOT)
LINES = {}
for program in PROGRAMS:
    LINES.setdefault(program.header["install"], []).append(program)
# Runs files, each in its folder, as if the modules and packages of BLOCKED
# were not installed. In one process, since importing a framework takes longer
# than a short run.
WITHOUT = """\
import json, os, pathlib, runpy, sys

modules, packages = map(set, json.loads(os.environ["BLOCKED"]))


class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in modules:
            return None
        return self.finder.find_spec(name, path, target)

    def find_distributions(self, context):
        find = getattr(self.finder, "find_distributions", lambda _: ())
        for found in find(context):
            if found.metadata["Name"] not in packages:
                yield found


sys.meta_path[:] = map(Without, sys.meta_path)
for path in map(pathlib.Path, sys.argv[1:]):
    print("running", path, flush=True)
    os.chdir(path.parent)
    runpy.run_path(str(path), run_name="__main__")
"""


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def needed_by(line):
    """The packages that `pip install LINE` brings, as they are here."""
    found, pending = set(), [Requirement(word) for word in line.split()]
    while pending:
        wanted = pending.pop()
        name = plain(wanted.name)
        if (name, *sorted(wanted.extras)) in found:
            continue
        found.add((name, *sorted(wanted.extras)))
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for need in map(Requirement, needs):
            extras = [{"extra": extra} for extra in ["", *wanted.extras]]
            if not need.marker or any(map(need.marker.evaluate, extras)):
                pending.append(need)
    return {name for name, *_ in found}


OWNERS = importlib.metadata.packages_distributions()


def without(line):
    """(modules, packages) that are here, but not by `pip install LINE`."""
    needed = needed_by(line)
    packages = {owner for owners in OWNERS.values() for owner in owners}
    packages = {name for name in packages if plain(name) not in needed}
    modules = [name for name, owners in OWNERS.items() if packages >= {*owners}]
    return [*modules, "snippets", "_guide"], sorted(packages)


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


def run_without(texts, line, folder):
    """Run programs, each in an empty folder, with what the line installs."""
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / str(number) / "program.py")
        paths[-1].parent.mkdir()
        paths[-1].write_text(text, encoding="utf-8")
    blocked = json.dumps(without(line))
    command = (sys.executable, "-c", WITHOUT, *paths)
    return run(*command, folder=folder, BLOCKED=blocked)


@pytest.mark.parametrize("line", LINES)
def test_downloads_need_only_their_install_line(line, tmp_path):
    texts = [program.expanded(short=True) for program in LINES[line]]
    done = run_without(texts, line, tmp_path)
    names = ", ".join(program.where for program in LINES[line])
    assert done.returncode == 0, f"{names}\n{done.stdout}"


@pytest.mark.parametrize("module", ["scipy", "sklearn", "snippets", "_guide"])
def test_what_the_line_does_not_name_is_missing(module, tmp_path):
    texts = ["import numpy", f"import {module}"]
    done = run_without(texts, "matplotlib", tmp_path)
    assert done.stdout.count("running") == 2
    assert f"No module named '{module}'" in done.stdout


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
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_download_runs_after_its_install_line(framework, python, tmp_path):
    program = next(p for p in PROGRAMS if p.framework == framework)
    done = run(
        *(python, "-m", "pip", "install", "-q"),
        *program.header["install"].split(),
        folder=tmp_path,
        # Pins the versions, so that PyTorch's build for CPUs is taken.
        PIP_CONSTRAINT=str(ROOT / "constraints.txt"),
    )
    assert done.returncode == 0, done.stdout
    path = tmp_path / "program.py"
    path.write_text(program.expanded(short=True), encoding="utf-8")
    done = run(python, path.name, folder=tmp_path)
    assert done.returncode == 0, f"{program.where}\n{done.stdout}"
