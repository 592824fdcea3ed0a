"""`guide accept`: takes whole sets of good results, and says what changed."""

import json
import shutil

import pytest


def lay(scratch, name, change=None):
    """A fresh result as a run would leave it, and then changed."""
    from _guide import results
    from _guide.project import Program

    path = scratch.root / f"examples/topic/{name}.py"
    if not path.exists():
        scratch.program(name)
    result = {
        "values": {
            "count": {"value": 3, "unit": "count", "exact": True},
            "gain": {"value": 1.5, "ci": [1.4, 1.6], "n": 10, "unit": "ratio"},
        },
        "judgements": {"some": {"holds": True, "because": ["count"]}},
        "series": {},
        "provenance": results.provenance(
            Program(scratch.root, path),
            settings={},
            versions={},
            backend="torch",
            device="some processor",
            threads=1,
            date="2026-01-01",
            seconds=1.0,
        ),
    }
    if change:
        change(result)
    results.save(scratch.fresh(name), result)
    return result


def test_accepting_lays_the_result_beside_its_program(scratch):
    result = lay(scratch, "one")
    scratch.program("other")
    took = scratch.guide("accept", "topic")
    assert took.returncode == 0, took.stderr
    assert scratch.load(scratch.committed("one")) == result
    assert "one.cpu: 2 values, the first ones" in took.stdout
    assert "other: not run here, stays as it is" in took.stdout
    assert took.stdout.endswith("Next: guide check\n")


def test_accepting_tells_old_and_new_of_what_changed(scratch):
    lay(scratch, "one")
    assert scratch.guide("accept", "one").returncode == 0

    def change(result):
        result["values"]["count"]["value"] = 1234
        result["values"]["gain"] |= {"value": 1.55, "ci": [1.45, 1.65]}
        result["judgements"]["some"]["holds"] = False

    lay(scratch, "one", change)
    took = scratch.guide("accept", "one")
    assert "one.cpu: 2 changed" in took.stdout
    assert "  count: 3 → 1,234" in took.stdout
    assert "  some: holds → does not hold" in took.stdout
    assert "gain" not in took.stdout
    assert (
        scratch.load(scratch.committed("one"))["values"]["count"]["value"]
        == 1234
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda r: r["provenance"].update(short=True), "a short run"),
        (lambda r: r["provenance"].update(code="0"), "another version"),
        (lambda r: r["provenance"].pop("code"), "provenance without code"),
        (lambda r: r["provenance"].update(program="x"), "the result of x"),
        (lambda r: r.pop("provenance"), "without provenance"),
        (lambda r: r["values"]["count"].pop("unit"), "has no unit"),
    ],
)
def test_a_result_that_cannot_count_is_refused_with_its_whole_set(
    scratch, change, why
):
    lay(scratch, "good")
    lay(scratch, "wrong", change)
    took = scratch.guide("accept", "topic")
    assert took.returncode == 1
    assert why in took.stderr
    assert ".build/results/wrong.cpu.json:1: " in took.stderr
    assert "run: guide run wrong --fresh" in took.stderr
    assert not scratch.committed("good").exists()
    assert not scratch.committed("wrong").exists()


def test_half_a_file_is_refused(scratch):
    lay(scratch, "one")
    text = scratch.fresh("one").read_text()
    scratch.fresh("one").write_text(text[: len(text) // 2])
    took = scratch.guide("accept", "one")
    assert took.returncode == 1
    assert "no JSON" in took.stderr
    assert not scratch.committed("one").exists()


def test_results_measured_elsewhere_are_found_in_their_folder(
    scratch, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("elsewhere")
    lay(scratch, "one")
    lay(scratch, "two")
    for name in ("one", "two"):
        (folder / name).mkdir()
        shutil.move(scratch.fresh(name), folder / name)
    (folder / "notes.json").write_text("[]")
    took = scratch.guide("accept", "--from", folder, "two")
    assert took.returncode == 0, took.stderr
    assert not scratch.committed("one").exists()
    took = scratch.guide("accept", "--from", folder)
    assert took.returncode == 0, took.stderr
    assert "notes.json: passed over" in took.stdout
    assert scratch.committed("one").exists()

    shutil.copytree(folder / "one", folder / "again")
    twice = scratch.guide("accept", "--from", folder)
    assert twice.returncode == 1
    assert "leave one of them" in twice.stderr
    shutil.rmtree(folder / "again")

    (folder / "three.cpu.json").write_text(json.dumps({}))
    unknown = scratch.guide("accept", "--from", folder)
    assert unknown.returncode == 1
    assert "there is no program three" in unknown.stderr


def test_without_anything_to_accept_it_says_what_to_run(scratch):
    scratch.program("one")
    assert "guide run one" in scratch.guide("accept", "topic").stderr
    assert "no such program" in scratch.guide("accept", "x").stderr
    nothing = scratch.guide("accept")
    assert nothing.returncode == 1
    assert "run: guide accept NAME" in nothing.stderr
    empty = scratch.guide("accept", "one", "--from", scratch.root / "docs")
    assert empty.returncode == 1
    assert "no result of one" in empty.stderr
