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


@dataclass
class Fence:
    start: int
    end: int
    info: str
    body: str
    body_start: int
    # The comments on the lines directly above.
    comments: str

    @property
    def language(self) -> str:
        match = LANGUAGE.match(self.info)
        name = match and (match["class"] or match["plain"])
        return (name or "").lower()


@dataclass
class Data:
    """One <data value="…">text</data>."""

    start: int
    end: int
    value: str
    text_start: int
    text: str


@dataclass
class Link:
    """A link or an image; `start` to `end` is its text."""

    start: int
    end: int
    target: str
    image: bool


@dataclass
class Code:
    """Inline code or mathematics."""

    start: int
    text: str
    # Whether it stands in a <data>.
    bound: bool


@dataclass
class Figure:
    start: int
    end: int
    # From start to end of its caption.
    caption: tuple[int, int] | None = None


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
        for figure in self.figures:
            if figure.start <= offset < figure.end and figure.caption:
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
        first = above = row
        while TABLE_ROW.match(self.prose, above):
            first = above
            if not first:
                break
            above = self.prose.rfind("\n", 0, first - 1) + 1
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


def blanked(text: str) -> str:
    """As many characters, in as many lines."""
    if "\n" not in text:
        return BLANK * len(text)
    return re.sub(r"[^\n]", BLANK, text)


def scan(text: str) -> Page:
    """The page with all its parts."""
    page = Page(text)
    page.body = _without_blocks(page)
    definitions = {}
    if "]:" in page.body:
        for match in DEFINITION.finditer(page.body):
            definitions[match["label"].lower()] = match["target"]
        page.body = DEFINITION.sub(lambda m: blanked(m[0]), page.body)
    for match in LIKE_INCLUDE.finditer(text):
        start = match.start("mark")
        include = INCLUDE.fullmatch(match[0])
        if include is None:
            fault = (
                f"{match['mark']} looks like an include and is none; expected, "
                'alone on its line: --8<-- "FILE:SECTION"'
            )
            page.faults.append((start, fault))
        elif page.body.startswith(match["mark"], start):
            page.includes.append((start, include["target"]))
    page.body = LIKE_INCLUDE.sub(lambda m: blanked(m[0]), page.body)
    spans = _inline(page, definitions)
    parts, last = [], 0
    for start, end in sorted(spans):
        if start >= last:
            parts += [page.body[last:start], blanked(page.body[start:end])]
        elif end > last:
            parts.append(blanked(page.body[last:end]))
        last = max(last, end)
    parts.append(page.body[last:])
    page.prose = "".join(parts)
    return page


def _without_blocks(page: Page) -> str:
    """The text with front matter and fences as empty lines."""
    text = page.text
    spans = []
    front = FRONT_MATTER.match(text) if text.startswith("---") else None
    if front:
        page.front_matter = front.span("body")
        spans.append(front.span())
    if "```" in text or "~~~" in text:
        position = front.end() if front else 0
        opening = None
        for match in FENCE.finditer(text, position):
            fence = match["fence"]
            if opening is None:
                # A backtick further on makes it code within a sentence.
                if fence[0] == "~" or "`" not in match["info"]:
                    opening = match
            elif (
                fence.startswith(opening["fence"]) and not match["info"].strip()
            ):
                spans.append(_add_fence(page, opening, match))
                opening = None
        if opening:
            spans.append(_add_fence(page, opening, None))
            page.faults.append(
                (
                    opening.start("fence"),
                    f"a fence that is never closed; expected a line with "
                    f"{opening['fence']} below it",
                )
            )
    parts, last = [], 0
    for start, end in spans:
        parts += [text[last:start], re.sub(r"[^\n]", " ", text[start:end])]
        last = end
    return "".join([*parts, text[last:]])


def _add_fence(page: Page, opening: re.Match, closing: re.Match | None):
    """Note the fence; returns where it lies."""
    text = page.text
    start = opening.start("fence")
    body_start = opening.end() + 1
    body_end = closing.start() if closing else len(text)
    comments, above = "", opening.start()
    while above:
        line = text[text.rfind("\n", 0, above - 1) + 1 : above].strip()
        if not (line.startswith("<!--") and line.endswith("-->")):
            break
        comments += line
        above = text.rfind("\n", 0, above - 1) + 1
    end = closing.end() if closing else len(text)
    page.fences.append(
        Fence(
            start,
            end,
            opening["info"].strip(),
            text[body_start:body_end],
            body_start,
            comments,
        )
    )
    return start, end


def _inline(page: Page, definitions: dict[str, str]) -> list[tuple[int, int]]:
    """Note data, links, code and figures; returns what is no prose."""
    body = page.body
    spans: list[tuple[int, int]] = []
    brackets: list[int] = []
    data: tuple[int, str, int] | None = None
    figure: Figure | None = None
    for match in SPECIAL.finditer(body):
        start, end = match.span()
        sign = body[start]
        if sign == "[":
            if match["footnote"]:
                spans.append((start, end))
            else:
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
        if sign == "\\" and match["escaped"]:
            continue
        spans.append((start, end))
        if sign in "`$\\":
            text = body[slice(*match.span(match.lastgroup))]
            page.codes.append(Code(start, text, data is not None))
        elif match["broken"]:
            page.faults.append((start, "a <data> tag without its '>'"))
        elif match["tag"]:
            name = match["tag"].lower()
            if name == "data":
                data = _data_tag(page, match, data, spans)
            elif name == "figure":
                if not match["close"]:
                    figure = Figure(start, len(body))
                    page.figures.append(figure)
                elif figure:
                    figure.end = end
                    figure = None
            elif name == "figcaption" and figure:
                if not match["close"]:
                    figure.caption = (end, figure.end)
                elif figure.caption:
                    figure.caption = (figure.caption[0], start)
            elif name == "img":
                found = attributes(match["attributes"])
                at = start
                if "alt" in found:
                    at = body.index(found["alt"], start)
                page.links.append(
                    Link(at, at + len(found.get("alt", "")),
                         found.get("src", ""), True)
                )  # fmt: skip
            elif name == "a" and not match["close"]:
                found = attributes(match["attributes"])
                stop = body.find("</a", end)
                if "href" in found:
                    page.links.append(
                        Link(end, max(stop, end), found["href"], False)
                    )
    if data:
        page.faults.append((data[0], "a <data> that is not closed by </data>"))
    return spans


def _data_tag(page, match, data, spans):
    """The open <data> after this tag: (start, value, text start), or None."""
    start, end = match.span()
    body = page.body
    # An element is inline: it ends with its paragraph.
    if data and re.search(r"\n[ \t\r]*\n", body[data[2] : start]):
        fault = "a <data> that is not closed by </data> in its paragraph"
        page.faults.append((data[0], fault))
        data = None
        if match["close"]:
            return None
    if match["close"]:
        if data:
            opening, value, text_start = data
            text = body[text_start:start]
            page.data.append(Data(opening, end, value, text_start, text))
            spans.append((opening, end))
        else:
            page.faults.append((start, "a </data> without its <data>"))
        return None
    if data:
        page.faults.append((start, "a <data> within another; close that first"))
        return data
    value = attributes(match["attributes"]).get("value")
    if not value:
        page.faults.append((start, 'a <data> without value="NAME.DEVICE:KEY"'))
    return start, value or "", end


def attributes(text: str) -> dict[str, str]:
    """The attributes of a tag by name."""
    return {
        name.lower(): double or single
        for name, double, single in ATTRIBUTE.findall(text)
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
    page: Page, start: int, end: int, versions: dict[str, int]
) -> Iterator[tuple[int, str]]:
    """(offset, number) of digits that are no name, version, year or marker."""
    text = page.prose
    for match in ENTITY.finditer(text, start, end) if "&" in text else ():
        if html.unescape(match[0]).isnumeric():
            yield match.start(), match[0]
    for match in NUMBER.finditer(text, start, end):
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
    # Not any(…), whose generator takes longer than the search itself.
    for stem in MEASURE_STEMS:
        if stem in text:
            for match in MEASURE.finditer(text):
                start, end = match.span()
                before = text[max(0, start - 20) : start]
                if match[0] != "half" or not NO_MEASURE.search(before):
                    found.append((start, end))
            break
    for match in MULTIPLE.finditer(text):
        start = max(0, match.start() - 20)
        count = COUNT_BEFORE.search(text[start : match.start()])
        if count:
            found.append((start + count.start(), match.end()))
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


class Lines:
    """Line and column of offsets into a text, both from 1."""

    def __init__(self, text: str) -> None:
        self.starts = [0]
        self.starts += (m.end() for m in re.finditer("\n", text))

    def place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1
