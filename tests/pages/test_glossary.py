"""The glossary has every unit in which a result is given."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs/glossary.md").read_text("utf-8")
RESULTS = sorted((ROOT / "examples").glob("*/*.json"))


def units_without_an_entry(result, glossary):
    """Units of the values that no row of the table of units begins with."""
    rows = [
        line.split("|")[1]
        for line in glossary.partition("## Units of our results")[2].split("\n")
        if line.startswith("|")
    ]
    units = {value["unit"] for value in result["values"].values()}
    return sorted(
        unit
        for unit in units
        if not any(
            f"`{unit}`" in row or f"`unit={unit}`" in row for row in rows
        )
    )


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_unit_of_a_result_is_in_the_glossary(path):
    result = json.loads(path.read_text("utf-8"))
    assert not units_without_an_entry(result, GLOSSARY), (
        f"{path.relative_to(ROOT)} has units that docs/glossary.md lacks; "
        "add a row for each to its last table"
    )


def test_a_unit_that_the_glossary_lacks_is_found():
    result = {"values": {"speed": {"unit": "furlongs"}, "n": {"unit": "1"}}}
    assert units_without_an_entry(result, GLOSSARY) == ["furlongs"]
