"""The page of the ledger: docs/claims.md, made of docs/claims/*.toml."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from _guide.check.ledger import BADGES, SIDES, VERDICTS, Claim, Ledger
from _guide.check.phrases import told
from _guide.project import DEVICE_NAMES, FRAMEWORK_NAMES, GuideError, Program

TITLE = re.compile(r"^# (.+?)[ \t]*(?:\{[^}]*\})?[ \t]*$", re.M)
WORK = re.compile(r"^## (.+?) \{ #(\S+) \}$", re.M)
INTRODUCTION = """\
**{count} statements about batch size, each with a verdict, what decides it and
what it rests on.** They come from articles and lessons, from published work
and from what people ask. All are paraphrased: they are told in our words, and
often shortened. No source is blamed; most say what many say.

A verdict that we measured names the judgements of our programs that it needs;
if one of them comes out otherwise, the site is not built. Where we measured
nothing, the badge says what the verdict rests on. All of it is data, a file for
each topic: {files}.

"""
MEANINGS = """\
??? note "What the verdicts and the badges mean"

    | Verdict | Meaning |
    | --- | --- |
{verdicts}

    | Badge | Meaning |
    | --- | --- |
{badges}

"""


def ledger_of(root: Path) -> Ledger:
    """The ledger, without the rows that only the check can tell of."""
    ledger = Ledger(root)
    for path, message, line, column in ledger.faults:
        raise GuideError(f"{path}:{line}:{column}: {message}")
    ledger.claims = [c for c in ledger.claims if not any(c.faults())]
    return ledger


def claims_page(root: Path, programs: list[Program], ledger: Ledger) -> str:
    """The page with every claim, in groups by topic."""
    claims, page = ledger.claims, Writer(root, programs, ledger.sources)
    files = {c.topic: c.file.path.removeprefix("docs/") for c in claims}
    listed = (f"[{topic}]({path})" for topic, path in files.items())
    text = INTRODUCTION.format(count=len(claims), files=", ".join(listed))
    text += counts(claims) + form(claims, ledger.sources)
    verdicts, badges = (
        "\n".join(f"    | {word} | {why} |" for word, why in words.items())
        for words in (VERDICTS, BADGES)
    )
    text += MEANINGS.format(verdicts=verdicts, badges=badges)
    for topic, of_topic in groupby(claims, lambda claim: claim.topic):
        text += f"## {topic.capitalize()}\n\n"
        text += "".join(map(page.claim, of_topic))
    return text


def counts(claims: list[Claim]) -> str:
    """How many there are of each verdict, each a link to those."""
    items = "".join(
        f'<li><a href="?verdict={word.replace(" ", "+")}">{word}</a> '
        f"{count}</li>\n"
        for word, count in occurring(claims, "verdict", VERDICTS)
    )
    return f'<ul class="guide-counts">\n{items}</ul>\n\n'


def occurring(
    claims: list[Claim], name: str, known: Iterable[str]
) -> list[tuple[str, int]]:
    """The words that the field has, in the order given, and how often."""
    found = Counter(word for claim in claims for word in claim.texts(name))
    return [(word, found[word]) for word in known if found[word]]


def form(claims: list[Claim], sources: dict[str, str]) -> str:
    """What filters the claims; the script shows it."""
    choices = {
        "verdict": VERDICTS,
        "badge": BADGES,
        "topic": dict.fromkeys(claim.topic for claim in claims),
        "source": sources,
    }
    fields = ""
    for name, known in choices.items():
        titles = sources if name == "source" else {}
        options = "".join(
            f'<option value="{html.escape(word)}">'
            f"{html.escape(titles.get(word, word))} ({count})</option>\n"
            for word, count in occurring(claims, name, known)
        )
        fields += (
            f'<label>{name.capitalize()} <select name="{name}">\n'
            f'<option value="">any</option>\n{options}</select></label>\n'
        )
    return (
        '<form class="guide-filter" role="search" aria-label="Claims" hidden>\n'
        '<label class="guide-words">Words <input type="search" name="words" '
        f'autocomplete="off"></label>\n{fields}'
        '<p><button type="reset">Show all</button> '
        '<span role="status" aria-live="polite"></span></p>\n</form>\n\n'
    )


class Writer:
    """Writes claims as Markdown in HTML, with their links."""

    def __init__(
        self, root: Path, programs: list[Program], sources: dict[str, str]
    ) -> None:
        self.root, self.programs, self.sources = root, programs, sources
        # Its own title is not read: the page may not be written yet.
        self.titles = {"claims.md": "Claims"}
        references = root / "docs/references.md"
        text = references.read_text("utf-8") if references.is_file() else ""
        self.works = {key: label for label, key in WORK.findall(text)}

    def claim(self, claim: Claim) -> str:
        fields = claim.fields
        number, verdict = fields["number"], fields["verdict"]
        # No word is said twice.
        badge = "" if fields["badge"] == verdict else f" · {fields['badge']}"
        rows = {
            "Said in": self.said_in(claim),
            "Explained in": self.page(fields["page"]),
            "Measured by": self.experiments(claim),
            "Literature": self.literature(claim),
        }
        listed = "".join(
            f"<dt>{term}</dt>\n<dd markdown>{text}</dd>\n"
            for term, text in rows.items()
            if text
        )
        says, decides = (
            " ".join(fields[name].split()) for name in ("says", "decides")
        )
        return (
            f'<article class="guide-claim" id="claim-{number}" '
            f'aria-label="Claim {number}" data-verdict="{verdict}" '
            f'data-badge="{fields["badge"]}" data-topic="{claim.topic}" '
            f'data-source="{" ".join(claim.texts("source"))}" markdown>\n'
            f'<p class="guide-says" markdown>[{number}](#claim-{number}) '
            f"{says}</p>\n"
            f'<p class="guide-verdict"><strong>{verdict}</strong>'
            f"{badge}</p>\n"
            f"<p markdown>{decides}</p>\n<dl data-search-exclude markdown>\n"
            f"{listed}{rests_on(claim)}</dl>\n</article>\n\n"
        )

    def said_in(self, claim: Claim) -> str:
        names = (self.sources.get(key, key) for key in claim.texts("source"))
        return "; ".join(names)

    def page(self, target: str) -> str:
        """A link to the page that explains, by its title."""
        path = target.partition("#")[0]
        if path not in self.titles:
            file = self.root / "docs" / path
            title = file.is_file() and TITLE.search(file.read_text("utf-8"))
            self.titles[path] = title[1] if title else path
        return f"[{self.titles[path]}]({target})"

    def experiments(self, claim: Claim) -> str:
        """The programs of its topics, and where their results are listed."""
        found = []
        for topic in claim.topics:
            links = [
                f"[{FRAMEWORK_NAMES.get(program.framework, program.name)}]"
                f"(notebooks/{program.name}.ipynb)"
                for program in self.programs
                if program.topic == topic
            ]
            links.append(f"[evidence](evidence/{topic}.md)")
            name = topic.replace("_", " ")
            found.append(f"{name} ({', '.join(links)})")
        return "; ".join(found)

    def literature(self, claim: Claim) -> str:
        return "; ".join(
            f"[{self.works.get(key, key)}](references.md#{key})"
            for key in claim.works
        )


def rests_on(claim: Claim) -> str:
    """The judgements that the verdict needs, folded, each to be opened."""
    count = len(claim.judgements)
    if not count:
        return ""
    text = ""
    for side, title in zip(SIDES, ("For it:", "Against it:")):
        if items := judgements(claim, side):
            text += f"<p>{title}</p>\n<ul>\n{items}</ul>\n"
    noun = "judgement" + "s" * (count > 1)
    return (
        f"<dt>Rests on</dt>\n<dd>\n<details><summary>{count} {noun}</summary>\n"
        f"{text}</details>\n</dd>\n"
    )


def judgements(claim: Claim, side: str) -> str:
    """Each key once, with how it comes out, and where only one is named."""
    found: dict[tuple[str, str], list[str]] = {}
    for _, reference, truth in claim.required(side):
        if reference is None:
            continue
        where = ""
        if reference.framework:
            where = f" in {FRAMEWORK_NAMES[reference.framework]}"
        if reference.device != "cpu":
            where += f" on a {DEVICE_NAMES[reference.device]}"
        found.setdefault((reference.topic, reference.key), []).append(
            f'<data value="{reference}">{told(truth)}{where}</data>'
        )
    return "".join(
        f"<li><code>{key}</code> {', '.join(said)}</li>\n"
        for (_, key), said in found.items()
    )
