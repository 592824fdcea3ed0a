"""The ledger: each of its rules refuses what it should, at its place.

Then what the page shows that is made of it.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from _guide import results
from _guide.check import ledger
from _guide.check.everything import Examined, check
from _guide.project import GuideError, Program, programs
from _guide.site import claims_page
from _guide.site.pages import write_pages

pytestmark = pytest.mark.quick

PROGRAM = """\
# %% [markdown]
# # Small
#
# Measures little.
#
# - Install: `pip install numpy`
# - Runs on: `cpu`
# - Expected: `2` minutes

# %%
SHORT = False

BATCH_SIZES = [4, 32, 512]
"""
RESULT = {
    "values": {
        "gap": {"value": -21.3, "unit": "points", "ci": [-23, -20], "n": 12},
        "level": {"value": -1.25, "unit": "points", "ci": [-2, -1], "n": 12},
        "count": {"value": 50, "unit": "updates", "exact": True},
    },
    "judgements": {
        "behind": {"holds": True, "because": ["gap"]},
        "ahead": {"holds": False, "because": ["gap", "level"]},
        "level": {"holds": True, "because": ["level"]},
        # In PyTorch this does not hold.
        "differs": {"holds": True, "because": ["level"]},
    },
    "series": {},
    "provenance": {
        "program": "small_keras",
        "short": False,
        "date": "2026-01-02",
        "device": "Some processor",
        "threads": 1,
        "seconds": 1.5,
        "backend": None,
        "command": "guide run small_keras",
        "settings": {},
        "versions": {"python": "3.11.7"},
    },
}
RESULT["judgements"]["level_is_level"] = RESULT["judgements"].pop("level")

# Row 15 depends; row 5 is counted; row 33 is from a work.
ROWS = r"""# A comment with a [[claim]] in it.
[sources]
lesson = "a lesson on batch size"
asked = "a question that people ask"

[[claim]]
number = 15
topic = "generalisation"
source = ["lesson", "asked"]
says = "From `64` on, small batches generalise better."
verdict = "depends"
badge = "measured here"
decides = "At one rate `512` loses <data value=\"small.cpu:gap\">−21.3</data> points; see [it](lab/small.md)."
requires = {"small_keras.cpu:behind" = true, "small_torch.cpu:ahead" = false}
experiment = "small"
references = ["smith2018"]
page = "lab/small.md#here"

[[claim]]
number = 5
topic = "counting"
source = "lesson"
says = '''An epoch has `50` updates, a "fact".'''
verdict = "holds"
badge = "calculated"
decides = '''
There are <data value="small.cpu:count">50</data> \
of them.'''
page = "lab/small.md"

[[claim]]
number = 33
topic = "learning rate"
source = "asked"
says = "The rule is from a work."
verdict = "partly"
badge = "cited"
decides = "[Smith](references.md#smith2018) found it for 8,192 examples."
references = "smith2018"
page = "claims.md"
"""  # noqa: E501 because: a row of data is as long as its texts.


PHRASES = """\
behind = { holds = ["loses"], fails = ["wins"] }
ahead = { holds = ["leads"], fails = ["trails"] }
differs = { holds = ["less"], fails = ["more"] }
"""
CITED = """\
It <data value="small.cpu:behind">loses</data>. It
<data value="small.cpu:ahead">trails</data>. In Keras it is
<data value="small_keras.cpu:differs">less</data>.
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A project whose ledger is sound."""
    root = tmp_path_factory.mktemp("project")
    files = {
        "mkdocs.yml": "nav:\n  - index.md\n  - lab/small.md\n  - claims.md\n",
        "docs/index.md": "# First\n\nText.\n",
        "docs/lab/small.md": "# A small study\n\n" + CITED,
        "examples/small/phrases.toml": PHRASES,
        "docs/references.bib": "@misc{smith2018,\n  author = {Smith, A.},\n"
        "  title = {On it}, year = {2018}\n}\n",
        "docs/claims.toml": ROWS,
        "constraints.txt": "torch==2.13.0\n",
        "examples/small/small_keras.py": PROGRAM,
        "examples/small/small_torch.py": PROGRAM,
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for framework in ("keras", "torch"):
        path = root / f"examples/small/small_{framework}.py"
        result = json.loads(json.dumps(RESULT))
        result["provenance"] = results.provenance(
            Program(root, path),
            settings={},
            versions={},
            backend=None,
            device="Some processor",
            threads=1,
            date="2026-01-02",
            seconds=1.5,
        )
        if framework == "torch":
            result["judgements"]["differs"]["holds"] = False
        path.with_suffix(".cpu.json").write_text(json.dumps(result))
    return root


@pytest.fixture
def project(source, tmp_path):
    """A copy to break."""
    root = tmp_path / "copy"
    shutil.copytree(source, root)
    return root


def write(root: Path, *changes: tuple[str, str]) -> list[str]:
    """Change the ledger, with ¦ before what is wrong; returns its places."""
    text = ROWS
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    places = []
    while "¦" in text:
        before, _, after = text.partition("¦")
        line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        places.append(f"docs/claims.toml:{line}:{column}: ")
        text = before + after
    (root / "docs/claims.toml").write_text(text, newline="")
    return places


def found(root: Path) -> list[str]:
    return [str(problem) for problem in Examined(root).problems]


BOUND = r"<data value=\"small.cpu:gap\">−21.3</data>"
REQUIRES = (
    'requires = {"small_keras.cpu:behind" = true, '
    '"small_torch.cpu:ahead" = false}\n'
)
# What of the ledger is changed, each with ¦ before what is wrong, and what
# is said of it.
BROKEN = {
    "no TOML": ('says = "The rule', "says = ¦The rule", "no TOML: invalid va"),
    "no end": (
        'page = "claims.md"\n',
        'page = "claims.md"\n¦other',
        "no TOML: expected '=' after a key",
    ),
    "an unknown table": (
        "[[claim]]\nnumber = 5",
        "¦[[claims]]\nnumber = 5",
        "claims is neither [sources] nor a [[claim]]; did you mean claim?",
    ),
    "a source without a name": (
        'asked = "a question that people ask"',
        '¦asked = ""',
        "source asked has no name",
    ),
    "an unknown field": (
        "number = 33",
        "number = 33\nverdikt = ¦1",
        "claim 33: no claim has a field verdikt; did you mean verdict?; "
        "expected number, topic",
    ),
    "a field too few": (
        '[[claim]]\nnumber = 33\ntopic = "learning rate"\n',
        "¦[[claim]]\nnumber = 33\n",
        "claim 33: has no topic; write topic = a text",
    ),
    "a number that is a text": (
        "number = 33",
        'number = ¦"33"',
        "number is '33', expected a whole number",
    ),
    "a text that is empty": (
        'says = "The rule is from a work."',
        'says = ¦" "',
        "says is ' ', expected a text",
    ),
    "a list that is none": (
        'references = "smith2018"',
        "references = ¦[]",
        "references is [], expected a text or a list of texts",
    ),
    "truths that are none": (
        '"small_torch.cpu:ahead" = false}',
        '"small_torch.cpu:ahead" = "no"}',
        "expected truths by key",
    ),
    "a number twice": (
        "number = 33",
        "number = ¦5",
        "claim 5: the number is taken by the claim in line 19; expected one "
        "that no other has; choose another",
    ),
    "an unknown verdict": (
        'verdict = "holds"',
        'verdict = ¦"hold"',
        "claim 5: no verdict 'hold'; did you mean holds?; expected one of: ho",
    ),
    "an unknown badge": (
        'badge = "cited"',
        'badge = ¦"quoted"',
        "claim 33: no badge 'quoted'; did you mean cited?; expected one of: m",
    ),
    "an unknown topic": (
        'topic = "counting"',
        'topic = ¦"accounting"',
        "claim 5: no topic 'accounting'; did you mean counting?; expected",
    ),
    "an unknown source": (
        '["lesson", "asked"]',
        '["lesson", ¦"ask"]',
        "claim 15: no source 'ask'; did you mean asked?; expected one of: les",
    ),
    "a bare number of others": (
        "An epoch has `50` updates",
        "An epoch has ¦50 updates",
        "claim 5: a bare number, 50, in what others say; write it as code: "
        "`50`",
    ),
    "a number of others that is bound": (
        "From `64` on",
        r"From ¦<data value=\"small.cpu:count\">50</data> on",
        "small.cpu:count is bound in what others say; bind it in decides",
    ),
    "what others say, written wrongly": (
        "The rule is from a work.",
        "The ¦<data rule.",
        "a <data> tag without its '>'; mend it",
    ),
    "a number that disagrees": (
        "−21.3<",
        "¦−21.2<",
        "claim 15: text says −21.2, measured −21.3 [−23.0–−20.0] (small.cpu",
    ),
    "a number that disagrees, behind an escaped line end": (
        ">50</data> \\\nof",
        ">50</data> \\\nand ¦7 of",
        "claim 5: a bare number, 7;",
    ),
    "words that do not hold": (
        BOUND,
        r"<data value=\"small.cpu:gap\">−21.3</data> and "
        r"<data value=\"small.cpu:ahead\">¦leads</data>",
        "text says leads, but it does not hold",
    ),
    "a key that there is not": (
        BOUND,
        f"{BOUND} and " + r"¦<data value=\"small.cpu:gaps\">5</data>",
        "no gaps in examples/small/small_keras.cpu.json; did you mean gap?",
    ),
    "a bare number in a row that cites nothing": (
        "There are <data",
        "There are ¦7 or <data",
        "claim 5: a bare number, 7;",
    ),
    "a lone number in code that is no setting": (
        "There are <data",
        "At ¦`33` are <data",
        "claim 5: a lone number in code, 33, is no setting of",
    ),
    "a link to a page that there is not": (
        "[it](lab/small.md)",
        "[¦it](lab/smal.md)",
        "claim 15: a link to docs/lab/smal.md, which does not exist",
    ),
    "a work that there is not": (
        'references = "smith2018"',
        'references = ¦"smyth2018"',
        "claim 33: no work smyth2018 in docs/references.bib; did you mean sm",
    ),
    "an experiment that there is not": (
        'experiment = "small"',
        'experiment = ¦"smal"',
        "claim 15: no topic smal; did you mean small?; expected a folder",
    ),
    "a page that there is not": (
        '"lab/small.md#here"',
        '¦"lab/smal.md#here"',
        "claim 15: no page docs/lab/smal.md; did you mean lab/small.md?",
    ),
    "a page without its ending": (
        '"lab/small.md#here"',
        '¦"lab/small#here"',
        "claim 15: no page docs/lab/small;",
    ),
    "a verdict that its results contradict": (
        '"small_keras.cpu:behind" = true, ',
        '"small_keras.cpu:level_is_level" = true, '
        '¦"small_keras.cpu:behind" = false, ',
        "claim 15: the verdict 'depends' requires that small_keras.cpu:behind "
        "does not hold, but it holds: gap is -21.30 [-23–-20]; change the "
        "verdict and what decides it to what was measured, then run: guide "
        "check",
    ),
    "a required key that is no judgement": (
        '"small_torch.cpu:ahead"',
        '"small_keras.cpu:ahead" = false, ¦"small_torch.cpu:gap"',
        "gap is a value, no judgement in examples/small/small_torch.cpu.json",
    ),
    "a required key that there is not": (
        '"small_torch.cpu:ahead"',
        '"small_keras.cpu:ahead" = false, ¦"small_torch.cpu:aheads"',
        "aheads is not in examples/small/small_torch.cpu.json; did you mean "
        "ahead?; mend the key, or let the program judge it and run: guide run",
    ),
    "a required program that there is not": (
        '"small_torch.cpu:ahead"',
        '"small_keras.cpu:ahead" = false, ¦"small_tor.cpu:ahead"',
        "no program small_tor (small_tor.cpu:ahead); did you mean small_torch?",
    ),
    "a required result that there is not": (
        '"small_torch.cpu:ahead"',
        '"small_keras.cpu:ahead" = false, ¦"small_torch.gpu:ahead"',
        "examples/small/small_torch.gpu.json does not exist (small_torch.gpu",
    ),
    "a required key without a device": (
        '"small_torch.cpu:ahead"',
        '"small_keras.cpu:ahead" = false, ¦"small_torch:ahead"',
        "small_torch:ahead names no judgement; expected",
    ),
    "frameworks that differ unsaid": (
        '"small_keras.cpu:behind" = true',
        '¦"small_keras.cpu:differs" = true',
        "claim 15: the frameworks differ: small_keras.cpu:differs holds, "
        "small_torch.cpu:differs does not hold; say so in decides, and add "
        '"small_torch.cpu:differs" = false',
    ),
    "depends with one side": (
        '{"small_keras.cpu:behind" = true, "small_torch.cpu:ahead" = false}',
        '¦{"small_keras.cpu:behind" = true}',
        "claim 15: the verdict 'depends' needs a judgement on either side",
    ),
    "depends with false alone": (
        '{"small_keras.cpu:behind" = true, "small_torch.cpu:ahead" = false}',
        '¦{"small_torch.cpu:ahead" = false}',
        "claim 15: the verdict 'depends' needs a judgement on either side",
    ),
    "all that is required against it": (
        REQUIRES,
        'requires = ¦{"small_keras.cpu:behind" = true}\n'
        'against = ["small_keras.cpu:behind"]\n',
        "claim 15: the verdict 'depends' needs a judgement on either side",
    ),
    "against it, but not required": (
        'experiment = "small"',
        'experiment = "small"\nagainst = [¦"small_torch.cpu:behind"]',
        "small_torch.cpu:behind speaks against the claim, but is not required"
        "; did you mean small_torch.cpu:ahead?",
    ),
    "measured without a judgement": (
        f"measured here\"\ndecides = \"At one rate `512` loses {BOUND} points; "
        f"see [it](lab/small.md).\"\n{REQUIRES}",
        f"measured here\"\ndecides = \"At one rate `512` loses {BOUND}.\"\n",
        "claim 15: the badge 'measured here' rests on no judgement",
    ),
    "measured without an experiment": (
        'badge = "measured here"',
        'badge = ¦"measured here"',
        "claim 15: the badge 'measured here' names no experiment; write expe",
    ),
    "calculated from nothing": (
        'badge = "calculated"',
        'badge = ¦"calculated"',
        "claim 5: the badge 'calculated' rests on nothing; name a judgement",
    ),
    "cited without a work": (
        'badge = "cited"',
        'badge = ¦"cited"',
        "claim 33: the badge 'cited' names no work; write references =",
    ),
    "decided by no number": (
        f'decides = "At one rate `512` loses {BOUND} points; see '
        '[it](lab/small.md)."',
        r'decides = ¦"It <data value=\"small.cpu:behind\">loses</data>."',
        "claim 15: no number decides the verdict 'depends'; bind one: <data",
    ),
}  # fmt: skip
# Where a second rule is broken as well: what needs two judgements has none.
TWICE = ("measured without a judgement", "an unknown badge")
# What else must change for a rule to be the only one that is broken.
MORE = {
    "measured without an experiment": [('experiment = "small"\n', "")],
    "calculated from nothing": [
        ("small.cpu:count\">50<", "small.cpu:gap\">−21.3<")
    ],
    "cited without a work": [
        ('references = "smith2018"\n', ""),
        ("[Smith](references.md#smith2018) found it for 8,192 examples.",
         "It is so."),
    ],
}  # fmt: skip


def test_a_sound_ledger_has_no_problem(project, capsys):
    assert found(project) == []
    assert check(project) == 0
    said = capsys.readouterr().out
    assert said == (
        "guide check: 2 pages, 3 claims, 5 bound numbers, 2 results: "
        "no problems\n"
    )


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_ledger_is_found_at_its_place(project, name):
    old, new, message = BROKEN[name]
    places = write(project, (old, new), *MORE.get(name, []))
    said = found(project)
    matching = [line for line in said if message in line]
    assert len(matching) == 1, said
    for place in places:
        assert matching[0].startswith(place), said
    assert len(said) == 1 + (name in TWICE), said


SOUND = {
    "both sides by against": (
        REQUIRES,
        'requires = {"small_keras.cpu:behind" = true, '
        '"small_torch.cpu:level_is_level" = true}\n'
        'against = "small_keras.cpu:behind"\n',
    ),
    "frameworks that differ, named in requires": (
        '"small_torch.cpu:ahead" = false',
        '"small_keras.cpu:differs" = true, "small_torch.cpu:differs" = false',
    ),
    "frameworks that differ, named in decides": (
        '"small_torch.cpu:ahead" = false}',
        '"small_torch.cpu:ahead" = false, "small_torch.cpu:differs" = false}',
    ),
    "a table of its own": (
        REQUIRES + 'experiment = "small"\nreferences = ["smith2018"]\n'
        'page = "lab/small.md#here"\n',
        'experiment = "small"\npage = "lab/small.md#here"\n[claim.requires]\n'
        '"small_keras.cpu:behind" = true\n"small_torch.cpu:ahead" = false\n',
    ),
    "what is cited needs no judgement on both sides": (
        'badge = "cited"',
        'badge = "contested"',
    ),
    "calculated from judgements": (
        'page = "lab/small.md"\n',
        'requires = {"small_keras.cpu:behind" = true}\npage = "lab/small.md"\n',
    ),
    "a setting of the experiment": ("loses", "loses, and at `4`,"),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_allowed_is_not_reported(project, name):
    changes = [SOUND[name]]
    if name == "frameworks that differ, named in decides":
        words = (
            r" and in Keras <data value=\"small_keras.cpu:differs\">less</data>"
        )
        changes.append((BOUND, BOUND + words))
    write(project, *changes)
    assert found(project) == []


def test_a_result_that_is_measured_anew_contradicts_a_verdict(project):
    path = project / "examples/small/small_torch.cpu.json"
    result = json.loads(path.read_text())
    result["judgements"]["ahead"]["holds"] = True
    path.write_text(json.dumps(result))
    write(project)
    assert any(
        "claim 15: the verdict 'depends' requires that small_torch.cpu:ahead "
        "does not hold, but it holds" in said
        for said in found(project)
    )


def test_an_older_result_refuses_the_ledger_as_it_refuses_pages(project):
    path = project / "examples/small/small_keras.py"
    path.write_text(f"{path.read_text()}\nprint(1)\n")
    (said,) = found(project)
    assert "older than its program" in said


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_update_renews_numbers_in_every_kind_of_text(project, capsys, line_end):
    right = ROWS.replace("\n", line_end)
    wrong = right.replace("−21.3<", "−3.0<").replace(">50<", ">49<")
    path = project / "docs/claims.toml"
    path.write_bytes(wrong.encode())
    assert check(project, update=True) == 0
    assert path.read_bytes().decode() == right
    assert "now says −21.3" in capsys.readouterr().out


def test_every_character_of_a_text_has_its_place():
    row = (
        "[[claim]]\na = \"q\\\"\\u00e9x\"\nb = '''\none\n  two'''\n"
        'c = """a\\\n   b \\t c"""\nd = \'x\\y\'\n'
    )
    for text in (row, row.replace("\n", "\r\n")):
        read = ledger.read_ledger(text)
        (claim,) = read.claims
        for name, value in claim.fields.items():
            offsets = read.offsets(claim, name)
            assert len(offsets) == len(value) + 1
            assert len(set(offsets)) == len(offsets)
            for character, offset in zip(value, offsets):
                there = text[offset]
                assert there == character or there in "\\\r", name


# The page


@pytest.fixture(scope="module")
def page(source, tmp_path_factory):
    """The page that is made of the sound ledger, and its project."""
    root = tmp_path_factory.mktemp("page") / "copy"
    shutil.copytree(source, root)
    write_pages(root)
    return root, (root / "docs/claims.md").read_text()


def test_the_page_counts_what_it_holds(page):
    text = page[1]
    assert "**3 statements about batch size" in text
    assert "paraphrased" in text
    for verdict in ("holds", "depends", "partly"):
        assert f'<li><a href="?verdict={verdict}">{verdict}</a> 1</li>' in text
    assert "?verdict=fails" not in text
    assert '<option value="lesson">a lesson on batch size (2)</option>' in text
    assert (
        '<form class="guide-filter" role="search" aria-label="Claims" hid'
        in text
    )


def test_the_page_has_each_claim_under_its_topic(page):
    text = page[1]
    order = ["## Counting", "claim-5", "## Learning rate", "claim-33"]
    order += ["## Generalisation", "claim-15"]
    at = [text.index(part if part[0] == "#" else f'"{part}"') for part in order]
    assert at == sorted(at)


def test_a_claim_shows_all_that_it_rests_on(page):
    text = page[1]
    row = text[text.index('id="claim-15"') :].partition("</article>")[0]
    assert 'data-source="lesson asked"' in row
    assert "[15](#claim-15) From `64` on" in row
    assert "<strong>depends</strong> · measured here" in row
    assert '<data value="small.cpu:gap">−21.3</data>' in row
    assert "a lesson on batch size; a question that people ask" in row
    assert "[A small study](lab/small.md#here)" in row
    assert "[Keras](notebooks/small_keras.ipynb)" in row
    assert "[evidence](evidence/small.md)" in row
    assert "[Smith (2018)](references.md#smith2018)" in row
    assert "2 judgements" in row
    assert (
        "<li><code>ahead</code> <data "
        'value="small_torch.cpu:ahead">does not hold in PyTorch</data></li>'
    ) in row


def test_what_speaks_against_a_claim_stands_apart(project):
    write(project, SOUND["both sides by against"])
    text = claims_page.claims_page(
        project, programs(project), *claims_page.claims_of(project)
    )
    row = text[text.index('id="claim-15"') :].partition("</article>")[0]
    assert re.search(
        r"For it:.*level_is_level.*Against it:.*<code>behind", row, re.S
    )


def test_evidence_leads_back_to_the_claims_that_it_decides(page):
    text = (page[0] / "docs/evidence/small.md").read_text()
    assert "Claims that it decides: [15](../claims.md#claim-15)." in text


def test_the_page_is_written_only_when_it_changes_and_goes_with_its_data(page):
    root = page[0]
    path = root / "docs/claims.md"
    before = path.stat().st_mtime_ns
    write_pages(root)
    assert path.stat().st_mtime_ns == before
    data = (root / "docs/claims.toml").read_text()
    (root / "docs/claims.toml").unlink()
    write_pages(root)
    assert not path.exists()
    (root / "docs/claims.toml").write_text(data)
    write_pages(root)
    assert path.exists()


def test_a_broken_ledger_stops_the_build_with_its_line(project):
    write(project, BROKEN["no TOML"][:2])
    with pytest.raises(GuideError, match=r"docs/claims\.toml:\d+: no TOML"):
        write_pages(project)


def test_a_claim_that_lacks_a_field_is_left_to_the_check(project):
    write(project, BROKEN["a field too few"][:2])
    write_pages(project)
    text = (project / "docs/claims.md").read_text()
    assert "claim-33" not in text and "claim-15" in text
