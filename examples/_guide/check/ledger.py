"""The ledger of claims, docs/claims.toml, and where in it everything stands.

TOML parsers keep no places, and messages need them. So the text is read
twice: by tomllib for what it says, and here for where it says it.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

from _guide.check.text import Lines

LEDGER = "docs/claims.toml"

# In the order in which a reader sees them, with what they mean.
VERDICTS = {
    "holds": "what was measured or calculated here agrees with it",
    "fails": "what was measured or calculated here says otherwise",
    "depends": "true under some conditions, false under others; which, is said",
    "partly": "one part of it is true, another is not; which, is said",
    "contested": "published studies disagree",
    "advice without evidence": "advice for which we know of no evidence",
    "not what its source says": "the work that it names says something else",
    "the code does not do what is said": "the text and its listing differ",
    "not testable here": "it needs a machine, data or a listing that we do not "
    "have, or says nothing that can be measured",
}
BADGES = {
    "measured here": "programs of this guide measured what decides it",
    "calculated": "arithmetic decides it, or counting",
    "cited": "published work decides it, and is named",
    "contested": "published work disagrees, and is named",
    "advice without evidence": "nothing that we know of decides it",
    "not testable here": "nothing that we can run decides it",
}
TOPICS = (
    "definitions",
    "counting",
    "gradient noise",
    "learning rate",
    "generalisation",
    "speed",
    "memory",
    "accumulation",
    "several devices",
    "normalisation",
    "rare classes",
    "contrastive",
    "language models",
    "inference",
    "choosing",
    "method",
)
TEXT, LIST, TRUTHS = "a text", "a text or a list of texts", "truths by key"
# What kind each field of a claim is, and whether a claim must have it.
FIELDS = {
    "number": ("a whole number", True),
    "topic": (TEXT, True),
    "source": (LIST, True),
    "says": (TEXT, True),
    "verdict": (TEXT, True),
    "badge": (TEXT, True),
    "decides": (TEXT, True),
    # Judgements, and the truth of each that the verdict needs.
    "requires": (TRUTHS, False),
    # Those of them that speak against the claim; the others speak for it.
    "against": (LIST, False),
    "experiment": (LIST, False),
    "references": (LIST, False),
    "page": (TEXT, True),
}

TOKEN = re.compile(
    r"""
      \#[^\n]*
    | ^[ \t]*\[\[[ \t]*(?P<claim>claim)[ \t]*\]\]
    | ^[ \t]*\[[ \t]*(?P<table>[\w.-]+)[ \t]*\]
    | ^[ \t]*(?P<key>[\w-]+)[ \t]*=[ \t]*
    | \"{3}(?:[^\\]|\\.)*?\"{3,5} | '{3}.*?'{3,5}
    | "(?:[^"\\\n]|\\.)*" | '[^'\n]*'
    """,
    re.X | re.S | re.M,
)
# What stands for other characters in a text between quotes.
ESCAPE = re.compile(
    r"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[ \t]*\r?\n\s*|.)|\r\n|.", re.S
)
PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class LedgerError(Exception):
    """What tomllib refuses; `line` and `column` say where."""

    def __init__(self, error: tomllib.TOMLDecodeError, text: str) -> None:
        message = str(error)
        place = PLACE.search(message)
        self.line, self.column = text.count("\n") + 1, 1
        if place:
            message = message[: place.start()]
            if place[1]:
                self.line, self.column = int(place[1]), int(place[2])
        super().__init__(f"no TOML: {message[:1].lower()}{message[1:]}")


@dataclass
class Claim:
    """One row: what it says, and the offset of each field's value."""

    fields: dict
    start: int
    places: dict[str, int] = field(default_factory=dict)
    end: int = 0

    @property
    def number(self) -> object:
        return self.fields.get("number", "without a number")

    @property
    def sound(self) -> bool:
        """Whether each field that it must have is there and of its kind."""
        return all(
            of_kind(self.fields[name], kind)
            if name in self.fields
            else not needed
            for name, (kind, needed) in FIELDS.items()
        )

    def texts(self, name: str) -> list[str]:
        """A field that is a text or a list of texts, as a list."""
        found = self.fields.get(name, [])
        return [found] if isinstance(found, str) else list(found)


@dataclass
class Ledger:
    """The claims and the names of their sources."""

    text: str
    sources: dict[str, str]
    claims: list[Claim]
    # Tables and keys that do not belong there, with their offsets.
    others: list[tuple[str, int]]

    @cached_property
    def lines(self) -> Lines:
        return Lines(self.text)

    def place(self, claim: Claim, name: str, inside: str = "") -> int:
        """The offset of a field's value, or of a text in it."""
        at = claim.places.get(name, claim.start)
        if inside:
            for quote in "\"'":
                found = self.text.find(quote + inside + quote, at, claim.end)
                if found >= 0:
                    return found
        return at

    def offsets(self, claim: Claim, name: str) -> list[int]:
        """Where each character of a text stands, and where the text ends."""
        at = claim.places.get(name, claim.start)
        text = claim.fields[name]
        quotes = re.match(r"\"{3}|'{3}|[\"']|", self.text[at : at + 3])[0]
        token = TOKEN.match(self.text, at)
        if not quotes or not token:
            return [at] * (len(text) + 1)
        start, end = at + len(quotes), token.end() - len(quotes)
        if len(quotes) == 3:
            line_end = re.compile(r"\r?\n").match(self.text, start)
            start = line_end.end() if line_end else start
        if quotes[0] == "'" or "\\" not in self.text[start:end]:
            pieces = re.finditer(r"\r\n|.", self.text[start:end], re.S)
        else:
            pieces = (
                piece
                for piece in ESCAPE.finditer(self.text[start:end])
                # A line that goes on leaves nothing.
                if not re.match(r"\\[ \t]*\r?\n", piece[0])
            )
        found = [start + piece.start() for piece in pieces]
        found.append(end)
        return found if len(found) == len(text) + 1 else [at] * (len(text) + 1)


def read_ledger(text: str) -> Ledger:
    """What the text says and where; raises LedgerError where it is no TOML."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LedgerError(error, text) from None
    rows = content.get("claim")
    sources = content.get("sources")
    ledger = Ledger(text, {}, [], [])
    if isinstance(sources, dict):
        ledger.sources = sources
    places = places_of(text)
    if isinstance(rows, list):
        for fields, (start, found) in zip(rows, places):
            ledger.claims.append(Claim(fields, start, found))
    starts = [claim.start for claim in ledger.claims]
    for claim in ledger.claims:
        following = bisect_right(starts, claim.start)
        claim.end = (starts + [len(text)])[following]
    for name, found in content.items():
        expected = {"sources": dict, "claim": list}.get(name)
        if expected is None or not isinstance(found, expected):
            at = re.search(rf"^[ \t\[]*{re.escape(name)}\b", text, re.M)
            ledger.others.append((name, at.start() if at else 0))
    return ledger


def of_kind(found: object, kind: str) -> bool:
    """Whether a field's value is of the kind that it must be."""
    if kind == TEXT:
        return isinstance(found, str) and bool(found.strip())
    if kind == LIST:
        texts = [found] if isinstance(found, str) else found
        return (
            isinstance(texts, list)
            and bool(texts)
            and all(isinstance(text, str) and text.strip() for text in texts)
        )
    if kind == TRUTHS:
        return isinstance(found, dict) and all(
            isinstance(truth, bool) for truth in found.values()
        )
    return isinstance(found, int) and not isinstance(found, bool) and found > 0


def places_of(text: str) -> list[tuple[int, dict[str, int]]]:
    """The offset of each claim, and of the value of each of its fields."""
    found: list[tuple[int, dict[str, int]]] = []
    inside = False
    for match in TOKEN.finditer(text):
        if match["claim"]:
            found.append((match.start("claim") - 2, {}))
            inside = True
        elif match["table"]:
            # Such as [claim.requires], which is a field of the last claim.
            table, _, name = match["table"].partition(".")
            if table == "claim" and found:
                found[-1][1].setdefault(name, match.start("table"))
            inside = False
        elif match["key"] and inside:
            found[-1][1].setdefault(match["key"], match.end())
    return found
