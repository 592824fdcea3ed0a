"""Whether a text says what was measured, and what it would have to say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from _guide.project import FRAMEWORK_NAMES
from _guide.reference import Reference
from _guide.results import describe, interval

NOT_MEASURED = "not measured yet"
NUMBER = (
    r"([-−]?)(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?"
    r"(\s?%)?"
)
PLAIN = re.compile(NUMBER)
BOUND = re.compile(rf"(at least|more than|at most|under|about) {NUMBER}", re.I)
BETWEEN = re.compile(rf"between {NUMBER} and {NUMBER}", re.I)
FORMS = (
    "a number, 'at least X', 'more than X', 'at most X', 'under X', "
    "'about X' or 'between X and Y', with × and units after </data>"
)
APART = "write one reference for each framework"
TIME_UNITS = {
    word + plural
    for word in (
        "second", "minute", "hour", "millisecond", "microsecond", "nanosecond",
        "sec", "min",
    )
    for plural in ("", "s")
} | {"s", "ms", "us", "µs", "μs", "ns", "h"}  # fmt: skip


@dataclass(frozen=True)
class Number:
    """A number as it is written."""

    value: float
    decimals: int
    percent: str
    minus: str
    # Whether thousands are separated, as far as the text shows.
    separated: bool

    @classmethod
    def read(cls, sign: str, whole: str, fraction: str, percent: str):
        digits = f"{whole.replace(',', '')}.{fraction or 0}"
        return cls(
            -float(digits) if sign else float(digits),
            len(fraction or ""),
            percent or "",
            sign or "−",
            "," in whole or len(whole) < 4,
        )

    @property
    def scale(self) -> int:
        return 100 if self.percent else 1

    def like(self, value: float) -> str:
        """`value` in the form of this number."""
        comma = "," if self.separated else ""
        text = f"{abs(value) * self.scale:{comma}.{self.decimals}f}"
        negative = value < 0 and text.strip("0.,")
        return (self.minus if negative else "") + text + self.percent

    def measured(self, entry: dict) -> str:
        """A value with its interval in the form of this number."""
        text = f"measured {self.like(entry['value'])}"
        if entry.get("ci"):
            text += " [{}–{}]".format(*map(self.like, entry["ci"]))
        return text

    def rounds(self, value: float) -> bool:
        """Whether `value` rounds to this number."""
        value *= self.scale
        half = 0.5 * 10**-self.decimals
        return abs(self.value - value) <= half + 1e-9 * max(1, abs(value))


@dataclass(frozen=True)
class Verdict:
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


@dataclass(frozen=True)
class Said:
    """A number with the word before it, such as 'at least', or none."""

    kind: str
    numbers: tuple[Number, ...]

    @classmethod
    def read(cls, text: str) -> Said | None:
        """What the text says; None if it is in no form."""
        if found := PLAIN.fullmatch(text):
            return cls("", (Number.read(*found.groups()),))
        if found := BOUND.fullmatch(text):
            kind, *parts = found.groups()
            return cls(kind.lower(), (Number.read(*parts),))
        if found := BETWEEN.fullmatch(text):
            first, last = found.groups()[:4], found.groups()[4:]
            return cls("between", (Number.read(*first), Number.read(*last)))
        return None

    def against(self, entry: dict) -> tuple[str, str] | None:
        """What a value says against it, and the remedy, if only one is."""
        number = self.numbers[-1]
        if not self.kind and entry.get("timing"):
            return (
                "a timing, which differs from machine to machine",
                "write 'about X', 'at least X', 'at most X' or 'between X and "
                "Y', or bind words to a judgement",
            )
        if not self.kind:
            fits = number.rounds(entry["value"])
            return None if fits else (number.measured(entry), "")
        value = entry["value"] * number.scale
        low, high = (end * number.scale for end in interval(entry))
        limits = tuple(one.value for one in self.numbers)
        if holds(self.kind, limits, value, low, high):
            return None
        ends = [low, high] if entry.get("ci") else None
        measured = describe({"value": value, "ci": ends})
        percent = " %" * (number.scale > 1)
        return f"measured {measured}{percent}", "rewrite the sentence"


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
    said = Said.read(text)
    entries = {f: r["values"][reference.key] for f, r in found.items()}
    wrong = {}
    for framework, entry in entries.items():
        if finding := against(text, said, entry):
            wrong[framework] = finding
    if not wrong:
        return None
    measured = {f: finding for f, (finding, _) in wrong.items()}
    remedy = next((remedy for _, remedy in wrong.values() if remedy), "")
    mended = None
    if remedy and len(wrong) < len(found):
        remedy += f", or {APART}"
    if not remedy:
        (number,) = said.numbers
        forms = {number.like(entry["value"]) for entry in entries.values()}
        if len(forms) == 1:
            mended = forms.pop()
        else:
            measured = {f: number.measured(e) for f, e in entries.items()}
            remedy = f"say 'about X', 'between X and Y' or a bound, or {APART}"
    message = f"text says {text}, {each(measured, found)} ({reference})"
    return Verdict(message + f"; {remedy}" * bool(remedy), mended)


def against(
    text: str, said: Said | None, entry: dict
) -> tuple[str, str] | None:
    """What a value says against the text, and the remedy, if only one is."""
    if entry["value"] is None:
        return f"measured {describe(entry)}", "rewrite the sentence"
    if entry["unit"].lower() in TIME_UNITS:
        return (
            f"in {entry['unit']}, which differ from machine to machine",
            "bind a ratio that the program computes",
        )
    if said:
        return said.against(entry)
    if re.search(r"\d", text):
        return "which cannot be compared with a value", f"expected {FORMS}"
    return (
        "but it names a value",
        f"expected {FORMS}; or bind the words to a judgement",
    )


def holds(
    kind: str, limits: tuple[float, ...], value: float, low: float, high: float
) -> bool:
    """Whether the value and its interval agree with the words and limits."""
    limit = limits[0]
    # Such as 0.1 + 0.2 is not above 0.3.
    slack = 1e-9 * max(abs(limits[-1]), abs(low), abs(high))
    if kind == "at least":
        return low >= limit - slack
    if kind == "more than":
        return low > limit + slack
    if kind == "at most":
        return high <= limit + slack
    if kind == "under":
        return high < limit - slack
    if kind == "between":
        return limit - slack <= low and high <= limits[1] + slack
    inner, outer = sorted((limit / 2, 2 * limit))
    return (
        abs(value - limit) <= abs(limit) / 4 + slack
        and inner - slack <= low
        and high <= outer + slack
    )
