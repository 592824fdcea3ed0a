"""Joins `guide` to MkDocs: refuses a build, and mends notebook pages."""

import logging
import os
import subprocess
import sys
from logging import ERROR, INFO, WARNING
from pathlib import Path

from mkdocs.exceptions import Abort

from _guide.check.everything import find_problems
from _guide.site.build import PREPARED
from _guide.site.notebook_page import mended

log = logging.getLogger("mkdocs.hooks.guide")
serving = False
# What the preview was last made from, while serving.
made_from = None


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
    failed = renew(root)
    found = find_problems(root)
    # A quiet build tells nothing less than errors.
    level = WARNING if serving else ERROR
    for problem in found:
        log.log(INFO if problem.warning else level, str(problem))
    wrong = [problem for problem in found if not problem.warning]
    if not serving and (failed or wrong):
        raise Abort(f"{len(wrong)} problems; run: guide check")


def renew(root):
    """Write the generated pages anew, if need be; True if that failed."""
    global made_from
    # A page that is saved should show at once.
    sources = ".build/results/*", "examples/*/*", "snippets/*"
    sources += "docs/*.bib", "docs/claims/*"
    times = {p: p.stat().st_mtime_ns for s in sources for p in root.glob(s)}
    if serving and times == made_from:
        return False
    # In a process of its own, which reads the code as it now is.
    preview = [sys.executable, "-m", "_guide", "build", "--preview"]
    failed = subprocess.run(preview, cwd=root).returncode != 0
    made_from = None if failed else times
    return failed


def on_page_content(html, page, config, files):
    if page.file.src_uri.endswith(".ipynb"):
        return mended(html, page.toc, Path(config.site_dir))


def on_page_context(context, page, config, nav):
    path, edit = page.file.src_uri, page.edit_url
    if not edit:
        return
    if path.endswith(".ipynb"):
        root = Path(config.config_file_path).parent
        (program,) = root.glob(f"examples/[!_]*/{Path(path).stem}.py")
        where = program.relative_to(root).as_posix()
        page.edit_url = edit.replace(f"docs/{path}", where)
    elif path == "references.md":
        page.edit_url = edit.removesuffix("md") + "bib"
    elif path == "claims.md":
        # A folder can only be looked into.
        page.edit_url = edit.removesuffix(".md").replace("/edit/", "/tree/")
    elif path.startswith(("evidence/", "notebooks/")):
        page.edit_url = None
