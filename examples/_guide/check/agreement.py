"""Whether a text says what was measured, and what it would have to say."""

from __future__ import annotations

import re
from dataclasses import dataclass

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


def judge_text(
    text: str, judgement: dict, key: str, values: dict
) -> Verdict | None:
    """None if the words agree with the judgement that `key` names.

    Digits in code are settings, and part of the words.
    """
    without_code = re.sub(r"`[^`]*`|\$[^$]*\$|<code>.*?</code>", "", text)
    measured = re.search(r"\d", without_code) or not without_code.strip()
    text = plain(text)
    if measured:
        return Verdict(
            f"text says {text}, but {key} is a judgement, which has no "
            "number; bind the number to a value, or write words"
        )
    if judgement["holds"]:
        return None
    grounds = ", ".join(
        f"{name} is {describe(values[name])}" for name in judgement["because"]
    )
    return Verdict(
        f"text says {text}, but that does not hold: {grounds} ({key}); "
        "rewrite the sentence"
    )


def judge_number(text: str, entry: dict, key: str) -> Verdict | None:
    """None if the text agrees with the value that `key` names."""
    if entry["value"] is None:
        return Verdict(
            f"text says {text}, measured {describe(entry)} ({key}); "
            "rewrite the sentence"
        )
    if entry["unit"].lower() in TIME_UNITS:
        return Verdict(
            f"text says {text}, in {entry['unit']}, which differ from machine "
            f"to machine ({key}); bind a ratio that the program computes"
        )
    number = PLAIN.fullmatch(text)
    if number:
        number = Number.read(*number.groups())
        if entry.get("timing"):
            return Verdict(
                f"text says {text}, a timing, which differs from machine to "
                f"machine ({key}); write 'about X', 'at least X', 'at most X' "
                "or 'between X and Y', or bind words to a judgement"
            )
        if number.rounds(entry["value"]):
            return None
        measured = mended = number.like(entry["value"])
        if entry.get("ci"):
            low, high = map(number.like, entry["ci"])
            measured += f" [{low}–{high}]"
        return Verdict(f"text says {text}, measured {measured} ({key})", mended)
    return _judge_bound(text, entry, key)


def _judge_bound(text: str, entry: dict, key: str) -> Verdict | None:
    bound, between = BOUND.fullmatch(text), BETWEEN.fullmatch(text)
    if between:
        first = Number.read(*between.groups()[:4])
        last = Number.read(*between.groups()[4:])
        limits, kind, scale = (first.value, last.value), "between", last.scale
    elif bound:
        number = Number.read(*bound.groups()[1:])
        limits, kind, scale = (number.value,), bound[1].lower(), number.scale
    elif re.search(r"\d", text):
        return Verdict(
            f"text says {text}, which cannot be compared with a value "
            f"({key}); expected {FORMS}"
        )
    else:
        return Verdict(
            f"text says {text}, but {key} is a value; expected {FORMS}; "
            "or bind the words to a judgement"
        )
    value = entry["value"] * scale
    low, high = (end * scale for end in interval(entry))
    if holds(kind, limits, value, low, high):
        return None
    scaled = {"value": value, "ci": [low, high] if entry.get("ci") else None}
    return Verdict(
        f"text says {text}, measured {describe(scaled)}"
        f"{' %' if scale > 1 else ''} ({key}); rewrite the sentence"
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
