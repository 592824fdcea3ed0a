"""The pages, notebooks and downloads that are written before the site is.

Nothing here is measured: every number is copied from a result, by program.
Files are written only when their text changes, so that a preview rests.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from _guide import notebooks, results
from _guide.check.phrases import told
from _guide.project import (
    DEVICE_NAMES,
    DEVICES,
    FRAMEWORK_NAMES,
    Program,
    is_generated,
    programs,
)
from _guide.results import describe, number_text, write_whole
from _guide.site.claims_page import claims_page, ledger_of
from _guide.site.references import references

MADE_BY = "guide build"
IMAGE = re.compile(r"!\[([^\]]*)\]\([^)\s]*figures/([\w/.-]+\.svg)\)")
TEX = re.compile(r"(?<![\\$])\$(?!\s)([^$\n]+?)(?<!\s)\$(?![$\d])")


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
    def again(self) -> dict | None:
        """What was measured here beside what is committed."""
        return self.committed and self.fresh

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
        if self.again:
            date = self.again["provenance"]["date"]
            text += f", measured again on {date} on this machine"
        return text


def results_of(members: list[Program]) -> list[Result]:
    """A result for each device that a program names, or that there is."""
    return [
        result
        for program in members
        for device in DEVICES
        if (result := Result(program, device)).shown
        or device in program.header["devices"]
    ]


@dataclass
class Topic:
    """Its results, the page on it, relative to docs/, and its claims."""

    name: str
    results: list[Result]
    page: str | None
    claims: list[int]

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")

    @property
    def programs(self) -> Iterator[tuple[Program, list[Result]]]:
        for program, found in groupby(self.results, lambda r: r.program):
            yield program, list(found)


def write_pages(root: Path) -> list[Result]:
    """Write all that is generated but the figures; returns the results."""
    members, docs = programs(root), root / "docs"
    found, ledger = results_of(members), ledger_of(root)
    written = {
        path.stem.replace("-", "_"): path.relative_to(docs).as_posix()
        for path in sorted(docs.rglob("*.md"))
        if not is_generated(path.relative_to(root).as_posix())
    }
    topics = [
        Topic(
            name,
            list(of_topic),
            written.get(name),
            sorted(c.number for c in ledger.claims if name in c.topics),
        )
        for name, of_topic in groupby(found, lambda r: r.program.topic)
    ]
    files = {
        "evidence/index.md": evidence_index(topics),
        "notebooks/index.md": gallery(topics),
    }
    for topic in topics:
        files[f"evidence/{topic.name}.md"] = evidence(topic)
        for program, mine in topic.programs:
            files |= program_files(docs, topic, program, mine)
    for result in found:
        if result.shown:
            files[f"evidence/{result.name}.json"] = opened(result)
    head = front("References", "Every work that this guide cites.")
    references(root, head)
    if ledger.claims:
        head = front(
            "Claims",
            "What is said about batch size, and which of it holds.",
            # Found when searched for, but after the pages that explain.
            boost=0.5,
        )
        files["claims.md"] = head + claims_page(root, members, ledger)
    for path, text in files.items():
        write_whole(docs / path, text)
    for made in ("claims.md", "downloads/*", "evidence/*", "notebooks/*"):
        for path in docs.glob(made):
            if path.relative_to(docs).as_posix() not in files:
                path.unlink()
    return found


def front(title: str, description: str, boost: float | None = None) -> str:
    """Front matter, and what made the page."""
    search = f"search:\n  boost: {boost}\n" if boost else ""
    return (
        f"---\ntitle: {json.dumps(title, ensure_ascii=False)}\n"
        f"description: {json.dumps(description)}\n{search}---\n\n"
        f"<!-- Made by: {MADE_BY} -->\n\n# {title}\n\n"
    )


# Evidence


def opened(result: Result) -> str:
    """What the page shows when a number is opened, as compact JSON."""
    parts = ("values", "judgements", "provenance")
    shown, again = (
        found and {part: found[part] for part in parts}
        for found in (result.shown, result.again)
    )
    content = {
        "made_by": MADE_BY,
        "program": result.program.name,
        "topic": result.program.topic,
        "stale": result.stale,
        "committed": bool(result.committed),
        **shown,
        "fresh": again,
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text + "\n"


def evidence_index(topics: list[Topic]) -> str:
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
    for topic in topics:
        name = topic.name
        link = f"[{name}](../{topic.page})" if topic.page else name
        for result in topic.results:
            values = judgements = "–"
            if result.shown:
                values = len(result.shown["values"])
                judged = result.shown["judgements"].values()
                holding = sum(entry["holds"] for entry in judged)
                judgements = f"{holding} hold, {len(judged) - holding} do not"
            text += (
                f"| [`{result.name}`]({name}.md#{result.name}) | {link} "
                f"| {result.words} | {values} | {judgements} |\n"
            )
    differ = "".join(line for topic in topics for line in differing(topic))
    return (
        f"{text}\n## Where the frameworks differ\n\n"
        "Judgements that come out differently in the two"
        + (f":\n\n{differ}" if differ else ": none.\n")
    )


def differing(topic: Topic) -> Iterator[str]:
    """A line for each judgement that comes out differently in the two."""
    by_path = {(r.program.path, r.device): r for r in topic.results if r.shown}
    for (_, device), result in by_path.items():
        twin = by_path.get((result.program.twin, device))
        if not twin or result.program.framework != "keras":
            continue
        others = twin.shown["judgements"]
        for key, entry in sorted(result.shown["judgements"].items()):
            if key in others and others[key]["holds"] != entry["holds"]:
                yield (
                    f"- `{key}` {told(entry['holds'])} in Keras and "
                    f"{told(others[key]['holds'])} in PyTorch "
                    f"([evidence]({topic.name}.md#{result.name}:{key}))\n"
                )


def evidence(topic: Topic) -> str:
    """The page with every value and judgement of a topic."""
    text = front(
        f"Evidence: {topic.title}",
        f"Every value and judgement that was measured for {topic.name}.",
        # Found when searched for by its key, but after the guide's own pages.
        boost=0.3,
    )
    if topic.page:
        text += f"What [the page](../{topic.page}) rests on.\n\n"
    if topic.claims:
        listed = (f"[{n}](../claims.md#claim-{n})" for n in topic.claims)
        text += f"Claims that rest on it: {', '.join(listed)}.\n\n"
    for result in topic.results:
        text += (
            f"## {result.program.name}, {DEVICE_NAMES[result.device]} "
            f"{{ #{result.name} }}\n\n{result.words.capitalize()}. Program: "
            f"{links(result.program, '../')}\n\n"
        )
        if result.shown:
            judgements = part_table(result, "judgements", judgement_cells)
            text += (
                f"{provenance(result)}\n\n"
                f"{part_table(result, 'values', value_cells)}\n\n"
                f"{judgements or 'It makes no judgements.'}\n\n"
            )
    return text.rstrip() + "\n"


def links(program: Program, base: str, notebook: bool = True) -> str:
    """Where the program can be read and fetched, as Markdown."""
    name = program.name
    found = [f"[notebook]({base}notebooks/{name}.ipynb)"] * notebook
    found.append(f"[`{name}.py`]({base}downloads/{name}.py)")
    found.append(f"[`{name}.ipynb`]({base}downloads/{name}.ipynb)")
    return " · ".join(found)


def folded(summary: str, content: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n{content}\n</details>"


def provenance(result: Result) -> str:
    """How the result came about, as a folded list."""
    lines = []
    versions = {"As committed": result.shown, "As measured again": result.again}
    for title, one in versions.items():
        if not one:
            continue
        found = one["provenance"]
        terms = {
            "Date": found["date"],
            "Command": found["command"],
            "Device": found["device"],
            "Threads": found["threads"],
            "Took": f"{number_text(found['seconds'])} seconds",
            "Backend": found["backend"],
            "Versions": ", ".join(map(" ".join, found["versions"].items())),
            "Settings": ", ".join(
                f"{name} = {json.dumps(value)}"
                for name, value in found["settings"].items()
            ),
            "Code (SHA-256)": found["code"],
        }
        lines += [f"<h3>{title}</h3>", "<dl>"]
        lines += [
            f"<dt>{term}</dt><dd>{html.escape(str(text))}</dd>"
            for term, text in terms.items()
        ]
        lines.append("</dl>")
    return folded("How it was measured", "\n".join(lines))


def part_table(
    result: Result, part: str, cells: Callable, anchors: bool = True
) -> str:
    """A row for each key, as HTML: quicker to build than one in Markdown."""
    rows, heads = "", []
    for key, entry in sorted(result.shown[part].items()):
        anchor, name = f"{result.name}:{key}", f"<code>{key}</code>"
        if anchors:
            name = f'<a href="#{anchor}">{name}</a>'
        again = result.again and result.again[part].get(key)
        row = {part[:-1].capitalize(): name, **cells(result, entry, again)}
        if not result.again:
            del row["Again"]
        heads = row.keys()
        attribute = f' id="{anchor}"' if anchors else ""
        rows += f"<tr{attribute}>{in_tags('td', row.values())}</tr>\n"
    head = f"<thead><tr>{in_tags('th', heads)}</tr></thead>"
    return rows and f"<table>\n{head}\n<tbody>\n{rows}</tbody>\n</table>"


def in_tags(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{text}</{tag}>" for text in texts)


def value_cells(result: Result, entry: dict, again: dict | None) -> dict:
    """What is said of a value, by the heads of the columns."""
    remarks = ["exact"] if entry.get("exact") else []
    remarks += ["a timing"] if entry.get("timing") else []
    remarks += [f"because: {entry['because']}"] if "because" in entry else []
    return {
        "Result": describe(entry | {"ci": None}),
        "Interval": " to ".join(map(number_text, entry.get("ci") or ())),
        "Again": describe(again) if again else "",
        "n": entry.get("n", ""),
        "Unit": html.escape(entry["unit"]),
        "Remarks": html.escape("; ".join(remarks)),
    }


def judgement_cells(result: Result, entry: dict, again: dict | None) -> dict:
    """What is said of a judgement, with links to what it rests on."""
    words = {True: "yes", False: "no"}
    because = (
        f'<a href="#{result.name}:{key}"><code>{key}</code></a>'
        for key in entry["because"]
    )
    return {
        "Holds": words[entry["holds"]],
        "Again": words[again["holds"]] if again else "",
        "Because of": ", ".join(because),
    }


# Notebooks


def program_files(
    docs: Path, topic: Topic, program: Program, found: list[Result]
) -> dict[str, str]:
    """The program's downloads and its page in the gallery."""
    name = program.name
    text = program.expanded()
    executed = executed_notebook(found)
    plain = with_outputs(notebooks.of_program(text), executed)
    top = [header_note(topic, program, found)]
    if not executed:
        top += instead_of_outputs(docs, topic, found)
    # The title comes first, then our cells, then the program.
    top = map(notebooks.markdown_cell, top)
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
    cells, done = (
        [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        for content in (plain, executed)
    )
    if len(cells) != len(done):
        return executed
    for cell, run in zip(cells, done):
        cell["execution_count"] = run["execution_count"]
        cell["outputs"] = run["outputs"]
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


def header_note(topic: Topic, program: Program, found: list[Result]) -> str:
    """Where to get the program, and whether what follows was run."""
    # From a page in a folder of its own; the gallery rewrites no links.
    text = "Download: " + links(program, "../../", notebook=False)
    if topic.page:
        address = re.sub(r"(^|/)index/$", r"\1", f"{topic.page[:-3]}/")
        text += f" · Read: [what it shows](../../{address})"
    text += f" · [Evidence](../../evidence/{topic.name}/)\n\n"
    text += (
        "Outputs are those of the run in this build. "
        if executed_notebook(found)
        else "*This program was not run in this build.* "
    )
    said = (
        f"{DEVICE_NAMES[result.device]}: {result.words}" for result in found
    )
    return f"{text}{'; '.join(said)}."


def instead_of_outputs(
    docs: Path, topic: Topic, found: list[Result]
) -> Iterator[str]:
    """The topic's figures and the results there are, as texts of cells."""
    text = (docs / topic.page).read_text("utf-8") if topic.page else ""
    alts = {path: alt for alt, path in IMAGE.findall(text)}
    images = []
    for path in sorted((docs / "figures" / topic.name).glob("*.svg")):
        name = f"{topic.name}/{path.name}"
        alt = alts.get(name, path.stem.replace("_", " "))
        images.append(f"![{alt}](../../figures/{name})")
    if images:
        yield "\n\n".join(images)
    for result in found:
        if result.shown:
            title = f"What it measured ({DEVICE_NAMES[result.device]})"
            yield folded(
                title, part_table(result, "values", value_cells, False)
            )


def gallery(topics: list[Topic]) -> str:
    """The page that lists every notebook."""
    text = front(
        "Notebooks",
        "Every program of this guide as a notebook, to read or to run.",
    )
    text += (
        "Each program runs alone in an empty folder: install what its first "
        "cell names, and start it.\n"
    )
    for topic in topics:
        text += f"\n## {topic.title.capitalize()}\n\n"
        if topic.page:
            page = f"[the page](../{topic.page})"
            text += f"What they measured is told on {page}.\n\n"
        for program, found in topic.programs:
            header = program.header
            minutes = number_text(header["minutes"])
            about = [
                FRAMEWORK_NAMES.get(program.framework, "Python"),
                ", ".join(DEVICE_NAMES[device] for device in header["devices"]),
                f"about {minutes} minute{'s' * (minutes != '1')}",
                f"{'' if executed_notebook(found) else 'not '}executed in this "
                "build",
            ]
            said = "; ".join(
                f"{DEVICE_NAMES[r.device]} {r.words}" for r in found
            )
            text += (
                f"### {header['title']}\n\n"
                f"{' '.join(header['summary'].split())}\n\n"
                f"{' · '.join(about)}\n\n{links(program, '../')}\n\n{said}.\n\n"
            )
    return text.rstrip() + "\n"
