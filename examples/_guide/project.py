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

# What `guide build` writes under docs/; git ignores the same paths.
GENERATED = (
    "docs/claims.md",
    "docs/downloads/",
    "docs/evidence/",
    "docs/figures/",
    "docs/notebooks/",
    "docs/references.md",
)

# The name may stand in brackets, as a formatter puts a long one.
SNIPPET_IMPORT = re.compile(
    r"^from snippets\.(?P<module>\w+) import"
    r"(?: (?P<name>\w+)| \(\s*(?P<wrapped>\w+),?\s*\))[ \t]*$",
    re.M,
)
ANY_SNIPPET_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+snippets\b", re.M)
SHORT_SWITCH = re.compile(r"^SHORT = (True|False)\b", re.M)
SECTION_MARKER = re.compile(r"^[ \t]*# --8<-- \[.*\][ \t]*\n", re.M)
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


def is_generated(path: str) -> bool:
    """Whether `path`, relative to the root, is written by `guide build`."""
    return any(
        path.startswith(made) if made.endswith("/") else path == made
        for made in GENERATED
    )


@dataclass(frozen=True)
class Program:
    """One `examples/TOPIC/NAME.py` in percent format."""

    root: Path
    path: Path

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

    @cached_property
    def header(self) -> dict:
        """Title, summary, install, devices, minutes and alone."""
        return read_header(self)

    @cached_property
    def snippets(self) -> list[Path]:
        """The snippets that it imports, and those that they import."""
        found: dict[Path, None] = {}

        def visit(text: str, where: str) -> None:
            for match in ANY_SNIPPET_IMPORT.finditer(text):
                start = match.start()
                line = text.count("\n", 0, start) + 1
                match = SNIPPET_IMPORT.match(text, start)
                if not match:
                    raise GuideError(
                        f"{where}:{line}: a form of import that is not "
                        "replaced by the snippet's text; expected: from "
                        "snippets.NAME import NAME, in a line of its own"
                    )
                module = match["module"]
                name = match["name"] or match["wrapped"]
                path = self.root / "snippets" / f"{module}.py"
                if name != module:
                    raise GuideError(
                        f"{where}:{line}: imports {name} from "
                        f"snippets.{module}; expected: from "
                        f"snippets.{module} import {module}"
                    )
                if not path.is_file():
                    raise GuideError(
                        f"{where}:{line}: no snippet snippets/{module}.py"
                    )
                if path not in found:
                    source = path.read_text(encoding="utf-8")
                    visit(source, path.relative_to(self.root).as_posix())
                    found[path] = None

        visit(self.text, self.where)
        return list(found)

    @cached_property
    def code_hash(self) -> str:
        """SHA-256 of what runs: the code of the program and its snippets."""
        digest = hashlib.sha256(code_only(self.text).encode())
        for path in sorted(self.snippets):
            digest.update(b"\0" + code_only(path.read_text("utf-8")).encode())
        return digest.hexdigest()

    def committed(self, device: str) -> Path:
        """Where the committed result for `device` lies."""
        return self.path.with_name(f"{self.name}.{device}.json")

    def fresh(self, device: str) -> Path:
        """Where a run on this machine leaves its result."""
        return self.root / ".build/results" / f"{self.name}.{device}.json"

    def notebook(self, device: str) -> Path:
        """Where a run on this machine leaves its executed notebook."""
        return self.root / ".build/notebooks" / f"{self.name}.{device}.ipynb"

    def expanded(self, short: bool = False) -> str:
        """The program with each snippet import replaced by its text.

        The result imports nothing of ours: it is what runs and what a reader
        downloads. With `short`, the program's own switch is turned on.
        """
        text = SECTION_MARKER.sub("", self.text)
        bodies = [
            "# %%\n" + snippet_body(path.read_text("utf-8"))
            for path in self.snippets
        ]
        kept, pending = [], list(bodies)
        for kind, source, _ in split_cells(text):
            imports_here = kind == "code" and SNIPPET_IMPORT.search(source)
            source = SNIPPET_IMPORT.sub("", source).rstrip() + "\n"
            marker = "# %% [markdown]" if kind == "markdown" else "# %%"
            if source.strip():
                kept.append(f"{marker}\n{source}")
            if imports_here:
                kept += pending
                pending = []
        text = "\n".join(kept)
        if short:
            if not SHORT_SWITCH.search(text):
                raise GuideError(
                    f"{self.where}:1: no short form; expected a line "
                    "'SHORT = False' among the settings"
                )
            text = SHORT_SWITCH.sub("SHORT = True", text, count=1)
        return text

    @property
    def assigned(self) -> dict[str, ast.expr]:
        """Upper-case names assigned at top level, with what is assigned."""
        return outline(self.text).assigned

    @cached_property
    def settings(self) -> dict[str, str]:
        """Upper-case names assigned at top level, with their source text."""
        return {
            name: ast.unparse(value) for name, value in self.assigned.items()
        }


def programs(root: Path) -> list[Program]:
    """Every program, found by folder; a folder _name is no topic."""
    found = []
    for path in sorted((root / "examples").glob("[!_.]*/*.py")):
        if path.name != "figure.py" and not path.name.startswith("_"):
            found.append(Program(root, path))
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


def snippet_body(text: str) -> str:
    """A snippet as it stands in an expanded program."""
    text = SECTION_MARKER.sub("", text)
    return SNIPPET_IMPORT.sub("", text).strip() + "\n"


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
