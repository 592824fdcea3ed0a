"""Code on pages is collected and run exactly as a reader sees it."""

import re
import subprocess
import sys
from pathlib import Path

import markdown
import pytest
from mkdocs.config import load_config

from _guide import pytest_fences
from _guide.project import is_generated

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[2]

SETTINGS = """\
site_name: Scratch
extra: !ENV [NOT_SET, ""]
markdown_extensions:
  - pymdownx.snippets:
      base_path: ["."]
      dedent_subsections: true
"""
SNIPPET = """\
# --8<-- [start:double]
def double(number):
    return 2 * number
# --8<-- [end:double]
"""


@pytest.fixture
def project(tmp_path):
    """A folder with settings, a snippet and room for pages."""
    (tmp_path / "mkdocs.yml").write_text(SETTINGS)
    (tmp_path / "snippets").mkdir()
    (tmp_path / "snippets/double.py").write_text(SNIPPET)
    return tmp_path


def run_pages(folder, *pages):
    """pytest's exit status and output for pages, in a process of its own."""
    names = []
    for number, text in enumerate(pages):
        path = folder / f"page{number}.md"
        path.write_text(text)
        names.append(path.name)
    command = [
        *(sys.executable, "-m", "pytest", "-p", "_guide.pytest_fences"),
        *("--codeblocks", "-v", "-p", "no:cacheprovider", "-c", "/dev/null"),
        *("--rootdir", ".", *names),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "opening",
    [
        "```python",
        "```py",
        '```python title="train.py" hl_lines="1"',
        "``` { .python .annotate }",
        "```{ #name .py }",
        "~~~python",
        "````python",
        "    ```python",
    ],
)
def test_a_fence_in_any_form_is_run(project, opening):
    closing = re.match(r"\s*[`~]+", opening)[0]
    indent = " " * (len(closing) - len(closing.lstrip()))
    page = f"Text\n\n{opening}\n{indent}raise ValueError('ran')\n{closing}\n"
    status, output = run_pages(project, page)
    assert status == 1 and "ValueError: ran" in output, output


def test_an_embedded_section_is_expanded_and_run(project):
    page = (
        '```python title="double"\n--8<-- "snippets/double.py:double"\n```\n\n'
        "<!--pytest-codeblocks:cont-->\n```python\nprint(double(21))\n```\n\n"
        "<!--pytest-codeblocks:expected-output-->\n```\n42\n```\n"
    )
    status, output = run_pages(project, page)
    assert status == 0 and "1 passed" in output, output
    status, output = run_pages(project, page.replace("\n42", "\n43"))
    assert status == 1 and "expected\n43" in output, output


def test_an_embedded_section_that_fails_is_reported(project):
    (project / "snippets/double.py").write_text(
        SNIPPET.replace("def double", "undefined_name\ndef double")
    )
    page = '```python\n--8<-- "snippets/double.py:double"\n```\n'
    status, output = run_pages(project, page)
    assert status == 1 and "'undefined_name' is not defined" in output, output


@pytest.mark.parametrize("target", ["missing.py", "snippets/double.py:missing"])
def test_an_include_that_does_not_exist_is_an_error(project, target):
    page = f'```python\n--8<-- "{target}"\n```\n'
    status, output = run_pages(project, page)
    assert status != 0 and "page0.md:2" in output, output


def test_a_block_is_named_by_its_line_on_the_page(project):
    page = (
        '```python\n--8<-- "snippets/double.py:double"\n```\n\n'
        '```python title="x"\none = 1\none / 0\n```\n'
    )
    status, output = run_pages(project, page)
    assert status == 1 and "page0.md::line 5" in output, output
    assert "one / 0" in output and "line 2" in output, output


def test_a_block_sees_nothing_of_another_page(project):
    first = "```python\nleft_behind = 1\n```\n"
    status, output = run_pages(project, first, "```python\nleft_behind\n```\n")
    assert status == 1 and "1 failed, 1 passed" in output, output


def test_a_block_starts_with_the_same_seeds(project):
    page = "```python\nimport numpy\nassert numpy.random.rand() == {}\n```\n"
    # because: NumPy's first legacy random number after seed(0) is fixed.
    expected = page.format("0.5488135039273248")
    status, output = run_pages(project, expected, expected)
    assert status == 0 and "2 passed" in output, output


def test_a_block_runs_as_a_script_and_leaves_no_file(project):
    page = (
        '```python\nif __name__ == "__main__":\n'
        '    open("left", "w").write("x")\n    raise SystemExit("main ran")\n'
        "```\n"
    )
    status, output = run_pages(project, page)
    assert status == 1 and "main ran" in output, output
    assert not (project / "left").exists()


def test_code_in_a_longer_fence_is_not_taken_for_a_fence(project):
    page = "~~~markdown\n```python\nraise ValueError\n```\n~~~\n"
    status, output = run_pages(project, page + "\n```python\npass\n```\n")
    assert status == 0 and "1 passed" in output, output


def pages():
    """Every page that is written by hand, found by folder."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    found += sorted((ROOT / "docs").rglob("*.md"))
    return [
        page
        for page in found
        if not is_generated(page.relative_to(ROOT).as_posix())
    ]


def shown(page, monkeypatch):
    """How many blocks of Python the site's own Markdown shows on a page."""
    monkeypatch.chdir(ROOT)
    config = load_config(str(ROOT / "mkdocs.yml"))
    options = dict(config.mdx_configs)
    options["pymdownx.highlight"] = {"pygments_lang_class": True}
    # A drawn table need not be drawn yet.
    snippets = dict(options["pymdownx.snippets"], check_paths=False)
    options["pymdownx.snippets"] = snippets
    # Links between pages are MkDocs' business, and not of interest here.
    html = markdown.Markdown(
        extensions=[*config.markdown_extensions], extension_configs=options
    ).convert(page.read_text(encoding="utf-8"))
    return len(re.findall(r'class="language-(?:python3?|py) ', html))


@pytest.mark.parametrize(
    "page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_all_python_that_a_page_shows_is_collected(page, monkeypatch):
    blocks = page.read_text(encoding="utf-8").count(
        "<!--pytest-codeblocks:cont-->"
    )
    blocks += sum(
        block.syntax == "python" for block in pytest_fences.extract(page, ROOT)
    )
    assert blocks == shown(page, monkeypatch)


def test_python_that_is_not_collected_is_noticed(tmp_path, monkeypatch):
    page = tmp_path / "quoted.md"
    page.write_text("> ```python\n> print()\n> ```\n")
    assert pytest_fences.extract(page, ROOT) == []
    assert shown(page, monkeypatch) == 1
