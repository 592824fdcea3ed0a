"""What `guide check` asks of the ledger of claims."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from _guide.check.ledger import (
    BADGES,
    FIELDS,
    LEDGER,
    TOPICS,
    VERDICTS,
    Claim,
    Ledger,
    LedgerError,
    of_kind,
    read_ledger,
)
from _guide.check.page import PageCheck, closest, renew
from _guide.check.text import bare_numbers, scan
from _guide.project import DEVICES, Program, is_generated, twin_of
from _guide.reference import Reference
from _guide.results import describe

if TYPE_CHECKING:
    from _guide.check.everything import Examined

# Verdicts that say something of the world; a number decides them.
DECIDED = ("holds", "fails", "depends", "partly")
BOTH_WAYS = ("depends", "partly")
FROM_RESULTS = ("measured here", "calculated")
FROM_WORKS = ("cited", "contested")


def check_claims(project: Examined, text: str, path: str = LEDGER) -> int:
    """Tell what is wrong with the ledger; how many claims it has."""
    try:
        ledger = read_ledger(text)
    except LedgerError as error:
        project.tell(path, f"{error}; mend it", error.line, error.column)
        return 0
    for name, offset in ledger.others:
        project.tell(
            path,
            f"{name} is neither [sources] nor a [[claim]]"
            f"{closest(name, ('sources', 'claim'))}; mend it",
            *ledger.lines.place(offset),
        )
    for key, name in ledger.sources.items():
        if not isinstance(name, str) or not name.strip():
            at = re.search(rf"^[ \t]*{re.escape(key)}\b", text, re.M)
            project.tell(
                path,
                f"source {key} has no name; say what it is, as its title or a "
                "description",
                *ledger.lines.place(at.start() if at else 0),
            )
    first: dict[object, int] = {}
    for claim in ledger.claims:
        ClaimCheck(project, path, ledger, claim).check(first)
    return len(ledger.claims)


class ClaimText(PageCheck):
    """Checks a text of a claim as the text of a page is checked."""

    def __init__(
        self,
        project: Examined,
        path: str,
        ledger: Ledger,
        claim: Claim,
        name: str,
        programs: list[Program],
    ) -> None:
        page = scan(claim.fields[name])
        super().__init__(project, path, page, programs)
        self.ledger, self.claim, self.name = ledger, claim, name

    def tell(self, offset: int, message: str, **more) -> None:
        offsets = self.ledger.offsets(self.claim, self.name)
        if more.get("mend"):
            start, end, number = more["mend"]
            # Where no place is known, nothing can be written.
            known = offsets[start] < offsets[end]
            mend = (offsets[start], offsets[end], number) if known else None
            more["mend"] = mend
        line, column = self.ledger.lines.place(offsets[offset])
        message = f"claim {self.claim.number}: {message}"
        self.project.tell(self.path, message, line, column, **more)

    def cited(self, offset: int) -> bool:
        """A claim that names works cites them in each of its sentences."""
        return bool(self.claim.fields.get("references")) or super().cited(
            offset
        )


class ClaimCheck:
    """Checks one claim."""

    def __init__(
        self, project: Examined, path: str, ledger: Ledger, claim: Claim
    ) -> None:
        self.project, self.path = project, path
        self.ledger, self.claim = ledger, claim
        self.fields = claim.fields

    def tell(self, name: str, message: str, inside: str = "") -> None:
        offset = self.ledger.place(self.claim, name, inside)
        line, column = self.ledger.lines.place(offset)
        message = f"claim {self.claim.number}: {message}"
        self.project.tell(self.path, message, line, column)

    def check(self, first: dict[object, int]) -> None:
        """`first` has the line of each number that was seen before."""
        if not self.has_form():
            return
        number = self.fields["number"]
        line = self.ledger.lines.place(self.claim.start)[0]
        if first.setdefault(number, line) != line:
            self.tell(
                "number",
                f"the number is taken by the claim in line {first[number]}; "
                "expected one that no other has; choose another",
            )
        self.check_words("verdict", VERDICTS)
        self.check_words("badge", BADGES)
        self.check_words("topic", TOPICS)
        self.check_words("source", self.ledger.sources)
        self.check_says()
        own = self.check_experiment()
        self.check_references()
        self.check_page()
        self.check_requires()
        self.check_grounds(self.check_decides(own))

    def has_form(self) -> bool:
        """Whether every field is there, known and of its kind."""
        sound = True
        for name in sorted(set(self.fields) - set(FIELDS)):
            self.tell(
                name,
                f"no claim has a field {name}{closest(name, FIELDS)}; "
                f"expected {', '.join(FIELDS)}",
            )
        for name, (kind, needed) in FIELDS.items():
            found = self.fields.get(name)
            if found is None:
                if needed:
                    self.tell(name, f"has no {name}; write {name} = {kind}")
                    sound = False
            elif not of_kind(found, kind):
                self.tell(name, f"{name} is {found!r}, expected {kind}")
                sound = False
        return sound

    def check_words(self, name: str, known) -> None:
        for word in self.claim.texts(name):
            if word not in known:
                self.tell(
                    name,
                    f"no {name} {word!r}{closest(word, known)}; expected one "
                    f"of: {', '.join(known) or 'none is named'}",
                    word,
                )

    def check_says(self) -> None:
        """The numbers in it are another's, so they stand as code."""
        check = ClaimText(
            self.project, self.path, self.ledger, self.claim, "says", []
        )
        page = check.page
        for offset, message in page.faults:
            check.tell(offset, f"{message}; mend it")
        for data in page.data:
            check.tell(
                data.start,
                f"{data.value} is bound in what others say; bind it in decides",
            )
        for offset, number in bare_numbers(
            page, 0, len(page.prose), self.project.versions
        ):
            check.tell(
                offset,
                f"a bare number, {number}, in what others say; write it as "
                f"code: `{number}`",
            )

    def check_experiment(self) -> list[Program]:
        """The programs of the topics that it names."""
        programs = self.project.programs.values()
        topics = {program.topic for program in programs}
        for topic in self.claim.texts("experiment"):
            if topic not in topics:
                self.tell(
                    "experiment",
                    f"no topic {topic}{closest(topic, topics)}; expected a "
                    "folder of examples/; mend the name",
                    topic,
                )
        named = self.claim.texts("experiment")
        return [program for program in programs if program.topic in named]

    def check_references(self) -> None:
        works = self.project.references
        for key in self.claim.texts("references"):
            if key not in works:
                self.tell(
                    "references",
                    f"no work {key} in docs/references.bib"
                    f"{closest(key, works)}; add it, or mend the key",
                    key,
                )

    def check_page(self) -> None:
        """Whether there is a page; its anchor is tried by the strict build."""
        page = self.fields["page"].partition("#")[0]
        path = f"docs/{page}"
        there = is_generated(path) or self.project.is_file(path)
        if not page.endswith(".md") or not there:
            pages = [
                found.removeprefix("docs/") for found in self.project.pages
            ]
            self.tell(
                "page",
                f"no page docs/{page}{closest(page, pages)}; expected a page "
                "such as theory/TOPIC.md or theory/TOPIC.md#heading; write "
                "it, or mend the path",
            )

    # Judgements

    def check_requires(self) -> None:
        """Whether the results are what the verdict needs."""
        required = self.fields.get("requires", {})
        for value, truth in required.items():
            entry = self.judgement(value)
            if entry is None:
                continue
            if entry["holds"] != truth:
                self.tell(
                    "requires",
                    f"the verdict '{self.fields['verdict']}' requires that "
                    f"{value} {holds(truth)}, but it {holds(entry['holds'])}: "
                    f"{self.grounds(value, entry)}; change the verdict and "
                    "what decides it to what was measured, then run: guide "
                    "check",
                    value,
                )
            self.check_twin(value, entry)
        for value in self.claim.texts("against"):
            if value not in required:
                self.tell(
                    "against",
                    f"{value} speaks against the claim, but is not required"
                    f"{closest(value, required)}; add it to requires with its "
                    "truth, or mend it",
                    value,
                )

    def judgement(self, value: str) -> dict | None:
        """The judgement of that name; tells why there is none."""
        file, _, key = value.partition(":")
        name, _, device = file.rpartition(".")
        programs, results = self.project.programs, self.project.results
        if not (key and name) or device not in DEVICES:
            self.tell(
                "requires",
                f"{value} names no judgement; expected "
                '"NAME.DEVICE:KEY" = true or false',
                value,
            )
        elif name not in programs:
            self.tell(
                "requires",
                f"no program {name} ({value}){closest(name, programs)}; mend "
                "the name",
                value,
            )
        elif file not in results:
            self.tell(
                "requires",
                f"examples/{programs[name].topic}/{file}.json does not exist "
                f"({value}); {renew(programs[name])}",
                value,
            )
        elif file not in self.project.broken:
            judged = results[file].get("judgements", {})
            if key in judged:
                return judged[key]
            values = results[file].get("values", {})
            kind = "is a value, no judgement" if key in values else "is not"
            self.tell(
                "requires",
                f"{key} {kind} in examples/{programs[name].topic}/{file}.json"
                f"{closest(key, judged)}; mend the key, or let the program "
                f"judge it and {renew(programs[name])}",
                value,
            )
        return None

    def grounds(self, value: str, entry: dict) -> str:
        """The values on which a judgement rests, in words."""
        values = self.project.results[value.partition(":")[0]]["values"]
        return ", ".join(
            f"{name} is {describe(values[name])}"
            for name in entry["because"]
            if name in values
        )

    def check_twin(self, value: str, entry: dict) -> None:
        """Where the frameworks differ, the claim must say so."""
        file, _, key = value.partition(":")
        name, _, device = file.rpartition(".")
        twin = twin_of(self.project.programs[name].path)
        if twin is None:
            return
        other = f"{twin.stem}.{device}"
        if other in self.project.broken:
            return
        judged = self.project.results.get(other, {}).get("judgements", {})
        named = f"{other}:{key}"
        if (
            key in judged
            and judged[key]["holds"] != entry["holds"]
            and named not in self.fields["requires"]
            and named not in self.fields["decides"]
        ):
            truth = str(judged[key]["holds"]).lower()
            self.tell(
                "requires",
                f"the frameworks differ: {value} {holds(entry['holds'])}, "
                f"{named} {holds(judged[key]['holds'])}; say so in decides, "
                f'and add "{named}" = {truth}',
                value,
            )

    # What decides it

    def check_decides(self, own: list[Program]) -> ClaimText:
        check = ClaimText(
            self.project, self.path, self.ledger, self.claim, "decides", own
        )
        for value in self.fields.get("requires", {}):
            program = self.project.programs.get(program_of(value))
            if program:
                check.programs[program.name] = program
        check.check()
        return check

    def check_grounds(self, text: ClaimText) -> None:
        """Whether the claim has what its verdict and its badge rest on."""
        verdict, badge = self.fields["verdict"], self.fields["badge"]
        asked = self.fields.get("requires", {})
        if (
            verdict in BOTH_WAYS
            and badge not in FROM_WORKS
            and not self.has_both_sides()
        ):
            self.tell(
                "requires" if asked else "verdict",
                f"the verdict '{verdict}' needs a judgement on either side; "
                "write in requires one that is true and one that is false, or "
                "name in against those that speak against the claim",
            )
        bound = self.bound_values(text)
        # What a broken result holds is told once, where it is broken.
        unknown = any(
            not self.project.broken.isdisjoint(reference.files)
            for reference in references(text)
        )
        if badge == "measured here":
            if not asked:
                self.tell(
                    "badge",
                    "the badge 'measured here' rests on no judgement; write "
                    'requires = {"NAME.DEVICE:KEY" = true}',
                )
            if not self.claim.texts("experiment"):
                self.tell(
                    "badge",
                    "the badge 'measured here' names no experiment; write "
                    'experiment = "TOPIC"',
                )
        exact = any(entry.get("exact") for entry in bound)
        if badge == "calculated" and not (asked or exact or unknown):
            self.tell(
                "badge",
                "the badge 'calculated' rests on nothing; name a judgement in "
                "requires, or bind an exact value in decides",
            )
        if badge in FROM_WORKS and not self.claim.texts("references"):
            self.tell(
                "badge",
                f"the badge '{badge}' names no work; write references = "
                '["KEY"], with keys of docs/references.bib',
            )
        decided = verdict in DECIDED and badge in FROM_RESULTS
        if decided and not (bound or unknown):
            self.tell(
                "decides",
                f"no number decides the verdict '{verdict}'; bind one: <data "
                'value="NAME.DEVICE:KEY">number</data>',
            )

    def has_both_sides(self) -> bool:
        """Whether what is required speaks for the claim and against it."""
        asked = self.fields.get("requires", {})
        against = set(self.claim.texts("against"))
        return set(asked.values()) == {True, False} or bool(
            against & set(asked) and set(asked) - against
        )

    def bound_values(self, text: ClaimText) -> list[dict]:
        """The values, not judgements, to which numbers are bound."""
        return [
            self.project.results[file]["values"][reference.key]
            for reference in references(text)
            for file in reference.files
            if file in self.project.results
            and file not in self.project.broken
            and reference.key in self.project.results[file].get("values", {})
        ]


def references(text: PageCheck) -> list[Reference]:
    """What the numbers and words in a text are bound to."""
    found = (Reference.read(data.value) for data in text.page.data)
    return [reference for reference in found if reference]


def program_of(value: str) -> str:
    """The name of the program in NAME.DEVICE:KEY."""
    return value.partition(":")[0].rpartition(".")[0]


def holds(truth: bool) -> str:
    return "holds" if truth else "does not hold"
