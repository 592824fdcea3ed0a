"""How soon the live preview shows a page that was saved."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from _bench import Row, copy_project, guide, report

from _guide import results
from _guide.new import with_page
from _guide.project import programs

PAGES = 60
SAVES = 5
# Words, because a bare number in the text would be a mistake.
MARKS = ("First", "Second", "Third", "Fourth", "Fifth")


def add_pages(root):
    """Bring the project to the number of pages, each with bound words."""
    program = programs(root)[0]
    found = results.committed(program, program.header["devices"][0])
    device = program.header["devices"][0]
    (key, *_) = [k for k, j in found["judgements"].items() if j["holds"]]
    bound = f'<data value="{program.name}.{device}:{key}">so</data>'
    line = f"It is {bound}, with `code` and a [link](../index.md).\n\n"
    settings = root / "mkdocs.yml"
    text = settings.read_text("utf-8")
    there = len(list((root / "docs").rglob("*.md")))
    for number in range(PAGES - there):
        name = "page-" + chr(97 + number // 26) + chr(97 + number % 26)
        page = root / f"docs/lab/{name}.md"
        page.write_text(f"# Page\n\n{line * 10}")
        text = with_page(text, f"lab/{name}.md")
    settings.write_text(text, "utf-8")
    return page


def wait_for(address, mark, process, limit=120):
    """Seconds until the page at the address has the mark."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < limit:
        if process.poll() is not None:
            sys.exit(f"mkdocs serve ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(address, timeout=limit) as answer:
                if mark in answer.read().decode():
                    return time.perf_counter() - begun
        except OSError:
            pass
        time.sleep(0.02)
    sys.exit(f"{address}: nothing with {mark!r} after {limit} s")


def measure():
    with tempfile.TemporaryDirectory() as folder:
        root = copy_project(Path(folder))
        page = add_pages(root)
        guide(root, "build", "--preview")
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            server = f"127.0.0.1:{found.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "mkdocs", "-q", "serve", "-a", server],
            cwd=root,
            env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "SITE_URL": ""},
        )
        try:
            address = f"http://{server}/lab/{page.stem}/"
            wait_for(address, "Page", process)
            taken = []
            for mark in MARKS[:SAVES]:
                # Saves come when the server is at rest, as a writer's do.
                time.sleep(2)
                page.write_text(page.read_text() + f"\n{mark} sentence.\n")
                taken.append(wait_for(address, f"{mark} sentence", process))
        finally:
            process.terminate()
            process.wait()
        what = f"from saving to seeing a page, {PAGES} pages"
        yield Row(what, statistics.median(taken), "s", at_most=2)


if __name__ == "__main__":
    report(measure())
