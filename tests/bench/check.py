"""How long `guide check` takes for a thousand pages and a ledger of claims."""

import json
import tempfile
from pathlib import Path

from _bench import Row, guide, medians, report

from _guide import results
from _guide.project import Program

PAGES = 1000
NUMBERS = 10_000
PROGRAMS = 20
CLAIMS = 250

HEADER = """\
# %% [markdown]
# # Program
#
# Stands for one that measures something.
#
# - Install: `pip install numpy`
# - Runs on: `cpu`
# - Expected: `1` minutes

# %%
SHORT = False

# %%
results = {}
"""


def make_project(root):
    """Write a project in which every number agrees."""
    per_page, per_topic = NUMBERS // PAGES, NUMBERS // PROGRAMS
    keys = []
    for number in range(PROGRAMS):
        topic = f"topic{number:02d}"
        folder = root / "examples" / topic
        folder.mkdir(parents=True)
        for framework in ("keras", "torch"):
            path = folder / f"{topic}_{framework}.py"
            path.write_text(HEADER)
            values = {
                f"value.{n}": {"value": n + 0.5, "unit": "ratio", "exact": True}
                for n in range(per_topic)
            }
            judgements = {
                "holds": {"holds": True, "because": ["value.0"]},
                "fails": {"holds": False, "because": ["value.0"]},
            }
            provenance = results.provenance(
                Program(root, path),
                settings={},
                versions={},
                backend=None,
                device="Some processor",
                threads=1,
                date="2026-01-02",
                seconds=1.5,
            )
            result = {"values": values, "judgements": judgements, "series": {}}
            result["provenance"] = provenance
            path.with_suffix(".cpu.json").write_text(json.dumps(result))
        keys += [(f"{topic}.cpu:{key}", values[key]) for key in values]
    pages = []
    for number in range(PAGES):
        name = f"topic{number:02d}.md" if number < PROGRAMS else f"p{number}.md"
        bound = keys[number * per_page : (number + 1) * per_page]
        lines = [
            f'It is <data value="{key}">{entry["value"]}</data> times as much,'
            " and here are more words, with `code = 1` and a [link](index.md)."
            for key, entry in bound
        ]
        text = f"# Page {chr(97 + number % 26)}\n\n" + "\n\n".join(lines) + "\n"
        (root / "docs").mkdir(exist_ok=True)
        (root / "docs" / name).write_text(text)
        pages.append(f"  - {name}\n")
    (root / "docs/index.md").write_text("# First page\n")
    ledger = root / "docs/claims"
    ledger.mkdir()
    (ledger / "sources.toml").write_text('first = "a first article"\n')
    (ledger / "speed.toml").write_text("".join(map(make_claim, range(CLAIMS))))
    (root / "snippets").mkdir()
    (root / "README.md").write_text("# Project\n")
    (root / "mkdocs.yml").write_text(
        "site_name: Generated\nnav:\n  - index.md\n" + "".join(pages)
    )


def make_claim(number):
    """A row of the ledger, as long as they usually are."""
    topic = f"topic{number % PROGRAMS:02d}"
    return f"""
[[claim]]
number = {number + 1}
source = "first"
says = '''
Here is what people say of `64` examples, in a sentence or in two.
'''
verdict = "depends"
badge = "measured here"
decides = '''
It is <data value="{topic}.cpu:value.0">0.5</data> times as much, with
`code = 1` and a [page](index.md), and elsewhere it is otherwise, which takes
a sentence as well.
'''
supports = "{topic}.cpu:holds"
opposes = "not {topic}.cpu:fails"
page = "{topic}.md#there"
"""


def measure():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_project(root)

        (taken,) = medians(lambda: guide(root, "check"))
        what = (
            f"guide check, {PAGES:,} pages, {NUMBERS:,} bound numbers, "
            f"{CLAIMS} claims"
        )
        yield Row(what, taken, "s", at_most=1)


if __name__ == "__main__":
    report(measure())
