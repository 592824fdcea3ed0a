"""Whether a text says what was measured, and what it would have to say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from _guide.project import FRAMEWORK_NAMES
from _guide.reference import Reference
from _guide.results import describe, interval

NOT_MEASURED = "not measured yet"
NUMBER = re.compile(r"([-−]?)(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?(\s?%)?")
SAID = re.compile(
    r"(?:(?P<kind>at least|more than|at most|under|about|between) )?"
    rf"(?P<numbers>{NUMBER.pattern}(?P<second> and {NUMBER.pattern})?)",
    re.I,
)
FORMS = (
    "a number, 'at least X', 'more than X', 'at most X', 'under X', "
    "'about X' or 'between X and Y', with × and units after </data>"
)
APART = "write one reference for each framework"
REWRITE = "rewrite the sentence"
TIME_UNIT = re.compile(
    r"(?:milli|micro|nano)?sec(?:ond)?s?|min(?:ute)?s?|hours?|[mnuµμ]?s|h", re.I
)


class Number(NamedTuple):
    """A number as it is written."""

    sign: str
    whole: str
    fraction: str
    percent: str

    @property
    def value(self) -> float:
        digits = float(f"{self.whole.replace(',', '')}.{self.fraction or 0}")
        return -digits if self.sign else digits

    @property
    def scale(self) -> int:
        return 100 if self.percent else 1

    def like(self, value: float) -> str:
        """`value` in the form of this number."""
        # Whether thousands are separated, as far as the text shows.
        comma = "," if "," in self.whole or len(self.whole) < 4 else ""
        number = abs(value) * self.scale
        text = f"{number:{comma}.{len(self.fraction)}f}"
        minus = self.sign or "−" if value < 0 and text.strip("0.,") else ""
        return minus + text + self.percent

    def measured(self, entry: dict) -> str:
        """A value with its interval in the form of this number."""
        text = f"measured {self.like(entry['value'])}"
        if entry.get("ci"):
            text += " [{}–{}]".format(*map(self.like, entry["ci"]))
        return text

    def rounds(self, value: float) -> bool:
        """Whether `value` rounds to this number."""
        value *= self.scale
        half = 0.5 * 10 ** -len(self.fraction)
        return abs(self.value - value) <= half + 1e-9 * max(1, abs(value))


class Verdict(NamedTuple):
    """What is wrong with a bound text, and the number that mends it."""

    message: str
    mended: str | None = None


def plain(text: str) -> str:
    """A bound text without line breaks, emphasis and the signs of code."""
    return " ".join(re.sub(r"<[^>]*>|[`*]", "", text).split())


def each(said: dict[str, str], found: dict) -> str:
    """What is said of each framework, named where they part."""
    if len(said) == len(found) and len(set(said.values())) == 1:
        return next(iter(said.values()))
    return " and ".join(
        f"{text} in {FRAMEWORK_NAMES[framework]}"
        for framework, text in said.items()
    )


def grounds(reference: Reference, named: Iterable[str], found: dict) -> str:
    """The values on which the judgement rests in the frameworks `named`."""
    said = {}
    for framework in named:
        values = found[framework]["values"]
        because = found[framework]["judgements"][reference.key]["because"]
        said[framework] = ", ".join(
            f"{name} is {describe(values[name])}" for name in because
        )
    return each(said, found)


def judge_number(
    text: str, reference: Reference, found: dict[str, dict]
) -> Verdict | None:
    """None if the text agrees with the value in each framework's result."""
    kind, numbers = said_in(text)
    entries = {f: r["values"][reference.key] for f, r in found.items()}
    wrong = {
        framework: finding
        for framework, entry in entries.items()
        if (finding := against(text, kind, numbers, entry))
    }
    if not wrong:
        return None
    measured = {f: finding for f, (finding, _) in wrong.items()}
    remedy = next((remedy for _, remedy in wrong.values() if remedy), "")
    mended = None
    if remedy and len(wrong) < len(found):
        remedy += f", or {APART}"
    if not remedy:
        (number,) = numbers
        forms = {number.like(entry["value"]) for entry in entries.values()}
        if len(forms) == 1:
            mended = forms.pop()
        else:
            measured = {f: number.measured(e) for f, e in entries.items()}
            remedy = f"say 'about X', 'between X and Y' or a bound, or {APART}"
    message = f"text says {text}, {each(measured, found)} ({reference})"
    return Verdict(message + f"; {remedy}" * bool(remedy), mended)


def said_in(text: str) -> tuple[str, list[Number]]:
    """The word before a number, such as 'at least', and what it is of.

    No numbers if the text is in no form.
    """
    found = SAID.fullmatch(text)
    kind = (found and found["kind"] or "").lower()
    if not found or (kind == "between") != bool(found["second"]):
        return "", []
    parts = NUMBER.findall(found["numbers"])
    return kind, [Number(*part) for part in parts]


@cache
def is_time(unit: str) -> bool:
    return bool(TIME_UNIT.fullmatch(unit))


def against(
    text: str, kind: str, numbers: list[Number], entry: dict
) -> tuple[str, str] | None:
    """What a value says against the text, and the remedy, if only one is."""
    if entry["value"] is None:
        return f"measured {describe(entry)}", REWRITE
    if is_time(entry["unit"]):
        return (
            f"in {entry['unit']}, which differ from machine to machine",
            "bind a ratio that the program computes",
        )
    if not numbers and re.search(r"\d", text):
        return "which cannot be compared with a value", f"expected {FORMS}"
    if not numbers:
        return (
            "but it names a value",
            f"expected {FORMS}; or bind the words to a judgement",
        )
    if not kind and entry.get("timing"):
        return (
            "a timing, which differs from machine to machine",
            "write 'about X', 'at least X', 'at most X' or 'between X and "
            "Y', or bind words to a judgement",
        )
    number = numbers[-1]
    if not kind:
        fits = number.rounds(entry["value"])
        return None if fits else (number.measured(entry), "")
    value = entry["value"] * number.scale
    low, high = (end * number.scale for end in interval(entry))
    if holds(kind, numbers[0].value, number.value, value, low, high):
        return None
    ends = [low, high] if entry.get("ci") else None
    measured = describe({"value": value, "ci": ends})
    return f"measured {measured}{' %' * (number.scale > 1)}", REWRITE


def holds(
    kind: str,
    limit: float,
    second: float,
    value: float,
    low: float,
    high: float,
) -> bool:
    """Whether the value and its interval agree with the words and limits."""
    # Such as 0.1 + 0.2 is not above 0.3.
    slack = 1e-9 * max(abs(second), abs(low), abs(high))
    inner, outer = sorted((limit / 2, 2 * limit))
    near = abs(value - limit) <= abs(limit) / 4 + slack
    return {
        "at least": low >= limit - slack,
        "more than": low > limit + slack,
        "at most": high <= limit + slack,
        "under": high < limit - slack,
        "between": limit - slack <= low and high <= second + slack,
        "about": near and inner - slack <= low and high <= outer + slack,
    }[kind]
