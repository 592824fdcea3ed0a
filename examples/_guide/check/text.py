"""Reads Markdown by offsets: what it binds, links, shows, and says in prose.

Markdown parsers keep no columns, and messages need them. So this finds the
parts that hold no prose, and what is left is `prose`: a text of the same
length, in which everything else is blanked. Indented text is prose, because
the bodies of tabs and admonitions are indented.
"""

from __future__ import annotations

import difflib
import html
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from _guide.project import GuideError

# What stands for a blanked character within a line; no word, no space.
BLANK = "\0"

FRONT_MATTER = re.compile(
    r"---[ \t]*\r?\n(?P<body>.*?)^---[ \t]*\r?$", re.S | re.M
)
FENCE = re.compile(
    r"^(?P<before>[ \t]*(?:(?:>|[-*+]|\d+[.)])[ \t]+)*)"
    r"(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)",
    re.M,
)
LANGUAGE = re.compile(r"\s*(?:\{[^}]*?\.(?P<class>[\w+-]+)|(?P<plain>[\w+-]+))")
DEFINITION = re.compile(
    r"^[ \t]*\[(?P<label>[^\]^\n][^\]\n]*)\]:[ \t]*(?P<target>\S+)[^\n]*", re.M
)
INCLUDE = re.compile(r'^[ \t]*-+8<-+[ \t]+"(?P<target>[^"\n]+)"\r?$', re.M)
# Also what a formatter makes of one, which a page would show as it is.
LIKE_INCLUDE = re.compile(
    r"^[ \t>]*(?P<mark>[-–—−]+[ \t]*8[ \t]*(?:<|&lt;)[ \t]*[-–—−]+.*)$", re.M
)
# One pass over the text stops at these characters only, and looks there for
# what begins with them; `within` keeps an inline element in its paragraph.
WITHIN = r"\n(?![ \t\r]*\n)"
SPECIAL = re.compile(
    rf"""[<`$\\\[\]{{]
    (?:(?<=<)(?:
        !--.*?-->
      | https?://[^\s<>]*>
      | (?P<verbatim>script|style)\b.*?</(?P=verbatim)\s*>
      | (?P<close>/?)(?P<tag>[a-zA-Z][\w-]*)
        (?P<attributes>(?:[^<>"']|"[^"]*"|'[^']*')*)>
      | (?P<broken>/?data\b)
      )
    | (?<=`)(?:
        (?!`)(?P<code>(?:[^`\n]|{WITHIN})+)`(?!`)
      | (?P<ticks>`+)(?P<code_in_ticks>[^\n]+?)(?<!`)`(?P=ticks)(?!`)
      )
    | (?<=\\)(?:
        \((?P<round>(?:[^\n]|{WITHIN})+?)\\\)
      | \[(?P<square>(?:[^\n]|{WITHIN})+?)\\\]
      | (?P<escaped>[`$\[\]<{{\\])
      )
    | (?<=\$)(?:
        \$(?P<display>(?:[^\n]|{WITHIN})+?)\$\$
      | (?![\s$])(?P<inline>(?:[^$\n\\]|\\.|{WITHIN})+)(?<!\s)\$(?!\d)
      )
    | (?<=\[)(?P<footnote>\^[^\]\s]+\]:?)?
    | (?<=\])(?:
        \((?P<target><[^>\n]*>|(?:[^()\s]|\([^()\s]*\))*)
          (?:\s+(?:"[^"]*"|'[^']*'))?\s*\)
      | \[(?P<label>[^\]\n]*)\]
      )?
    | (?<={{):?[ \t]*(?:[#.][\w-]|[\w-]+=)[^{{}}\n]*}}
    )
    """,
    re.X | re.S,
)
CAPTION = re.compile(
    r"<figcaption\b[^>]*>(?P<text>.*?)(?:</figcaption|\Z)", re.S
)
COMMENTS = re.compile(r"(?:^[ \t]*<!--.*-->[ \t\r]*\n)+\Z", re.M)
EMPTY_LINE = re.compile(r"\n[ \t\r]*\n")
ATTRIBUTE = re.compile(r"""\b([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
HEADING = re.compile(
    r"[ \t]*(?:>[ \t]*)*(?:#{1,6}[ \t]|(?:===[!+]*|!!!|\?\?\?\+?)[ \t])"
)
UNDERLINE = re.compile(r"[ \t]*(?:=+|-+)[ \t\r]*")
LIST_MARKER = re.compile(r"[ \t]*(?:>[ \t]*)*\d+[.)](?=[ \t])")
# Where a paragraph, a list item or a table row begins.
BLOCK = re.compile(r"\n(?=[ \t\r]*\n|[ \t]*(?:[-*+]|\d+[.)]|\|)[ \t])")
TABLE_ROW = re.compile(r"[ \t]*\|")
LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d+[.)])[ \t]")
SENTENCE_END = re.compile(
    r"(?<!\bal)(?<!\bcf)(?<!\bvs)(?<!\be\.g)(?<!\bi\.e)"
    r"""[.!?][)\]"'’”*_\0]*\s++(?![a-z])"""
)
TOML_FAULT = re.compile(
    r"(.*?)(?: \(at (?:line (\d+), column (\d+)|end of document)\))?", re.S
)
# Digits, and what else is a number in one character, such as ½ or ³.
DIGIT = "\\d" + "".join(
    chr(code) for code in range(0x80, 0x2800) if chr(code).isnumeric()
)
NUMERIC = re.compile(f"[{DIGIT}]")
NUMBER = re.compile(rf"[{DIGIT}]+(?:[.,]\d+)*(?:e[-+]?\d+)?")
ENTITY = re.compile(r"&#?\w+;")
YEAR = re.compile(r"(?:19|20)\d\d")
DATE = re.compile(r"(?:19|20)\d\d-\d\d-\d\d")
# 2000 examples are no year.
COUNTED = re.compile(
    r"\s*(?:%|×|(?:percent|times|examples?|samples?|points|updates|steps"
    r"|iterations|epochs|batches|seeds|runs|replicates|seconds|s|ms)\b)"
)
# After digits: three dimensions, or the width of a number's format.
DIMENSION = re.compile(r"(?:D|-bit)\b")
# For these no version is pinned; the highest that a lone number may name.
OTHER_VERSIONS = {
    "python": 3, "cuda": 20, "node": 30, "debian": 20, "cc by": 4,
}  # fmt: skip
ALIASES = {"torch": ["pytorch"], "mkdocs-material": ["material for mkdocs"]}

COUNT = (
    "(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty"
    "|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand"
    "|million|billion|dozen)"
)
PART = "(?:third|quarter|fifth|sixth|seventh|eighth|ninth|tenth|hundredth)"
COMPARATIVE = (
    "(?:longer|shorter|faster|slower|higher|lower|smaller|larger|greater)"
)
# Number words that compare or measure. Of fractions: not "one half of the
# seeds" or "the second half", which are parts, and not "a third size", which
# is the next.
MEASURE = re.compile(
    rf"""\b(?:
    twice | thrice | halv(?:e[sd]?|ing)
  | (?:doubl|tripl|quadrupl)(?:e[sd]?|ing)(?!-|\s+precision)
  | (?:an?|several|{COUNT})\s+orders?\s+of\s+magnitude
  | (?:by|within|to)\s+(?:[a-z]+\s+){{0,2}}a\s+factor\s+of\s+{COUNT}
  | dozens? | (?:hundreds|thousands|millions|billions)\s+of
  | half(?!-|\s+precision)
  | (?:one|{COUNT})[\s-]+{PART}s?
  | an?\s+{PART}\s+(?:of|as|the|less|more|fewer|{COMPARATIVE})
  | (?:about|almost|by|nearly|only|over|than|to|under|within)\s+an?\s+{PART}
    )\b""",
    re.X,
)
# Most pages have none of these, and looking for them is quicker.
MEASURE_STEMS = (
    "twice", "thrice", "hal", "doubl", "tripl", "quadrupl", "magnitude",
    "factor", "dozen", "s of", "third", "quarter", "fth", "sixth", "eventh",
    "eighth", "ninth", "tenth", "redth",
)  # fmt: skip
NO_MEASURE = re.compile(r"\b(?:one|the|first|second|last|other|each)\s+\Z")
MULTIPLE = re.compile(r"(?:times|fold|per\s?cent)\b")
COUNT_BEFORE = re.compile(rf"\b{COUNT}[\s-]*\Z")


class Fence(NamedTuple):
    start: int
    end: int
    language: str
    body_start: int
    body: str
    # Those on the lines directly above.
    comments: str


class Data(NamedTuple):
    """One <data value="…">text</data>."""

    start: int
    end: int
    value: str
    text_start: int
    text: str


class Link(NamedTuple):
    """A link or an image; `start` to `end` is its text."""

    start: int
    end: int
    target: str
    image: bool


class Code(NamedTuple):
    """Inline code or mathematics; `bound` if it stands in a <data>."""

    start: int
    text: str
    bound: bool


class Figure(NamedTuple):
    start: int
    end: int
    # From start to end of its text.
    caption: tuple[int, int] | None


@dataclass
class Page:
    """A text and what it holds, each with its offset."""

    text: str
    fences: list[Fence] = field(default_factory=list)
    data: list[Data] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    # Those outside of fences: offset and target.
    includes: list[tuple[int, str]] = field(default_factory=list)
    # What is written wrongly: offset and message.
    faults: list[tuple[int, str]] = field(default_factory=list)
    front_matter: tuple[int, int] = (0, 0)
    # The text without front matter and fences, and without all that is no
    # prose.
    body: str = ""
    prose: str = ""

    @cached_property
    def blocks(self) -> list[int]:
        """Where paragraphs, list items and table rows begin."""
        return [0, *(found.end() for found in BLOCK.finditer(self.prose))]

    def block(self, offset: int) -> tuple[int, int]:
        """Where the paragraph, list item or table row around offset lies."""
        line = self.prose.rfind("\n", 0, offset) + 1
        if TABLE_ROW.match(self.prose, line):
            end = self.prose.find("\n", offset)
            return line, len(self.prose) if end < 0 else end
        after = bisect_right(self.blocks, offset)
        following = [*self.blocks[after : after + 1], len(self.prose) + 1]
        return self.blocks[after - 1], following[0] - 1

    def sentence(self, offset: int) -> tuple[int, int]:
        """Where the sentence or table row around offset lies."""
        start, end = self.block(offset)
        if TABLE_ROW.match(self.prose, start):
            return start, end
        for match in SENTENCE_END.finditer(self.prose, start, end):
            if match.start() >= offset:
                return start, match.end()
            start = match.end()
        return start, end

    def said_around(self, offset: int) -> Iterator[str]:
        """The prose that may say what offset is about, nearest first.

        Its sentence or table row; its column head, list item or caption; the
        titles of the tabs and boxes that it is in, and the heading above.
        """
        yield self.prose[slice(*self.sentence(offset))]
        start, end = self.block(offset)
        if TABLE_ROW.match(self.prose, start):
            yield self._column_head(start, offset)
        elif LIST_ITEM.match(self.prose, start):
            yield self.prose[start:end]
        figure = around(self.figures, offset)
        if figure and figure.caption:
            yield self.prose[slice(*figure.caption)]
        start = self.prose.rfind("\n", 0, offset) + 1
        depth = indent_of(self.prose[start:offset])
        while start:
            end = start - 1
            start = self.prose.rfind("\n", 0, end) + 1
            line = self.prose[start:end]
            is_title = HEADING.match(line)
            if is_title and line.lstrip("> \t").startswith("#"):
                yield line
                return
            if line.strip() and indent_of(line) < depth:
                depth = indent_of(line)
                if is_title:
                    yield line

    def _column_head(self, row: int, offset: int) -> str:
        """The heads of its column and of the first, in this row's table."""
        column = self.prose.count("|", row, offset)
        first = row
        while first and TABLE_ROW.match(
            self.prose, above := self.prose.rfind("\n", 0, first - 1) + 1
        ):
            first = above
        cells = self.prose[first : self.prose.find("\n", first)].split("|")
        return " ".join(cells[1:2] + cells[column : column + 1])

    def in_heading(self, offset: int) -> bool:
        """Whether offset lies in a heading, or in a tab's or box's title."""
        start = self.body.rfind("\n", 0, offset) + 1
        if HEADING.match(self.body, start):
            return True
        end = self.body.find("\n", offset)
        if end < 0 or not self.body[start:end].strip():
            return False
        stop = self.body.find("\n", end + 1)
        below = self.body[end + 1 : None if stop < 0 else stop]
        return bool(UNDERLINE.fullmatch(below)) and len(below.strip()) > 1


def indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())


def around(parts: list, offset: int) -> Link | Figure | None:
    """The first of the parts in which offset lies."""
    holding = (part for part in parts if part.start <= offset < part.end)
    return next(holding, None)


def blanked(text: str, spans: list[tuple[int, int]], blank: str = BLANK) -> str:
    """As many characters in as many lines, with `blank` in the spans."""
    parts, last = [], 0
    for start, end in sorted(spans):
        start = max(start, last)
        if start < end:
            hidden = text[start:end]
            parts += (text[last:start], blank * len(hidden))
            if "\n" in hidden:
                parts[-1] = re.sub(r"[^\n]", blank, hidden)
            last = end
    return "".join([*parts, text[last:]])


def scan(text: str) -> Page:
    """The page with all its parts."""
    page = Page(text)
    page.body = blanked(text, _blocks(page), " ")
    definitions, spans = {}, []
    for match in DEFINITION.finditer(page.body) if "]:" in page.body else ():
        definitions[match["label"].lower()] = match["target"]
        spans.append(match.span())
    for match in LIKE_INCLUDE.finditer(text):
        start = match.start("mark")
        shown = page.body.startswith(match["mark"], start)
        if shown:
            spans.append(match.span())
        include = INCLUDE.fullmatch(match[0])
        if include is None:
            fault = (
                f"{match['mark']} looks like an include and is none; expected, "
                'alone on its line: --8<-- "FILE:SECTION"'
            )
            page.faults.append((start, fault))
        elif shown:
            page.includes.append((start, include["target"]))
    page.body = blanked(page.body, spans)
    page.prose = blanked(page.body, _inline(page, definitions))
    return page


def _blocks(page: Page) -> list[tuple[int, int]]:
    """Note front matter and fences; returns where they lie."""
    text, spans, position = page.text, [], 0
    front = FRONT_MATTER.match(text) if text.startswith("---") else None
    if front:
        page.front_matter = front.span("body")
        spans, position = [front.span()], front.end()
    opening = None
    has_fences = "```" in text or "~~~" in text
    for match in FENCE.finditer(text, position) if has_fences else ():
        if opening is None:
            # A backtick further on makes it code within a sentence.
            if match["fence"][0] == "~" or "`" not in match["info"]:
                opening = match
        elif (
            match["fence"].startswith(opening["fence"])
            and not match["info"].strip()
        ):
            _add_fence(page, opening, *match.span())
            opening = None
    if opening:
        _add_fence(page, opening, len(text), len(text))
        fault = (
            "a fence that is never closed; expected a line with "
            f"{opening['fence']} below it"
        )
        page.faults.append((opening.start("fence"), fault))
    return spans + [(fence.start, fence.end) for fence in page.fences]


def _add_fence(page: Page, opening: re.Match, body_end: int, end: int) -> None:
    language = LANGUAGE.match(opening["info"])
    name = language and (language["class"] or language["plain"])
    body_start = opening.end() + 1
    comments = COMMENTS.search(page.text, 0, opening.start())
    page.fences.append(
        Fence(
            start=opening.start("fence"),
            end=end,
            language=(name or "").lower(),
            body_start=body_start,
            body=page.text[body_start:body_end],
            comments=comments[0] if comments else "",
        )
    )


def _inline(page: Page, definitions: dict[str, str]) -> list[tuple[int, int]]:
    """Note data, links, code and figures; returns what is no prose."""
    body = page.body
    spans: list[tuple[int, int]] = []
    brackets: list[int] = []
    # The tag of the <data> that is open.
    data: re.Match | None = None
    for match in SPECIAL.finditer(body):
        start, end = match.span()
        sign = body[start]
        if sign == "[" and not match["footnote"]:
            brackets.append(start)
            continue
        if sign == "]":
            if brackets:
                opening = brackets.pop()
                target = match["target"]
                if target is None:
                    label = match["label"] or body[opening + 1 : start]
                    target = definitions.get(label.lower())
                if target is not None:
                    image = body[opening - 1 : opening] == "!"
                    page.links.append(
                        Link(opening + 1, start, target.strip("<>"), image)
                    )
                    spans.append((start, end))
            continue
        if match["escaped"]:
            continue
        spans.append((start, end))
        name = (match["tag"] or "").lower()
        if sign in "`$\\":
            text = body[slice(*match.span(match.lastgroup))]
            page.codes.append(Code(start, text, data is not None))
        elif match["broken"]:
            page.faults.append((start, "a <data> tag without its '>'"))
        elif name == "data":
            data = _data_tag(page, match, data, spans)
        elif match["close"]:
            continue
        elif name == "figure":
            stop = end_of_element(body, "figure", end)
            # One that is not closed has no part in the next.
            inner = body.find("<figure", end, stop)
            caption = CAPTION.search(body, end, stop if inner < 0 else inner)
            text_span = caption and caption.span("text")
            page.figures.append(Figure(start, stop, text_span))
        elif name == "img":
            found = attributes(match)
            alt = found.get("alt", "")
            at = body.index(alt, start)
            target = found.get("src", "")
            page.links.append(Link(at, at + len(alt), target, True))
        elif name == "a" and "href" in (found := attributes(match)):
            stop = end_of_element(body, "a", end)
            # Without an end it is no link that anything could stand in.
            stop = end if stop == len(body) else stop
            page.links.append(Link(end, stop, found["href"], False))
    if data:
        fault = "a <data> that is not closed by </data>"
        page.faults.append((data.start(), fault))
    return spans


def _data_tag(
    page: Page, match: re.Match, data: re.Match | None, spans: list
) -> re.Match | None:
    """The tag of the <data> that is open after this tag, or None."""
    start, end = match.span()
    # An element is inline: it ends with its paragraph.
    if data and EMPTY_LINE.search(page.body, data.end(), start):
        fault = "a <data> that is not closed by </data> in its paragraph"
        page.faults.append((data.start(), fault))
        return None if match["close"] else match
    if not match["close"]:
        if data:
            fault = "a <data> within another; close that first"
            page.faults.append((start, fault))
        return data or match
    if not data:
        page.faults.append((start, "a </data> without its <data>"))
        return None
    value = attributes(data).get("value", "")
    if not value:
        fault = 'a <data> without value="NAME.DEVICE:KEY"'
        page.faults.append((data.start(), fault))
    text = page.body[data.end() : start]
    page.data.append(Data(data.start(), end, value, data.end(), text))
    spans.append((data.start(), end))
    return None


def end_of_element(body: str, name: str, start: int) -> int:
    """Where its closing tag begins; the end of the text if there is none."""
    found = re.compile(f"</{name}", re.I).search(body, start)
    return found.start() if found else len(body)


def attributes(tag: re.Match) -> dict[str, str]:
    """The attributes of a tag by name."""
    return {
        name.lower(): double or single
        for name, double, single in ATTRIBUTE.findall(tag["attributes"])
    }


def known_versions(constraints: str) -> dict[str, int]:
    """Packages and the like, and the highest major version of each."""
    found = dict(OTHER_VERSIONS)
    for name, major in re.findall(r"^([\w.-]+)==(\d+)", constraints, re.M):
        for alias in (name.lower(), *ALIASES.get(name.lower(), ())):
            found[re.sub(r"[-_.]", " ", alias)] = int(major)
    return found


VERSION = re.compile(
    r"(?P<name>[A-Za-z][\w.-]*(?:[ \n][A-Za-z][\w.-]*){0,2})"
    r"\s+(?:(?:version\s+)?v?)(?P<first>\d+(?:\.\d+)*)"
    r"(?:(?:,?\s*(?:–|-|,|to|or|and)\s*)\d+(?:\.\d+)+)*"
    r"(?!\d|[.,]\d|\s*(?:%|×|times\b|percent\b))"
)


def is_version(text: str, offset: int, versions: dict[str, int]) -> bool:
    """Whether the number at offset is the version of a known package."""
    start = text.rfind(BLANK, 0, offset) + 1
    for match in VERSION.finditer(text, max(start, offset - 80)):
        if match.start() > offset:
            break
        if not match.start("first") <= offset < match.end():
            continue
        words = re.sub(r"[-_.\s]+", " ", match["name"].lower()).split()
        for count in range(1, len(words) + 1):
            major = versions.get(" ".join(words[-count:]))
            if major is not None:
                return "." in match["first"] or int(match["first"]) <= major
    return False


def is_name(text: str, start: int, end: int) -> bool:
    """Whether the number is part of a name, such as ResNet-18 or fp32."""
    first = start
    while first and (text[first - 1].isalnum() or text[first - 1] in "_-."):
        first -= 1
    word = text[first:start].lstrip("-._")
    # But x10 is a factor.
    is_word = word[:1].isalpha() and word.lower() != "x"
    return is_word or bool(DIMENSION.match(text, end))


def bare_numbers(
    page: Page, versions: dict[str, int]
) -> Iterator[tuple[int, str]]:
    """(offset, number) of digits that are no name, version, year or marker."""
    text = page.prose
    for match in ENTITY.finditer(text) if "&" in text else ():
        if html.unescape(match[0]).isnumeric():
            yield match.start(), match[0]
    for match in NUMBER.finditer(text):
        at, stop = match.span()
        line = text.rfind("\n", 0, at) + 1
        marker = LIST_MARKER.match(text, line)
        if marker and stop <= marker.end():
            continue
        if text[at - 1 : at] in "#x" and "&" in text[at - 3 : at]:
            continue
        if is_name(text, at, stop):
            continue
        if YEAR.fullmatch(match[0]) and not COUNTED.match(text, stop):
            continue
        date = re.search(r"[\d-]*\Z", text[max(0, at - 8) : at])[0]
        if DATE.match(text, at - len(date)):
            continue
        word = text[max(line, text.rfind(" ", line, at)) : at]
        if "://" in word or "www." in word or is_version(text, at, versions):
            continue
        sign = (
            at and text[at - 1] in "-−" and not text[at - 2 : at - 1].isalnum()
        )
        yield at - bool(sign), text[at - bool(sign) : stop]


def number_words(page: Page) -> Iterator[tuple[int, str]]:
    """(offset, words) of what compares or measures, such as half or tenfold."""
    text = page.prose.lower()
    found = []
    # Not any(… for …), which takes longer than the search itself.
    has_stem = any(map(text.__contains__, MEASURE_STEMS))
    for match in MEASURE.finditer(text) if has_stem else ():
        start, end = match.span()
        part = NO_MEASURE.search(text, max(0, start - 20), start)
        if match[0] != "half" or not part:
            found.append((start, end))
    for match in MULTIPLE.finditer(text):
        start, end = match.span()
        if count := COUNT_BEFORE.search(text, max(0, start - 20), start):
            found.append((count.start(), end))
    for start, end in found:
        yield start, " ".join(page.prose[start:end].split())


def read(path: Path) -> str:
    """The file's text, line ends as they are."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise GuideError(
            f"{path}: byte {error.start} is not UTF-8; save it as UTF-8"
        ) from None


def closest(name: str, names) -> str:
    """A hint at the name that was probably meant."""
    found = difflib.get_close_matches(name, list(names), 1, 0.5)
    return f"; did you mean {found[0]}?" if found else ""


def place(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1."""
    line_end = text.rfind("\n", 0, offset)
    return text.count("\n", 0, offset) + 1, offset - line_end


def toml_fault(error: Exception, text: str) -> tuple[str, int, int]:
    """What tomllib refuses in the text, its line and its column."""
    why, line, column = TOML_FAULT.fullmatch(str(error)).groups()
    line = int(line or text.count("\n") + 1)
    return (
        f"no TOML: {why[0].lower()}{why[1:]}; mend it",
        line,
        int(column or 1),
    )
