"""Mathematics as MathML, made when the site is built.

A Markdown extension that takes over from `pymdownx.arithmatex` with its
option `generic`: no script, font or other host is needed to read a formula.
"""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

from markdown.extensions import Extension
from markdown.postprocessors import Postprocessor

GENERIC = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">'
    r"\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>",
    re.S,
)

# How many parts these elements must have.
PARTS = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3, "mroot": 2}


def to_mathml(tex: str, block: bool = False) -> str:
    """The formula as a `math` element; raises ValueError for bad TeX."""
    from latex2mathml.converter import convert

    shown = " ".join(tex.split())
    try:
        text = convert(tex, display="block" if block else "inline")
        parsed = ElementTree.fromstring(text)
    except Exception as error:
        why = str(error) or type(error).__name__
        raise ValueError(f"bad TeX {shown!r}: {why}") from error
    # What it does not know, it copies; what is missing, it leaves out.
    unknown = re.search(r"\\[A-Za-z]+", html.unescape(text))
    if unknown:
        raise ValueError(f"bad TeX {shown!r}: unknown {unknown[0]}")
    if tex.count("{") - tex.count(r"\{") != tex.count("}") - tex.count(r"\}"):
        raise ValueError(f"bad TeX {shown!r}: braces do not pair")
    for element in parsed.iter():
        name = element.tag.rpartition("}")[2]
        if len(element) != PARTS.get(name, len(element)):
            raise ValueError(f"bad TeX {shown!r}: {name} lacks a part")
    return text


class ToMathML(Postprocessor):
    """Replaces what arithmatex left for a script to find."""

    def run(self, text: str) -> str:
        def formula(match: re.Match) -> str:
            return to_mathml(html.unescape(match["tex"]), match["open"] == "[")

        return GENERIC.sub(formula, text)


class MathMLExtension(Extension):
    def extendMarkdown(self, md) -> None:
        # After the raw HTML is back in its place.
        md.postprocessors.register(ToMathML(md), "guide_mathml", 0)


def makeExtension(**options) -> MathMLExtension:
    return MathMLExtension(**options)
