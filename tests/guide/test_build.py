"""The build: what was measured here agrees with what the text rests on."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from _guide import results
from _guide.project import Program
from _guide.site import build as build_module

RESULTS = """
# %%
results = {
    "values": {
        "count": {"value": COUNT, "unit": "count", "exact": True},
        "mean": {"value": MEAN, "ci": [MEAN - 1, MEAN + 1], "n": 12,
                 "unit": "updates"},
        "speed": {"value": SPEED, "ci": [SPEED, SPEED], "n": 12,
                  "unit": "ratio", "timing": True},
        "missed": {"value": None, "unit": "epochs", "reason": "never met"},
    },
    "judgements": {"faster": {"holds": SPEED > 1, "because": ["speed"]}},
}
"""
WORK = "COUNT, MEAN, SPEED = 3, 20.5, 2"
ALONE = "# no twin, because: one is enough here"
BIB = r"""
@article{zeta2020,
  author = {Zeta, Ann and M{\"u}ller, Bo and Xu, Ci},
  title = {All of {SGD} \& more},
  journal = {Journal}, volume = {2}, number = {3}, pages = {1--9},
  year = {2020}, doi = {10.1000/1}, url = {https://www.example.org/a/b},
  note = {The paper itself was not read}
}
@misc{alpha2019, author = {Alpha, A.}, title = {First}, year = {2019},
  eprint = {1901.00001}, archivePrefix = {arXiv}}
"""


@pytest.fixture
def project(scratch):
    """A project with a page and a program whose result is committed."""
    (scratch.root / "mkdocs.yml").write_text(
        "site_name: Scratch\n"
        "nav: [index.md, lab/topic.md, notebooks/index.md,"
        " evidence/index.md, references.md]\n"
        "not_in_nav: |\n  /evidence/*.md\n"
        "markdown_extensions: [attr_list, md_in_html, tables]\n"
    )
    (scratch.root / "docs/index.md").write_text("# Start\n\nText.\n")
    (scratch.root / "docs/lab/topic.md").write_text(
        "# Topic\n\nKeras counts\n"
        '<data value="counts_keras.cpu:count">3</data> of them.\n'
    )
    scratch.program("counts_keras", WORK, RESULTS, imports=ALONE)
    measure(scratch)
    assert scratch.guide("accept", "topic").returncode == 0
    return scratch


def measure(scratch, work=WORK):
    """Leave what a run of the program, now with this work, would leave."""
    path = scratch.program("counts_keras", work, RESULTS, imports=ALONE)
    left = {}
    exec(work + RESULTS, left)
    provenance = results.provenance(
        Program(scratch.root, path),
        settings={"SIZES": [4, 8]},
        versions={"python": "3.11.7"},
        backend=None,
        device="Some processor",
        threads=1,
        date="2026-01-02",
        seconds=1.5,
    )
    results.save(
        scratch.fresh("counts_keras"),
        left["results"] | {"provenance": provenance},
    )


def execute(scratch, work):
    """Really run the program, now with this work."""
    scratch.program("counts_keras", work, RESULTS, imports=ALONE)
    done = scratch.guide("run")
    assert done.returncode == 0, done.stderr


def renew(scratch, **changes):
    """Make the fresh result one that a run of the same code has given."""
    found = scratch.load(scratch.fresh("counts_keras"))
    for key, entry in changes.items():
        part = "values" if key in found["values"] else "judgements"
        found[part][key] |= entry
    scratch.fresh("counts_keras").write_text(json.dumps(found))


def build(scratch, *words):
    """(exit status, all that was printed)."""
    done = scratch.guide("build", *words)
    return done.returncode, done.stdout + done.stderr


def line_of(scratch, key):
    lines = scratch.committed("counts_keras").read_text().splitlines()
    (number,) = [
        number for number, line in enumerate(lines, 1) if f'"{key}": {{' in line
    ]
    return number


def test_a_build_tells_what_was_measured_again_and_how_to_read_it(project):
    status, told = build(project)
    assert status == 0, told
    date = project.load(project.fresh("counts_keras"))["provenance"]["date"]
    assert (
        f"Measured again here, and it agrees:\n  counts_keras.cpu, on {date}"
        in told
    )
    assert "Not run here" not in told
    assert "python -m http.server --directory site" in told
    assert "http://localhost:8000" in told
    assert (project.root / "site/lab/topic/index.html").is_file()


def test_a_build_tells_what_was_not_run(project):
    date = project.load(project.committed("counts_keras"))["provenance"]["date"]
    project.fresh("counts_keras").unlink()
    status, told = build(project)
    assert status == 0, told
    assert f"Not run here:\n  counts_keras.cpu, measured on {date}" in told
    assert "Measured again" not in told


@pytest.mark.parametrize(
    ("key", "change", "why"),
    [
        ("count", {"value": 4}, "committed 3, measured 4"),
        (
            "mean",
            {"value": 30.0, "ci": [29.0, 31.0]},
            "committed 20.50 [19.50–21.50], measured 30 [29–31]",
        ),
        ("faster", {"holds": False}, "committed True, measured False"),
        ("mean", {"unit": "epochs"}, "unit was 'updates', now 'epochs'"),
    ],
)
def test_a_result_that_disagrees_fails_the_build(project, key, change, why):
    renew(project, **{key: change})
    status, told = build(project)
    where = f"examples/topic/counts_keras.cpu.json:{line_of(project, key)}"
    assert f"{where}: {key}: {why}\n" in told
    assert "run: guide accept topic\n" in told
    assert status == 1
    assert not (project.root / "site").exists()


def test_every_disagreement_is_told_and_what_the_check_finds_too(project):
    renew(project, count={"value": 4}, faster={"holds": False})
    page = project.root / "docs/lab/topic.md"
    page.write_text(page.read_text().replace(">3<", ">5<"))
    status, told = build(project)
    assert ": count: " in told
    assert ": faster: " in told
    assert "docs/lab/topic.md:4" in told
    assert status == 1


def test_intervals_that_overlap_and_other_timings_agree(project):
    renew(
        project,
        mean={"value": 22.0, "ci": [21.0, 23.0]},
        speed={"value": 90.0, "ci": [80.0, 95.0]},
    )
    status, told = build(project)
    assert status == 0, told


def test_a_result_of_other_code_is_not_compared(project):
    measure(project, WORK.replace("20.5", "99.5"))
    project.program("counts_keras", WORK, RESULTS, imports=ALONE)
    status, told = build(project)
    assert status == 0, told
    assert "Not run here:\n  counts_keras.cpu" in told


def test_a_result_that_is_not_committed_fails_the_build(project):
    project.committed("counts_keras").unlink()
    page = project.root / "docs/lab/topic.md"
    page.write_text("# Topic\n\nText.\n")
    status, told = build(project)
    assert (
        "examples/topic/counts_keras.cpu.json:1: measured here, but not "
        "committed; run: guide accept topic" in told
    )
    assert status == 1


def test_a_text_that_the_check_refuses_is_not_built_nor_drawn(project):
    page = project.root / "docs/lab/topic.md"
    page.write_text(page.read_text().replace(">3<", ">5<"))
    (project.root / "examples/topic/figure.py").write_text("1 / 0\n")
    status, told = build(project)
    assert "docs/lab/topic.md:4" in told
    assert "figure.py" not in told
    assert status == 1
    assert not (project.root / "site").exists()


BREAKAGES = {
    "no JSON": lambda result: "{",
    "without provenance": lambda result: json.dumps({"values": {}}),
    "in form 1, expected": lambda result: json.dumps(
        result | {"provenance": result["provenance"] | {"form": 1}}
    ),
}


@pytest.mark.parametrize("words", [["build"], ["build", "--preview"], ["draw"]])
@pytest.mark.parametrize("where", ["committed", "fresh"])
@pytest.mark.parametrize("why", BREAKAGES)
def test_a_broken_result_is_one_clear_line(project, words, where, why):
    (project.root / "examples/topic/figure.py").write_text("1 / 0\n")
    path = getattr(project, where)("counts_keras")
    path.write_text(BREAKAGES[why](project.load(path)))
    if where == "committed":
        project.fresh("counts_keras").unlink()
    done = project.guide(*words)
    told = done.stdout + done.stderr
    lines = [
        line for line in told.splitlines() if "counts_keras.cpu.json:" in line
    ]
    assert len(lines) == 1, told
    (line,) = lines
    assert path.relative_to(project.root).as_posix() in line and why in line
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


def test_what_mkdocs_refuses_is_not_built(project):
    page = project.root / "docs/lab/topic.md"
    page.write_text(page.read_text() + "\n[There](nowhere.md)\n")
    status, told = build(project)
    assert "nowhere.md" in told
    assert status == 1


def test_a_preview_compares_nothing_and_builds_no_site(project):
    renew(project, count={"value": 4})
    status, told = build(project, "--preview")
    assert (status, told) == (0, "")
    assert (project.root / "docs/evidence/topic.md").is_file()
    assert not (project.root / "site").exists()


def generated(project):
    docs = project.root / "docs"
    return {
        path.relative_to(docs).as_posix(): path.stat().st_mtime_ns
        for path in docs.rglob("*.*")
    }


def test_files_are_written_only_when_they_change(project):
    build(project, "--preview")
    before = generated(project)
    build(project, "--preview")
    assert generated(project) == before
    renew(project, mean={"value": 20.6})
    build(project, "--preview")
    after = generated(project)
    assert {path for path in after if after[path] != before.get(path)} == {
        "evidence/counts_keras.cpu.json",
        "evidence/topic.md",
        "notebooks/counts_keras.ipynb",
    }


def test_what_a_program_left_goes_when_it_goes(project):
    build(project, "--preview")
    assert "notebooks/counts_keras.ipynb" in generated(project)
    for path in (project.root / "examples/topic").iterdir():
        path.unlink()
    build(project, "--preview")
    assert not [path for path in generated(project) if "counts_keras" in path]


def read(project, path):
    status, told = build(project, "--preview")
    assert status == 0, told
    return (project.root / "docs" / path).read_text()


def test_evidence_lists_every_value_and_judgement(project):
    text = read(project, "evidence/topic.md")
    assert (
        '<tr id="counts_keras.cpu:mean"><td><a href="#counts_keras.cpu:mean">'
        "<code>mean</code></a></td><td>20.50</td>"
        "<td>19.50 to 21.50</td><td>20.50 [19.50–21.50]</td><td>12</td>"
    ) in text
    assert "nothing (never met)" in text
    assert '<tr id="counts_keras.cpu:faster">' in text
    assert '<a href="#counts_keras.cpu:speed">' in text
    assert "measured again on " in text
    assert "[the page](../lab/topic.md)" in text
    assert "(topic.md#counts_keras.cpu)" in read(project, "evidence/index.md")


def test_an_opened_number_finds_what_is_committed_and_what_is_fresh(project):
    renew(project, mean={"value": 20.6})
    found = json.loads(read(project, "evidence/counts_keras.cpu.json"))
    assert found["values"]["mean"]["value"] == 20.5
    assert found["fresh"]["values"]["mean"]["value"] == 20.6
    assert found["provenance"]["device"]
    project.fresh("counts_keras").unlink()
    found = json.loads(read(project, "evidence/counts_keras.cpu.json"))
    assert found["fresh"] is None


def test_evidence_of_other_code_says_so(project):
    project.program(
        "counts_keras", WORK.replace("2", "4"), RESULTS, imports=ALONE
    )
    assert "with an earlier version" in read(project, "evidence/topic.md")
    assert json.loads(read(project, "evidence/counts_keras.cpu.json"))["stale"]


def cells(project):
    content = json.loads(read(project, "notebooks/counts_keras.ipynb"))
    return ["".join(cell["source"]) for cell in content["cells"]], content


def test_a_notebook_page_shows_what_was_executed(project):
    execute(project, f"{WORK}\nprint('said by the run')")
    sources, content = cells(project)
    assert "said by the run" in json.dumps(
        [cell.get("outputs") for cell in content["cells"]]
    )
    assert "../../downloads/counts_keras.py" in sources[1]
    assert "../../downloads/counts_keras.ipynb" in sources[1]
    assert "not run in this build" not in sources[1]
    assert "· executed in this build" in read(project, "notebooks/index.md")


def test_a_notebook_page_without_a_run_says_so_and_shows_the_result(project):
    (project.root / "examples/topic/figure.py").write_text(
        "from _guide.site.style import new_figure\n\n\n"
        "def draw(results):\n    return {'one': new_figure()[0]}\n"
    )
    page = project.root / "docs/lab/topic.md"
    page.write_text(
        page.read_text()
        + "\n<figure markdown>\n![What is seen](../figures/topic/one.svg)\n"
        "<figcaption markdown>It is so.</figcaption>\n</figure>\n"
    )
    project.fresh("counts_keras").unlink()
    sources, content = cells(project)
    assert "not run in this build" in sources[1]
    assert "![What is seen](../../figures/topic/one.svg)" in sources[2]
    assert "20.50" in sources[3]
    assert not any(cell.get("outputs") for cell in content["cells"])
    assert "not executed in this build" in read(project, "notebooks/index.md")


def test_mathematics_in_a_notebook_needs_no_script(project):
    project.program(
        "counts_keras",
        WORK,
        f"\n# %% [markdown]\n# So $a_b^2$ it is; `$PATH` is not.\n{RESULTS}",
    )
    (source,) = [text for text in cells(project)[0] if "it is" in text]
    assert "<math" in source
    assert "`$PATH`" in source


def test_a_notebook_page_has_the_program_as_it_now_is(project):
    execute(project, f"{WORK}\nprint('said by the run')")
    path = project.root / "examples/topic/counts_keras.py"
    path.write_text(path.read_text().replace("Counts something", "Counts all"))
    sources, content = cells(project)
    assert "Counts all" in sources[0]
    assert "said by the run" in json.dumps(
        [cell.get("outputs") for cell in content["cells"]]
    )


def test_a_download_is_the_expanded_program(project):
    text = read(project, "downloads/counts_keras.py")
    assert text.startswith("# %% [markdown]\n# # counts_keras\n")
    plain = json.loads(read(project, "downloads/counts_keras.ipynb"))
    assert "".join(plain["cells"][0]["source"]).startswith("# counts_keras")


def test_references_have_their_keys_links_and_notes(project):
    (project.root / "docs/references.bib").write_text(BIB)
    text = read(project, "references.md")
    assert text.index("{ #alpha2019 }") < text.index("{ #zeta2020 }")
    assert "## Zeta et al. (2020)" in text
    assert "Ann Zeta, Bo Müller and Ci Xu. *All of SGD & more*." in text
    assert "Journal 2(3), pages 1–9, 2020." in text
    assert "[doi:10.1000/1](https://doi.org/10.1000/1)" in text
    assert "[example.org](https://www.example.org/a/b)" in text
    assert "[arXiv:1901.00001](https://arxiv.org/abs/1901.00001)" in text
    assert "Note: The paper itself was not read.\n" in text


def test_a_broken_bibliography_is_named_with_its_line(project):
    (project.root / "docs/references.bib").write_text(
        BIB + "@misc{open, title = {x}\n@misc{other, title = {y}}\n"
    )
    status, told = build(project, "--preview")
    assert status == 1
    assert "guide: docs/references.bib:12: " in told


def test_the_bibliography_is_read_only_when_it_changes(project):
    bibliography = project.root / "docs/references.bib"

    def imported():
        command = [*project.command("build", "--preview")]
        command[1:1] = ["-X", "importtime"]
        done = subprocess.run(
            command, cwd=project.root, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return "pybtex" in done.stderr

    bibliography.write_text(BIB)
    assert imported()
    assert not imported()
    bibliography.write_text(BIB + "\n% more\n")
    assert imported()


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        (r"\frac{a}{b} \propto \sqrt{\eta}", "<mfrac>"),
        (r"\frac{a}", "mfrac lacks a part"),
        (r"\nonsense{a}", r"unknown \nonsense"),
        (r"\left( a", "bad TeX"),
        ("{a", "braces do not pair"),
    ],
)
def test_tex_becomes_mathml_or_an_error(tex, expected):
    code = (
        "import sys, markdown\n"
        "arithmatex = {'pymdownx.arithmatex': {'generic': True}}\n"
        "print(markdown.markdown(sys.argv[1], extension_configs=arithmatex,"
        " extensions=['pymdownx.arithmatex', '_guide.site.mathml']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"So ${tex}$ it is."],
        capture_output=True,
        text=True,
    )
    assert expected in done.stdout + done.stderr
    assert ("<math" in done.stdout) == (expected == "<mfrac>")


HOOK = Path(build_module.__file__).with_name("mkdocs_hook.py")


@pytest.fixture
def hooked(project):
    """The project with the hook, and a page that the check refuses."""
    settings = project.root / "mkdocs.yml"
    plugins = "plugins: [search, mkdocs-jupyter]"
    settings.write_text(
        f"{settings.read_text()}{plugins}\nhooks: ['{HOOK.as_posix()}']\n"
    )
    page = project.root / "docs/lab/topic.md"
    page.write_text(page.read_text().replace(">3<", ">5<"))
    return project


def mkdocs(project, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "mkdocs", *words],
        cwd=project.root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_mkdocs_alone_refuses_what_the_check_refuses(hooked):
    done = mkdocs(hooked, "build")
    told, _ = done.communicate()
    assert done.returncode == 1
    assert "docs/lab/topic.md:4:" in told
    assert not (hooked.root / "site").exists()


def test_mkdocs_alone_writes_the_generated_pages_first(hooked):
    page = hooked.root / "docs/lab/topic.md"
    page.write_text(page.read_text().replace(">5<", ">3<"))
    done = mkdocs(hooked, "build", "--strict")
    told, _ = done.communicate()
    assert done.returncode == 0, told
    text = (hooked.root / "site/evidence/index.html").read_text()
    assert "counts_keras.cpu" in text


def test_a_preview_shows_a_page_that_the_check_refuses_and_says_why(hooked):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{found.getsockname()[1]}"
    serving = mkdocs(hooked, "serve", "--dev-addr", server)
    # Ends it if nothing is told at all.
    timer = threading.Timer(60, serving.kill)
    timer.start()
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and serving.poll() is None:
            try:
                address = f"http://{server}/lab/topic/"
                with urllib.request.urlopen(address, timeout=10) as answer:
                    assert "of them" in answer.read().decode()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("nothing was served")
    finally:
        timer.cancel()
        serving.kill()
        told, _ = serving.communicate()
    assert "WARNING" in told
    assert "docs/lab/topic.md:4:" in told
