"""The `guide` command: reads its words and calls one module per command.

Modules are imported when their command is called, so that none waits for
the packages of another.
"""

from __future__ import annotations

import argparse
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
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
INTERRUPTED = 130


def main(words: list[str] | None = None) -> int:
    """The exit status: 0 well, 1 problems, 2 wrong words, 130 interrupted."""
    parser = make_parser()
    options = parser.parse_args(words)
    try:
        return options.call(find_root(), options)
    except GuideError as error:
        print(f"guide: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("guide: interrupted", file=sys.stderr)
        return INTERRUPTED


def make_parser() -> argparse.ArgumentParser:
    """The parser, with one function per command in `call`."""
    parser = argparse.ArgumentParser(
        prog="guide",
        description="Measures what the guide says, and checks that it says it.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(call, about: str, epilog: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(
            call.__name__,
            help=about[0].lower() + about[1:-1],
            description=about,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(call=call)
        return made

    make = command(new, "Makes a small topic that passes.", HEADER_FORM)
    make.add_argument("topic", metavar="TOPIC", help="like gradient_noise")

    measure = command(run, "Runs the programs not yet run from present code.")
    measure.add_argument(
        "names", nargs="*", metavar="NAME", help="a topic or a program"
    )
    measure.add_argument(
        "--fresh", action="store_true", help="run everything anew"
    )
    measure.add_argument(
        "--budget",
        type=seconds,
        metavar="TIME",
        help="what changed, then the oldest, until the time is up; like 25m",
    )
    measure.add_argument(
        "--short",
        action="store_true",
        help="only see the programs work; nothing is stored",
    )
    measure.add_argument(
        "--jobs",
        type=at_least_one,
        metavar="N",
        help="programs side by side (as many as cores)",
    )
    measure.add_argument(
        "--limit",
        type=seconds,
        metavar="TIME",
        help="end a program after this (five times expected and two minutes)",
    )
    measure.add_argument(
        "--device", choices=DEVICES, help="only programs that measure this"
    )

    take = command(accept, "Commits to fresh results: lays them by programs.")
    take.add_argument(
        "names", nargs="*", metavar="NAME", help="a topic or a program"
    )
    take.add_argument(
        "--from",
        dest="folder",
        type=Path,
        metavar="FOLDER",
        help="take results measured elsewhere",
    )

    figures = command(draw, "Draws the figures from the results.")
    figures.add_argument("topics", nargs="*", metavar="TOPIC")

    agree = command(check, "Checks every number in the text.")
    agree.add_argument(
        "--update",
        action="store_true",
        help="write the measured numbers into the text",
    )

    site = command(build, "Builds site/ and compares fresh with committed.")
    site.add_argument(
        "--preview",
        action="store_true",
        help="only write what the live preview needs",
    )
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


def new(root: Path, options: argparse.Namespace) -> int:
    from _guide import new

    return new.new(root, options.topic)


def run(root: Path, options: argparse.Namespace) -> int:
    from _guide.measure import run

    return run.run(
        root,
        options.names,
        fresh=options.fresh,
        budget=options.budget,
        short=options.short,
        jobs=options.jobs,
        limit=options.limit,
        device=options.device,
    )


def accept(root: Path, options: argparse.Namespace) -> int:
    from _guide.measure import accept

    return accept.accept(root, options.names, options.folder)


def draw(root: Path, options: argparse.Namespace) -> int:
    from _guide.site import draw

    return draw.draw(root, options.topics)


def check(root: Path, options: argparse.Namespace) -> int:
    from _guide.check import everything as check

    return check.check(root, options.update)


def build(root: Path, options: argparse.Namespace) -> int:
    from _guide.site import build

    return build.build(root, options.preview)
