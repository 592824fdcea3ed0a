"""Where things are, and what a program is made of.

Everything here reads text only: no framework is imported, no program is run.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate, chain
from pathlib import Path

FRAMEWORK_NAMES = {"keras": "Keras", "torch": "PyTorch"}
FRAMEWORKS = tuple(FRAMEWORK_NAMES)
DEVICE_NAMES = {"cpu": "CPU", "gpu": "GPU"}
DEVICES = tuple(DEVICE_NAMES)
# What two programs of a topic share: TOPIC_problem.py and TOPIC_findings.py.
SIBLINGS = ("problem", "findings")

# What `guide build` writes under docs/; git ignores the same paths.
GENERATED = (
    "docs/claims.md",
    "docs/downloads/",
    "docs/evidence/",
    "docs/figures/",
    "docs/notebooks/",
    "docs/references.md",
)
GENERATED_FOLDERS = tuple(path for path in GENERATED if path.endswith("/"))

# What is replaced by the text that it names. The name may stand in brackets,
# as a formatter puts a long one.
OUR_IMPORT = re.compile(
    r"^from (?P<module>snippets\.\w+|\w+_(?:problem|findings)) import"
    r"(?: (?P<name>\w+|\*)| \(\s*(?P<wrapped>\w+),?\s*\))[ \t]*$",
    re.M,
)
ANY_OF_OURS = re.compile(
    r"^[ \t]*(?:from|import)[ \t]+(?:snippets\b|\w+_(?:problem|findings)\b)",
    re.M,
)
SHORT_SWITCH = re.compile(r"^SHORT = (True|False)\b", re.M)
# Also what keeps a formatter from moving an import into a section.
SECTION_MARKER = re.compile(
    r"^[ \t]*# (?:--8<-- \[.*\]|isort: split)[ \t]*\n", re.M
)
CELL = re.compile(r"^# %%(?P<markdown> \[markdown\])?.*$", re.M)
STRING_OR_COMMENT = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""|'''
    r"""'''(?:[^\\]|\\.)*?'''|"""
    r""""(?:[^"\\\n]|\\.)*"|"""
    r"""'(?:[^'\\\n]|\\.)*'|#[^\n]*""",
    re.S,
)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class GuideError(Exception):
    """A problem that is told to the user in one line, without a traceback."""


def find_root() -> Path:
    """The project that holds the working directory."""
    start = Path.cwd().resolve()
    for folder in (start, *start.parents):
        if (folder / "mkdocs.yml").is_file() and (folder / "examples").is_dir():
            return folder
    raise GuideError(
        f"{start}: not inside the guide's project (no mkdocs.yml beside "
        "examples/ here or above); change into the project first"
    )


@cache
def is_generated(path: str) -> bool:
    """Whether `path`, relative to the root, is written by `guide build`."""
    return path in GENERATED or path.startswith(GENERATED_FOLDERS)


@dataclass(frozen=True)
class Source:
    """A file of Python that programs are made of."""

    root: Path
    path: Path

    @property
    def where(self) -> str:
        """The path as messages name it: relative, with slashes."""
        return self.path.relative_to(self.root).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def cells(self) -> list[tuple[str, str, int]]:
        """(kind, source, first line) per cell; kind is markdown or code."""
        marks = list(CELL.finditer(self.text))
        ends = [*(mark.start() for mark in marks[1:]), len(self.text)]
        found = []
        for mark, end in zip(marks, ends):
            start = mark.end() + 1
            kind = "markdown" if mark["markdown"] else "code"
            line = self.text.count("\n", 0, start) + 1
            found.append((kind, self.text[start:end], line))
        return found

    @property
    def kind(self) -> str:
        """problem, findings, snippet or program."""
        if self.path.parent.name == "snippets":
            return "snippet"
        last = self.path.stem.rpartition("_")[2]
        return last if last in SIBLINGS else "program"

    @cached_property
    def imports(self) -> list[Source]:
        """What of ours its own lines import, in their order."""
        return [self._source(m) for m in ANY_OF_OURS.finditer(self.text)]

    @cached_property
    def imported(self) -> list[Source]:
        """What of ours it imports, each behind what that imports."""
        return with_theirs(self.imports)

    def _source(self, match: re.Match) -> Source:
        """The file that an import names; raises GuideError if it has none."""
        start = match.start()
        where = f"{self.where}:{self.text.count(chr(10), 0, start) + 1}"
        match = OUR_IMPORT.match(self.text, start)
        if not match:
            raise GuideError(
                f"{where}: a form of import that is not replaced by the text "
                "that it names; expected: from snippets.NAME import NAME, from "
                "TOPIC_problem import *, or from TOPIC_findings import "
                "TOPIC_findings, in a line of its own"
            )
        folder, _, module = match["module"].rpartition(".")
        name = match["name"] or match["wrapped"]
        expected = "*" if module.endswith("_problem") and not folder else module
        if name != expected:
            raise GuideError(
                f"{where}: imports {name} from {match['module']}; expected: "
                f"from {match['module']} import {expected}"
            )
        place = self.root / "snippets" if folder else self.path.parent
        found = Source(self.root, place / f"{module}.py")
        if not found.path.is_file():
            what = "snippet" if folder else "file"
            raise GuideError(f"{where}: no {what} {found.where}")
        return found

    def parts(self) -> list[Cell]:
        """Its own cells, without markers and imports of ours."""
        cells = self.cells if self.kind != "snippet" else []
        return self._kept(cells or [("code", self.text, 1)])

    def _kept(self, cells: list[tuple[str, str, int]]) -> list[Cell]:
        found = [
            Cell(kind, self, kept_lines(source, first))
            for kind, source, first in cells
        ]
        return [cell for cell in found if cell.lines]

    @property
    def outline(self) -> tuple[str, dict[str, ast.expr]]:
        return outline(self.text, self.where)


@dataclass(frozen=True)
class Cell:
    """A cell of the program that runs, and the lines that it came from."""

    kind: str
    source: Source
    lines: list[tuple[int, str]]

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def origin(self, line: int) -> str:
        """`path:line` of a line of the cell, counted from one."""
        number = self.lines[min(line, len(self.lines)) - 1][0]
        return f"{self.source.where}:{number}"


@dataclass(frozen=True)
class Program(Source):
    """One `examples/TOPIC/NAME.py` in percent format."""

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def topic(self) -> str:
        return self.path.parent.name

    @property
    def framework(self) -> str | None:
        suffix = self.name.rpartition("_")[2]
        return suffix if suffix in FRAMEWORKS else None

    @property
    def twin(self) -> Path | None:
        """Where the same program in the other framework must lie."""
        return twin_of(self.path)

    @cached_property
    def header(self) -> dict:
        """What the first cell says; raises GuideError for what it lacks."""
        kind, source, line = (self.cells or [("", "", 1)])[0]
        if kind != "markdown":
            raise GuideError(
                f"{self.where}:1: the first cell must be '# %% [markdown]' "
                "with title, sentence, Install, Runs on and Expected; "
                "see: guide new --help"
            )
        text = markdown_of(source)

        def field(pattern: str, expected: str) -> str:
            match = re.search(pattern, text, re.M | re.S)
            if not match:
                raise GuideError(
                    f"{self.where}:{line}: header without {expected}"
                )
            return match[1].strip()

        minutes = field(
            r"^- Expected: `([\d.]+)` minutes?", "'- Expected: `2` minutes'"
        )
        devices = field(
            r"^- Runs on: (`\w+`(?:, `\w+`)*)$", "'- Runs on: `cpu`'"
        )
        return {
            "title": field(r"^# ([^\n]+)", "a title ('# # Title')"),
            "summary": field(r"^# [^\n]+\n+([^\n#-].*?)\n\s*\n", "a sentence"),
            "install": field(
                r"^- Install: `pip install ([^`]+)`",
                "'- Install: `pip install …`'",
            ),
            "devices": tuple(re.findall(r"\w+", devices)),
            "minutes": float(minutes),
            "alone": bool(re.search(r"^- Timing: `alone`", text, re.M)),
        }

    @cached_property
    def findings(self) -> Source | None:
        """The file that says what was found; `guide run` asks for one."""
        found = (each for each in self.imports if each.kind == "findings")
        return next(found, None)

    @cached_property
    def experiment(self) -> list[Source]:
        """What it imports beside its findings, in order."""
        return with_theirs(s for s in self.imports if s.kind != "findings")

    @cached_property
    def code_hash(self) -> str:
        """SHA-256 of what measures: the program, its problem and snippets."""
        return hash_of([self, *self.experiment])

    @cached_property
    def findings_hash(self) -> str | None:
        """SHA-256 of what concludes."""
        if not self.findings:
            return None
        # The problem is part of what measures.
        own = [s for s in self.findings.imported if s.kind == "snippet"]
        return hash_of([self.findings, *own])

    def is_measured_by(self, provenance: dict) -> bool:
        """Whether the runs of a result are those of the present code."""
        return provenance.get("code") == self.code_hash

    def is_current(self, provenance: dict) -> bool:
        """Whether a result is that of the present code."""
        found = provenance.get("code"), provenance.get("findings")
        return found == (self.code_hash, self.findings_hash)

    def committed(self, device: str) -> Path:
        """Where the committed result for `device` lies."""
        return self.path.with_name(f"{self.name}.{device}.json")

    def fresh(self, device: str) -> Path:
        """Where a run on this machine leaves its result."""
        return self.root / ".build/results" / f"{self.name}.{device}.json"

    def notebook(self, device: str) -> Path:
        """Where a run on this machine leaves its executed notebook."""
        return self.root / ".build/notebooks" / f"{self.name}.{device}.ipynb"

    def raw(self, device: str) -> Path:
        """Where a run on this machine leaves what it handed to findings."""
        return self.root / ".build/raw" / f"{self.name}.{device}.pickle"

    def expanded(self, short: bool = False) -> str:
        """The program with each import of ours replaced by its text.

        The result imports nothing of ours: it is what runs and what a reader
        downloads. With `short`, the program's own switch is turned on.
        """
        markers = {"markdown": "# %% [markdown]", "code": "# %%"}
        text = "\n".join(
            f"{markers[cell.kind]}\n{cell.text}\n" for cell in self.expansion
        )
        if short:
            text, found = SHORT_SWITCH.subn("SHORT = True", text)
            if not found:
                raise GuideError(
                    f"{self.where}:1: no short form; expected a line "
                    "'SHORT = False' among the settings"
                )
        return text

    @cached_property
    def expansion(self) -> list[Cell]:
        """Its cells, with those of what it imports.

        What measures stands where it is imported, what concludes before the
        last cell and its heading.
        """
        importing = (
            number
            for number, (_, source, _) in enumerate(self.cells, 1)
            if ANY_OF_OURS.search(source)
        )
        at = next(importing, 0)
        before, after = self._kept(self.cells[:at]), self._kept(self.cells[at:])
        measuring = [cell for each in self.experiment for cell in each.parts()]
        found = [*before, *measuring, *after]
        if self.findings:
            self.check_last_cell()
            end = -2 if found[-2].kind == "markdown" else -1
            found[end:end] = [
                cell
                for source in [*self.findings.imported, self.findings]
                if source not in self.experiment
                for cell in source.parts()
            ]
        return found

    def check_last_cell(self) -> None:
        """Raises GuideError if it does more than to call the findings.

        Only then can they be found again without the program.
        """
        name = self.findings.path.stem
        _, source, line = self.cells[-1]
        match parse(source, self.where, line).body:
            case [
                ast.Assign([ast.Name("results")], ast.Call(ast.Name(called)))
            ]:
                if called == name:
                    return
        raise GuideError(
            f"{self.where}:{line}: the last cell does not hand what was "
            "measured to the findings; expected nothing but: results = "
            f"{name}(...)"
        )

    @cached_property
    def settings(self) -> dict[str, ast.expr]:
        """The upper-case names of all that it is made of."""
        sources = [self, *self.experiment, self.findings or self]
        return {k: v for each in sources for k, v in each.outline[1].items()}


def with_theirs(sources: Iterable[Source]) -> list[Source]:
    """The sources, each behind what it imports, and none twice."""
    found = ([*source.imported, source] for source in sources)
    return list(dict.fromkeys(chain.from_iterable(found)))


def programs(root: Path) -> list[Program]:
    """Every program, found by folder; a folder _name is no topic."""
    found: dict[str, Program] = {}
    for path in sorted((root / "examples").glob("[!_.]*/[!_]*.py")):
        program = Program(root, path)
        if program.kind != "program" or path.name == "figure.py":
            continue
        other = found.setdefault(program.name, program)
        if other is not program:
            raise GuideError(
                f"{program.where}:1: the name is taken by {other.where}; "
                "a result is found by its program's name"
            )
    return list(found.values())


def twin_of(path: Path) -> Path | None:
    """The path of the same file for the other framework."""
    stem, _, suffix = path.stem.rpartition("_")
    if suffix not in FRAMEWORKS:
        return None
    other = FRAMEWORKS[1 - FRAMEWORKS.index(suffix)]
    return path.with_name(f"{stem}_{other}{path.suffix}")


def markdown_of(source: str) -> str:
    """A Markdown cell's text without its comment signs, line by line."""
    return re.sub(r"^#[ ]?", "", source, flags=re.M)


def kept_lines(source: str, first: int) -> list[tuple[int, str]]:
    """(number, line) of what stays of a cell that begins in line `first`."""
    # An import may have several lines.
    source = OUR_IMPORT.sub(lambda m: "\0" + "\n\0" * m[0].count("\n"), source)
    lines = [
        (number, line)
        for number, line in enumerate(source.split("\n"), first)
        if not line.startswith("\0") and not SECTION_MARKER.match(line + "\n")
    ]
    filled = [at for at, (_, line) in enumerate(lines) if line.strip()]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def hash_of(sources: list[Source]) -> str:
    """SHA-256 over the code of the sources, in the order of their paths."""
    digest = hashlib.sha256()
    for source in sorted(sources, key=lambda source: source.where):
        digest.update(source.outline[0].encode() + b"\0")
    return digest.hexdigest()


def parse(text: str, where: str, first: int = 1) -> ast.Module:
    """The syntax tree of the text that begins in line `first` of a file."""
    try:
        return ast.parse(text)
    except SyntaxError as error:
        line, column = (error.lineno or 1) + first - 1, error.offset or 1
        raise GuideError(
            f"{where}:{line}:{column}: no Python: {error.msg}; mend it"
        ) from None


@cache
def outline(text: str, where: str) -> tuple[str, dict[str, ast.expr]]:
    """What is asked of a file: its code, and what is assigned to upper case.

    It is parsed once, and its syntax tree, which takes much memory, not kept.
    """
    tree = parse(text, where)
    assigned = {}
    for node in tree.body:
        match node:
            case ast.Assign([ast.Name(name)]) if name.isupper():
                assigned[name] = node.value
    return code_only(text, docstrings(tree)), assigned


def docstrings(tree: ast.Module) -> list[ast.stmt]:
    """Those of module, classes and functions, the last one first."""
    found, pending = [], [tree]
    while pending:
        node = pending.pop()
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            pending += getattr(node, part, ())
        if isinstance(node, DOCUMENTED):
            if ast.get_docstring(node, clean=False) is not None:
                found.append(node.body[0])
    return sorted(found, key=lambda node: -node.lineno)


def code_only(text: str, docstrings: list[ast.stmt]) -> str:
    """The text without comments, docstrings, blank lines and Markdown cells.

    Works on the characters of the source, not on a syntax tree, so that the
    answer is the same for every version of Python. Strings stay as they are.
    """
    # The syntax tree counts columns in bytes.
    data = text.encode()
    lines = data.split(b"\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    for node in docstrings:
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        data = data[:start] + data[end:]
    strings = []

    def hide(match: re.Match) -> str:
        if match[0].startswith("#"):
            return ""
        strings.append(match[0])
        return "\0"

    lines = STRING_OR_COMMENT.sub(hide, data.decode()).split("\n")
    code = "\n".join(line.rstrip() for line in lines if line.strip())
    hidden = iter(strings)
    return re.sub("\0", lambda _: next(hidden), code)
