"""Joins `guide` to MkDocs: refuses a build, and mends notebook pages."""

import logging
import os
import subprocess
import sys
from pathlib import Path

from mkdocs.exceptions import Abort

from _guide.build import PREPARED
from _guide.check import find_problems
from _guide.notebook_page import mended

log = logging.getLogger("mkdocs.hooks.guide")
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


def on_page_content(html, page, config, files):
    if page.file.src_uri.endswith(".ipynb"):
        return mended(html, page.toc, Path(config.site_dir))


def on_page_context(context, page, config, nav):
    path = page.file.src_uri
    edit = page.edit_url
    if path.endswith(".ipynb") and edit:
        root = Path(config.config_file_path).resolve().parent
        (program,) = root.glob(f"examples/[!_]*/{Path(path).stem}.py")
        where = program.relative_to(root).as_posix()
        page.edit_url = edit.replace(f"docs/{path}", where)
    elif path == "references.md" and edit:
        page.edit_url = edit.removesuffix("md") + "bib"
    elif path.startswith(("evidence/", "notebooks/")):
        page.edit_url = None
