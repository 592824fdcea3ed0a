"""What `guide check` asks of the ledger of claims."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from _guide.check.agreement import grounds
from _guide.check.ledger import (
    BADGES,
    NOT,
    PAGE,
    SIDES,
    VERDICTS,
    Claim,
    Ledger,
)
from _guide.check.page import PageCheck
from _guide.check.phrases import told
from _guide.check.text import bare_numbers, closest, place, scan
from _guide.project import FRAMEWORK_NAMES, is_generated
from _guide.reference import Reference, Unknown

if TYPE_CHECKING:
    from _guide.check.everything import Examined

# Verdicts that say something of the world, and what has to speak for them.
DECIDED = {
    "holds": ("supports",),
    "fails": ("opposes",),
    "depends": SIDES,
    "partly": SIDES,
}
FROM_RESULTS = ("measured here", "calculated")
FROM_WORKS = ("cited", "contested")


def check_claims(project: Examined) -> int:
    """Tell what is wrong with the ledger; how many claims it has."""
    ledger = Ledger(project.root)
    for path, message, line, column in ledger.faults:
        project.tell(path, message, line, column)
    seen: dict[int, Claim] = {}
    for claim in ledger.claims:
        check = ClaimCheck(project, ledger, claim)
        faults = list(claim.faults())
        for name, message in faults:
            check.tell(name, message)
        if not faults:
            check.check(seen)
    return len(ledger.claims)


class ClaimText(PageCheck):
    """Checks a text of a claim as the text of a page is checked."""

    def __init__(self, check: ClaimCheck, name: str) -> None:
        self.tell_at = check.tell_at
        self.start, text = check.claim.prose(name)
        programs = check.project.programs
        named = {
            name for one in check.claim.judgements for name in one.programs
        }
        own = [programs[name] for name in named & programs.keys()]
        # Its links lead from the page on which it will stand.
        super().__init__(check.project, PAGE, scan(text), own)

    def tell(self, offset: int, message: str, mend=None) -> None:
        if mend:
            start, end, number = mend
            mend = (self.start + start, self.start + end, number)
        self.tell_at(self.start + offset, message, mend)


class ClaimCheck:
    """Checks one claim."""

    def __init__(self, project: Examined, ledger: Ledger, claim: Claim) -> None:
        self.project, self.ledger, self.claim = project, ledger, claim
        self.fields = claim.fields
        # The judgements that were looked at.
        self.named: list[Reference | None] = []

    def tell(self, name: str, message: str, inside: str = "") -> None:
        self.tell_at(self.claim.offset(name, inside), message)

    def tell_at(self, offset: int, message: str, mend=None) -> None:
        file = self.claim.file
        message = f"claim {self.claim.number}: {message}"
        where = place(file.text, offset)
        self.project.tell(file.path, message, *where, mend=mend)

    def check(self, seen: dict[int, Claim]) -> None:
        """`seen` has the claims before this one, by their numbers."""
        self.check_number(seen)
        self.check_words("verdict", VERDICTS)
        self.check_words("badge", BADGES)
        self.check_words("source", self.ledger.sources)
        self.check_says()
        self.check_page()
        for side in SIDES:
            self.check_side(side)
        self.check_grounds()

    def check_number(self, seen: dict[int, Claim]) -> None:
        """Whether it is the claim's own, and above those before it."""
        number = self.fields["number"]
        before = next(reversed(seen.values()), self.claim)
        first = seen.setdefault(number, self.claim)
        if first is not self.claim:
            line, _ = place(first.file.text, first.start)
            self.tell(
                "number",
                f"the number is taken in {first.file.path}:{line}; the next "
                f"free one is {self.ledger.free}; write that",
            )
        elif before.file is self.claim.file and before.number > number:
            self.tell(
                "number",
                f"stands below claim {before.number}; expected claims in order "
                "of their numbers; move it up",
            )

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
        check = ClaimText(self, "says")
        page = check.page
        for offset, message in page.faults:
            check.tell(offset, f"{message}; mend it")
        for data in page.data:
            check.tell(
                data.start,
                f"{data.value} is bound in what others say; bind it in decides",
            )
        for offset, number in bare_numbers(page, self.project.versions):
            check.tell(
                offset,
                f"a bare number, {number}, in what others say; write it as "
                f"code: `{number}`",
            )

    def check_page(self) -> None:
        """Whether there is a page; its anchor is tried by the strict build."""
        page = self.fields["page"].partition("#")[0]
        path = f"docs/{page}"
        there = is_generated(path) or self.project.is_file(path)
        if not page.endswith(".md") or not there:
            pages = [path.removeprefix("docs/") for path in self.project.pages]
            self.tell(
                "page",
                f"no page docs/{page}{closest(page, pages)}; expected a page "
                "such as theory/TOPIC.md or theory/TOPIC.md#heading; write "
                "it, or mend the path",
            )

    # Judgements

    def check_side(self, side: str) -> None:
        """Whether the results are what the verdict needs."""
        for text, reference, truth in self.claim.required(side):
            try:
                trouble = self.trouble_with(reference, truth)
            except Unknown as unknown:
                trouble = f"requires {text}, but {unknown}"
            if trouble:
                self.tell(side, trouble, text)
            self.named.append(reference)

    def trouble_with(self, reference: Reference | None, truth: bool) -> str:
        """What is wrong with requiring that the judgement comes out so.

        Raises Unknown where there is no such judgement.
        """
        if reference is None:
            raise Unknown(
                "that names no judgement; expected "
                f'"TOPIC.DEVICE:KEY" or "{NOT}TOPIC.DEVICE:KEY"'
            )
        if reference in self.named:
            return f"{reference} is required twice; name it once"
        found = self.judged(reference)
        wrong = [one for one, holds in found.items() if holds != truth]
        if wrong:
            _, results = self.project.find(reference)
            apart = ", or name each framework" * (len(wrong) < len(found))
            return (
                f"the verdict '{self.fields['verdict']}' requires that "
                f"{reference} {told(truth)}, but it {told(not truth)}: "
                f"{grounds(reference, wrong, results)}; change the verdict "
                f"and what decides it to what was measured{apart}, then run: "
                "guide check"
            )
        if found and reference.framework:
            return self.trouble_with_one(reference)
        return ""

    def trouble_with_one(self, reference: Reference) -> str:
        """What is wrong with naming one framework, and not the other."""
        shared = replace(reference, framework=None)
        try:
            found = self.judged(shared)
        except Unknown:
            # Only one framework has it.
            return ""
        if len(set(found.values())) == 1:
            return (
                f"{reference} comes out alike in both frameworks; write "
                f"{shared} in its place"
            )
        both = [replace(shared, framework=name) for name in found]
        names = [FRAMEWORK_NAMES[name] for name in found]
        if set(both) <= set(self.claim.judgements) and any(
            name in self.fields["decides"] for name in names
        ):
            return ""
        parts = (f"{one} {told(found[one.framework])}" for one in both)
        return (
            f"the frameworks differ: {', '.join(parts)}; name both, and in "
            "decides say in which framework it is so"
        )

    def judged(self, reference: Reference) -> dict[str, bool]:
        """Whether it holds, in each framework; nothing if that is broken."""
        part, found = self.project.find(reference)
        if part == "values":
            raise Unknown(
                "that is a value, no judgement; name a judgement, and bind the "
                "value in decides"
            )
        return {
            framework: result["judgements"][reference.key]["holds"]
            for framework, result in found.items()
        }

    # What decides it

    def check_grounds(self) -> None:
        """Whether the claim has what its verdict and its badge rest on."""
        text = ClaimText(self, "decides")
        text.check()
        verdict, badge = self.fields["verdict"], self.fields["badge"]
        sides = [side for side in SIDES if self.claim.texts(side)]
        wanted = DECIDED.get(verdict, SIDES)
        both = wanted == SIDES and verdict in DECIDED
        lacks = both and badge not in FROM_WORKS and len(sides) < 2
        if lacks or not set(sides) <= set(wanted):
            self.tell(
                sides[0] if sides else "verdict",
                f"the verdict '{verdict}' needs judgements in "
                f"{' and in '.join(wanted)}{' alone' * (not both)}; what "
                "speaks for the claim stands in supports, what speaks against "
                "it in opposes",
            )
        if badge == "measured here" and not sides:
            self.tell(
                "badge",
                "the badge 'measured here' rests on no judgement; write "
                'supports or opposes = "TOPIC.DEVICE:KEY"',
            )
        bound = self.bound_values(text)
        exact = any(entry.get("exact") for entry in bound)
        if badge == "calculated" and not (sides or exact):
            self.tell(
                "badge",
                "the badge 'calculated' rests on nothing; name a judgement in "
                "supports or opposes, or bind an exact value in decides",
            )
        if badge in FROM_WORKS and not self.claim.works:
            self.tell(
                "badge",
                f"the badge '{badge}' names no work; cite one in decides: "
                "[Name](references.md#KEY)",
            )
        if verdict in DECIDED and badge in FROM_RESULTS and not bound:
            self.tell(
                "decides",
                f"no number decides the verdict '{verdict}'; bind one: <data "
                'value="TOPIC.DEVICE:KEY">number</data>',
            )

    def bound_values(self, text: ClaimText) -> list[dict]:
        """The values to which its numbers are bound."""
        bound: list[dict] = []
        for data in text.page.data:
            reference = Reference.read(data.value)
            if reference is None:
                continue
            with suppress(Unknown):
                part, found = self.project.find(reference)
                if part == "values":
                    bound += (r[part][reference.key] for r in found.values())
                elif not found:
                    # What a broken result holds is told once, where it is
                    # broken; until then it may be anything.
                    bound.append({"exact": True})
        return bound
