"""`guide check`: whether the text says what was measured.

Reads text and JSON only, each file once, and tells every problem at once.
"""

from __future__ import annotations

import gc
import json
import os
import posixpath
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import yaml

from _guide import results
from _guide.check.claims import check_claims
from _guide.check.page import SECTION, PageCheck, renew
from _guide.check.phrases import Phrases
from _guide.check.text import Lines, closest, known_versions, read, scan
from _guide.project import (
    DEVICES,
    FRAMEWORK_NAMES,
    GuideError,
    Program,
    Source,
    is_generated,
    markdown_of,
    programs,
    twin_of,
)
from _guide.reference import Reference, Unknown

REFERENCE = re.compile(r"^[ \t]*@\w+\s*\{\s*([^,\s]+)\s*,", re.M)
HEADER_FIELD = re.compile(r"# ?- (?:Install|Runs on|Expected|Timing):")
TROUBLE = re.compile(
    r"(?P<path>[^:\s]+):(?P<line>\d+):(?:(?P<column>\d+):)? (?P<message>.*)",
    re.S,
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


class Asked(NamedTuple):
    """What a reference asks, whatever its key."""

    programs: dict[str, Program]
    # Where each of its results lies.
    paths: dict[str, str]
    # That of each framework; none if one is broken.
    results: dict[str, dict]
    phrases: Phrases


class SettingsLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads mkdocs.yml for its plain values; tags like !ENV become None."""


SettingsLoader.add_multi_constructor("", lambda loader, tag, node: None)


def check(root: Path, update: bool = False) -> int:
    """Print what is wrong, after mending it with `update`; 1 if anything is."""
    # Nothing here is a cycle, and looking for some takes a third of the time.
    gc.disable()
    try:
        return tell_all(root, update)
    finally:
        gc.enable()


def tell_all(root: Path, update: bool) -> int:
    """The check itself."""
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
        + f"{examined.num_claims:,} claims, " * (examined.num_claims > 0)
        + f"{examined.num_bound:,} bound numbers, "
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


class Examined:
    """Everything that is wrong in the project at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: set[Problem] = set()
        self.num_pages = self.num_claims = self.num_bound = 0
        self.programs = {program.name: program for program in programs(root)}
        # Those whose text and imports can be read.
        self.readable: list[Program] = []
        self.results: dict[str, dict] = {}
        # Results in a wrong form; no text is judged by them.
        self.broken: set[str] = set()
        # What references ask, by name and device; phrases by topic.
        self.known: dict[tuple[str, str], Asked] = {}
        self.phrases: dict[str, Phrases] = {}
        self.embedded: set[tuple[str, str]] = set()
        self.exists: dict[str, bool] = {}
        constraints = root / "constraints.txt"
        self.versions = known_versions(
            read(constraints) if constraints.is_file() else ""
        )
        self.load_results()
        self.check_programs()
        self.check_pages()
        self.num_claims = check_claims(self)
        self.check_phrases()
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
        line, column = int(match["line"]), int(match["column"] or 1)
        self.tell(match["path"], match["message"], line, column)

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
            wrong = results.whole_problems(result)
            if wrong:
                self.broken.add(path.stem)
            for why in wrong:
                self.tell(where, f"{why}; {renew(program)}")

    def check_programs(self) -> None:
        for program in self.programs.values():
            try:
                devices = program.header["devices"]
                program.expanded()
                program.is_current({})
            except GuideError as error:
                self.tell_error(error)
                continue
            self.readable.append(program)
            for device in DEVICES:
                self.check_result(program, device, device in devices)
            self.check_twin(program.path)

    def check_result(self, program: Program, device: str, wanted: bool) -> None:
        name = f"{program.name}.{device}"
        where = program.committed(device).relative_to(self.root).as_posix()
        if name not in self.results:
            if wanted and device == "cpu":
                self.tell(where, f"is missing; {renew(program)}")
            return
        if name in self.broken:
            return
        if not program.is_current(self.results[name]["provenance"]):
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

    # References and phrases

    def asked(self, reference: Reference) -> Asked:
        """What a reference asks, whatever its key; raises Unknown."""
        name = reference.name, reference.device
        if name not in self.known:
            self.known[name] = self.look_up(reference)
        return self.known[name]

    def look_up(self, reference: Reference) -> Asked:
        asked, paths = {}, {}
        for name, file in zip(reference.programs, reference.files):
            program = self.programs.get(name)
            if program is None:
                names = {p.topic for p in self.programs.values()}
                near = closest(reference.name, names | set(self.programs))
                raise Unknown(
                    f"there is no program {name} ({reference}){near}; write "
                    f"examples/TOPIC/{name}.py, or mend the name"
                )
            asked[name] = program
            paths[file] = f"examples/{program.topic}/{file}.json"
        found = {}
        if self.broken.isdisjoint(paths):
            results = (self.results.get(file) for file in paths)
            found = dict(zip(reference.frameworks, results))
        return Asked(asked, paths, found, self.phrases_of(program.topic))

    def phrases_of(self, topic: str) -> Phrases:
        """The phrases of a topic's folder, read once."""
        if topic not in self.phrases:
            self.phrases[topic] = Phrases(self, topic)
        return self.phrases[topic]

    def find(self, reference: Reference) -> tuple[str, dict[str, dict]]:
        """'values' or 'judgements', and the result of each framework.

        Empty where a result is broken. Raises Unknown where one is missing,
        or does not have the key.
        """
        _, paths, found, _ = self.asked(reference)
        if None in found.values():
            path = next(p for f, p in paths.items() if f not in self.results)
            raise Unknown(
                f"{path} does not exist ({reference}); {renew(reference)}"
            )
        if not found:
            return "", {}
        key, parts = reference.key, ("values", "judgements")
        for part in parts:
            if all(key in result.get(part, {}) for result in found.values()):
                return part, found
        keys = [
            {key for part in parts for key in result.get(part, {})}
            for result in found.values()
        ]
        lacking = [
            path
            for path, known in zip(paths.values(), keys)
            if key not in known
        ] or [*paths.values()]
        if len(lacking) < len(keys):
            raise Unknown(
                f"{key} is in one framework only, not in {lacking[0]} "
                f"({reference}); name the framework that has it, or measure it "
                f"in both and {renew(reference)}"
            )
        hint = closest(key, set.union(*keys))
        raise Unknown(
            f"there is no {key} in {lacking[0]}{hint}; mend the key, or let "
            f"the program measure it and {renew(reference)}"
        )

    def check_phrases(self) -> None:
        """Whether each topic has phrases for what texts cite, and no more."""
        judged: dict[str, set[str] | None] = {}
        for program in self.programs.values():
            for device in DEVICES:
                file = f"{program.name}.{device}"
                found = judged.setdefault(program.topic, set())
                if file in self.broken:
                    judged[program.topic] = None
                elif found is not None:
                    result = self.results.get(file, {})
                    found |= set(result.get("judgements", {}))
        for topic, keys in judged.items():
            self.phrases_of(topic).check(keys)

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
            PageCheck(self, path, scan(text), own).check()
            self.num_pages += 1
        sources = {
            source.where: source
            for program in self.readable
            for source in (program, *program.imported)
            if source.kind != "snippet"
        }
        for where, source in sources.items():
            own = [
                program
                for program in self.readable
                if source.path in (program.path, twin_of(program.path))
                or source in program.imported
            ]
            PageCheck(self, where, scan(only_markdown(source)), own).check()


def entries(nav: object) -> list[str]:
    """The paths that a nav of MkDocs names."""
    if isinstance(nav, str):
        return [nav]
    if isinstance(nav, dict):
        nav = nav.values()
    if nav is None:
        return []
    return [path for item in nav for path in entries(item)]


def only_markdown(program: Source) -> str:
    """The Markdown cells at their offsets, everything else blank.

    The header's fields are blank as well: they tell how to run the program.
    """
    text = program.text
    lines = [" " * len(line) for line in text.split("\n")]
    for kind, source, first in program.cells:
        if kind == "markdown":
            rows = source.removesuffix("\n").split("\n")
            for number, line in enumerate(rows, first - 1):
                sign = len(line) - len(markdown_of(line))
                if not HEADER_FIELD.match(line):
                    lines[number] = " " * sign + line[sign:]
    return "\n".join(lines)
