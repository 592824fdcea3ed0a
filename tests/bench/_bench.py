"""What the benchmarks share: how they measure, and how they report."""

import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from _guide.project import DEVICES, programs

ROOT = Path(__file__).parents[2]


@dataclass
class Row:
    """One measured figure and the bound that it must keep."""

    what: str
    figure: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        return not (
            (self.at_least is not None and self.figure < self.at_least)
            or (self.at_most is not None and self.figure > self.at_most)
        )

    def __str__(self) -> str:
        bound, word = self.at_most, "at most"
        if self.at_least is not None:
            bound, word = self.at_least, "at least"
        verdict = "holds" if self.holds else "MISSED"
        return (
            f"{verdict:6}  {self.what}: {self.figure:.3g} {self.unit} "
            f"(expected {word} {bound:.3g})"
        )


def medians(*functions, repeats=5, clock=time.perf_counter):
    """The median time of each function; all take turns, repeatedly.

    On a busy machine a neighbour then slows all of them alike, so that their
    ratio stays what it is.
    """
    times = [[] for _ in functions]
    for _ in range(repeats):
        for function, taken in zip(functions, times):
            begun = clock()
            function()
            taken.append(clock() - begun)
    return [statistics.median(taken) for taken in times]


def copy_project(folder):
    """A copy of the project in which every example counts as just run."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in listed.split("\0"):
        # A name is still listed when its file was just deleted.
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for program in programs(folder):
        found = [d for d in DEVICES if program.committed(d).is_file()]
        # What needs a GPU may not be measured yet.
        if not found and "cpu" in program.header["devices"]:
            sys.exit(
                f"{program.where}: has no result yet; run: "
                f"guide run {program.name} && guide accept {program.name}"
            )
        for device in found:
            program.fresh(device).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(program.committed(device), program.fresh(device))
    return folder


def guide(folder, *words):
    """Run the command in the folder; ends the benchmark if it fails."""
    run(folder, sys.executable, "-m", "_guide", *words)


def run(folder, *command):
    """Run a command in the folder; ends the benchmark if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    # What stops at a problem would be timed for nothing.
    if done.returncode:
        sys.exit((done.stdout + done.stderr)[-4000:])


def report(rows):
    """Print the rows as they come; exit with 1 if a bound was missed."""
    missed = 0
    for row in rows:
        print(row, flush=True)
        missed += not row.holds
    sys.exit(1 if missed else 0)
