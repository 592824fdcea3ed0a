"""What `guide check` asks of one page, of README, or of a program's cells."""

from __future__ import annotations

import ast
import posixpath
import re
from dataclasses import replace
from functools import cached_property
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
    Lines,
    Link,
    Page,
    bare_numbers,
    closest,
    number_words,
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

    @cached_property
    def lines(self) -> Lines:
        return Lines(self.page.text)

    def tell(self, offset: int, message: str, **more) -> None:
        line, column = self.lines.place(offset)
        self.project.tell(self.path, message, line, column, **more)

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
        if self.page.in_heading(data.start):
            self.tell(
                data.start,
                f"{text} is measured, in a heading or title, which is also a "
                "link; say it in the text below",
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
        lead = len(data.text) - len(data.text.lstrip())
        offset = data.text_start + lead
        mend = None
        if verdict.mended is not None:
            # What surrounds the number, such as emphasis, stays.
            number = re.search(r"[-−]?\d[\d,.]*(?:\s?%)?", data.text)
            start = data.text_start + number.start()
            mend = (start, start + len(number[0]), verdict.mended)
            offset = start
        self.tell(offset, verdict.message, mend=mend)

    def check_framework(self, data: Data, reference: Reference) -> None:
        """Whether the text names the framework, where only one is meant."""
        framework = reference.framework
        if framework is None or Path(self.path).stem.endswith(framework):
            return
        names = re.compile(rf"\b(?:{'|'.join(NAMED_AS[framework])})\b")
        around = self.page.said_around(data.start)
        if not any(map(names.search, (data.text, *around))):
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
            label = next(
                (one for one in page.links if one.start <= offset < one.end),
                None,
            )
            if page.in_heading(offset):
                self.tell(
                    offset,
                    f"{number} in a heading or title; say it in the text below",
                )
            elif label:
                self.tell_label(offset, number, kind_of(label))
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
        digits = bare_numbers(page, 0, len(page.prose), self.project.versions)
        return [*digits, *number_words(page)]

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
        self.note_embedded()
        known = {
            number
            for program in self.programs.values()
            for number in settings_of(self.project, program)
        }
        if not known.intersection(map(canonical, numbers)):
            names = ", ".join(sorted(self.programs)) or "any program"
            self.tell(
                code.start,
                f"a lone number in code, {text}, is no setting of {names}; "
                "bind it to a result, or write the setting with its name: "
                f"`name={text}`",
            )

    def note_embedded(self) -> None:
        """Add the programs whose code the page shows to `programs`."""
        for fence in self.page.fences:
            for match in INCLUDE.finditer(fence.body):
                stem = Path(match["target"].partition(":")[0]).stem
                if stem in self.project.programs:
                    self.programs[stem] = self.project.programs[stem]

    # Links, images and figures

    def check_link(self, link: Link) -> None:
        what = kind_of(link)
        for data in self.page.data:
            if link.start <= data.start < link.end:
                self.tell(
                    data.start,
                    f"{agreement.plain(data.text)} is measured, in {what}; say "
                    "it beside the link",
                )
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
        if drawn and not any(
            figure.start <= link.start < figure.end
            for figure in self.page.figures
        ):
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
        path = f"{posixpath.dirname(self.path)}/{target}".lstrip("/")
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
        inside = any(f.start <= offset < f.end for f in self.page.figures)
        if match is None or not inside:
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
        language = fence.language
        if not language:
            self.tell(
                fence.start,
                "a fence without a language; write one, such as ```text",
            )
        elif language in DATA_LANGUAGES:
            return
        elif len(included) == len(lines) == 1:
            target = included[0]["target"]
            if not target.startswith(("snippets/", "examples/")):
                self.tell(
                    fence.start,
                    f"embeds {target}, which the tests do not run; expected a "
                    "file in snippets/ or examples/",
                )
        elif re.search(r"not run, because:\s*(?!--)\S", fence.comments):
            if language in RUN_LANGUAGES and not self.in_cell:
                self.tell(
                    fence.start,
                    f"says that it is not run, but the tests run {language}; "
                    "write ```console or ```text, or take the comment out",
                )
        elif included:
            self.tell(
                fence.start,
                "an include beside other code, which no test runs as it "
                'stands; write one line alone: --8<-- "FILE:SECTION"',
            )
        elif self.in_cell:
            self.tell(
                fence.start,
                "code in a Markdown cell, which nothing runs; put it into a "
                "code cell",
            )
        elif language not in RUN_LANGUAGES:
            self.tell(
                fence.start,
                f"no test runs {language}; embed a tested file, or say above "
                "it: <!-- not run, because: … -->",
            )
        elif (found := IMPORT.search(fence.body)) is not None:
            self.tell(
                fence.body_start + found.start("from"),
                "imports a snippet, which a reader who copies this does not "
                "have; embed it in a fence above, and write above this one: "
                "<!--pytest-codeblocks:cont-->",
            )
        elif re.search(r"skip|xfail", fence.comments):
            if not re.search(r"because:\s*(?!--)\S", fence.comments):
                self.tell(
                    fence.start,
                    "the tests pass over this fence; say why above it: "
                    "<!-- because: … -->",
                )

    def check_include(self, fence: Fence, match: re.Match) -> None:
        target, _, section = match["target"].partition(":")
        offset = fence.body_start + match.start("target")
        path = self.project.root / target
        if not self.project.is_file(target):
            folder = (self.project.root / target).parent
            near = [p.name for p in folder.iterdir()] if folder.is_dir() else []
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
            self.project.embedded.add((target, section))
        else:
            self.project.embedded.add((target, ""))


def draws(project: Examined, topic: str, name: str) -> bool:
    """Whether figure.py writes a string, or a form of one, that is `name`."""
    where = f"examples/{topic}/figure.py"
    text = read(project.root / where) if project.is_file(where) else ""
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


def settings_of(project: Examined, program: Program) -> set[str]:
    """Every number in a program's settings, in canonical form."""
    if "numbers" not in program.__dict__:
        found: set[str] = set()
        try:
            assigned = program.settings
        except (SyntaxError, GuideError):
            assigned = {}
        for value in assigned.values():
            for node in ast.walk(value):
                number = constant(node)
                if number is not None:
                    found.add(canonical(number))
        # What was assigned when it ran says what a calculation gave.
        for device in DEVICES:
            result = project.results.get(f"{program.name}.{device}")
            provenance = (result or {}).get("provenance")
            if isinstance(provenance, dict):
                found |= set(numbers_in(provenance.get("settings")))
        program.__dict__["numbers"] = found
    return program.__dict__["numbers"]


def constant(node: ast.AST) -> float | None:
    """The number that a literal or a calculation with literals gives."""
    if isinstance(node, ast.Constant):
        known = isinstance(node.value, int | float)
        return None if not known or isinstance(node.value, bool) else node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = constant(node.operand)
        return None if number is None else -number
    if isinstance(node, ast.BinOp):
        left, right = constant(node.left), constant(node.right)
        if left is None or right is None:
            return None
        try:
            match node.op:
                case ast.Add():
                    return left + right
                case ast.Sub():
                    return left - right
                case ast.Mult():
                    return left * right
                case ast.Div():
                    return left / right
                case ast.FloorDiv():
                    return left // right
                case ast.Pow() if abs(right) < 64:
                    return left**right
        except (ArithmeticError, ValueError):
            return None
    return None


def numbers_in(item: object) -> list[str]:
    """Every number in a JSON value, in canonical form."""
    if isinstance(item, dict):
        item = list(item.values())
    if isinstance(item, list):
        return [number for part in item for number in numbers_in(part)]
    if isinstance(item, int | float) and not isinstance(item, bool):
        return [canonical(item)]
    return []
