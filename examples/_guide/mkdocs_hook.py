"""Joins `guide` to MkDocs: refuses a build, and mends notebook pages."""

import hashlib
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

from mkdocs.exceptions import Abort

from _guide.build import PREPARED
from _guide.check import find_problems
from _guide.results import write_whole

log = logging.getLogger("mkdocs.hooks.guide")
STYLE = re.compile(r"<style[^>]*>((?:(?!</style>).){1000,})</style>", re.S)
# For MathJax and Mermaid, from other hosts.
SCRIPTS = re.compile(
    r'<script (src=""|type="text/x-mathjax-config"|type="module")>.*?</script>',
    re.S,
)
COPIED = 'class="clipboard-copy-txt"'
CODE = '<div class="highlight-ipynb hl-python"'
serving = False


def on_startup(command, dirty):
    global serving
    serving = command == "serve"


def on_config(config):
    if not config.repo_url:
        config.edit_uri = None
    # Each takes seconds, which the preview of a text does not have.
    if not os.environ.get("NOTEBOOKS"):
        config.plugins["mkdocs-jupyter"].config["include"] = []


def on_pre_build(config):
    if os.environ.get(PREPARED):
        return
    root = Path(config.config_file_path).resolve().parent
    # In a process of its own, which reads the code as it now is.
    preview = [sys.executable, "-m", "_guide", "build", "--preview"]
    failed = subprocess.run(preview, cwd=root).returncode
    problems = find_problems(root)
    for problem in problems:
        log.warning(str(problem))
    if not serving and (failed or problems):
        raise Abort(f"{len(problems)} problems; run: guide check")


def on_page_context(context, page, config, nav):
    path = page.file.src_uri
    if path.endswith(".ipynb"):
        root = Path(config.config_file_path).resolve().parent
        (program,) = root.glob(f"examples/[!_]*/{Path(path).stem}.py")
        where = program.relative_to(root).as_posix()
        page.edit_url = page.edit_url and page.edit_url.replace(
            f"docs/{path}", where
        )
    elif path == "references.md":
        page.edit_url = page.edit_url and page.edit_url[:-2] + "bib"
    elif path.startswith(("evidence/", "notebooks/")):
        page.edit_url = None


def on_page_content(html, page, config, files):
    if not page.file.src_uri.endswith(".ipynb"):
        return html
    # Half a megabyte, and the same on every page.
    styles = "\n".join(STYLE.findall(html))
    digest = hashlib.sha256(styles.encode()).hexdigest()[:8]
    name = f"assets/stylesheets/notebook.{digest}.css"
    write_whole(Path(config.site_dir) / name, styles)
    html = SCRIPTS.sub("", STYLE.sub("", html))
    # What the copy button copies is on the page a second time.
    html = html.replace(COPIED, f"{COPIED} data-search-exclude")
    # What scrolls must be reached with the keyboard.
    html = html.replace(CODE, f'{CODE} tabindex="0"')
    return f'<link rel="stylesheet" href="../../{name}">\n{html}'
