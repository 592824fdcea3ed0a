"""A pytest plugin: code on pages is collected and run as a reader sees it.

pytest-codeblocks passes over fences with a title, attributes or `~~~`, and
takes an include line for Python. This replaces how it reads a page and how it
runs Python; everything else, its comments included, stays as it documents.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import linecache
import os
import random
import re
import sys
import tempfile
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_codeblocks
from mkdocs.utils.yaml import yaml_load
from pymdownx.snippets import (
    SnippetExtension,
    SnippetMissingError,
    SnippetPreprocessor,
)
from pytest_codeblocks import plugin

from _guide.project import is_generated

OPENING = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>.*)")
LANGUAGE = re.compile(
    r"\s*(?:\{[^}]*?\.(?P<attribute>[\w+-]+)|(?P<plain>[\w+-]+))"
)
INCLUDE = re.compile(r"\s*;*-+8<-+\s*(?:\"(?P<file>[^\":]*))?")
ALIASES = {"py": "python", "python3": "python"}

run_shell = plugin.TestBlock.runtest


def includes(root: Path) -> SnippetPreprocessor:
    """The site's own preprocessor for include lines, as mkdocs.yml sets it."""
    settings = yaml_load((root / "mkdocs.yml").read_text(encoding="utf-8"))
    options = {}
    for extension in settings["markdown_extensions"]:
        if isinstance(extension, dict):
            options |= extension.get("pymdownx.snippets", {})
    options["base_path"] = [str(root / path) for path in options["base_path"]]
    options["check_paths"] = True
    # All that the preprocessor asks of Python-Markdown is the width of a tab.
    return SnippetPreprocessor(
        SnippetExtension(**options).getConfigs(), SimpleNamespace(tab_length=4)
    )


def expand(path: Path, include: SnippetPreprocessor) -> list[tuple[str, int]]:
    """The page's lines with includes in place, each with its page line."""
    found = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        included = INCLUDE.match(line)
        if not included:
            found.append((line, number))
            continue
        # A table that is drawn holds no code, and need not be drawn yet.
        if is_generated(included["file"] or ""):
            continue
        try:
            found += [(text, number) for text in include.run([line])]
        except SnippetMissingError as error:
            raise pytest.Collector.CollectError(
                f"{path}:{number}: {error}; expected a file, or a section of "
                f"it, that exists: {line.strip()}"
            ) from None
    return found


def language(info: str) -> str:
    """The language that an info string names: 'python' for '{ .py .x }'."""
    match = LANGUAGE.match(info)
    if not match:
        return ""
    name = (match["attribute"] or match["plain"]).lower()
    return ALIASES.get(name, name)


def normalise(lines: list[str]) -> list[str]:
    """The lines with every fence in the one form that is collected."""
    lines = list(lines)
    opening = None
    for number, line in enumerate(lines):
        match = OPENING.fullmatch(line)
        if opening is None:
            # A backtick after the fence makes it code within a sentence.
            if match and "`" not in match["info"]:
                opening, start = match, number
            continue
        closes = match and match["fence"].startswith(opening["fence"])
        if not closes or match["info"].strip():
            continue
        ticks = re.findall("`+", "\n".join(lines[start + 1 : number]))
        # At least three, and more than stand anywhere in the code.
        fence = opening["indent"] + "`" * max(
            3, len(max(ticks, default="")) + 1
        )
        lines[start] = fence + language(opening["info"])
        lines[number] = fence
        opening = None
    return lines


def extract(path: str | Path, root: Path) -> list:
    """The page's code blocks, includes in place, with the page's lines."""
    expanded = expand(Path(path), includes(root))
    text = "\n".join(normalise([line for line, _ in expanded])) + "\n"
    try:
        blocks = pytest_codeblocks.extract_from_buffer(
            io.StringIO(text), max_num_lines=sys.maxsize
        )
    except RuntimeError as error:
        raise pytest.Collector.CollectError(f"{path}: {error}") from None
    for block in blocks:
        block.lineno = expanded[block.lineno - 1][1]
    return blocks


def fresh_start(code: str) -> None:
    """Seeds, figures and Keras' state as a new process would find them.

    What `code` names is imported first: otherwise the first block that
    imports a package would find it unseeded, and the second one seeded.
    """
    random.seed(0)
    if "numpy" in code:
        importlib.import_module("numpy").random.seed(0)
    if "torch" in code:
        importlib.import_module("torch").manual_seed(0)
    if "keras" in code:
        keras_utils = importlib.import_module("keras").utils
        keras_utils.clear_session()
        keras_utils.set_random_seed(0)
    if "matplotlib" in code:
        pyplot = importlib.import_module("matplotlib.pyplot")
        pyplot.close("all")
        pyplot.rcdefaults()
        pyplot.switch_backend("Agg")


def run_python(block, where: str) -> None:
    """Run the block as a script; an error comes with its own traceback."""
    linecache.cache[where] = (
        len(block.code), None, block.code.splitlines(True), where,
    )  # fmt: skip
    with plugin.stdout_io() as printed:
        try:
            code = compile(block.code, where, "exec")
            exec(code, {"__name__": "__main__"})
        except (Exception, SystemExit) as error:
            trace = error.__traceback__
            while trace and trace.tb_frame.f_code.co_filename != where:
                trace = trace.tb_next
            told = traceback.format_exception(type(error), error, trace)
            raise RuntimeError("".join(told)) from None
    expected, found = block.expected_output, printed.getvalue()
    if block.expected_output_ignore_whitespace:
        expected, found = "".join(expected.split()), "".join(found.split())
    if expected is not None and expected != found:
        raise RuntimeError(
            f"{where}: printed\n{printed.getvalue()}"
            f"expected\n{block.expected_output}"
        )


def pytest_configure(config) -> None:
    """Put this page reader and this way to run in pytest-codeblocks' place."""
    os.environ.setdefault("MPLBACKEND", "Agg")

    def runtest(item) -> None:
        fresh_start(item.obj.code)
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.chdir(folder),
        ):
            if item.obj.syntax == "python":
                run_python(item.obj, f"{item.path}:{item.obj.lineno}")
            else:
                run_shell(item)

    plugin.extract_from_file = lambda path: extract(path, config.rootpath)
    plugin.TestBlock.runtest = runtest
