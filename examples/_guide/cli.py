"""The `guide` command: reads its words and calls one module per command.

Modules are imported when their command is called, so that none waits for
the packages of another.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path

from _guide.project import DEVICES, GuideError, find_root

HEADER_FORM = """\
The first cell of a program is its header; Timing stands only where the
program measures time and must have the machine to itself:

  # %% [markdown]
  # # Title
  #
  # One sentence.
  #
  # - Install: `pip install torch matplotlib`
  # - Runs on: `cpu`
  # - Expected: `2` minutes
  # - Timing: `alone`
"""
# Where each command's function of the same name is.
MODULES = {
    "new": "_guide.new",
    "run": "_guide.measure.run",
    "accept": "_guide.measure.accept",
    "draw": "_guide.site.draw",
    "check": "_guide.check.everything",
    "build": "_guide.site.build",
}
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
INTERRUPTED = 130


def main(words: list[str] | None = None) -> int:
    """The exit status: 0 well, 1 problems, 2 wrong words, 130 interrupted."""
    options = vars(make_parser().parse_args(words))
    command = options.pop("command")
    try:
        module = importlib.import_module(MODULES[command])
        return getattr(module, command)(find_root(), **options)
    except GuideError as error:
        print(f"guide: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("guide: interrupted", file=sys.stderr)
        return INTERRUPTED


def make_parser() -> argparse.ArgumentParser:
    """The parser; its options are what the command's function takes."""
    parser = argparse.ArgumentParser(
        prog="guide",
        description="Measures what the guide says, and checks that it says it.",
    )
    commands = parser.add_subparsers(
        metavar="COMMAND", dest="command", required=True
    )

    def command(name: str, about: str, epilog: str = ""):
        made = commands.add_parser(
            name,
            help=about[0].lower() + about[1:-1],
            description=about,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return made.add_argument

    def switch(add, name: str, about: str) -> None:
        add(name, action="store_true", help=about)

    make = command("new", "Makes a small topic that passes.", HEADER_FORM)
    make("topic", metavar="TOPIC", help="like gradient_noise")

    measure = command("run", "Runs the programs not yet run from present code.")
    take = command("accept", "Commits to fresh results: lays them by programs.")
    for add in (measure, take):
        add("names", nargs="*", metavar="NAME", help="a topic or a program")

    switch(measure, "--fresh", "run everything anew")
    about = "what changed, then the oldest, until the time is up; like 25m"
    measure("--budget", type=seconds, metavar="TIME", help=about)
    about = "only see the programs work; nothing is stored"
    switch(measure, "--short", about)
    about = "programs side by side (as many as cores)"
    measure("--jobs", type=at_least_one, metavar="N", help=about)
    about = "end a program after this (five times expected and two minutes)"
    measure("--limit", type=seconds, metavar="TIME", help=about)
    about = "only programs that measure this"
    measure("--device", choices=DEVICES, help=about)

    about = "take results measured elsewhere"
    take("--from", dest="folder", type=Path, metavar="FOLDER", help=about)

    figures = command("draw", "Draws the figures from the results.")
    figures("topics", nargs="*", metavar="TOPIC")

    agree = command("check", "Checks every number in the text.")
    switch(agree, "--update", "write the measured numbers into the text")

    site = command("build", "Builds site/ and compares fresh with committed.")
    switch(site, "--preview", "only write what the live preview needs")
    return parser


def seconds(text: str) -> float:
    """Seconds of a duration such as 90s, 25m or 1h30m."""
    match = DURATION.fullmatch(text)
    if not match or not text:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no duration; expected one like 90s, 25m or 1h30m"
        )
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def at_least_one(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return int(text)
