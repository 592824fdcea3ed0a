"""`guide new`: a topic that passes at once, or nothing at all."""

import shutil
from pathlib import Path

import pytest

SNIPPETS = Path(__file__).parents[2] / "snippets"


def everything(scratch):
    """Every file of the project with its bytes."""
    return {
        path: path.read_bytes()
        for path in scratch.root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("Gradient", "no name for a topic"),
        ("../gradient", "no name for a topic"),
        ("7gradients", "no name for a topic"),
        ("taken", "examples/taken:1: exists already"),
        ("on_page", "docs/lab/on-page.md:1: exists already"),
        ("name", "examples/taken/name_torch.py:1: exists already"),
    ],
)
def test_a_topic_that_cannot_be_made_leaves_everything_as_it_was(
    scratch, topic, why
):
    scratch.program("name_torch", topic="taken")
    (scratch.root / "docs/lab/on-page.md").write_text("# Here\n")
    before = everything(scratch)
    made = scratch.guide("new", topic)
    assert made.returncode == 1
    assert why in made.stderr
    assert everything(scratch) == before


def test_without_a_place_in_the_navigation_nothing_is_made(scratch):
    (scratch.root / "mkdocs.yml").write_text("nav:\n  - index.md\n")
    before = everything(scratch)
    made = scratch.guide("new", "gradient_noise")
    assert made.returncode == 1
    assert "mkdocs.yml:1: no '- Lab:' in nav" in made.stderr
    assert everything(scratch) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "# Kept.\nnav:\n  - Lab:  # too\n    - lab/a.md\n"
            "    - More:\n        - lab/b.md\n\n  - c.md\nx: !ENV [A, ]\n",
            "# Kept.\nnav:\n  - Lab:  # too\n    - lab/a.md\n"
            "    - More:\n        - lab/b.md\n    - lab/new-one.md\n"
            "\n  - c.md\nx: !ENV [A, ]\n",
        ),
        (
            "nav:\n- Lab:\n    - lab/a.md",
            "nav:\n- Lab:\n    - lab/a.md\n    - lab/new-one.md\n",
        ),
    ],
)
def test_the_page_comes_last_under_lab_and_the_rest_stays(
    scratch, before, after
):
    (scratch.root / "mkdocs.yml").write_text(before)
    assert scratch.guide("new", "new_one").returncode == 0
    assert (scratch.root / "mkdocs.yml").read_text() == after


def test_a_new_topic_runs_in_both_frameworks_and_measures_the_same(scratch):
    for name in ("keep_findings", "mean_interval"):
        shutil.copy(SNIPPETS / f"{name}.py", scratch.root / "snippets")
    made = scratch.guide("new", "gradient_noise")
    assert made.returncode == 0, made.stderr
    assert "guide run gradient_noise" in made.stdout
    for text in everything(scratch).values():
        assert b"TOPIC" not in text and b"TITLE" not in text
    ran = scratch.guide("run", "gradient_noise", "--jobs", "2")
    assert ran.returncode == 0, ran.stderr
    assert scratch.guide("accept", "gradient_noise").returncode == 0
    folder = scratch.root / "examples/gradient_noise"
    found = [
        scratch.load(folder / f"gradient_noise_{framework}.cpu.json")
        for framework in ("keras", "torch")
    ]
    assert found[0]["values"] == found[1]["values"]
    assert found[0]["judgements"] == found[1]["judgements"]
    # As the page says it.
    values = found[0]["values"]
    assert values["updates.32"]["value"] == 32
    assert values["updates.256"]["value"] == 4
    assert found[0]["judgements"]["small_makes_more_updates"]["holds"]
    drawn = scratch.guide("draw", "gradient_noise")
    assert drawn.returncode == 0, drawn.stderr
    figures = scratch.root / "docs/figures/gradient_noise"
    assert (figures / "updates.svg").is_file()
