"""A calculator and its snippet are one formula: held to the same cases.

The cases of docs/widgets/NAME-model.js are in NAME.json beside this file. A
case is what is given with the result and its words, or with the error.
"""

import importlib
import inspect
import json
import math
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
NODE = Path(sys.executable).parent / "node"
MODELS = {
    path.name.removesuffix("-model.js"): path
    for path in sorted((ROOT / "docs/widgets").glob("*-model.js"))
    if path.name != "calculator-model.js"
}
EACH_CALCULATOR = pytest.mark.parametrize("name", MODELS)


def cases_of(name):
    return json.loads((HERE / f"{name}.json").read_text("utf-8"))["cases"]


def run_model(path, inputs):
    """What the model declares, and what it makes of each of the inputs."""
    assert NODE.exists(), f"{NODE}: not found; run: make test"
    done = subprocess.run(
        [NODE, HERE / "run_model.mjs", path],
        input=json.dumps(inputs),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def declared(name):
    """The model's fields and its snippet's name."""
    return run_model(MODELS[name], [])


def run_python(snippet, given):
    """What the snippet makes of the values, in the form of the model's."""
    function = getattr(importlib.import_module(f"snippets.{snippet}"), snippet)
    try:
        return {"result": function(**given)}
    except ValueError as error:
        return {"error": str(error)}


def agrees(found, expected):
    """Whether numbers are equal but for rounding; all else is equal.

    A result may hold more than a case says, such as a list of ranges.
    """
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            key in found and agrees(found[key], value)
            for key, value in expected.items()
        )
    if isinstance(expected, bool | str) or isinstance(found, bool | str):
        return found == expected
    return math.isclose(found, expected, rel_tol=1e-12)


def disagreements(found, cases, parts):
    """The cases in which one of the parts is other than it says."""
    return [
        f"{case}: found {each}"
        for each, case in zip(found, cases, strict=True)
        for part in parts
        if part in case and not agrees(each.get(part), case[part])
    ]


@EACH_CALCULATOR
def test_python_and_browser_agree_on_the_cases(name):
    cases = cases_of(name)
    python = [
        run_python(declared(name)["snippet"], case["given"]) for case in cases
    ]
    browser = run_model(MODELS[name], cases)["found"]
    assert not disagreements(python, cases, ("result", "error"))
    assert not disagreements(browser, cases, ("result", "words", "error"))


@EACH_CALCULATOR
def test_the_fields_are_the_arguments_in_their_order(name):
    snippet = declared(name)["snippet"]
    function = getattr(importlib.import_module(f"snippets.{snippet}"), snippet)
    names = [field["name"] for field in declared(name)["fields"]]
    assert names == list(inspect.signature(function).parameters)


@EACH_CALCULATOR
def test_the_cases_have_words_and_an_error_for_every_field(name):
    cases = cases_of(name)
    assert all("error" in case or "words" in case for case in cases)
    wrong = {
        re.match(r"\w+", case["error"])[0] for case in cases if "error" in case
    }
    for field in declared(name)["fields"]:
        assert field["name"] in wrong or "options" in field


@EACH_CALCULATOR
def test_what_a_calculator_starts_with_is_allowed(name):
    start = {
        field["name"]: field["start"] for field in declared(name)["fields"]
    }
    (found,) = run_model(MODELS[name], [{"given": start}])["found"]
    assert "words" in found, found


@EACH_CALCULATOR
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; give a"),
        (" ", "is empty; give a"),
        ("many", "is many; give a"),
        ("1,5", "is 1,5; give a"),
        ("12,34", "is 12,34; give a"),
        ("0x10", "is 0x10; give a"),
        ("−3", "is −3; give a"),
        ("NaN", "is NaN; give a"),
        ("Infinity", "is Infinity; give a"),
        ("1e16", "is 1e16; give at most 1,000,000,000,"),
        ("1e999", "is 1e999; give at most 1,000,000,000,"),
    ],
)
def test_what_is_no_number_gets_a_message(name, text, said):
    fields = [f for f in declared(name)["fields"] if "options" not in f]
    inputs = [{"field": field["name"], "text": text} for field in fields]
    found = run_model(MODELS[name], inputs)["found"]
    for field, each in zip(fields, found, strict=True):
        assert each["error"].startswith(f"{field['name']} {said}"), each


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1600", 1600),
        (" 1600 ", 1600),
        ("1,600", 1600),
        ("1,600,000", 1600000),
        ("1 600", 1600),
        ("1 600", 1600),
        ("1_600", 1600),
        ("1e6", 1000000),
        ("+16.0", 16),
    ],
)
def test_numbers_are_read_as_people_write_them(text, value):
    given = {"field": "num_examples", "text": text}
    (found,) = run_model(MODELS["updates"], [given])["found"]
    assert found == {"value": value}


@pytest.mark.parametrize(
    "planted",
    [
        "export const calculate = (given) => model.calculate(given) + 1;",
        "export const words = () => 'Seven updates.';",
        "export const fields = model.fields.map((field) => ({"
        " ...field, options: undefined,"
        " allowed: { words: 'a number', fits: () => true } }));",
    ],
    ids=["another result", "other words", "nothing is refused"],
)
def test_a_difference_is_noticed(tmp_path, planted):
    uri = MODELS["updates"].as_uri()
    copy = tmp_path / "copy-model.mjs"
    copy.write_text(
        f'import * as model from "{uri}";\nexport * from "{uri}";\n{planted}\n'
    )
    cases = cases_of("updates")
    found = run_model(copy, cases)["found"]
    assert disagreements(found, cases, ("result", "words", "error"))


def test_every_calculator_is_on_a_page_and_has_cases():
    pages = sorted((ROOT / "docs").rglob("*.md"))
    shown = {
        name
        for page in pages
        for name in re.findall(
            r'data-calculator="([\w-]+)"', page.read_text("utf-8")
        )
    }
    assert shown == set(MODELS)
    assert {path.stem for path in HERE.glob("*.json")} == set(MODELS)


def test_a_prediction_stands_beside_what_the_results_say():
    def value(found, key):
        return found["values"][key]["value"]

    results = [
        json.loads((ROOT / f"examples/memory/{name}.json").read_text("utf-8"))
        for name in ("memory_keras.cpu", "memory_torch.cpu")
    ]
    # The site's files name the program beside the provenance.
    for found in results:
        found["program"] = found["provenance"]["program"]
    call = {"call": "presets", "with": [results]}
    (presets,) = run_model(MODELS["memory"], [call])["found"]
    assert len(presets) == 6
    for kind, label in (("mlp", "Perceptron"), ("transformer", "Transformer")):
        for found, framework in zip(results, ("Keras", "PyTorch")):
            preset = presets[f"{label}, {framework}"]
            given, size = preset["given"], preset["sizes"][0]
            call = {"call": "table", "with": [given, preset]}
            (table,) = run_model(MODELS["memory"], [call])["found"]
            measured = value(found, f"intercept.resident.{kind}")
            measured += value(found, f"slope.resident.{kind}") * size / 1000
            predicted = value(found, f"fixed.formula.{kind}.adam")
            predicted += value(found, f"rule.{kind}") * size / 1000
            row = table["rows"][0]
            assert row[0] == f"{size:,}"
            assert row[1] == f"{round(predicted):,}"
            low, _, high = row[2].partition(" to ")
            assert float(low) - 0.5 <= measured <= float(high or low) + 0.5
            assert float(row[3]) == pytest.approx(
                measured / predicted, abs=0.0051
            )
