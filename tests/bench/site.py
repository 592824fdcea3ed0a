"""What the tool adds to a build of the site when there is nothing to run."""

import sys
import tempfile
from pathlib import Path

from _bench import Row, copy_project, guide, medians, report, run

# The same pages by MkDocs alone: without our hook and our extensions.
PLAIN = """\
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.utils import yaml_load

with open("mkdocs.yml", encoding="utf-8") as file:
    extensions = yaml_load(file).get("markdown_extensions", [])
kept = [item for item in extensions if "_guide" not in str(item)]
config = load_config("mkdocs.yml", hooks=[], markdown_extensions=kept)
config.plugins.on_startup(command="build", dirty=False)
build(config)
"""


def measure():
    with tempfile.TemporaryDirectory() as folder:
        root = copy_project(Path(folder))

        def plain():
            run(root, sys.executable, "-c", PLAIN)

        def whole():
            guide(root, "run")
            guide(root, "build")

        whole()
        plain_time, whole_time = medians(plain, whole)
        added = (whole_time - plain_time) / plain_time
        what = "what the tool adds to a build with nothing to run"
        yield Row(what, added, "of mkdocs build", at_most=1 / 3)


if __name__ == "__main__":
    report(measure())
