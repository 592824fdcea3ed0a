"""`make` and `.ci/run` do what the README and the workflows count on."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.M)[1].split()
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]
# A stand-in for each command: it notes how it was called.
RECORDER = '#!/bin/sh\necho "$(basename "$0") $*" >> "$CALLS"\n'


class Clone:
    """A folder with the Makefile and stand-ins for what it calls."""

    def __init__(self, root):
        self.root = root
        for name in (
            "Makefile",
            "pyproject.toml",
            "constraints.txt",
            ".ci/run",
        ):
            (root / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, root / name)
        (root / "tests").mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / "tests" / name, root / "tests" / name)

    def stand_in(self, *names, text=RECORDER):
        """Executables that note how they are called."""
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def packages(self):
        """A .venv of stand-ins."""
        bin = ".venv/bin"
        self.stand_in(f"{bin}/python", f"{bin}/guide", f"{bin}/mkdocs")
        self.stand_in(f"{bin}/npm", f"{bin}/ruff")
        (self.root / "tests/node_modules").mkdir(exist_ok=True)

    def run(self, *words, **environment):
        """(exit status, output, calls of the stand-ins)."""
        calls = self.root / "calls"
        calls.write_text("")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GITHUB_", "MAKE", "MFLAGS"))
            and name
            not in ("REPO_URL", "SITE_URL", "BUDGET", "FRESH", "NOTEBOOKS")
        }
        done = subprocess.run(
            words,
            cwd=self.root,
            env=kept | {"CALLS": str(calls)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout, calls.read_text().splitlines()


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


def test_make_alone_says_what_can_be_made(clone):
    status, output, _ = clone.run("make")
    assert status == 0
    told = re.findall(r"^  ([a-z]+) +[A-Z]\w+ ", output, re.M)
    assert sorted(told) == sorted(TARGETS)
    assert not (clone.root / ".venv").exists()


def test_an_unsuitable_python_is_refused_with_the_command_that_helps(clone):
    clone.stand_in(
        "old",
        text=f'#!/bin/sh\nexec {sys.executable} -c "import sys;'
        'sys.version_info = (3, 10, 1); exec(sys.argv[2])" "$@"\n',
    )
    status, output, _ = clone.run("make", "site", "PYTHON=./old")
    assert status == 2
    assert "./old is Python 3.10; expected 3.11, 3.12 or 3.13" in output
    assert "run: make PYTHON=python3.12 site" in output


def test_packages_are_installed_once(clone):
    clone.packages()
    _, output, calls = clone.run("make", "serve")
    assert calls == [
        "python -m pip install -q -c constraints.txt -e .[docs]",
        # The hook writes the pages; nothing else does, or it is done twice.
        "mkdocs serve",
    ], output
    _, _, calls = clone.run("make", "serve")
    assert calls == ["mkdocs serve"]


def test_the_check_installs_the_tool_alone(clone):
    clone.packages()
    _, output, calls = clone.run("make", "check")
    assert calls == [
        "python -m pip install -q -c constraints.txt -e .",
        "guide check",
    ], output


def test_what_is_quick_checks_draws_lints_and_tests(clone):
    clone.packages()
    _, output, calls = clone.run("make", "quick")
    assert calls[0].endswith("-e .[docs,test]"), output
    assert calls[1:5] == [
        "guide check",
        "guide draw",
        "ruff check",
        "ruff format --check",
    ]
    (tests,) = calls[5:]
    assert tests.startswith("python -m pytest -m quick -n auto ")
    assert tests.endswith(" tests")


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_packages_are_installed_again_when_they_change(clone, name):
    clone.packages()
    clone.run("make", "check")
    later = (clone.root / ".venv/.tool").stat().st_mtime + 1
    os.utime(clone.root / name, (later, later))
    _, _, calls = clone.run("make", "check")
    assert calls[0].startswith("python -m pip install")


def test_a_failed_installation_is_tried_again(clone):
    clone.packages()
    clone.stand_in(".venv/bin/python", text=RECORDER + "exit 1\n")
    for _ in range(2):
        status, _, calls = clone.run("make", "check")
        assert status == 2 and len(calls) == 1, calls


def test_preview_and_check_wait_for_no_framework():
    for name in ("tool", "docs", "lint", "quick"):
        (extras,) = re.findall(rf"^EXTRAS_{name} :=(.*)$", MAKEFILE, re.M)
        wanted = " ".join(
            requirement
            for extra in extras.strip().split(",")
            if extra
            for requirement in EXTRAS[extra]
        )
        assert not re.search(r"torch|tensorflow|keras", wanted)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "guide run"),
        (["FRESH=1"], "guide run --fresh"),
        (["BUDGET=25m"], "guide run --budget 25m"),
    ],
)
def test_site_runs_and_builds(clone, words, expected):
    clone.packages()
    _, output, calls = clone.run("make", "site", *words)
    assert calls[1:] == [expected, "guide build"], output


def test_site_is_not_built_from_a_failed_run(clone):
    clone.packages()
    clone.stand_in(".venv/bin/guide", text=RECORDER + "exit 1\n")
    status, _, calls = clone.run("make", "site")
    assert status == 2 and calls[1:] == ["guide run"]


def test_the_tests_get_node_from_the_packages(clone):
    clone.packages()
    _, output, calls = clone.run("make", "test", "ARGS=-k words")
    assert calls[0].endswith("-e .[docs,keras,torch,test]"), output
    assert calls[1].startswith("npm ci --prefix tests ")
    [tests] = calls[2:]
    assert tests.startswith("python -m pytest -n auto ")
    assert tests.endswith(" -k words")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://github.com/owner/repo", "https://github.com/owner/repo"),
        (
            "https://t:x@github.com/owner/repo.git/",
            "https://github.com/owner/repo",
        ),
        ("git@github.com:owner/repo.git", "https://github.com/owner/repo"),
        ("ssh://git@github.com/owner/repo", "https://github.com/owner/repo"),
        ("https://example.org/owner/repo", ""),
        ("/some/folder", ""),
    ],
)
def test_the_repository_address_comes_from_the_origin(clone, origin, expected):
    clone.packages()
    subprocess.run(["git", "init", "-q"], cwd=clone.root, check=True)
    subprocess.run(
        ["git", "remote", "add", "origin", origin], cwd=clone.root, check=True
    )
    tell = '#!/bin/sh\necho "guide [$REPO_URL]" >> "$CALLS"\n'
    clone.stand_in(".venv/bin/guide", text=tell)
    assert clone.run("make", "check")[2][-1] == f"guide [{expected}]"
    fork = {
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "a/b",
    }
    _, _, calls = clone.run("make", "check", **fork)
    assert calls[-1] == "guide [https://github.com/a/b]"
    _, _, calls = clone.run("make", "check", REPO_URL="https://x.example")
    assert calls[-1] == "guide [https://x.example]"


@pytest.mark.parametrize(
    ("words", "expected"),
    [([], ""), (["NOTEBOOKS=1"], "1"), (["NOTEBOOKS=0"], "")],
)
def test_the_gallery_is_previewed_on_demand(clone, words, expected):
    clone.packages()
    tell = '#!/bin/sh\necho "mkdocs [$NOTEBOOKS]" >> "$CALLS"\n'
    clone.stand_in(".venv/bin/mkdocs", text=tell)
    _, output, calls = clone.run("make", "serve", *words)
    assert calls[-1] == f"mkdocs [{expected}]", output


def test_every_extra_that_make_installs_exists():
    named = re.findall(r"^EXTRAS_\w+ := (.*)$", MAKEFILE, re.M)
    assert {extra for names in named for extra in names.split(",")} <= set(
        EXTRAS
    )


def test_constraints_pin_what_is_asked_for_and_no_build():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            # because: a build such as +cpu is on some package indexes only.
            name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups()
            pins[re.sub("[-_.]+", "-", name).lower()] = version
    assert pins["torch"] == "2.13.0"
    for requirement in map(Requirement, sum(EXTRAS.values(), [])):
        if requirement.name != "batch-size-guide":
            name = re.sub("[-_.]+", "-", requirement.name).lower()
            assert requirement.specifier.contains(pins[name]), requirement


def ci_run(clone, make=RECORDER, chromium=True):
    """Run .ci/run with stand-ins for what it calls."""
    clone.stand_in("stand-ins/make", text=make)
    clone.stand_in("stand-ins/apt-get", "stand-ins/sudo")
    for name in ("bash", "dirname", "basename", "env", "sh", "id"):
        (clone.root / "stand-ins" / name).symlink_to(shutil.which(name))
    if chromium:
        clone.stand_in("stand-ins/chromium")
    path = str(clone.root / "stand-ins")
    return clone.run(str(clone.root / ".ci/run"), PATH=path)


def test_ci_tests_and_builds_within_its_budget(clone):
    status, output, calls = ci_run(clone)
    assert status == 0, output
    assert calls == ["make test", "make site BUDGET=30s"]
    assert output.count("\n") == 2


def test_ci_stops_at_a_failed_test(clone):
    status, _, calls = ci_run(clone, make=RECORDER + "exit 2\n")
    assert status == 2 and calls == ["make test"]


def test_ci_installs_chromium_where_there_is_none(clone):
    status, output, calls = ci_run(clone, chromium=False)
    assert status == 0, output
    if os.getuid() == 0:
        assert calls[:2] == [
            "apt-get update -qq",
            "apt-get install -y -qq chromium",
        ]
    else:
        assert calls[0].startswith("sudo -n env")
    assert calls[-1] == "make site BUDGET=30s"
