"""docs/references.md: every work of docs/references.bib, as a page has it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from _guide.project import GuideError
from _guide.results import write_whole

BIBLIOGRAPHY = "docs/references.bib"
MOST_AUTHORS = 8
# Where a work appeared: the first of these that it has.
VENUES = (
    *("journal", "booktitle", "howpublished"),
    *("publisher", "school", "institution"),
)


def references(root: Path, head: str) -> None:
    """Write the page below its head, if the bibliography has changed."""
    source, page = root / BIBLIOGRAPHY, root / "docs/references.md"
    memory = root / ".build/references.sha"
    data = source.read_bytes() if source.is_file() else b""
    made_of = head.encode() + data + Path(__file__).read_bytes()
    digest = hashlib.sha256(made_of).hexdigest()
    if page.is_file() and memory.is_file() and memory.read_text() == digest:
        return
    works = sorted(bibliography(data.decode()), key=by_author)
    text = "Also [as BibTeX](references.bib).\n"
    text = head + (text if works else "Nothing is cited yet.\n")
    for key, entry in works:
        text += f"\n## {label(entry)} {{ #{key} }}\n\n{cited(entry)}\n"
    write_whole(page, text)
    write_whole(memory, digest)


def bibliography(text: str) -> list[tuple]:
    """(key, entry) of each work; raises GuideError naming the line."""
    # Only here: it is slow to import, and the page rarely changes.
    from pybtex.database import BibliographyDataError
    from pybtex.database.input.bibtex import Parser
    from pybtex.scanner import PybtexSyntaxError

    try:
        return list(Parser().parse_string(text).entries.items())
    except (PybtexSyntaxError, BibliographyDataError) as error:
        line = getattr(error, "lineno", 1)
        raise GuideError(f"{BIBLIOGRAPHY}:{line}: {error}") from None


def plain(text: str) -> str:
    """TeX as text that Markdown leaves as it is."""
    from pybtex.richtext import Text

    words = " ".join(str(Text.from_latex(text)).split())
    return re.sub(r"([\\`*_{}\[\]<>$#|])", r"\\\1", words.replace("--", "–"))


def authors(entry) -> list[tuple[str, str]]:
    """(first names, family name) of who wrote or edited the work."""
    persons = entry.persons.get("author") or entry.persons.get("editor") or []
    return [
        (
            " ".join(map(plain, [*person.first_names, *person.middle_names])),
            plain(" ".join([*person.prelast_names, *person.last_names])),
        )
        for person in persons
    ]


def year(entry) -> str:
    return entry.fields.get("year", "no year")


def by_author(item: tuple) -> tuple:
    key, entry = item
    return [family.lower() for _, family in authors(entry)], year(entry), key


def label(entry) -> str:
    """How the text speaks of a work: Keskar et al. (2017)."""
    names = [family for _, family in authors(entry)] or ["Unknown"]
    if len(names) > 2:
        names = [f"{names[0]} et al."]
    return f"{' and '.join(names)} ({year(entry)})"


def cited(entry) -> str:
    """Authors, title, where it appeared, links and what is to be noted."""
    fields = {
        name: text if name in ("doi", "eprint", "url") else plain(text)
        for name, text in entry.fields.lower().items()
    }
    names = [" ".join(filter(None, parts)) for parts in authors(entry)]
    if len(names) > MOST_AUTHORS:
        names = [*names[:MOST_AUTHORS], "others"]
    if len(names) > 1:
        names = [*names[:-2], f"{names[-2]} and {names[-1]}"]
    venue = next((fields[name] for name in VENUES if name in fields), "")
    number = fields.get("volume", "")
    if "number" in fields:
        number += f"({fields['number']})"
    pages = f"pages {fields['pages']}" if "pages" in fields else ""
    appeared = (f"{venue} {number}".strip(), pages, year(entry))
    text = f"{', '.join(names)}. *{fields['title']}*. "
    text += ", ".join(filter(None, appeared)) + "."
    text += "".join(f" [{name}]({link})." for name, link in places(fields))
    if "note" in fields:
        text += f"\n\nNote: {fields['note'].removesuffix('.')}."
    return text


def places(fields: dict[str, str]) -> list[tuple[str, str]]:
    """(name, address) of where the work can be read."""
    found = []
    number = fields.get("eprint")
    if number and (fields.get("archiveprefix") or "arxiv").lower() == "arxiv":
        found.append((f"arXiv:{number}", f"https://arxiv.org/abs/{number}"))
    if "doi" in fields:
        doi = fields["doi"].removeprefix("https://doi.org/")
        found.append((f"doi:{doi}", f"https://doi.org/{doi}"))
    if "url" in fields:
        host = re.sub(r"^https?://(www\.)?([^/]+).*$", r"\2", fields["url"])
        found.append((host, fields["url"]))
    return found
