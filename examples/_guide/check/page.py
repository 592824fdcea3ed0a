"""What `guide check` asks of one page, of README, or of a program's cells."""

from __future__ import annotations

import ast
import operator
import posixpath
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from _guide.check import agreement
from _guide.check.text import (
    DIGIT,
    INCLUDE,
    Code,
    Data,
    Fence,
    Figure,
    Link,
    Page,
    around,
    bare_numbers,
    closest,
    number_words,
    place,
    read,
    scan,
)
from _guide.project import (
    DEVICES,
    FRAMEWORK_NAMES,
    GuideError,
    Program,
    is_generated,
)
from _guide.reference import Reference, Unknown

if TYPE_CHECKING:
    from _guide.check.everything import Examined

# What prose calls a framework.
NAMED_AS = {"keras": ("Keras", "TensorFlow"), "torch": ("PyTorch",)}
# Fences that the tests run, and those that show no code.
RUN_LANGUAGES = {"python", "py", "python3", "sh", "bash"}
DATA_LANGUAGES = {
    "text", "console", "json", "yaml", "toml", "ini", "csv", "bibtex", "html",
    "xml", "css", "markdown", "md", "diff", "latex", "mermaid", "makefile",
}  # fmt: skip
# A field of the front matter whose text is prose.
FIELD = re.compile(r"^[\w-]+:[ ]*(?![\d.]+\s*$|\[)(?P<text>.*)", re.M)
IMPORT = re.compile(r"^[ \t]*(?P<from>from|import)[ \t]+snippets\b", re.M)
SECTION = re.compile(r"^[ \t]*# --8<-- \[start:([^\]]+)\]", re.M)
DRAWN_TABLE = re.compile(r"docs/figures/(?P<topic>\w+)/(?P<name>\w+)\.md")
STRING = re.compile(r'"([^"\n]+)"')
TYPED_TABLE = re.compile(r"(?:^[ \t]*\|.*\n?)+", re.M)
MEASURED_CELL = re.compile(
    r"\|\s*<data [^>]*>(?!not measured yet)[^|]*?</data>\s*(?=\|)"
)
# More measured cells than this are not typed.
MOST_TYPED = 8
LONE_NUMBER = re.compile(
    rf"(?P<sign>[-−]?)(?P<digits>[{DIGIT}][{DIGIT},_]*(?:\.\d+)?(?:e[-+]?\d+)?)"
    r"(?P<unit>\s*(?:\\?%|×|\\times|[a-zA-Zµμ]+))?",
    re.I,
)
POWER = re.compile(
    r"(?:(?P<factor>\d+(?:\.\d+)?)\s*(?:×|\\times|\\cdot)\s*)?"
    r"(?P<base>\d+)\s*(?:\^|\*\*)\s*\{?(?P<exponent>[-−]?\d+)\}?"
)

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


def renew(program: Program | Reference) -> str:
    return f"run: guide run {program.name}, then: guide accept {program.name}"


class PageCheck:
    """Checks one text; `programs` are those whose settings it may name."""

    def __init__(
        self,
        project: Examined,
        path: str,
        page: Page,
        programs: list[Program],
    ) -> None:
        self.project = project
        self.path = path
        self.page = page
        self.programs = {program.name: program for program in programs}
        self.in_cell = path.endswith(".py")

    def tell(self, offset: int, message: str, mend=None) -> None:
        where = place(self.page.text, offset)
        self.project.tell(self.path, message, *where, mend=mend)

    def check(self) -> None:
        page = self.page
        for offset, message in page.faults:
            self.tell(offset, f"{message}; mend it")
        for offset, target in page.includes:
            self.check_drawn_table(offset, target)
        self.check_typed_tables()
        for fence in page.fences:
            self.check_fence(fence)
        for data in page.data:
            self.check_data(data)
        for link in page.links:
            self.check_link(link)
        for figure in page.figures:
            self.check_figure(figure)
        for code in page.codes:
            if not code.bound:
                self.check_code(code)
        self.check_prose()

    # Bound numbers

    def check_data(self, data: Data) -> None:
        self.project.num_bound += 1
        if not data.value:
            return
        text = agreement.plain(data.text)
        if not text:
            self.tell(data.start, f"no text is bound to {data.value}; write it")
            return
        if label := self.label_around(data.start):
            self.tell(
                data.start,
                f"{text} is measured, in {label}; say it in the text",
            )
        reference = Reference.read(data.value)
        if reference is None:
            self.tell(
                data.start,
                f"{data.value} names no result; expected TOPIC.DEVICE:KEY, "
                "such as TOPIC.cpu:KEY"
                + closest(data.value, self.project.results),
            )
            return
        self.check_framework(data, reference)
        try:
            asked = self.project.asked(reference)
            asked.phrases.named.add(reference.key)
            self.programs |= asked.programs
            if text.lower() == agreement.NOT_MEASURED:
                for file, path in asked.paths.items():
                    if file in self.project.results:
                        raise Unknown(f"{path} exists; write what it says")
                return
            part, found = self.project.find(reference)
        except Unknown as unknown:
            self.tell(data.start, f"text says {text}, but {unknown}")
            return
        if not found:
            # The result is broken, which is told once, where it is.
            return
        if part == "values":
            verdict = agreement.judge_number(text, reference, found)
        else:
            verdict = asked.phrases.judge(data.text, reference, found)
            # Words may name a setting, as anywhere else.
            for code in self.page.codes if verdict is None else ():
                if code.bound and data.start <= code.start < data.end:
                    self.check_code(code)
        if verdict is None:
            return
        # What surrounds a number that is mended, such as emphasis, stays.
        shown = agreement.NUMBER if verdict.mended else r"\S"
        span = re.search(shown, data.text).span()
        start, end = (data.text_start + at for at in span)
        mend = (start, end, verdict.mended) if verdict.mended else None
        self.tell(start, verdict.message, mend)

    def check_framework(self, data: Data, reference: Reference) -> None:
        """Whether the text names the framework, where only one is meant."""
        framework = reference.framework
        if framework is None or Path(self.path).stem.endswith(framework):
            return
        names = re.compile(rf"\b(?:{'|'.join(NAMED_AS[framework])})\b")
        said = (data.text, *self.page.said_around(data.start))
        if not any(map(names.search, said)):
            shared = replace(reference, framework=None)
            name = FRAMEWORK_NAMES[framework]
            self.tell(
                data.start,
                f"{reference} is about {name} alone, which the sentence does "
                f"not name; write {shared}, which must hold in both "
                f"frameworks, or name {name} in the sentence, column head, "
                "caption, tab or heading",
            )

    # Numbers that are not bound

    def cited(self, offset: int) -> bool:
        """Whether the sentence around offset cites a work."""
        start, end = self.page.sentence(offset)
        return any(
            start <= link.start < end and reference(link.target)
            for link in self.page.links
        )

    def check_prose(self) -> None:
        page = self.page
        for offset, number in self.numbers(page):
            if label := self.label_around(offset):
                self.tell_label(offset, number, label)
            elif not self.cited(offset):
                self.tell(
                    offset,
                    f"a bare number, {number}; bind it to a result "
                    '(<data value="TOPIC.DEVICE:KEY">), cite '
                    "references.md#KEY in the sentence, or write a setting as "
                    "code",
                )
        start, end = page.front_matter
        for match in FIELD.finditer(page.text, start, end):
            self.check_label(*match.span("text"), "the front matter", page.text)

    def numbers(self, page: Page) -> list[tuple[int, str]]:
        """(offset, number) of all in prose, in digits or in words."""
        return [
            *bare_numbers(page, self.project.versions),
            *number_words(page),
        ]

    def label_around(self, offset: int) -> str:
        """In what it lies that should hold no number, or nothing."""
        if self.page.in_heading(offset):
            return "a heading or title"
        link = around(self.page.links, offset)
        return kind_of(link) if link else ""

    def check_label(self, start: int, end: int, what: str, text: str) -> None:
        """Whether numbers stand where none may, and which is no prose."""
        for offset, number in self.numbers(scan(text[start:end])):
            self.tell_label(start + offset, number, what)

    def tell_label(self, offset: int, number: str, what: str) -> None:
        self.tell(
            offset, f"{number} in {what}; say it in the text, bound to a result"
        )

    def check_code(self, code: Code) -> None:
        text = code.text.strip().replace("{,}", ",")
        numbers = lone_numbers(text)
        if numbers is None or self.cited(code.start):
            return
        settings = set().union(*map(self.project.settings_of, self.programs))
        if settings.isdisjoint(map(canonical, numbers)):
            names = ", ".join(sorted(self.programs)) or "any program"
            self.tell(
                code.start,
                f"a lone number in code, {text}, is no setting of {names}; "
                "bind it to a result, or write the setting with its name: "
                f"`name={text}`",
            )

    # Links, images and figures

    def check_link(self, link: Link) -> None:
        key = reference(link.target)
        if key is not None and key not in self.project.references:
            self.tell(
                link.start,
                f"no work {key} in docs/references.bib"
                f"{closest(key, self.project.references)}; add it, or mend the "
                "key",
            )
        if link.image:
            self.check_image(link)
        elif not self.in_cell:
            self.check_page_link(link)

    def check_image(self, link: Link) -> None:
        # That of HTML is an attribute.
        self.check_label(link.start, link.end, kind_of(link), self.page.body)
        if not self.page.text[link.start : link.end].strip():
            self.tell(
                link.start,
                f"an image without alt text ({link.target}); say what is to "
                "be seen",
            )
        drawn = re.search(r"(?:^|/)figures/[^#?]*\.svg", link.target)
        if drawn and not around(self.page.figures, link.start):
            self.tell(
                link.start,
                f"{link.target} stands outside of a <figure markdown>; put it "
                "into one, with a <figcaption markdown>",
            )

    def check_page_link(self, link: Link) -> None:
        target = link.target.partition("#")[0].partition("?")[0]
        if not target.endswith(".md") or re.match(
            r"/|[a-z][a-z0-9+.-]*:", target
        ):
            return
        path = posixpath.join(posixpath.dirname(self.path), target)
        path = posixpath.normpath(path)
        if is_generated(path) or self.project.is_file(path):
            return
        near = closest(path, self.project.pages)
        self.tell(
            link.start,
            f"a link to {path}, which does not exist{near}; write it, or mend "
            "the link",
        )

    def check_figure(self, figure: Figure) -> None:
        page = self.page
        inside = [
            link
            for link in page.links
            if figure.start <= link.start < figure.end
        ]
        if figure.caption is None:
            self.tell(
                figure.start,
                "a figure without a caption; state what it shows in "
                "<figcaption markdown>",
            )
        else:
            start, end = figure.caption
            if not any(start <= data.start < end for data in page.data):
                self.tell(
                    start,
                    "a caption without a bound number or judgement; state the "
                    'finding in it, as <data value="TOPIC.DEVICE:KEY">',
                )
        drawn = [
            link.target.partition("#")[0]
            for link in inside
            if link.image and ".svg" in link.target
        ]
        # A page names its table from the project, not from its own folder.
        drawn += [
            target.removeprefix("docs/")
            for offset, target in page.includes
            if figure.start <= offset < figure.end
        ]
        for image in drawn or [""]:
            wanted = posixpath.splitext(image)[0] + ".csv"
            if not any(link.target.endswith(wanted) for link in inside):
                self.tell(
                    figure.start,
                    "a figure without a link to its data; write in its "
                    f"caption: [Data]({wanted})",
                )

    # Tables

    def check_drawn_table(self, offset: int, target: str) -> None:
        match = DRAWN_TABLE.fullmatch(target)
        if match is None or not around(self.page.figures, offset):
            self.tell(
                offset,
                "an include outside of a fence, which nothing checks; write "
                "the text here, put the line into a fence, or embed a drawn "
                "table, docs/figures/TOPIC/NAME.md, in a <figure markdown>",
            )
        elif not draws(self.project, match["topic"], match["name"]):
            self.tell(
                offset,
                f"examples/{match['topic']}/figure.py draws no table "
                f"{match['name']}; return it from tables(results) there, or "
                "mend the name",
            )

    def check_typed_tables(self) -> None:
        for table in TYPED_TABLE.finditer(self.page.body):
            count = len(MEASURED_CELL.findall(table[0]))
            if count > MOST_TYPED:
                self.tell(
                    table.start(),
                    f"a typed table with {count} measured cells, at most "
                    f"{MOST_TYPED}; draw it: return it from tables(results) "
                    "in figure.py and embed it, as CONTRIBUTING.md shows",
                )

    # Fences

    def check_fence(self, fence: Fence) -> None:
        lines = [line for line in fence.body.split("\n") if line.strip()]
        included = list(INCLUDE.finditer(fence.body))
        for match in included:
            self.check_include(fence, match)
        if fault := self.fault_of(fence, lines, included):
            self.tell(fence.start, fault)

    def fault_of(self, fence: Fence, lines: list, included: list) -> str:
        """What is wrong with how it is run, or nothing."""
        language = fence.language
        if not language:
            return "a fence without a language; write one, such as ```text"
        if language in DATA_LANGUAGES:
            return ""
        if len(included) == len(lines) == 1:
            target = included[0]["target"]
            if target.startswith(("snippets/", "examples/")):
                return ""
            return (
                f"embeds {target}, which the tests do not run; expected a "
                "file in snippets/ or examples/"
            )
        is_run = language in RUN_LANGUAGES
        if re.search(r"not run, because:\s*(?!--)\S", fence.comments):
            if not is_run or self.in_cell:
                return ""
            return (
                f"says that it is not run, but the tests run {language}; "
                "write ```console or ```text, or take the comment out"
            )
        if included:
            return (
                "an include beside other code, which no test runs as it "
                'stands; write one line alone: --8<-- "FILE:SECTION"'
            )
        if self.in_cell:
            return (
                "code in a Markdown cell, which nothing runs; put it into a "
                "code cell"
            )
        if not is_run:
            return (
                f"no test runs {language}; embed a tested file, or say above "
                "it: <!-- not run, because: … -->"
            )
        if found := IMPORT.search(fence.body):
            self.tell(
                fence.body_start + found.start("from"),
                "imports a snippet, which a reader who copies this does not "
                "have; embed it in a fence above, and write above this one: "
                "<!--pytest-codeblocks:cont-->",
            )
        elif re.search(r"skip|xfail", fence.comments):
            if not re.search(r"because:\s*(?!--)\S", fence.comments):
                return (
                    "the tests pass over this fence; say why above it: "
                    "<!-- because: … -->"
                )
        return ""

    def check_include(self, fence: Fence, match: re.Match) -> None:
        target, _, section = match["target"].partition(":")
        offset = fence.body_start + match.start("target")
        path = self.project.root / target
        if not self.project.is_file(target):
            near = [other.name for other in path.parent.glob("*")]
            self.tell(
                offset,
                f"no file {target}{closest(Path(target).name, near)}; write it "
                "or mend the path",
            )
            return
        # A section may also be a range of lines.
        if section and not re.fullmatch(r"[\d:-]+", section):
            sections = SECTION.findall(read(path))
            if section not in sections:
                self.tell(
                    offset,
                    f"no section {section} in {target}"
                    f"{closest(section, sections)}; write # --8<-- "
                    f"[start:{section}] there, or mend the name",
                )
                return
        else:
            section = ""
        self.project.embedded.add((target, section))
        # Its settings may be named, as those of a program that is bound.
        if path.stem in self.project.programs:
            self.programs[path.stem] = self.project.programs[path.stem]


def draws(project: Examined, topic: str, name: str) -> bool:
    """Whether figure.py writes a string, or a form of one, that is `name`."""
    where = f"examples/{topic}/figure.py"
    text = project.text(where)
    forms = STRING.findall(text) if "def tables(" in text else []
    return any(
        re.fullmatch(re.sub(r"\\{.*?\\}", r"\\w+", re.escape(form)), name)
        for form in forms
    )


def kind_of(link: Link) -> str:
    return "alt text" if link.image else "link text"


def reference(target: str) -> str | None:
    """The key of the work that a link leads to, or None."""
    match = re.search(r"(?:^|/)references(?:\.md|/|\.html)#([^?]*)$", target)
    return match[1] if match else None


def lone_numbers(text: str) -> list[float] | None:
    """What a lone number may stand for, such as 5 % for 0.05, or None."""
    power = POWER.fullmatch(text)
    if power:
        exponent = int(power["exponent"].replace("−", "-"))
        if abs(exponent) > 300:
            return []
        return [float(power["factor"] or 1) * float(power["base"]) ** exponent]
    match = LONE_NUMBER.fullmatch(text)
    # Like 2D, a name.
    if not match or (match["unit"] or "") == "D":
        return None
    try:
        number = float(re.sub("[,_]", "", match["digits"]))
    except ValueError:
        # Such as ½; a setting is written with plain digits.
        return []
    number = -number if match["sign"] else number
    percent = (match["unit"] or "").strip().endswith("%")
    return [number, number / 100] if percent else [number]


def canonical(number: float) -> str:
    """The same text for numbers that differ only by rounding."""
    return f"{number:.12g}"


def settings_of(project: Examined, name: str) -> set[str]:
    """Every number in a program's settings, in canonical form."""
    trees: list[ast.AST] = []
    with suppress(GuideError):
        trees += project.programs[name].settings.values()
    for device in DEVICES:
        # What was assigned when it ran says what a calculation gave.
        provenance = project.results.get(f"{name}.{device}", {}).get(
            "provenance", {}
        )
        recorded = repr(provenance.get("settings"))
        trees.append(ast.parse(recorded, mode="eval"))
    numbers = (constant(node) for tree in trees for node in ast.walk(tree))
    return {canonical(number) for number in numbers if number is not None}


def constant(node: ast.AST) -> float | None:
    """The number that a literal or a calculation with literals gives."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) in (int, float) else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = constant(node.operand)
        return None if number is None else -number
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = constant(node.left), constant(node.right)
        # A high power may take for ever.
        high = isinstance(node.op, ast.Pow) and right and abs(right) >= 64
        if None not in (left, right) and not high:
            with suppress(ArithmeticError):
                return OPERATORS[type(node.op)](left, right)
    return None
