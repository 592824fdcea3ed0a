"""Where things are, and what a program is made of.

Everything here reads text only: no framework is imported, no program is run.
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path

FRAMEWORKS = ("keras", "torch")
FRAMEWORK_NAMES = {"keras": "Keras", "torch": "PyTorch"}
DEVICES = ("cpu", "gpu")
DEVICE_NAMES = {"cpu": "CPU", "gpu": "GPU"}
# What two programs of a topic share stands once, in TOPIC_problem.py and
# TOPIC_findings.py.
SIBLINGS = ("problem", "findings")
# What a file may import of ours.
ANY_KIND = (*SIBLINGS, "snippet")

# What `guide build` writes under docs/; git ignores the same paths.
GENERATED = (
    "docs/claims.md",
    "docs/downloads/",
    "docs/evidence/",
    "docs/figures/",
    "docs/notebooks/",
    "docs/references.md",
)

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


def find_root(start: Path | None = None) -> Path:
    """The project that holds `start` (by default the working directory)."""
    start = (start or Path.cwd()).resolve()
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
    return any(
        path.startswith(made) if made.endswith("/") else path == made
        for made in GENERATED
    )


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
        return split_cells(self.text)

    @property
    def kind(self) -> str:
        """problem, findings, snippet or program."""
        if self.path.parent.name == "snippets":
            return "snippet"
        last = self.path.stem.rpartition("_")[2]
        return last if last in SIBLINGS else "program"

    @cached_property
    def imported(self) -> list[Source]:
        """What of ours it imports, and what that imports, in their order."""
        return self._with_theirs(ANY_KIND)

    def _with_theirs(self, kinds: tuple[str, ...]) -> list[Source]:
        """What it imports of these kinds, each behind what that imports."""
        found: dict[Source, None] = {}
        for match in ANY_OF_OURS.finditer(self.text):
            source = self._source(match)
            if source.kind in kinds:
                found |= dict.fromkeys([*source.imported, source])
        return list(found)

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
        path = self.path.with_name(f"{module}.py")
        if folder:
            path = self.root / "snippets" / f"{module}.py"
        if not path.is_file():
            what = "snippet" if folder else "file"
            missing = path.relative_to(self.root).as_posix()
            raise GuideError(f"{where}: no {what} {missing}")
        return Source(self.root, path)

    def parts(self) -> list[Cell]:
        """Its own cells, without markers and imports of ours."""
        cells = self.cells if self.kind != "snippet" else []
        cells = cells or [("code", self.text, 1)]
        found = [
            Cell(kind, self, kept_lines(source, first))
            for kind, source, first in cells
        ]
        return [cell for cell in found if cell.lines]

    @cached_property
    def assigned(self) -> dict[str, ast.expr]:
        """Upper-case names assigned at top level, with what is assigned."""
        return outline(self.text).assigned


@dataclass(frozen=True)
class Cell:
    """A cell of the program that runs, and the lines that it came from."""

    kind: str
    source: Source
    lines: list[tuple[int, str]]

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def short(self) -> Cell:
        """The cell with the program's own switch turned on."""
        lines = [
            (n, SHORT_SWITCH.sub("SHORT = True", s)) for n, s in self.lines
        ]
        return Cell(self.kind, self.source, lines)

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
        """Title, summary, install, devices, minutes and alone."""
        return read_header(self)

    @cached_property
    def findings(self) -> Source | None:
        """The file that says what was found in the runs, if it has one."""
        found = [each for each in self.imported if each.kind == "findings"]
        return found[-1] if found else None

    @cached_property
    def experiment(self) -> list[Source]:
        """What it imports beside its findings, in order."""
        return self._with_theirs(("problem", "snippet"))

    @cached_property
    def code_hash(self) -> str:
        """SHA-256 of what measures: the program, its problem and snippets."""
        return hash_of([self, *self.experiment])

    @cached_property
    def findings_hash(self) -> str | None:
        """SHA-256 of what concludes; None if the program does it itself."""
        found = self.findings
        if not found:
            return None
        # The problem is part of what measures.
        own = [each for each in found.imported if each.kind == "snippet"]
        return hash_of([found, *own])

    def is_measured_by(self, provenance: dict) -> bool:
        """Whether the runs of a result are those of the present code."""
        return provenance.get("code") == self.code_hash

    def is_current(self, provenance: dict) -> bool:
        """Whether a result is that of the present code."""
        return (
            self.is_measured_by(provenance)
            and provenance.get("findings") == self.findings_hash
        )

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
        texts = []
        if short and not any(
            SHORT_SWITCH.search(each.text) for each in [self, *self.experiment]
        ):
            raise GuideError(
                f"{self.where}:1: no short form; expected a line "
                "'SHORT = False' among the settings"
            )
        for cell in self.expansion(short):
            marker = "# %% [markdown]" if cell.kind == "markdown" else "# %%"
            texts.append(f"{marker}\n{cell.text}\n")
        return "\n".join(texts)

    def expansion(self, short: bool = False) -> list[Cell]:
        """Its cells, with those of what it imports.

        What measures stands where it is imported, what concludes before the
        last cell.
        """
        found = []
        measuring = [cell for each in self.experiment for cell in each.parts()]
        for kind, source, first in self.cells:
            lines = kept_lines(source, first)
            if lines:
                found.append(Cell(kind, self, lines))
            if ANY_OF_OURS.search(source):
                found += measuring
                measuring = []
        if self.findings:
            self.check_last_cell()
            at = len(found) - 1
            at -= found[at - 1].kind == "markdown"
            found[at:at] = [
                cell
                for source in [*self.findings.imported, self.findings]
                if source not in self.experiment
                for cell in source.parts()
            ]
        return [cell.short() for cell in found] if short else found

    def check_last_cell(self) -> None:
        """Raises GuideError if it does more than to call the findings.

        Only then can they be found again without the program.
        """
        name = self.findings.path.stem
        _, source, line = self.cells[-1]
        body = ast.parse(source).body
        if not (
            len(body) == 1
            and isinstance(body[0], ast.Assign)
            and ast.unparse(body[0].targets) == "results"
            and isinstance(body[0].value, ast.Call)
            and ast.unparse(body[0].value.func) == name
        ):
            raise GuideError(
                f"{self.where}:{line}: the last cell does not hand what was "
                f"measured to the findings; expected nothing but: results = "
                f"{name}(...)"
            )

    @cached_property
    def settings(self) -> dict[str, ast.expr]:
        """The upper-case names of all that it is made of."""
        sources = [self, *self.experiment, *([self.findings or self])]
        return {k: v for each in sources for k, v in each.assigned.items()}


def programs(root: Path) -> list[Program]:
    """Every program, found by folder; a folder _name is no topic."""
    found = []
    for path in sorted((root / "examples").glob("[!_.]*/*.py")):
        program = Program(root, path)
        if path.name[0] != "_" and path.name != "figure.py":
            if program.kind == "program":
                found.append(program)
    names: dict[str, Program] = {}
    for program in found:
        other = names.setdefault(program.name, program)
        if other is not program:
            raise GuideError(
                f"{program.where}:1: the name is taken by {other.where}; "
                "a result is found by its program's name"
            )
    return found


def twin_of(path: Path) -> Path | None:
    """The path of the same file for the other framework."""
    stem, _, suffix = path.stem.rpartition("_")
    if suffix not in FRAMEWORKS:
        return None
    other = FRAMEWORKS[1 - FRAMEWORKS.index(suffix)]
    return path.with_name(f"{stem}_{other}{path.suffix}")


def split_cells(text: str) -> list[tuple[str, str, int]]:
    """(kind, source, first line) of each percent cell, markers left out."""
    marks = list(CELL.finditer(text))
    cells = []
    for mark, following in zip(marks, [*marks[1:], None]):
        start = mark.end() + 1
        source = text[start : following.start() if following else len(text)]
        kind = "markdown" if mark["markdown"] else "code"
        cells.append((kind, source, text.count("\n", 0, start) + 1))
    return cells


def markdown_of(source: str) -> str:
    """A Markdown cell's text without its comment signs, line by line."""
    return re.sub(r"^#[ ]?", "", source, flags=re.M)


def read_header(program: Program) -> dict:
    """The first cell's fields; raises GuideError naming what is missing."""
    cells = program.cells
    if not cells or cells[0][0] != "markdown":
        raise GuideError(
            f"{program.where}:1: the first cell must be '# %% [markdown]' "
            "with title, sentence, Install, Runs on and Expected; "
            "see: guide new --help"
        )
    text = markdown_of(cells[0][1])

    def field(pattern: str, expected: str) -> str:
        match = re.search(pattern, text, re.M | re.S)
        if not match:
            raise GuideError(
                f"{program.where}:{cells[0][2]}: header without {expected}"
            )
        return match[1].strip()

    minutes = field(
        r"^- Expected: `([\d.]+)` minutes?", "'- Expected: `2` minutes'"
    )
    devices = field(r"^- Runs on: (`\w+`(?:, `\w+`)*)$", "'- Runs on: `cpu`'")
    return {
        "title": field(r"^# ([^\n]+)", "a title ('# # Title')"),
        "summary": field(r"^# [^\n]+\n+([^\n#-].*?)\n\s*\n", "a sentence"),
        "install": field(
            r"^- Install: `pip install ([^`]+)`", "'- Install: `pip install …`'"
        ),
        "devices": tuple(re.findall(r"\w+", devices)),
        "minutes": float(minutes),
        "alone": bool(re.search(r"^- Timing: `alone`", text, re.M)),
    }


def kept_lines(source: str, first: int) -> list[tuple[int, str]]:
    """(number, line) of what stays of a cell that begins in line `first`."""
    # An import may have several lines.
    source = OUR_IMPORT.sub(lambda m: "\0" + "\n\0" * m[0].count("\n"), source)
    lines = [
        (number, line)
        for number, line in enumerate(source.split("\n"), first)
        if not line.startswith("\0") and not SECTION_MARKER.match(line + "\n")
    ]
    while lines and not lines[0][1].strip():
        lines.pop(0)
    while lines and not lines[-1][1].strip():
        lines.pop()
    return lines


def hash_of(sources: list[Source]) -> str:
    """SHA-256 over the code of the sources, in the order of their paths."""
    digest = hashlib.sha256()
    for source in sorted(sources, key=lambda source: source.where):
        digest.update(code_only(source.text).encode() + b"\0")
    return digest.hexdigest()


@cache
def code_only(text: str) -> str:
    """The text without comments, docstrings, blank lines and Markdown cells.

    Works on the characters of the source, not on a syntax tree, so that the
    answer is the same for every version of Python. Strings stay as they are.
    """
    for start, end in reversed(outline(text).docstrings):
        text = text[:start] + text[end:]
    strings = []

    def hide(match: re.Match) -> str:
        if match[0].startswith("#"):
            return ""
        strings.append(match[0])
        return "\0"

    lines = STRING_OR_COMMENT.sub(hide, text).split("\n")
    code = "\n".join(line.rstrip() for line in lines if line.strip())
    hidden = iter(strings)
    return re.sub("\0", lambda _: next(hidden), code)


@dataclass(frozen=True)
class Outline:
    """What is asked of a syntax tree, which itself takes much memory."""

    # Where the docstrings of module, classes and functions lie, in order.
    docstrings: list[tuple[int, int]]
    assigned: dict[str, ast.expr]


@cache
def outline(text: str) -> Outline:
    """What the text of a program or snippet holds; it is parsed once."""
    lines = text.split("\n")
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))

    def offset(line: int, column: int) -> int:
        # The syntax tree counts columns in bytes.
        before = lines[line - 1].encode()[:column].decode()
        return starts[line - 1] + len(before)

    spans, assigned = [], {}
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id.isupper():
                assigned[target.id] = node.value
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            inside = getattr(node, part, None)
            if isinstance(inside, list):
                pending += inside
        if isinstance(node, DOCUMENTED) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                start = offset(first.lineno, first.col_offset)
                end = offset(first.end_lineno, first.end_col_offset)
                spans.append((start, end))
    return Outline(sorted(spans), assigned)
