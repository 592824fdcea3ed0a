"""The architectures that the study of memory counts are the published ones."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples/memory"


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("vgg16", 138_357_544),
        ("resnet50", 25_557_032),
        ("mobilenetv2", 3_504_872),
    ],
)
def test_the_tables_have_as_many_parameters_as_published(
    monkeypatch, name, published
):
    monkeypatch.syspath_prepend(FOLDER)
    findings = importlib.import_module("memory_findings")
    table = findings.layer_table(name)
    parameters, _ = findings.count_layers(table, (3, findings.SMALL_SIDE))
    assert parameters == published
