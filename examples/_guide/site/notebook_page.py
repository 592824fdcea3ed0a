"""Mends what mkdocs-jupyter makes of a notebook.

Its pages carry half a megabyte of styles each, ask other hosts for scripts,
repeat their code for the copy button, and may have headings whose names are
not those in their table of contents.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from _guide.results import write_whole

STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.S)
# What an output brings for itself is shorter, and stays with it.
LONG = 1000
# For MathJax and Mermaid.
SCRIPTS = re.compile(
    r'<script (src=""|type="text/x-mathjax-config"|type="module")>.*?</script>',
    re.S,
)
HEADING = re.compile(r'<h[1-6] id="([^"]+)"')
COPIED = 'class="clipboard-copy-txt"'
CODE = '<div class="highlight-ipynb hl-python"'


def mended(html: str, toc: Iterable, site: Path) -> str:
    """The page's content; writes its styles, once, to the site."""
    styles = "\n".join(s for s in STYLE.findall(html) if len(s) >= LONG)
    digest = hashlib.sha256(styles.encode()).hexdigest()[:8]
    name = f"assets/stylesheets/notebook.{digest}.css"
    write_whole(site / name, styles)
    html = STYLE.sub(lambda s: "" if len(s[1]) >= LONG else s[0], html)
    html = SCRIPTS.sub("", html)
    html = html.replace(COPIED, f"{COPIED} data-search-exclude")
    # What scrolls must be reached with the keyboard.
    html = html.replace(CODE, f'{CODE} tabindex="0"')
    links, names = list(entries(toc)), HEADING.findall(html)
    if len(links) == len(names):
        for link, anchor in zip(links, names):
            link.id = anchor
    return f'<link rel="stylesheet" href="../../{name}">\n{html}'


def entries(toc: Iterable) -> Iterator:
    """Every entry of a table of contents, in the order of the page."""
    for entry in toc:
        yield entry
        yield from entries(entry.children)
