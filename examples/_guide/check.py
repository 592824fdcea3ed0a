"""`guide check`: whether the text says what was measured.

Reads text and JSON only, each file once, and tells every problem at once.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
import posixpath
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from _guide import agreement, results
from _guide.project import (
    DEVICES,
    FRAMEWORK_NAMES,
    GuideError,
    Program,
    is_generated,
    markdown_of,
    programs,
    twin_of,
)
from _guide.text import (
    INCLUDE,
    Code,
    Data,
    Fence,
    Figure,
    Lines,
    Link,
    Page,
    bare_numbers,
    comparisons,
    known_versions,
    scan,
)

# Fences that the tests run, and those that show no code.
RUN_LANGUAGES = {"python", "py", "python3", "sh", "bash"}
DATA_LANGUAGES = {
    "text", "console", "json", "yaml", "toml", "ini", "csv", "bibtex", "html",
    "xml", "css", "markdown", "md", "diff", "latex", "mermaid", "makefile",
}  # fmt: skip
SECTION = re.compile(r"^[ \t]*# --8<-- \[start:([^\]]+)\]", re.M)
REFERENCE = re.compile(r"^[ \t]*@\w+\s*\{\s*([^,\s]+)\s*,", re.M)
HEADER_FIELD = re.compile(
    r"^#(?=[ ]?- (?:Install|Runs on|Expected|Timing):).*", re.M
)
TROUBLE = re.compile(r"(?P<path>[^:\s]+):(?P<line>\d+): (?P<message>.*)", re.S)
LONE_NUMBER = re.compile(
    r"(?P<sign>[-−]?)(?P<digits>\d[\d,_]*(?:\.\d+)?(?:e[-+]?\d+)?)"
    r"(?P<unit>\s*(?:\\?%|×|\\times|[a-zA-Zµμ]+))?",
    re.I,
)
POWER = re.compile(
    r"(?:(?P<factor>\d+(?:\.\d+)?)\s*(?:×|\\times|\\cdot)\s*)?"
    r"(?P<base>\d+)\s*(?:\^|\*\*)\s*\{?(?P<exponent>[-−]?\d+)\}?"
)
# Lines of a file among which a waiver is looked for.
WAIVER_LINES = 15


@dataclass(frozen=True, order=True)
class Problem:
    """What is wrong in one place; line and column are 0 for a whole file."""

    path: str
    line: int
    column: int
    message: str
    # Told, but no reason to refuse the text.
    warning: bool = False
    # With --update: from and to which offset the file gets which text.
    mend: tuple[int, int, str] | None = None

    def __str__(self) -> str:
        place = self.path
        if self.line:
            place += f":{self.line}:{self.column}"
        return f"{place}: {'warning: ' * self.warning}{self.message}"


class SettingsLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads mkdocs.yml for its plain values; tags like !ENV become None."""


SettingsLoader.add_multi_constructor("", lambda loader, tag, node: None)


def check(root: Path, update: bool = False) -> int:
    """Print what is wrong, after mending it with `update`; 1 if anything is."""
    examined = Examined(root)
    if update and rewrite(root, examined.problems):
        examined = Examined(root)
    for problem in examined.warnings + examined.problems:
        print(problem)
    if examined.problems:
        count = len(examined.problems)
        hint = any(problem.mend for problem in examined.problems)
        print(
            f"{count} problem{'s' * (count > 1)}."
            + hint * " To accept the measured numbers: guide check --update"
        )
        return 1
    print(
        f"guide check: {examined.num_pages:,} pages, "
        f"{examined.num_bound:,} bound numbers, "
        f"{len(examined.results):,} results: no problems"
    )
    return 0


def find_problems(root: Path) -> list[Problem]:
    """All that refuses the text, in the order of the files."""
    return Examined(root).problems


def rewrite(root: Path, problems: list[Problem]) -> int:
    """Write the measured numbers into the text; how many there were."""
    mends: dict[str, list[Problem]] = {}
    for problem in problems:
        if problem.mend:
            mends.setdefault(problem.path, []).append(problem)
    for path, found in mends.items():
        text = read(root / path)
        for problem in sorted(found, key=lambda one: one.mend, reverse=True):
            start, end, number = problem.mend
            text = text[:start] + number + text[end:]
        results.write_whole(root / path, text)
        for problem in found:
            number = problem.mend[2]
            print(f"{problem}; now says {number}")
    return sum(map(len, mends.values()))


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


class Examined:
    """Everything that is wrong in the project at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: set[Problem] = set()
        self.num_pages = self.num_bound = 0
        self.programs = {program.name: program for program in programs(root)}
        self.results: dict[str, dict] = {}
        # Results in a wrong form; no text is judged by them.
        self.broken: set[str] = set()
        self.embedded: set[tuple[str, str]] = set()
        self.exists: dict[str, bool] = {}
        constraints = root / "constraints.txt"
        self.versions = known_versions(
            read(constraints) if constraints.is_file() else ""
        )
        self.load_results()
        self.check_programs()
        self.check_pages()
        self.check_snippets()
        self.check_navigation()
        told = sorted(
            self.found,
            key=lambda one: (one.path, one.line, one.column, one.message),
        )
        self.problems = [problem for problem in told if not problem.warning]
        self.warnings = [problem for problem in told if problem.warning]

    def tell(self, path, message, line=0, column=1, **more) -> None:
        column = column if line else 0
        self.found.add(Problem(path, line, column, message, **more))

    def tell_error(self, error: GuideError) -> None:
        """An error with its place in its text, as a problem."""
        match = TROUBLE.fullmatch(str(error))
        if not match:
            raise error
        self.tell(match["path"], match["message"], int(match["line"]))

    def is_file(self, path: str) -> bool:
        if path not in self.exists:
            self.exists[path] = (self.root / path).is_file()
        return self.exists[path]

    @cached_property
    def references(self) -> set[str]:
        path = self.root / "docs/references.bib"
        return set(REFERENCE.findall(read(path))) if path.is_file() else set()

    # Results and programs

    def load_results(self) -> None:
        for path in sorted(self.root.glob("examples/[!_.]*/*.json")):
            where = path.relative_to(self.root).as_posix()
            name, _, device = path.stem.rpartition(".")
            program = self.programs.get(name)
            expected = program and program.committed(device)
            if device not in DEVICES or expected != path:
                self.tell(
                    where,
                    "no program has this result; expected "
                    f"{name or device}.py beside it; delete one, or mend the "
                    "name",
                )
                continue
            try:
                self.results[path.stem] = result = json.loads(read(path))
            except json.JSONDecodeError as error:
                self.results[path.stem] = {}
                self.broken.add(path.stem)
                self.tell(
                    where,
                    f"no JSON: {error.msg}; {renew(program)}",
                    error.lineno,
                    error.colno,
                )
                continue
            wrong = self.form_of(result)
            if wrong:
                self.broken.add(path.stem)
            for why in wrong:
                self.tell(where, f"{why}; {renew(program)}")

    def form_of(self, result: object) -> list[str]:
        """What is wrong with a committed result's form."""
        if not isinstance(result, dict):
            return results.problems(result)
        measured = {k: v for k, v in result.items() if k != "provenance"}
        wrong = results.problems(measured)
        provenance = result.get("provenance")
        if not isinstance(provenance, dict) or "code" not in provenance:
            wrong.append("has no provenance; expected what a run writes")
        elif provenance.get("short") is not False:
            wrong.append("comes from a short run, which is no result")
        return wrong

    def check_programs(self) -> None:
        for program in self.programs.values():
            try:
                devices = program.header["devices"]
                code = program.code_hash
            except GuideError as error:
                self.tell_error(error)
                continue
            except SyntaxError as error:
                self.tell(
                    program.where,
                    f"no Python: {error.msg}; mend it",
                    error.lineno or 1,
                    error.offset or 1,
                )
                continue
            for device in DEVICES:
                self.check_result(program, device, device in devices, code)
            self.check_twin(program.path)

    def check_result(
        self, program: Program, device: str, wanted: bool, code: str
    ) -> None:
        name = f"{program.name}.{device}"
        where = program.committed(device).relative_to(self.root).as_posix()
        if name not in self.results:
            if wanted and device == "cpu":
                self.tell(where, f"is missing; {renew(program)}")
            return
        if name in self.broken:
            return
        if self.results[name]["provenance"]["code"] != code:
            self.tell(
                where,
                f"older than its program; run: guide run {program.topic}",
                warning=device != "cpu",
            )
        twin = twin_of(program.path)
        other = f"{twin.stem}.{device}" if twin else ""
        # Each pair once, at the first of the two.
        if name < other and other in self.results and other not in self.broken:
            self.check_same_keys(where, name, other, program)

    def check_same_keys(self, where, name, other, program) -> None:
        for part in ("values", "judgements"):
            mine = set(self.results[name].get(part, {}))
            yours = set(self.results[other].get(part, {}))
            for key in sorted(mine ^ yours):
                owner = name if key in mine else other
                self.tell(
                    where,
                    f"{part[:-1]} {key} is in {owner}.json only; expected the "
                    f"same keys in {name}.json and {other}.json; mend the "
                    f"programs and run: guide run {program.topic}",
                )

    def check_twin(self, path: Path) -> None:
        """Whether a program or snippet has one for the other framework."""
        twin = twin_of(path)
        if twin is None or twin.is_file():
            return
        head = read(path).split("\n")[:WAIVER_LINES]
        if any(
            re.match(r"\s*#.*\bno twin\b.*\bbecause:\s*\S", line)
            or re.match(r"\s*#.*\bbecause:.*\bno twin\b", line)
            for line in head
        ):
            return
        other = twin.relative_to(self.root).as_posix()
        framework = FRAMEWORK_NAMES[twin.stem.rpartition("_")[2]]
        self.tell(
            path.relative_to(self.root).as_posix(),
            f"has no twin for {framework}; write {other}, or say why not in a "
            "comment here: '# no twin, because: …'",
            1,
        )

    # Snippets and navigation

    def check_snippets(self) -> None:
        for path in sorted((self.root / "snippets").glob("*.py")):
            if path.name.startswith("_"):
                continue
            where = path.relative_to(self.root).as_posix()
            text = read(path)
            self.check_twin(path)
            sections = {match[1]: match for match in SECTION.finditer(text)}
            if path.stem not in sections or not re.search(
                rf"^(?:async )?(?:def|class) {path.stem}\b", text, re.M
            ):
                self.tell(
                    where,
                    f"no function {path.stem} in a section of that name; "
                    f"expected # --8<-- [start:{path.stem}] above it and "
                    f"# --8<-- [end:{path.stem}] below",
                    1,
                )
            for name, match in sections.items():
                if not {(where, name), (where, "")} & self.embedded:
                    line, column = Lines(text).place(match.start())
                    self.tell(
                        where,
                        f"no page embeds section {name}; write in a page's "
                        f'fence: --8<-- "{where}:{name}"',
                        line,
                        column,
                    )

    @cached_property
    def settings(self) -> str:
        return read(self.root / "mkdocs.yml")

    def check_navigation(self) -> None:
        try:
            nav = (yaml.load(self.settings, SettingsLoader) or {}).get("nav")
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            self.tell("mkdocs.yml", f"no YAML: {error}; mend it", line)
            return
        # Without nav, MkDocs makes one of all pages.
        if nav is None:
            return
        listed = set(entries(nav))
        pages = {path[5:] for path in self.pages}
        for page in sorted(pages - listed):
            self.tell(
                f"docs/{page}",
                f"the navigation does not reach it; add {page} to nav in "
                "mkdocs.yml",
                1,
            )
        for entry in sorted(listed - pages):
            path = f"docs/{entry}"
            if "://" in entry or is_generated(path) or self.is_file(path):
                continue
            at = re.search(rf"(?<![\w./-]){re.escape(entry)}", self.settings)
            line, column = Lines(self.settings).place(at.start() if at else 0)
            self.tell(
                "mkdocs.yml",
                f"nav leads to {path}, which does not exist"
                f"{closest(entry, pages)}; write it, or take it out of nav",
                line,
                column,
            )

    # Pages

    @cached_property
    def pages(self) -> list[str]:
        """Every page written by hand, relative to the root."""
        found = []
        for folder, folders, names in os.walk(self.root / "docs"):
            folders[:] = [name for name in folders if name[0] != "."]
            inside = os.path.relpath(folder, self.root).replace(os.sep, "/")
            found += [
                f"{inside}/{name}" for name in names if name.endswith(".md")
            ]
        return sorted(path for path in found if not is_generated(path))

    def check_pages(self) -> None:
        texts = list(self.pages)
        if self.is_file("README.md"):
            texts.append("README.md")
        topics: dict[str, list[Program]] = {}
        for program in self.programs.values():
            topics.setdefault(program.topic, []).append(program)
        for path in texts:
            text = read(self.root / path)
            topic = posixpath.basename(path)[:-3].replace("-", "_")
            own = topics.get(topic, [])
            PageCheck(self, path, text, scan(text), own).check()
            self.num_pages += 1
        for program in self.programs.values():
            text = read(program.path)
            page = scan(only_markdown(program))
            own = [
                other
                for other in self.programs.values()
                if other.path in (program.path, twin_of(program.path))
            ]
            PageCheck(self, program.where, text, page, own).check()


def renew(program: Program) -> str:
    return f"run: guide run {program.name}, then: guide accept {program.name}"


def entries(nav: object) -> list[str]:
    """The paths that a nav of MkDocs names."""
    if isinstance(nav, str):
        return [nav]
    if isinstance(nav, dict):
        nav = nav.values()
    if nav is None:
        return []
    return [path for item in nav for path in entries(item)]


def only_markdown(program: Program) -> str:
    """The Markdown cells at their places, everything else blank.

    The header's fields are left out: they tell how to run the program.
    """
    lines = [""] * (program.text.count("\n") + 1)
    for kind, source, first in program.cells:
        if kind == "markdown":
            source = HEADER_FIELD.sub("#", source)
            for number, line in enumerate(source.split("\n"), first - 1):
                # The comment sign becomes space, so that columns stay.
                sign = len(line) - len(markdown_of(line))
                lines[number : number + 1] = [" " * sign + line[sign:]]
    return "\n".join(lines)


class PageCheck:
    """Checks one text; `programs` are those whose settings it may name."""

    def __init__(
        self,
        project: Examined,
        path: str,
        text: str,
        page: Page,
        programs: list[Program],
    ) -> None:
        self.project = project
        self.path = path
        self.text = text
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
        found = self.find(data, text)
        if found is None:
            return
        file, key, name, result = found
        if key in result.get("judgements", {}):
            verdict = agreement.judge_text(
                data.text,
                result["judgements"][key],
                data.value,
                result["values"],
            )
        else:
            entry = result["values"][key]
            verdict = agreement.judge_number(text, entry, data.value)
        if verdict is None:
            # Words may name a setting, as anywhere else.
            for code in self.page.codes:
                if code.bound and data.start <= code.start < data.end:
                    if key in result.get("judgements", {}):
                        self.check_code(code)
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

    def find(self, data: Data, text: str):
        """(file, key, program, result) that a bound text names, or None."""
        project, value = self.project, data.value
        file, colon, key = value.partition(":")
        name, dot, device = file.rpartition(".")
        if not (colon and dot and key) or device not in DEVICES:
            self.tell(
                data.start,
                f"{value} names no result; expected NAME.DEVICE:KEY, such as "
                f"NAME.cpu:KEY{closest(file, project.results)}",
            )
            return None
        program = project.programs.get(name)
        if program is None:
            self.tell(
                data.start,
                f"no program {name} ({value})"
                f"{closest(name, project.programs)}; write "
                f"examples/TOPIC/{name}.py, or mend the name",
            )
            return None
        self.programs[name] = program
        where = f"examples/{program.topic}/{file}.json"
        result = project.results.get(file)
        not_measured = text.lower() == agreement.NOT_MEASURED
        if result is None:
            if not not_measured:
                self.tell(
                    data.start,
                    f"text says {text}, but {where} does not exist ({value}); "
                    f"{renew(program)}",
                )
            return None
        if not_measured:
            self.tell(
                data.start,
                f"text says {text}, but {where} exists ({value}); write what "
                "it says",
            )
            return None
        if file in project.broken:
            return None
        keys = {**result.get("values", {}), **result.get("judgements", {})}
        if key not in keys:
            self.tell(
                data.start,
                f"no {key} in {where}{closest(key, keys)}; mend the key, or "
                f"let the program measure it and {renew(program)}",
            )
            return None
        return file, key, name, result

    # Numbers that are not bound

    def cited(self, offset: int) -> bool:
        """Whether the sentence around offset cites a work."""
        start, end = self.page.sentence(offset)
        return any(
            start <= link.start < end and reference(link.target)
            for link in self.page.links
        )

    def check_prose(self) -> None:
        page, versions = self.page, self.project.versions
        labels = [(link.start, link.end) for link in page.links]
        for offset, number in bare_numbers(page, 0, len(page.prose), versions):
            if page.in_heading(offset):
                self.tell(
                    offset,
                    f"{number} in a heading or title; say it in the text below",
                )
            elif any(start <= offset < end for start, end in labels):
                # Told with its link or image.
                continue
            elif not self.cited(offset):
                self.tell(
                    offset,
                    f"a bare number, {number}; bind it to a result "
                    '(<data value="NAME.DEVICE:KEY">), cite '
                    "references.md#KEY in the sentence, or write a setting as "
                    "code",
                )
        for offset, words in comparisons(page):
            if not self.cited(offset):
                self.tell(
                    offset,
                    f"'{words}' is bound to nothing; bind it to a judgement "
                    '(<data value="NAME.DEVICE:KEY">), or cite '
                    "references.md#KEY in the sentence",
                )
        start, end = page.front_matter
        for match in re.finditer(
            r"^[\w-]+:[ ]*(?![\d.]+\s*$|\[)(?P<text>.*)",
            page.text[start:end],
            re.M,
        ):
            self.check_label(
                start + match.start("text"),
                start + match.end("text"),
                "the front matter",
                page.text,
            )

    def check_label(self, start: int, end: int, what: str, text: str) -> None:
        """Whether numbers stand where none may, such as in link text."""
        if start == end or not re.search(r"\d", text[start:end]):
            return
        label = scan(text[start:end])
        for offset, number in bare_numbers(
            label, 0, len(label.prose), self.project.versions
        ):
            self.tell(
                start + offset,
                f"{number} in {what}; say it in the text, bound to a result",
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
        what = "alt text" if link.image else "link text"
        self.check_label(link.start, link.end, what, self.page.body)
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
                    'finding in it, as <data value="NAME.DEVICE:KEY">',
                )
        drawn = [
            link.target.partition("#")[0]
            for link in inside
            if link.image and ".svg" in link.target
        ] or [""]
        for image in drawn:
            wanted = image.removesuffix(".svg") + ".csv"
            if not any(link.target.endswith(wanted) for link in inside):
                self.tell(
                    figure.start,
                    "a figure without a link to its data; write in its "
                    f"caption: [Data]({wanted})",
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
    number = float(re.sub("[,_]", "", match["digits"]))
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
            sources = program.settings
        except SyntaxError:
            sources = {}
        for source in sources.values():
            for node in ast.walk(ast.parse(source)):
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
