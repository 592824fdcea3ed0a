"""The ledger: each of its rules refuses what it should, at its place.

Then what the page shows that is made of it.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from _guide import results
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

PHRASES = '["ahead"]\nholds = ["leads"]\nfails = ["trails"]\n'
# Row 15 depends; row 5 is counted; row 33 is from a work.
LEDGER = {
    "sources": """\
# A comment with a [[claim]] in it.
lesson = "a lesson on batch size"
asked = "a question that people ask"
""",
    "counting": """\
[[claim]]
number = 5
source = "lesson"
says = '''An epoch has `50` updates, a "fact".'''
verdict = "holds"
badge = "calculated"
decides = '''
There are
<data value="small.cpu:count">50</data> of
them.'''
page = "lab/small.md"
""",
    "generalisation": """\
[[claim]]
number = 15
source = ["lesson", "asked"]
says = "From `64` on, small batches generalise better."
verdict = "depends"
badge = "measured here"
decides = '''
At one rate `512` loses <data value="small.cpu:gap">−21.3</data> points and
<data value="small.cpu:ahead">trails</data>; see
[it](lab/small.md) and [Smith](references.md#smith2018).
'''
supports = "small.cpu:behind"
opposes = "not small.cpu:ahead"
page = "lab/small.md#here"
""",
    "learning-rate": """\
[[claim]]
number = 33
source = 'asked'
says = "The rule is from a work."
verdict = "partly"
badge = "cited"
decides = '[Smith](references.md#smith2018) found it for 8,192 examples.'
page = "claims.md"
""",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A project whose ledger is sound."""
    root = tmp_path_factory.mktemp("project")
    files = {
        "mkdocs.yml": "nav:\n  - index.md\n  - lab/small.md\n  - claims.md\n",
        "docs/index.md": "# First\n\nText.\n",
        "docs/lab/small.md": "# A small study\n\nText.\n",
        "docs/references.bib": "@misc{smith2018,\n  author = {Smith, A.},\n"
        "  title = {On it}, year = {2018}\n}\n",
        **{f"docs/claims/{name}.toml": text for name, text in LEDGER.items()},
        "constraints.txt": "torch==2.13.0\n",
        "examples/small/phrases.toml": PHRASES,
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
    texts, places = dict(LEDGER), []
    for old, new in changes:
        (name,) = (name for name, text in texts.items() if old in text)
        assert texts[name].count(old) == 1, old
        texts[name] = texts[name].replace(old, new)
    for name, text in texts.items():
        path = f"docs/claims/{name}.toml"
        while "¦" in text:
            before, _, after = text.partition("¦")
            line = before.count("\n") + 1
            column = len(before) - before.rfind("\n")
            places.append(f"{path}:{line}:{column}: ")
            text = before + after
        (root / path).write_text(text)
    return places


def found(root: Path) -> list[str]:
    return [str(problem) for problem in Examined(root).problems]


BOUND = '<data value="small.cpu:gap">−21.3</data>'
SUPPORTS, OPPOSES = (
    'supports = "small.cpu:behind"\n',
    'opposes = "not small.cpu:ahead"\n',
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
    "what is no claim": (
        "[[claim]]\nnumber = 5",
        "¦[[claims]]\nnumber = 5",
        "claims is no [[claim]], as all is in a topic's file; mend it",
    ),
    "a source without a name": (
        'asked = "a question that people ask"',
        '¦asked = ""',
        "asked names no source; write its title, or describe it",
    ),
    "an unknown field": (
        "number = 33",
        "number = 33\nverdikt = ¦1",
        "claim 33: no claim has a field verdikt; did you mean verdict?; "
        "expected number, source",
    ),
    "a field too few": (
        "[[claim]]\nnumber = 33\nsource = 'asked'\n",
        "¦[[claim]]\nnumber = 33\n",
        "claim 33: has no source; write source = a text or a list of texts",
    ),
    "no number": (
        "[[claim]]\nnumber = 5\n",
        "¦[[claim]]\n",
        "claim without a number: has no number; write number = a whole num",
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
        "source = 'asked'",
        "source = ¦[]",
        "source is [], expected a text or a list of texts",
    ),
    "judgements that are a table": (
        'page = "lab/small.md"\n',
        'opposes = ¦{"small.cpu:ahead" = false}\npage = "lab/small.md"\n',
        "opposes is {'small.cpu:ahead': False}, expected a text or a list",
    ),
    "a text with escapes": (
        'says = "The rule is',
        'says = ¦"The \\"rule\\" is',
        "claim 33: says has signs that stand for others, such as \\n; write it "
        "as it is, between '''",
    ),
    "numbers out of order": (
        'page = "claims.md"\n',
        'page = "claims.md"\n\n[[claim]]\nnumber = ¦7\nsource = "asked"\n'
        "says = 'It is said.'\nverdict = \"holds\"\nbadge = \"cited\"\n"
        "decides = '[Smith](references.md#smith2018) says so.'\n"
        'page = "claims.md"\n',
        "claim 7: stands below claim 33; expected claims in order of their "
        "numbers; move it up",
    ),
    "a number twice": (
        "number = 33",
        "number = ¦5",
        "claim 5: the number is taken in docs/claims/counting.toml:1; the next "
        "free one is 16; write that",
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
        'says = "From `64` on',
        "says = 'From ¦<data value=\"small.cpu:count\">50</data> on",
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
        "claim 15: text says −21.2, measured −21.3 [−23.0–−20.0] (small.cpu:",
    ),
    "a number in words": (
        ">50</data> of",
        ">50</data> and ¦a third of",
        "claim 5: a bare number, a third of;",
    ),
    "words that do not hold": (
        ">trails<",
        ">¦leads<",
        "claim 15: text says leads, but it does not hold",
    ),
    "a key that there is not": (
        BOUND,
        f'{BOUND} and ¦<data value="small.cpu:gaps">5</data>',
        "there is no gaps in examples/small/small_keras.cpu.json; did you mean "
        "gap?",
    ),
    "a bare number in a row that cites nothing": (
        "There are\n",
        "There are ¦7 or\n",
        "claim 5: a bare number, 7;",
    ),
    "a bare number in another sentence than the work": (
        "for 8,192 examples.",
        "it for 8,192 examples. There are ¦7.",
        "claim 33: a bare number, 7;",
    ),
    "a lone number in code that is no setting": (
        "There are\n",
        "At ¦`33` are\n",
        "claim 5: a lone number in code, 33, is no setting of",
    ),
    "a link to a page that there is not": (
        "[it](lab/small.md)",
        "[¦it](lab/smal.md)",
        "claim 15: a link to docs/lab/smal.md, which does not exist",
    ),
    "a work that there is not": (
        "'[Smith](references.md#smith2018)",
        "'[¦Smith](references.md#smyth2018)",
        "claim 33: no work smyth2018 in docs/references.bib; did you mean sm",
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
        SUPPORTS,
        'supports = ["small.cpu:level_is_level", ¦"not small.cpu:behind"]\n',
        "claim 15: the verdict 'depends' requires that small.cpu:behind does "
        "not hold, but it holds: gap is -21.30 [-23–-20]; change the verdict "
        "and what decides it to what was measured, then run: guide check",
    ),
    "a verdict that one framework contradicts": (
        SUPPORTS,
        'supports = ["small.cpu:behind", ¦"small.cpu:differs"]\n',
        "claim 15: the verdict 'depends' requires that small.cpu:differs holds,"
        " but it does not hold: level is -1.250 [-2–-1] in PyTorch; change the "
        "verdict and what decides it to what was measured, or name each "
        "framework, then run: guide check",
    ),
    "a required key that is no judgement": (
        OPPOSES,
        'opposes = ["not small.cpu:ahead", ¦"not small_torch.cpu:gap"]\n',
        "requires not small_torch.cpu:gap, but that is a value, no judgement",
    ),
    "a required key that there is not": (
        OPPOSES,
        'opposes = ["not small.cpu:ahead", ¦"not small.cpu:aheads"]\n',
        "there is no aheads in examples/small/small_keras.cpu.json; did you "
        "mean ahead?; mend the key, or let the program measure it and run: gu",
    ),
    "a required program that there is not": (
        OPPOSES,
        'opposes = ["not small.cpu:ahead", ¦"not smal.cpu:ahead"]\n',
        "there is no program smal_keras (smal.cpu:ahead); did you mean small?",
    ),
    "a required result that there is not": (
        OPPOSES,
        'opposes = ["not small.cpu:ahead", ¦"not small.gpu:ahead"]\n',
        "examples/small/small_keras.gpu.json does not exist (small.gpu:ahead",
    ),
    "a required key without a device": (
        OPPOSES,
        'opposes = ["not small.cpu:ahead", ¦"not small:ahead"]\n',
        "requires not small:ahead, but that names no judgement; expected",
    ),
    "a judgement on both sides": (
        SUPPORTS,
        'supports = ["small.cpu:behind", "not small.cpu:ahead"]\n',
        "small.cpu:ahead is required twice; name it once",
    ),
    "one framework for both": (
        SUPPORTS,
        'supports = ¦"small_keras.cpu:behind"\n',
        "claim 15: small_keras.cpu:behind comes out alike in both frameworks; "
        "write small.cpu:behind in its place",
    ),
    "frameworks that differ unsaid": (
        SUPPORTS,
        'supports = ¦"small_keras.cpu:differs"\n',
        "claim 15: the frameworks differ: small_keras.cpu:differs holds, "
        "small_torch.cpu:differs does not hold; name both, and in decides say",
    ),
    "depends with one side": (
        OPPOSES,
        "",
        "claim 15: the verdict 'depends' needs judgements in supports and in "
        "opposes; what speaks for the claim stands in supports, what speaks",
    ),
    "depends with the other side": (
        SUPPORTS,
        "",
        "claim 15: the verdict 'depends' needs judgements in supports and in ",
    ),
    "holds, though something opposes it": (
        'page = "lab/small.md"\n',
        'opposes = ¦"small.cpu:behind"\npage = "lab/small.md"\n',
        "claim 5: the verdict 'holds' needs judgements in supports alone; what",
    ),
    "measured without a judgement": (
        SUPPORTS + OPPOSES,
        "",
        "claim 15: the badge 'measured here' rests on no judgement",
    ),
    "calculated from nothing": (
        'badge = "calculated"',
        'badge = ¦"calculated"',
        "claim 5: the badge 'calculated' rests on nothing; name a judgement",
    ),
    "cited without a work": (
        'badge = "cited"',
        'badge = ¦"cited"',
        "claim 33: the badge 'cited' names no work; cite one in decides",
    ),
    "decided by no number": (
        f"decides = '''\nAt one rate `512` loses {BOUND} points and\n",
        "decides = ¦'''\nAt one rate `512` loses and\n",
        "claim 15: no number decides the verdict 'depends'; bind one: <data",
    ),
}  # fmt: skip
# Where a second rule is broken as well: what needs two judgements has none.
TWICE = ("measured without a judgement", "an unknown badge")
# What else must change for a rule to be the only one that is broken.
MORE = {
    "a number of others that is bound": [
        ('generalise better."', "generalise better.'")
    ],
    "a judgement on both sides": [(OPPOSES, OPPOSES.replace("= ", "= ¦"))],
    "calculated from nothing": [
        ("cpu:count\">50<", "cpu:gap\">−21.3<")
    ],
    "cited without a work": [
        ("'[Smith](references.md#smith2018) found it for 8,192 examples.'",
         "'It is so.'"),
    ],
}  # fmt: skip


def test_a_sound_ledger_has_no_problem(project, capsys):
    assert found(project) == []
    assert check(project) == 0
    said = capsys.readouterr().out
    assert said == (
        "guide check: 2 pages, 3 claims, 3 bound numbers, 2 results: "
        "no problems\n"
    )


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_ledger_is_found_at_its_place(project, name):
    old, new, message = BROKEN[name]
    places = write(project, (old, new), *MORE.get(name, []))
    said = found(project)
    matching = [line for line in said if message in line]
    assert len(matching) == 1, "\n".join(said)
    for place in places:
        assert matching[0].startswith(place), said
    assert len(said) == 1 + (name in TWICE), said


DIFFER = (
    OPPOSES,
    'opposes = ["not small.cpu:ahead", "not small_torch.cpu:differs"]\n',
)
SOUND = {
    "frameworks that differ, both named": [
        (
            SUPPORTS,
            'supports = ["small.cpu:behind", "small_keras.cpu:differs"]\n',
        ),
        DIFFER,
        ("; see\n", " in Keras; see\n"),
    ],
    "one text or a list of texts": [
        ("source = 'asked'", "source = ['asked']"),
        (SUPPORTS, 'supports = ["small.cpu:behind"]\n'),
    ],
    "what is cited needs no judgement on both sides": [
        ('badge = "cited"', 'badge = "contested"'),
    ],
    "calculated from judgements": [
        (">50</data> of", ">50</data>, less than"),
        ('page = "lab/small.md"\n', f'{SUPPORTS}page = "lab/small.md"\n'),
    ],
    "a setting of the programs that it names": [
        ("loses", "loses, and at `4`,"),
    ],
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_allowed_is_not_reported(project, name):
    write(project, *SOUND[name])
    assert found(project) == []


@pytest.mark.parametrize("left", ["supports", "decides"])
def test_where_the_frameworks_differ_a_claim_says_so(project, left):
    changes = SOUND["frameworks that differ, both named"]
    keep = changes[0], *(changes[1:2] if left == "supports" else changes[2:])
    write(project, *keep)
    assert any("the frameworks differ:" in said for said in found(project))


def test_a_result_that_is_measured_anew_contradicts_a_verdict(project):
    path = project / "examples/small/small_torch.cpu.json"
    result = json.loads(path.read_text())
    result["judgements"]["ahead"]["holds"] = True
    path.write_text(json.dumps(result))
    write(project)
    assert any(
        "claim 15: the verdict 'depends' requires that small.cpu:ahead does "
        "not hold, but it holds: gap is -21.30 [-23–-20], level is -1.250 "
        "[-2–-1] in PyTorch; change" in said
        for said in found(project)
    )


def test_an_older_result_refuses_the_ledger_as_it_refuses_pages(project):
    path = project / "examples/small/small_keras.py"
    path.write_text(f"{path.read_text()}\nprint(1)\n")
    (said,) = found(project)
    assert "older than its program" in said


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_update_renews_numbers_in_every_kind_of_text(project, capsys, line_end):
    folder = project / "docs/claims"
    right = {
        name: text.replace("\n", line_end).encode()
        for name, text in LEDGER.items()
    }
    for name, text in right.items():
        wrong = text.decode().replace("−21.3<", "−3.0<").replace(">50<", ">49<")
        (folder / f"{name}.toml").write_bytes(wrong.encode())
    assert check(project, update=True) == 0
    for name, text in right.items():
        assert (folder / f"{name}.toml").read_bytes() == text
    assert "now says −21.3" in capsys.readouterr().out


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
    order = ["## Counting", "claim-5", "## Generalisation", "claim-15"]
    order += ["## Learning rate", "claim-33"]
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
    assert re.search(
        '<p>For it:</p>\n<ul>\n<li><code>behind</code> <data value="small.cpu:'
        'behind">holds</data></li>\n</ul>\n<p>Against it:</p>.*ahead">does not '
        "hold<",
        row,
        re.S,
    )


def test_a_judgement_of_one_framework_names_it(project):
    write(project, *SOUND["frameworks that differ, both named"])
    text = claims_page.claims_page(
        project, programs(project), claims_page.ledger_of(project)
    )
    assert '<data value="small_keras.cpu:differs">holds in Keras</data>' in text
    assert 'differs">does not hold in PyTorch</data>' in text


def test_the_data_of_each_topic_can_be_fetched(page):
    root, text = page
    for name in ("counting", "generalisation", "learning-rate"):
        topic = name.replace("-", " ")
        assert f"[{topic}](claims/{name}.toml)" in text
        assert (root / f"docs/claims/{name}.toml").is_file()


def test_evidence_leads_back_to_the_claims_that_rest_on_it(page):
    text = (page[0] / "docs/evidence/small.md").read_text()
    assert "Claims that rest on it: [5](../claims.md#claim-5), [15](../" in text


def test_the_page_is_written_only_when_it_changes_and_goes_with_its_data(page):
    root = page[0]
    path, data = root / "docs/claims.md", root / "docs/claims"
    before = path.stat().st_mtime_ns
    write_pages(root)
    assert path.stat().st_mtime_ns == before
    data.rename(root / "elsewhere")
    write_pages(root)
    assert not path.exists()
    (root / "elsewhere").rename(data)
    write_pages(root)
    assert path.exists()


def test_a_broken_ledger_stops_the_build_with_its_line(project):
    (place,) = write(project, BROKEN["no TOML"][:2])
    with pytest.raises(GuideError, match=f"{place}no TOML"):
        write_pages(project)


def test_a_claim_that_lacks_a_field_is_left_to_the_check(project):
    write(project, BROKEN["a field too few"][:2])
    write_pages(project)
    text = (project / "docs/claims.md").read_text()
    assert "claim-33" not in text and "claim-15" in text
