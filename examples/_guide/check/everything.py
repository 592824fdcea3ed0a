"""`guide check`: whether the text says what was measured.

Reads text and JSON only, each file once, and tells every problem at once.
"""

from __future__ import annotations

import gc
import json
import re
from functools import cache, cached_property
from glob import glob
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import yaml

from _guide import results
from _guide.check.claims import check_claims
from _guide.check.page import SECTION, PageCheck, renew, settings_of
from _guide.check.phrases import Phrases
from _guide.check.text import closest, known_versions, place, read, scan
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
    r"(?P<path>[^:\n]+):(?P<line>\d+):(?:(?P<column>\d+):)? (?P<message>.*)",
    re.S,
)
WAIVER = re.compile(r"\s*#(?=.*\bno twin\b).*\bbecause:\s*\S")
# Lines of a file among which a waiver is looked for.
WAIVER_LINES = 15
PARTS = ("values", "judgements")


class Problem(NamedTuple):
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
        where = self.path
        if self.line:
            where += f":{self.line}:{self.column}"
        return f"{where}: {'warning: ' * self.warning}{self.message}"


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
        examined = Examined(root)
        if update and rewrite(root, examined.problems):
            examined = Examined(root)
    finally:
        gc.enable()
    for problem in examined.warnings + examined.problems:
        print(problem)
    count = len(examined.problems)
    if count:
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
    mending = [problem for problem in problems if problem.mend]
    for path, found in groupby(mending, lambda problem: problem.path):
        text = read(root / path)
        for problem in reversed(list(found)):
            start, end, number = problem.mend
            text = text[:start] + number + text[end:]
        results.write_whole(root / path, text)
    for problem in mending:
        print(f"{problem}; now says {problem.mend[2]}")
    return len(mending)


class Examined:
    """Everything that is wrong in the project at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: set[Problem] = set()
        self.num_pages = self.num_claims = self.num_bound = 0
        self.programs = {program.name: program for program in programs(root)}
        self.topics: dict[str, list[Program]] = {}
        for program in self.programs.values():
            self.topics.setdefault(program.topic, []).append(program)
        # Those whose text and imports can be read.
        self.readable: list[Program] = []
        self.results: dict[str, dict] = {}
        # Results in a wrong form; no text is judged by them.
        self.broken: set[str] = set()
        # What references ask, by name and device.
        self.known: dict[tuple[str, str], Asked] = {}
        # Read once; settings are the numbers in those of a program.
        self.is_file = cache(lambda path: (root / path).is_file())
        self.phrases_of = cache(lambda topic: Phrases(self, topic))
        self.settings_of = cache(lambda name: settings_of(self, name))
        self.embedded: set[tuple[str, str]] = set()
        self.versions = known_versions(self.text("constraints.txt"))
        self.load_results()
        self.check_programs()
        self.check_pages()
        self.num_claims = check_claims(self)
        for topic in self.topics:
            self.check_phrases(topic)
        self.check_snippets()
        self.check_navigation()
        told = sorted(self.found)
        self.problems = [problem for problem in told if not problem.warning]
        self.warnings = [problem for problem in told if problem.warning]

    def tell(self, path, message, line=0, column=1, **more) -> None:
        column = column if line else 0
        self.found.add(Problem(path, line, column, message, **more))

    def text(self, path: str) -> str:
        """What a file says; nothing if there is none."""
        return read(self.root / path) if self.is_file(path) else ""

    @cached_property
    def references(self) -> set[str]:
        return set(REFERENCE.findall(self.text("docs/references.bib")))

    # Results and programs

    def load_results(self) -> None:
        for path in sorted(self.root.glob("examples/[!_.]*/*.json")):
            where = path.relative_to(self.root).as_posix()
            name, _, device = path.stem.rpartition(".")
            program = self.programs.get(name)
            if device not in DEVICES or (
                program is None or program.committed(device) != path
            ):
                self.tell(
                    where,
                    "no program has this result; expected "
                    f"{name or device}.py beside it; delete one, or mend the "
                    "name",
                )
                continue
            at = ()
            try:
                result = json.loads(read(path))
                wrong = results.whole_problems(result)
            except json.JSONDecodeError as error:
                result, wrong = {}, [f"no JSON: {error.msg}"]
                at = error.lineno, error.colno
            if wrong:
                self.broken.add(path.stem)
            self.results[path.stem] = {} if wrong else result
            for why in wrong:
                self.tell(where, f"{why}; {renew(program)}", *at)

    def check_programs(self) -> None:
        for program in self.programs.values():
            try:
                devices = program.header["devices"]
                program.expanded()
                program.is_current({})
            except GuideError as error:
                match = TROUBLE.fullmatch(str(error))
                line, column = int(match["line"]), int(match["column"] or 1)
                self.tell(match["path"], match["message"], line, column)
                continue
            self.readable.append(program)
            for device in DEVICES:
                self.check_result(program, device, device in devices)
            self.check_twin(program.path)

    def check_result(self, program: Program, device: str, wanted: bool) -> None:
        name = f"{program.name}.{device}"
        where = f"examples/{program.topic}/{name}.json"
        if name not in self.results and wanted and device == "cpu":
            self.tell(where, f"is missing; {renew(program)}")
        if name not in self.results or name in self.broken:
            return
        if not program.is_current(self.results[name]["provenance"]):
            self.tell(
                where,
                f"older than its program; run: guide run {program.topic}",
                warning=device != "cpu",
            )
        other = f"{program.twin.stem}.{device}" if program.twin else ""
        # Each pair once, at the first of the two.
        if not name < other or other not in self.results.keys() - self.broken:
            return
        for part in PARTS:
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
        if any(map(WAIVER.match, read(path).split("\n")[:WAIVER_LINES])):
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
                near = closest(reference.name, [*self.topics, *self.programs])
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
        key = reference.key
        for part in PARTS:
            if all(key in result.get(part, {}) for result in found.values()):
                return part, found
        keys = [
            {key for part in PARTS for key in result.get(part, {})}
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

    def check_phrases(self, topic: str) -> None:
        """Whether a topic has phrases for what texts cite, and no more."""
        files = {
            f"{program.name}.{device}"
            for program in self.topics[topic]
            for device in DEVICES
        }
        judged = {
            key
            for file in files - self.broken
            for key in self.results.get(file, {}).get("judgements", {})
        }
        whole = self.broken.isdisjoint(files)
        self.phrases_of(topic).check(judged if whole else None)

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
                    self.tell(
                        where,
                        f"no page embeds section {name}; write in a page's "
                        f'fence: --8<-- "{where}:{name}"',
                        *place(text, match.start()),
                    )

    def check_navigation(self) -> None:
        settings = self.text("mkdocs.yml")
        try:
            nav = (yaml.load(settings, SettingsLoader) or {}).get("nav")
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
            at = re.search(rf"(?<![\w./-]){re.escape(entry)}", settings)
            self.tell(
                "mkdocs.yml",
                f"nav leads to {path}, which does not exist"
                f"{closest(entry, pages)}; write it, or take it out of nav",
                *place(settings, at.start() if at else 0),
            )

    # Pages

    @cached_property
    def pages(self) -> list[str]:
        """Every page written by hand, relative to the root."""
        found = glob("docs/**/*.md", root_dir=self.root, recursive=True)
        return sorted(path for path in found if not is_generated(path))

    def check_pages(self) -> None:
        for path in [*self.pages, *filter(self.is_file, ["README.md"])]:
            topic = Path(path).stem.replace("-", "_")
            own = self.topics.get(topic, [])
            PageCheck(self, path, scan(self.text(path)), own).check()
            self.num_pages += 1
        sources = {
            source
            for program in self.readable
            for source in (program, *program.imported)
            if source.kind != "snippet"
        }
        for source in sources:
            own = [
                program
                for program in self.readable
                if source.path in (program.path, twin_of(program.path))
                or source in program.imported
            ]
            page = scan(only_markdown(source))
            PageCheck(self, source.where, page, own).check()


def entries(nav: object) -> list[str]:
    """The paths that a nav of MkDocs names."""
    if isinstance(nav, str):
        return [nav]
    if isinstance(nav, dict):
        nav = nav.values()
    return [path for item in nav or [] for path in entries(item)]


def only_markdown(program: Source) -> str:
    """The Markdown cells at their offsets, everything else blank.

    The header's fields are blank as well: they tell how to run the program.
    """
    text = program.text
    lines = [" " * len(line) for line in text.split("\n")]
    for kind, source, first in program.cells:
        for number, line in enumerate(source.split("\n"), first - 1):
            # The last is the beginning of the next cell.
            if kind == "code" or not line or HEADER_FIELD.match(line):
                continue
            sign = len(line) - len(markdown_of(line))
            lines[number] = " " * sign + line[sign:]
    return "\n".join(lines)
