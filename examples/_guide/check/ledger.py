"""The ledger of claims, docs/claims/TOPIC.toml, and where everything stands.

TOML parsers keep no places, and messages need them. So each file is read
twice: by tomllib for what it says, and here for where it says it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from _guide.check.text import closest, place, read, toml_fault
from _guide.reference import Reference

LEDGER = "docs/claims"
SOURCES = f"{LEDGER}/sources.toml"
PAGE = "docs/claims.md"

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
TEXT, LIST, NUMBER = "a text", "a text or a list of texts", "a whole number"
# What kind each field of a claim is, and whether a claim must have it.
FIELDS = {
    "number": (NUMBER, True),
    "source": (LIST, True),
    "says": (TEXT, True),
    "verdict": (TEXT, True),
    "badge": (TEXT, True),
    "decides": (TEXT, True),
    # Judgements, or "not" and a judgement, that the verdict needs.
    "supports": (LIST, False),
    "opposes": (LIST, False),
    "page": (TEXT, True),
}
PROSE, SIDES, NOT = ("says", "decides"), ("supports", "opposes"), "not "

TOKEN = re.compile(
    r"""
      \#[^\n]*
    | ^[ \t]*(?P<claim>\[\[[ \t]*claim[ \t]*\]\])
    | ^[ \t]*(?P<key>[\w-]+)[ \t]*=[ \t]*
    | (?P<quotes>\"{3}|'{3})(?:\r?\n)?(?P<lines>.*?)(?P=quotes)
    | "(?P<line>(?:[^"\\\n]|\\.)*)" | '(?P<literal>[^'\n]*)'
    """,
    re.X | re.S | re.M,
)
BOUND = re.compile(r"""<data\s+value=["']([^"']*)["']""")
CITED = re.compile(r"\breferences\.md#([\w:.-]+)")


class File(NamedTuple):
    """One file of the ledger."""

    path: str
    text: str


@dataclass
class Claim:
    """One row: what it says, and the offset of each field's value."""

    file: File
    fields: dict
    start: int
    places: dict[str, int]

    @property
    def number(self) -> object:
        return self.fields.get("number", "without a number")

    @property
    def topic(self) -> str:
        return Path(self.file.path).stem.replace("-", " ")

    def faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong with its form: in which field, and what."""
        for name in sorted(set(self.fields) - set(FIELDS)):
            hint = f"{closest(name, FIELDS)}; expected {', '.join(FIELDS)}"
            yield name, f"no claim has a field {name}{hint}"
        for name, (kind, needed) in FIELDS.items():
            found = self.fields.get(name)
            if found is None:
                if needed:
                    yield name, f"has no {name}; write {name} = {kind}"
            elif not of_kind(found, kind):
                yield name, f"{name} is {found!r}, expected {kind}"
            elif name in PROSE and found != self.prose(name)[1].replace(
                "\r", ""
            ):
                yield (
                    name,
                    f"{name} has signs that stand for others, such as \\n; "
                    "write it as it is, between ''' and '''",
                )

    def texts(self, name: str) -> list[str]:
        """A field that is a text or a list of texts, as a list."""
        found = {"topic": self.topic, **self.fields}.get(name, [])
        return [found] if isinstance(found, str) else list(found)

    def offset(self, name: str, inside: str = "") -> int:
        """Where a field's value begins in the file, or a text in it."""
        at = self.places.get(name, self.start)
        quoted = re.compile(rf"([\"']){re.escape(inside)}\1")
        found = inside and quoted.search(self.file.text, at)
        return found.start() if found else at

    def prose(self, name: str) -> tuple[int, str]:
        """Where a text begins, and the text, its line ends as they are."""
        at = self.places.get(name, self.start)
        token = TOKEN.match(self.file.text, at)
        return token.start(token.lastgroup), token[token.lastgroup]

    def required(self, side: str) -> list[tuple[str, Reference | None, bool]]:
        """What stands in supports or opposes, and whether each must hold."""
        return [
            (
                text,
                Reference.read(text.removeprefix(NOT)),
                not text.startswith(NOT),
            )
            for text in self.texts(side)
        ]

    @property
    def judgements(self) -> list[Reference]:
        """All that its verdict needs, as far as they can be read."""
        found = (one for side in SIDES for _, one, _ in self.required(side))
        return [reference for reference in found if reference]

    @property
    def topics(self) -> list[str]:
        """Whose programs measured what decides it."""
        bound = map(Reference.read, BOUND.findall(self.fields["decides"]))
        found = [*self.judgements, *filter(None, bound)]
        return list(dict.fromkeys(reference.topic for reference in found))

    @property
    def works(self) -> list[str]:
        """The keys of those that it cites."""
        return list(dict.fromkeys(CITED.findall(self.fields["decides"])))


class Ledger:
    """The claims of all topics, and the names of their sources."""

    def __init__(self, root: Path) -> None:
        self.claims: list[Claim] = []
        self.sources: dict[str, str] = {}
        # What is no claim: path, what is wrong with it, line and column.
        self.faults: list[tuple[str, str, int, int]] = []
        for path in sorted((root / LEDGER).glob("*.toml")):
            self.add(File(path.relative_to(root).as_posix(), read(path)))

    def add(self, file: File) -> None:
        try:
            content = tomllib.loads(file.text)
        except tomllib.TOMLDecodeError as error:
            self.faults.append((file.path, *toml_fault(error, file.text)))
            return
        if file.path == SOURCES:
            self.sources = content
            wrong = [k for k in content if not of_kind(content[k], TEXT)]
            why = "names no source; write its title, or describe it"
        else:
            rows = content.get("claim")
            rows = rows if isinstance(rows, list) else []
            for fields, (start, places) in zip(rows, places_of(file.text)):
                self.claims.append(Claim(file, fields, start, places))
            wrong = [k for k in content if k != "claim" or not rows]
            why = "is no [[claim]], as all is in a topic's file; mend it"
        for key in wrong:
            at = re.search(rf"^[ \t\[]*{re.escape(key)}\b", file.text, re.M)
            where = place(file.text, at.start() if at else 0)
            self.faults.append((file.path, f"{key} {why}", *where))

    @property
    def free(self) -> int:
        """The lowest number that is above all that are taken."""
        numbers = (claim.number for claim in self.claims)
        return max((n for n in numbers if of_kind(n, NUMBER)), default=0) + 1


def of_kind(found: object, kind: str) -> bool:
    """Whether a field's value is of the kind that it must be."""
    if kind == NUMBER:
        return type(found) is int and found > 0
    texts = [found] if isinstance(found, str) or kind == TEXT else found
    return (
        isinstance(texts, list)
        and bool(texts)
        and all(isinstance(text, str) and text.strip() for text in texts)
    )


def places_of(text: str) -> list[tuple[int, dict[str, int]]]:
    """The offset of each claim, and of the value of each of its fields."""
    found: list[tuple[int, dict[str, int]]] = []
    for match in TOKEN.finditer(text):
        if match["claim"]:
            found.append((match.start("claim"), {}))
        elif match["key"] and found:
            found[-1][1].setdefault(match["key"], match.end())
    return found
