"""`guide draw`: figures and their data, from the results there are."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import traceback
from itertools import groupby
from pathlib import Path

from _guide.project import DEVICES, GuideError, Program, programs
from _guide.results import committed, fresh, write_whole


def draw(root: Path, topics: list[str]) -> int:
    """0 if every topic's figures are those of its results."""
    found = {
        topic: list(members)
        for topic, members in groupby(programs(root), lambda p: p.topic)
        if (root / "examples" / topic / "figure.py").is_file()
    }
    for topic in topics:
        if topic not in found:
            known = ", ".join(found) or "none yet"
            raise GuideError(f"no topic {topic}; there are: {known}")
    for topic in topics or found:
        draw_topic(root, topic, found[topic])
    for folder in (root / "docs/figures").glob("*"):
        if folder.name not in found:
            shutil.rmtree(folder)
    return 0


def draw_topic(root: Path, topic: str, members: list[Program]) -> None:
    """Write the topic's figures, if what they are made of has changed."""
    source = root / "examples" / topic / "figure.py"
    where = source.relative_to(root).as_posix()
    results = {
        f"{program.name}.{device}": result
        for program in members
        for device in DEVICES
        if (result := fresh(program, device) or committed(program, device))
    }
    if not results:
        print(f"{where}:1: nothing to draw yet; run: guide run {topic}")
        return
    digest = hashlib.sha256(json.dumps(results, sort_keys=True).encode())
    ours = map(Path(__file__).with_name, ("draw.py", "style.py", "table.py"))
    for path in (source, *ours):
        digest.update(path.read_bytes())
    memory = root / ".build/draw" / f"{topic}.sha"
    folder = root / "docs/figures" / topic
    if memory.is_file():
        known, *names = memory.read_text("utf-8").splitlines()
        if known == digest.hexdigest() and names == listing(folder):
            return
    files = drawn(source, where, results)
    for name, text in files.items():
        write_whole(folder / name, text)
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()
    lines = [digest.hexdigest(), *listing(folder)]
    write_whole(memory, "\n".join(lines) + "\n")
    figures, tables = (
        sum(name.endswith(kind) for name in files) for kind in (".svg", ".md")
    )
    print(f"{where}: drew {figures} figures, {tables} tables")


def listing(folder: Path) -> list[str]:
    """The names of the files in a folder; none where there is no folder."""
    return sorted(path.name for path in folder.glob("*"))


def drawn(source: Path, where: str, results: dict) -> dict[str, str]:
    """The text of each file: NAME.svg or NAME.md, and NAME.csv, by its name.

    Raises GuideError naming the line of figure.py where it failed.
    """
    # It brings matplotlib: only where one draws.
    from _guide.site import style, table

    made_by = f"guide draw, from {where}"
    spec = importlib.util.spec_from_file_location("figure", source)
    module = importlib.util.module_from_spec(spec)
    files: dict[str, str] = {}
    try:
        spec.loader.exec_module(module)
        for function, kind, maker in (
            ("draw", style.Figure, style),
            ("tables", table.Table, table),
        ):
            found = getattr(module, function, lambda _: {})(results)
            if not isinstance(found, dict) or not all(
                isinstance(one, kind) for one in found.values()
            ):
                raise TypeError(
                    f"{function} returned {found!r:.60}; expected "
                    f"{{name: {kind.__name__}}}, made by {maker.__name__}"
                )
            for name, one in found.items():
                if f"{name}.csv" in files:
                    raise ValueError(f"a figure and a table are called {name}")
                files |= maker.files(name, one, made_by)
    except Exception as error:
        mend = f"mend it and run: guide draw {source.parent.name}"
        raise GuideError(
            f"{where}:{line_of(error, source)}: {type(error).__name__}: "
            f"{error}; {mend}"
        ) from error
    return files


def line_of(error: Exception, source: Path) -> int:
    """The last line of the file that the error passed through."""
    if isinstance(error, SyntaxError) and error.filename == str(source):
        return error.lineno or 1
    passed = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in passed if f.filename == str(source)]
    return lines[-1] if lines else 1
