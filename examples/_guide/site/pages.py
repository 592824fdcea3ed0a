"""The pages, notebooks and downloads that are written before the site is.

Nothing here is measured: every number is copied from a result, by program.
Files are written only when their text changes, so that a preview rests.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from _guide import notebooks, results
from _guide.check.ledger import Ledger
from _guide.project import (
    DEVICE_NAMES,
    DEVICES,
    FRAMEWORK_NAMES,
    GuideError,
    Program,
    is_generated,
    programs,
)
from _guide.results import describe, number_text, write_whole
from _guide.site.claims_page import claims_page, ledger_of

MADE_BY = "guide build"
IMAGE = re.compile(r"!\[([^\]]*)\]\([^)\s]*figures/([\w/.-]+\.svg)\)")
TEX = re.compile(r"(?<![\\$])\$(?!\s)([^$\n]+?)(?<!\s)\$(?![$\d])")
ROW = "<tr{}>{}</tr>"
MOST_AUTHORS = 8


@dataclass
class Result:
    """What there is of one program on one device."""

    program: Program
    device: str

    @cached_property
    def fresh(self) -> dict | None:
        return results.fresh(self.program, self.device)

    @cached_property
    def committed(self) -> dict | None:
        return results.committed(self.program, self.device)

    @property
    def shown(self) -> dict | None:
        """What the pages are about: the text is checked against it."""
        return self.committed or self.fresh

    @property
    def stale(self) -> bool:
        """Whether the committed result is an earlier version's."""
        return bool(self.committed) and (
            not self.program.is_current(self.committed["provenance"])
        )

    @property
    def name(self) -> str:
        return f"{self.program.name}.{self.device}"

    @property
    def words(self) -> str:
        """When it was measured, in words; ends without a full stop."""
        if not self.shown:
            return "not measured yet"
        date = self.shown["provenance"]["date"]
        if not self.committed:
            return f"measured here on {date}, not accepted yet"
        version = " with an earlier version" if self.stale else ""
        text = f"measured{version} on {date}"
        if self.fresh:
            again = self.fresh["provenance"]["date"]
            text += f", measured again on {again} on this machine"
        return text


def results_of(members: list[Program]) -> list[Result]:
    """A result for each device that a program names, or that there is."""
    found = []
    for program in members:
        for device in DEVICES:
            result = Result(program, device)
            if device in program.header["devices"] or result.shown:
                found.append(result)
    return found


def write_pages(root: Path) -> list[Result]:
    """Write all that is generated but the figures; returns the results."""
    members = programs(root)
    found = results_of(members)
    files: dict[str, str] = {}
    topics: dict[str, list[Result]] = {}
    for result in found:
        topics.setdefault(result.program.topic, []).append(result)
        if result.shown:
            files[f"evidence/{result.name}.json"] = opened(result)
    pages = pages_of(root, list(topics))
    ledger = ledger_of(root)
    files["evidence/index.md"] = evidence_index(topics, pages)
    for topic, of_topic in topics.items():
        page = pages.get(topic)
        settled = [c.number for c in ledger.claims if topic in c.topics]
        files[f"evidence/{topic}.md"] = evidence(
            topic, of_topic, page, sorted(settled)
        )
        for program in {result.program for result in of_topic}:
            mine = [r for r in of_topic if r.program == program]
            files |= program_files(root, program, mine, page)
    files["notebooks/index.md"] = gallery(topics, pages)
    for path, text in files.items():
        write_whole(root / "docs" / path, text)
    for folder in ("downloads", "evidence", "notebooks"):
        for path in (root / "docs" / folder).glob("*"):
            if f"{folder}/{path.name}" not in files:
                path.unlink()
    references(root)
    write_claims(root, members, ledger)
    return found


def pages_of(root: Path, topics: list[str]) -> dict[str, str]:
    """The page of each topic, relative to docs/: some_topic, some-topic.md."""
    found = {}
    docs = root / "docs"
    names = {topic.replace("_", "-"): topic for topic in topics}
    for path in sorted(docs.rglob("*.md")):
        where = path.relative_to(root).as_posix()
        if path.stem in names and not is_generated(where):
            found[names[path.stem]] = path.relative_to(docs).as_posix()
    return found


def front(title: str, description: str, *more: str) -> str:
    """Front matter, and what made the page."""
    fields = [f"title: {json.dumps(title, ensure_ascii=False)}"]
    fields.append(f"description: {json.dumps(description)}")
    head = "\n".join([*fields, *more])
    return f"---\n{head}\n---\n\n<!-- Made by: {MADE_BY} -->\n\n# {title}\n\n"


# Evidence


def opened(result: Result) -> str:
    """What the page shows when a number is opened, as compact JSON."""
    parts = ("values", "judgements", "provenance")

    def compact(found: dict | None) -> dict | None:
        return found and {part: found.get(part, {}) for part in parts}

    content = {
        "made_by": MADE_BY,
        "program": result.program.name,
        "topic": result.program.topic,
        "stale": result.stale,
        "committed": bool(result.committed),
        **compact(result.shown),
        "fresh": compact(result.fresh) if result.committed else None,
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text + "\n"


def evidence_index(topics: dict[str, list[Result]], pages: dict) -> str:
    """The page that lists every result."""
    text = front(
        "Evidence",
        "Every result that this guide rests on, and how it was measured.",
    )
    text += (
        "Every number in the text names a result, and the site is built only "
        "if they agree. These are all of the results, each with the program "
        "that measured it. *Measured again* means that the program ran on "
        "the machine that built this site, and that its results agree with "
        "those that the text was written from. Timings differ between "
        "machines, so there it is the judgements that agree.\n\n"
        "| Result | For | Measured | Values | Judgements |\n"
        "| --- | --- | --- | --- | --- |\n"
    )
    for topic, found in topics.items():
        page = pages.get(topic)
        link = f"[{topic}](../{page})" if page else topic
        for result in found:
            values = judgements = "–"
            if result.shown:
                values = str(len(result.shown["values"]))
                judged = result.shown["judgements"].values()
                holding = sum(entry["holds"] for entry in judged)
                judgements = f"{holding} hold, {len(judged) - holding} do not"
            text += (
                f"| [`{result.name}`]({topic}.md#{result.name}) | {link} "
                f"| {result.words} | {values} | {judgements} |\n"
            )
    text += "\n## Where the frameworks differ\n\n"
    differ = [
        f"- `{key}` {verdict(one)} in {FRAMEWORK_NAMES['keras']} and "
        f"{verdict(other)} in {FRAMEWORK_NAMES['torch']} "
        f"([evidence]({topic}.md#{result.name}:{key}))\n"
        for topic, found in topics.items()
        for result, key, one, other in differing(found)
    ]
    text += "Judgements that come out differently in the two"
    return f"{text}:\n\n{''.join(differ)}" if differ else f"{text}: none.\n"


def verdict(entry: dict) -> str:
    return "holds" if entry["holds"] else "does not hold"


def differing(found: list[Result]) -> list[tuple[Result, str, dict, dict]]:
    """(result, key, judgement, its twin's) where the two differ."""
    by_path = {(r.program.path, r.device): r for r in found if r.shown}
    rows = []
    for (_, device), result in by_path.items():
        twin = by_path.get((result.program.twin, device))
        if twin and result.program.framework == "keras":
            others = twin.shown["judgements"]
            for key, entry in sorted(result.shown["judgements"].items()):
                other = others.get(key)
                if other and other["holds"] != entry["holds"]:
                    rows.append((result, key, entry, other))
    return rows


def evidence(
    topic: str, found: list[Result], page: str | None, claims: list[int]
) -> str:
    """The page with every value and judgement of a topic."""
    text = front(
        f"Evidence: {topic.replace('_', ' ')}",
        f"Every value and judgement that was measured for {topic}.",
        # Found when searched for by its key, but after the guide's own pages.
        "search:\n  boost: 0.3",
    )
    if page:
        text += f"What [the page](../{page}) rests on.\n\n"
    if claims:
        listed = (f"[{n}](../claims.md#claim-{n})" for n in claims)
        text += f"Claims that rest on it: {', '.join(listed)}.\n\n"
    for result in found:
        text += f"## {result.program.name}, {DEVICE_NAMES[result.device]} "
        text += f"{{ #{result.name} }}\n\n"
        text += f"{result.words.capitalize()}. Program: "
        text += f"{links(result.program, '../')}\n\n"
        if result.shown:
            text += provenance(result)
            text += value_table(result) + "\n\n"
            text += judgement_table(result) + "\n\n"
    return text.rstrip() + "\n"


def links(program: Program, base: str, notebook: bool = True) -> str:
    """Where the program can be read and fetched, as Markdown."""
    name = program.name
    found = [f"[notebook]({base}notebooks/{name}.ipynb)"] * notebook
    found.append(f"[`{name}.py`]({base}downloads/{name}.py)")
    found.append(f"[`{name}.ipynb`]({base}downloads/{name}.ipynb)")
    return " · ".join(found)


def provenance(result: Result) -> str:
    """How the result came about, as a folded list."""
    rows = []
    both = (result.shown, result.fresh if result.committed else None)
    for title, one in zip(("As committed", "As measured again"), both):
        if one is None:
            continue
        found = one["provenance"]
        versions = ", ".join(
            f"{name} {version}" for name, version in found["versions"].items()
        )
        settings = ", ".join(
            f"{name} = {json.dumps(value)}"
            for name, value in found["settings"].items()
        )
        rows += [
            f"<h3>{title}</h3>",
            "<dl>",
            *(
                f"<dt>{term}</dt><dd>{html.escape(str(text))}</dd>"
                for term, text in (
                    ("Date", found["date"]),
                    ("Command", found["command"]),
                    ("Device", found["device"]),
                    ("Threads", found["threads"]),
                    ("Took", f"{number_text(found['seconds'])} seconds"),
                    ("Backend", found["backend"]),
                    ("Versions", versions),
                    ("Settings", settings),
                    ("Code (SHA-256)", found["code"]),
                )
            ),
            "</dl>",
        ]
    inside = "\n".join(rows)
    return (
        "<details>\n<summary>How it was measured</summary>\n"
        f"{inside}\n</details>\n\n"
    )


def value_table(result: Result, anchors: bool = True) -> str:
    """Every value, as HTML: quicker to build than a table in Markdown."""
    again = result.fresh if result.committed else None
    heads = ["Value", "Result", "Interval", "n", "Unit", "Remarks"]
    if again:
        heads.insert(3, "Again")
    rows = []
    for key, entry in sorted(result.shown["values"].items()):
        low_high = " to ".join(map(number_text, entry.get("ci") or ()))
        cells = [
            key_cell(f"{result.name}:{key}" if anchors else "", key),
            describe(entry | {"ci": None}),
            low_high,
            *([describe_or_nothing(again["values"].get(key))] if again else []),
            str(entry.get("n", "")),
            html.escape(entry["unit"]),
            html.escape(remarks(entry)),
        ]
        rows.append(row(cells, f"{result.name}:{key}" if anchors else ""))
    return table(heads, rows)


def key_cell(anchor: str, key: str) -> str:
    """The key, as a link to its own row where the row has an anchor."""
    code = f"<code>{key}</code>"
    return f'<a href="#{anchor}">{code}</a>' if anchor else code


def describe_or_nothing(entry: dict | None) -> str:
    return describe(entry) if entry else ""


def remarks(entry: dict) -> str:
    """What else is to be said of a value."""
    found = ["exact"] if entry.get("exact") else []
    found += ["a timing"] if entry.get("timing") else []
    found += [f"because: {entry['because']}"] if entry.get("because") else []
    return "; ".join(found)


def judgement_table(result: Result) -> str:
    """Every judgement, with links to the values that it rests on."""
    again = result.fresh if result.committed else None
    heads = ["Judgement", "Holds", *(["Again"] if again else []), "Because of"]
    rows = []
    for key, entry in sorted(result.shown.get("judgements", {}).items()):
        because = (
            f'<a href="#{result.name}:{name}"><code>{name}</code></a>'
            for name in entry["because"]
        )
        cells = [key_cell(f"{result.name}:{key}", key)]
        cells.append("yes" if entry["holds"] else "no")
        if again:
            other = again["judgements"].get(key)
            cells.append(other and ("yes" if other["holds"] else "no") or "")
        cells.append(", ".join(because))
        rows.append(row(cells, f"{result.name}:{key}"))
    return table(heads, rows) if rows else "It makes no judgements."


def row(cells: list[str], anchor: str = "") -> str:
    name = f' id="{anchor}"' if anchor else ""
    return ROW.format(name, "".join(f"<td>{cell}</td>" for cell in cells))


def table(heads: list[str], rows: list[str]) -> str:
    head = "".join(f"<th>{text}</th>" for text in heads)
    return (
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody>\n</table>"
    )


# Notebooks


def program_files(
    root: Path, program: Program, found: list[Result], page: str | None
) -> dict[str, str]:
    """The program's downloads and its page in the gallery."""
    name = program.name
    text = program.expanded()
    executed = executed_notebook(found)
    plain = with_outputs(notebooks.of_program(text), executed)
    top = [notebooks.markdown_cell(header_note(program, found, page))]
    if not executed:
        top += instead_of_outputs(root, program, found, page)
    # The title comes first, then our cells, then the program.
    cells = [*plain["cells"][:1], *top, *plain["cells"][1:]]
    shown = plain | {"cells": [with_mathematics(cell) for cell in cells]}
    return {
        f"downloads/{name}.py": text,
        f"downloads/{name}.ipynb": notebooks.to_text(plain),
        f"notebooks/{name}.ipynb": notebooks.to_text(shown),
    }


def executed_notebook(found: list[Result]) -> dict | None:
    """The notebook that the present code left here, if it ran."""
    for result in found:
        path = result.program.notebook(result.device)
        if result.fresh and path.is_file():
            return json.loads(path.read_text("utf-8"))
    return None


def with_outputs(plain: dict, executed: dict | None) -> dict:
    """The program as it now is, with the outputs that its code gave.

    Its comments and its Markdown may have changed since it was executed.
    """
    if not executed:
        return plain

    def code_cells(content: dict) -> list[dict]:
        return [c for c in content["cells"] if c["cell_type"] == "code"]

    if len(code_cells(plain)) != len(code_cells(executed)):
        return executed
    for cell, done in zip(code_cells(plain), code_cells(executed)):
        cell["execution_count"] = done["execution_count"]
        cell["outputs"] = done["outputs"]
    return plain


def with_mathematics(cell: dict) -> dict:
    """The cell with TeX as MathML, which needs no script and no other host."""
    source = "".join(cell["source"])
    if cell["cell_type"] != "markdown" or "$" not in source:
        return cell
    from _guide.site.mathml import to_mathml

    # What is between backticks is code, whatever it holds.
    parts = re.split(r"(`[^`]*`)", source)
    parts[::2] = [TEX.sub(lambda m: to_mathml(m[1]), p) for p in parts[::2]]
    return cell | {"source": "".join(parts)}


def header_note(program: Program, found: list[Result], page: str | None) -> str:
    """Where to get the program, and whether what follows was run."""
    # From a page in a folder of its own; the gallery rewrites no links.
    text = "Download: " + links(program, "../../", notebook=False)
    if page:
        text += f" · Read: [what it shows](../../{address(page)})"
    text += f" · [Evidence](../../evidence/{program.topic}/)\n\n"
    said = "; ".join(
        f"{DEVICE_NAMES[result.device]}: {result.words}" for result in found
    )
    if executed_notebook(found):
        return text + f"Outputs are those of the run in this build. {said}."
    return text + f"*This program was not run in this build.* {said}."


def address(page: str) -> str:
    """The address of a page, relative to the site's base."""
    path = page.removesuffix(".md")
    return path.removesuffix("index") if path.endswith("index") else f"{path}/"


def instead_of_outputs(
    root: Path, program: Program, found: list[Result], page: str | None
) -> list[dict]:
    """Cells with the topic's figures and the results there are."""
    cells = []
    text = (root / "docs" / page).read_text("utf-8") if page else ""
    alts = {path: alt for alt, path in IMAGE.findall(text)}
    folder = root / "docs/figures" / program.topic
    images = [
        f"![{alts.get(name, path.stem.replace('_', ' '))}]"
        f"(../../figures/{name})"
        for path in sorted(folder.glob("*.svg"))
        for name in [f"{program.topic}/{path.name}"]
    ]
    if images:
        cells.append(notebooks.markdown_cell("\n\n".join(images)))
    for result in found:
        if result.shown:
            values = value_table(result, anchors=False)
            title = f"What it measured ({DEVICE_NAMES[result.device]})"
            inside = f"<summary>{title}</summary>\n{values}"
            folded = f"<details>\n{inside}\n</details>"
            cells.append(notebooks.markdown_cell(folded))
    return cells


def gallery(topics: dict[str, list[Result]], pages: dict) -> str:
    """The page that lists every notebook."""
    text = front(
        "Notebooks",
        "Every program of this guide as a notebook, to read or to run.",
    )
    text += (
        "Each program runs alone in an empty folder: install what its first "
        "cell names, and start it.\n"
    )
    for topic, found in topics.items():
        page = pages.get(topic)
        text += f"\n## {topic.replace('_', ' ').capitalize()}\n\n"
        if page:
            text += f"What they measured is told on [the page](../{page}).\n\n"
        for program in dict.fromkeys(result.program for result in found):
            mine = [result for result in found if result.program == program]
            header = program.header
            framework = FRAMEWORK_NAMES.get(program.framework, "Python")
            minutes = number_text(header["minutes"])
            unit = "minute" if minutes == "1" else "minutes"
            devices = [DEVICE_NAMES[device] for device in header["devices"]]
            summary = " ".join(header["summary"].split())
            run = "executed" if executed_notebook(mine) else "not executed"
            said = "; ".join(
                f"{DEVICE_NAMES[r.device]} {r.words}" for r in mine
            )
            text += (
                f"### {header['title']}\n\n{summary}\n\n"
                f"{framework} · {', '.join(devices)} · about {minutes} {unit}"
                f" · {run} in this build\n\n{links(program, '../')}\n\n"
                f"{said[0].upper() + said[1:]}.\n\n"
            )
    return text.rstrip() + "\n"


# Claims


def write_claims(root: Path, members: list[Program], ledger: Ledger) -> None:
    """Write docs/claims.md, if there are claims."""
    page = root / "docs/claims.md"
    if not ledger.claims:
        page.unlink(missing_ok=True)
        return
    text = front(
        "Claims",
        "What is said about batch size, and which of it holds.",
        # Found when searched for, but after the pages that explain.
        "search:\n  boost: 0.5",
    )
    write_whole(page, text + claims_page(root, members, ledger))


# References


def references(root: Path) -> None:
    """Write docs/references.md, if the bibliography has changed."""
    source = root / "docs/references.bib"
    page = root / "docs/references.md"
    memory = root / ".build/references.sha"
    data = source.read_bytes() if source.is_file() else b""
    digest = hashlib.sha256(data + Path(__file__).read_bytes()).hexdigest()
    if page.is_file() and memory.is_file() and memory.read_text() == digest:
        return
    text = front("References", "Every work that this guide cites.")
    entries = bibliography(source) if data else {}
    if entries:
        text += "Also [as BibTeX](references.bib).\n"
    else:
        text += "Nothing is cited yet.\n"
    for key, entry in sorted(entries.items(), key=by_author):
        text += f"\n## {label(entry)} {{ #{key} }}\n\n{cited(entry)}\n"
    write_whole(page, text)
    write_whole(memory, digest)


def bibliography(source: Path) -> dict:
    """The entries by their keys; raises GuideError naming the line."""
    # Only here: it is slow to import, and the page rarely changes.
    from pybtex.database import BibliographyDataError
    from pybtex.database.input.bibtex import Parser
    from pybtex.scanner import PybtexSyntaxError

    where = "docs/references.bib"
    try:
        found = Parser().parse_string(source.read_text("utf-8"))
    except PybtexSyntaxError as error:
        raise GuideError(f"{where}:{error.lineno}: {error}") from None
    except BibliographyDataError as error:
        raise GuideError(f"{where}:1: {error}") from None
    return dict(found.entries)


def plain(text: str) -> str:
    """TeX as text that Markdown leaves as it is."""
    from pybtex.richtext import Text

    words = " ".join(str(Text.from_latex(text)).split())
    return re.sub(r"([\\`*_{}\[\]<>$#|])", r"\\\1", words.replace("--", "–"))


def authors(entry) -> list:
    return entry.persons.get("author") or entry.persons.get("editor") or []


def family(person) -> str:
    return plain(" ".join([*person.prelast_names, *person.last_names]))


def year(entry) -> str:
    return entry.fields.get("year", "no year")


def by_author(item: tuple) -> tuple:
    key, entry = item
    names = [family(person).lower() for person in authors(entry)]
    return names, year(entry), key


def label(entry) -> str:
    """How the text speaks of a work: Keskar et al. (2017)."""
    names = [family(person) for person in authors(entry)] or ["Unknown"]
    if len(names) > 2:
        names = [f"{names[0]} et al."]
    return f"{' and '.join(names)} ({year(entry)})"


def cited(entry) -> str:
    """Authors, title, where it appeared, links and what is to be noted."""
    fields = entry.fields
    names = [
        " ".join([*map(plain, [*p.first_names, *p.middle_names]), family(p)])
        for p in authors(entry)
    ]
    if len(names) > MOST_AUTHORS:
        names = [*names[:MOST_AUTHORS], "others"]
    if len(names) > 1:
        names = [*names[:-2], f"{names[-2]} and {names[-1]}"]
    text = ", ".join(names) + f". *{plain(fields['title'])}*."
    venue = next(
        (
            plain(fields[field])
            for field in (
                *("journal", "booktitle", "howpublished"),
                *("publisher", "school", "institution"),
            )
            if field in fields
        ),
        "",
    )
    number = plain(fields.get("volume", ""))
    if "number" in fields:
        number += f"({plain(fields['number'])})"
    pages = f"pages {plain(fields['pages'])}" if "pages" in fields else ""
    venue = f"{venue} {number}".strip()
    parts = [part for part in (venue, pages, year(entry)) if part]
    text += f" {', '.join(parts)}."
    text += "".join(f" [{name}]({link})." for name, link in places(fields))
    if "note" in fields:
        note = plain(fields["note"])
        text += f"\n\nNote: {note}{'' if note.endswith('.') else '.'}"
    return text


def places(fields) -> list[tuple[str, str]]:
    """(name, address) of where the work can be read."""
    found = []
    kind = fields.get("archiveprefix", "").lower()
    if "eprint" in fields and kind in ("", "arxiv"):
        number = fields["eprint"]
        found.append((f"arXiv:{number}", f"https://arxiv.org/abs/{number}"))
    if "doi" in fields:
        doi = fields["doi"].removeprefix("https://doi.org/")
        found.append((f"doi:{doi}", f"https://doi.org/{doi}"))
    if "url" in fields:
        host = re.sub(r"^https?://(www\.)?([^/]+).*$", r"\2", fields["url"])
        found.append((host, fields["url"]))
    return found
