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

log = logging.getLogger("mkdocs.hooks.guide")
STYLES = re.compile(r'<style type="text/css">(.{1000,}?)</style>', re.S)
# MathJax and Mermaid from other hosts, and a copy button where Material has
# one already.
SCRIPTS = re.compile(
    r'(?<=<article class="md-content__inner md-typeset">)(.*?)'
    r'(?=<div class="jupyter-wrapper">)',
    re.S,
)
serving = False


def on_startup(command, dirty):
    global serving
    serving = command == "serve"


def on_config(config):
    if not config.repo_url:
        config.edit_uri = None


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


def on_post_page(output, page, config):
    if page.file.src_uri.endswith(".ipynb"):
        # Half a megabyte, and the same on every page.
        styles = "\n".join(STYLES.findall(output))
        digest = hashlib.sha256(styles.encode()).hexdigest()[:8]
        name = f"assets/stylesheets/notebook.{digest}.css"
        (Path(config.site_dir) / name).parent.mkdir(parents=True, exist_ok=True)
        (Path(config.site_dir) / name).write_text(styles, "utf-8")
        output = STYLES.sub("", output)
    return output
