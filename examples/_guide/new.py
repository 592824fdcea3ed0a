"""`guide new`: a small topic that passes, to be made into a real one."""

from __future__ import annotations

import re
from pathlib import Path

from _guide.project import GuideError, programs
from _guide.results import write_whole

TEMPLATES = Path(__file__).with_name("templates")
# The line of the nav, and those below that are indented deeper.
LAB = re.compile(
    r"^( *)- [\"']?Lab[\"']?:[ \t]*(?:#.*)?$(?:\n(?:\1 .*|[ \t]*)$)*", re.M
)
NAME = re.compile(r"[a-z][a-z0-9_]*")


def new(root: Path, topic: str) -> int:
    """0 when the topic is made; writes nothing if it cannot be."""
    if not NAME.fullmatch(topic):
        raise GuideError(
            f"{topic}: no name for a topic; expected lower-case letters, "
            "digits and _, like gradient_noise; run: guide new NAME"
        )
    page = f"lab/{topic.replace('_', '-')}.md"
    goals = {
        f"examples/{topic}/{path.name.replace('TOPIC', topic)}": path
        for path in sorted(TEMPLATES.glob("*.*"))
        if path.name != "page.md"
    }
    goals[f"docs/{page}"] = TEMPLATES / "page.md"
    taken = {program.name: program.where for program in programs(root)}
    for goal in (f"examples/{topic}", *goals):
        found = goal if (root / goal).exists() else taken.get(Path(goal).stem)
        if found:
            raise GuideError(
                f"{found}:1: exists already; expected a new name; "
                "run: guide new NAME"
            )
    settings = root / "mkdocs.yml"
    navigation = with_page(settings.read_text("utf-8"), page)
    title = topic.replace("_", " ").capitalize()
    for goal, template in goals.items():
        text = template.read_text("utf-8")
        text = text.replace("TOPIC", topic).replace("TITLE", title)
        write_whole(root / goal, text)
    write_whole(settings, navigation)
    print("Made:", *goals, f"and {page} in mkdocs.yml", sep="\n  ")
    print(
        "It counts the updates of an epoch, as an example. Next:",
        f"guide run {topic}",
        f"guide accept {topic}",
        "guide check",
        "make serve",
        "and then write what you want to know: data into the problem, training",
        "into the two programs, what it says into the findings",
        sep="\n  ",
    )
    return 0


def with_page(text: str, page: str) -> str:
    """The text of mkdocs.yml with the page last under Lab."""
    lab = LAB.search(text)
    if not lab:
        raise GuideError(
            "mkdocs.yml:1: no '- Lab:' in nav, where the page would go; "
            "expected one; write it"
        )
    listed = lab[0].rstrip()
    first = re.search(r"\n( *)- ", listed)
    indent = first[1] if first else lab[1] + " " * 4
    end = lab.start() + len(listed)
    rest = text[end:].removeprefix("\n")
    return f"{text[:end]}\n{indent}- {page}\n{rest}"
