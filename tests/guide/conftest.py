"""A tiny project to try the `guide` command in."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HEADER = """\
# %% [markdown]
# # {name}
#
# Counts something.
#
# - Install: `pip install numpy`
# - Runs on: `{device}`
# - Expected: `{minutes}` minutes
{timing}
# %%
import time

from as_found_findings import as_found_findings
{imports}
# %%
SHORT = False

SIZES = [4, 8]
"""
RESULTS = """
# %%
results = {
    "values": {"count": {"value": 3, "unit": "count", "exact": True}},
    "judgements": {"some": {"holds": True, "because": ["count"]}},
    "series": {"line": {"x": [1, 2], "y": [3, 4.5], "unit": "count"}},
}
"""
# These findings are made where it is measured.
AS_FOUND = """\
# %%
def as_found_findings(found):
    return found
"""
LAST = """
# %%
results = as_found_findings(found)
"""


class Scratch:
    """A project folder, and the command in it."""

    RESULTS = RESULTS

    def __init__(self, root: Path, temporary: Path) -> None:
        self.root = root
        self.temporary = temporary
        (root / "mkdocs.yml").write_text(
            "site_name: Scratch\nnav:\n  - index.md\n  - Lab:\n"
            "      - lab/other.md\n  - references.md\n"
        )
        for folder in ("examples", "snippets", "docs/lab"):
            (root / folder).mkdir(parents=True)
        self.nvidia_smi("exit 9")
        self.running: list[subprocess.Popen] = []

    def program(
        self,
        name: str,
        work: str = "",
        results: str = RESULTS,
        topic: str = "topic",
        minutes: float = 0.1,
        device: str = "cpu",
        alone: bool = False,
        imports: str = "",
    ) -> Path:
        """Write a program whose work, or results, are those given."""
        path = self.root / "examples" / topic / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        timing = "# - Timing: `alone`\n" if alone else ""
        header = HEADER.format(
            name=name,
            device=device,
            minutes=minutes,
            timing=timing,
            imports=imports,
        )
        found = results.replace("\nresults = ", "\nfound = ")
        path.write_text(f"{header}\n# %%\n{work}\n{found}{LAST}")
        path.with_name("as_found_findings.py").write_text(AS_FOUND)
        return path

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "_guide", *map(str, words)]

    def nvidia_smi(self, script: str) -> None:
        """Put a program of that name before this machine's own, if any."""
        fake = self.root / "bin/nvidia-smi"
        fake.parent.mkdir(exist_ok=True)
        fake.write_text(f"#!/bin/sh\n{script}\n")
        fake.chmod(0o755)

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "TMPDIR": str(self.temporary),
        }

    def guide(self, *words: str) -> subprocess.CompletedProcess:
        """Run the command to its end."""
        return subprocess.run(
            self.command(*words),
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, *words: str) -> subprocess.Popen:
        """Run the command beside the test, at most until its end."""
        started = subprocess.Popen(
            self.command(*words),
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(started)
        return started

    def fresh(self, name: str) -> Path:
        return self.root / f".build/results/{name}.cpu.json"

    def committed(self, name: str, topic: str = "topic") -> Path:
        return self.root / f"examples/{topic}/{name}.cpu.json"

    def load(self, path: Path) -> dict:
        return json.loads(path.read_text())


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    """A project with mkdocs.yml, examples/, snippets/ and docs/."""
    # Its own, because the name of a kernel's socket must be short.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        scratch = Scratch(tmp_path, Path(temporary))
        yield scratch
        for started in scratch.running:
            started.kill()
            started.communicate()
