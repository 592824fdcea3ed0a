"""What no page, figure, table or claim reads is not kept."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from _guide.project import FRAMEWORKS, is_generated, programs

ROOT = Path(__file__).parents[2]
TOPICS = sorted({program.topic for program in programs(ROOT)})
WRITTEN = [
    path
    for pattern in ("docs/**/*.md", "docs/claims/*.toml", "docs/widgets/*.js")
    for path in ROOT.glob(pattern)
    if not is_generated(path.relative_to(ROOT).as_posix())
]
TEXT = "".join(
    path.read_text("utf-8") for path in [*WRITTEN, ROOT / "README.md"]
)


class Read(dict):
    """A dictionary that notes which of its keys were read."""

    def __init__(self, content, keys):
        super().__init__(content)
        self.keys_read = keys

    def __getitem__(self, key):
        self.keys_read.add(key)
        return super().__getitem__(key)

    def get(self, key, default=None):
        return self[key] if key in self else default


def unread(topic, results, draw, text):
    """What of the topic's results neither `draw` nor the text reads.

    results: {name: result}; draw: called with results.
    """
    read = {"values": set(), "judgements": set(), "series": set()}
    draw(
        {
            name: result
            | {part: Read(result[part], read[part]) for part in read}
            for name, result in results.items()
        }
    )
    either = "|".join(f"_{framework}" for framework in FRAMEWORKS)
    cited = set(re.findall(rf"\b{topic}(?:{either})?\.\w+:([a-z0-9_.]+)", text))
    # Calculators name keys as texts of their own.
    cited |= set(re.findall(r"[\"'`]([a-z0-9_]+(?:\.[a-z0-9_]+)+)[\"'`]", text))
    # And make them up: `rule.${kind}`.
    made_up = [
        re.sub(r"\\\$\\\{\w+\\\}", "[a-z0-9_]+", re.escape(template))
        for template in re.findall(r"`([a-z0-9_.]*\$\{\w+\}[^`]*)`", text)
    ]
    found = set()
    for result in results.values():
        judged = set(result["judgements"]) & (cited | read["judgements"])
        grounds = {
            key
            for name in judged
            for key in result["judgements"][name]["because"]
        }
        found |= set(result["judgements"]) - judged
        found |= set(result["values"]) - cited - read["values"] - grounds
        found |= set(result["series"]) - read["series"]
    return sorted(
        key
        for key in found
        if not any(re.fullmatch(pattern, key) for pattern in made_up)
    )


def figures_of(topic):
    """A function that draws the topic's figures and tables."""
    path = ROOT / "examples" / topic / "figure.py"
    if not path.is_file():
        return lambda results: None
    spec = importlib.util.spec_from_file_location(f"{topic}_figure", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def draw(results):
        module.draw(results)
        if hasattr(module, "tables"):
            module.tables(results)

    return draw


@pytest.mark.parametrize("topic", TOPICS)
def test_everything_that_is_kept_is_read(topic):
    results = {
        path.stem: json.loads(path.read_text("utf-8"))
        for path in (ROOT / "examples" / topic).glob("*.json")
    }
    if results:
        assert unread(topic, results, figures_of(topic), TEXT) == []


def test_what_nobody_reads_is_noticed():
    result = {
        "values": dict.fromkeys(
            ["told", "drawn", "ground", "idle", "rule.cnn", "rule.cnn.more"], {}
        ),
        "judgements": {
            "cited": {"because": ["ground"]},
            "silent": {"because": ["idle"]},
        },
        "series": {"line": {}, "other": {}},
    }
    text = '<data value="topic.cpu:told"> <data value="topic_keras.cpu:cited">'
    text += "values[`rule.${kind}`]"

    def draw(results):
        assert results["topic_torch.cpu"]["series"]["line"] == {}
        assert results["topic_torch.cpu"]["values"].get("drawn") == {}

    found = unread("topic", {"topic_torch.cpu": result}, draw, text)
    assert found == ["idle", "other", "rule.cnn.more", "silent"]
