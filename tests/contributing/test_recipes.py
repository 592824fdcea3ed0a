"""The recipes of CONTRIBUTING.md work, command by command, as they stand.

Each is followed in a copy of the project, with the packages that are here.
Between two blocks of commands the test makes the edit that the recipe asks of
a person.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPIC = "demo_topic"
PAGE = "docs/lab/demo-topic.md"
SETS = ("tool", "docs", "lint", "quick", "site", "test")


def blocks(heading):
    """The blocks of commands under a heading, each as a list of lines."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (section,) = re.findall(
        rf"^{re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S
    )
    fences = re.findall(r"^```console\n(.*?)^```", section, re.M | re.S)
    return [re.findall(r"^\$ (.*)$", fence, re.M) for fence in fences]


SETUP = ["set -euo pipefail", ". .venv/bin/activate"]


def follow(folder, commands, expected=0):
    """Run commands as one would type them; returns what they printed."""
    lines = [command.replace("TOPIC", TOPIC) for command in commands]
    environment = {
        name: value
        for name, value in os.environ.items()
        # What make exports here must not reach the make in there.
        if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "REPO_URL")
    }
    done = subprocess.run(
        ["bash", "-c", "\n".join([*SETUP, *lines])],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == expected, done.stdout
    return done.stdout


def copy_project(folder):
    """A repository with the project as it is now, and its packages."""

    def git(*words, where=folder):
        return subprocess.run(
            ["git", *words], cwd=where, check=True, capture_output=True
        ).stdout

    listed = git("ls-files", "-coz", "--exclude-standard", where=ROOT)
    for name in listed.decode().split("\0"):
        # A name is still listed when its file was just deleted.
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git("init", "-q", "-b", "main")
    git("config", "user.name", "A contributor")
    git("config", "user.email", "contributor@example.org")
    git("add", ".")
    git("commit", "-q", "-m", "The project")
    packages = folder / ".venv"
    packages.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (packages / part).symlink_to(Path(sys.prefix) / part)
    for name in SETS:
        (packages / f".{name}").touch()
    return folder


@pytest.fixture
def project(tmp_path):
    """A copy of the project, for one recipe."""
    return copy_project(tmp_path)


@pytest.fixture(scope="module")
def topic(tmp_path_factory):
    """A copy in which the recipe for a topic was followed."""
    folder = copy_project(tmp_path_factory.mktemp("topic"))
    first, second = blocks("## Recipe: add a topic")
    follow(folder, first)
    follow(folder, second)
    return folder


def last_commit(folder):
    """The files of the last commit."""
    return subprocess.run(
        ["git", "show", "--name-only", "--format="],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()


def test_the_commands_to_begin_with_work(project):
    (begin,) = blocks("# Contributing")
    follow(project, begin)


def test_a_typo_is_mended(project):
    before, after = blocks("## Recipe: mend a typo")
    follow(project, before)
    page = project / "docs/index.md"
    page.write_text(page.read_text() + "\nA sentence without a mistake.\n")
    follow(project, after)
    assert last_commit(project) == ["docs/index.md"]


def test_a_typo_in_a_number_is_refused(project):
    before, after = blocks("## Recipe: mend a typo")
    follow(project, before)
    page = project / "docs/index.md"
    page.write_text(page.read_text() + "\nA sentence with 4711 mistakes.\n")
    # 2 is the status of make itself.
    output = follow(project, after, expected=2)
    line = page.read_text().count("\n")
    assert f"docs/index.md:{line}:17: " in output


COUNTING = "docs/claims/counting.toml"


def add_claim(project, old="", new=""):
    """Write the row that the recipe shows at the end of its topic's file."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^```toml\n(\[\[claim\]\].*?)^```", text, re.M | re.S)
    ledger = project / COUNTING
    ledger.write_text(f"{ledger.read_text()}\n{row.replace(old, new, 1)}")


def test_a_claim_is_added(project):
    before, after = blocks("## Recipe: add or settle a claim")
    follow(project, before)
    add_claim(project)
    follow(project, after)
    assert last_commit(project) == [COUNTING]


def test_a_claim_that_its_results_contradict_is_refused(project):
    _, after = blocks("## Recipe: add or settle a claim")
    add_claim(project, 'supports = "', 'supports = "not ')
    output = follow(project, after, expected=1)
    assert f"{COUNTING}:" in output
    assert "claim 9999: the verdict 'depends' requires that" in output


@pytest.mark.slow
def test_a_topic_is_added(topic):
    assert (topic / "site/lab/demo-topic/index.html").is_file()
    made = set(last_commit(topic))
    assert {PAGE, "mkdocs.yml"} <= made
    for framework in ("keras", "torch"):
        program = f"examples/{TOPIC}/{TOPIC}_{framework}"
        assert {f"{program}.py", f"{program}.cpu.json"} <= made
    # Nothing that is made by a build, and nothing else, was committed.
    assert all(TOPIC in name for name in made - {PAGE, "mkdocs.yml"})


@pytest.mark.slow
def test_the_page_of_a_new_topic_shows_code_that_runs(topic):
    words = ["-m", "pytest", "-p", "no:cacheprovider", PAGE]
    output = follow(topic, [f"python {' '.join(words)}"])
    # A fence for each framework, with the code that the page embeds.
    assert "2 passed" in output
    page = (topic / "site/lab/demo-topic/index.html").read_text()
    assert "8<" not in page and "8 &lt;" not in page
    assert page.count("count_updates") >= 2


@pytest.mark.slow
def test_a_number_in_the_text_is_renewed(topic):
    find, mend, _ = blocks("## Recipe: renew a number")
    page = topic / PAGE
    right = page.read_text()
    bound = re.search(
        r'<data value="(?P<key>[^"]*)">(?P<number>\d[\d,.]*)</data>', right
    )
    assert bound, f"the page of a new topic binds no plain number:\n{right}"
    start, end = bound.span("number")
    page.write_text(right[:start] + "987" + right[end:])
    output = follow(topic, find, expected=1)
    line = right.count("\n", 0, start) + 1
    assert f"{PAGE}:{line}:" in output and bound["key"] in output, output
    assert "987" in follow(topic, mend)
    assert page.read_text() == right


@pytest.mark.slow
def test_a_changed_program_is_measured_again(topic):
    find, _, again = blocks("## Recipe: renew a number")
    # Behind the data: the last cell of a program has one form.
    problem = topic / f"examples/{TOPIC}/{TOPIC}_problem.py"
    problem.write_text(problem.read_text() + "\nassert BATCH_SIZES\n")
    output = follow(topic, find, expected=1)
    assert f"guide run {TOPIC}" in output, output
    follow(topic, again)
    assert f"examples/{TOPIC}/{TOPIC}_torch.cpu.json" in last_commit(topic)
    follow(topic, find)
