"""The words in which a text may tell a judgement: a topic's phrases.toml.

A table for each judgement that a text cites, with one list of phrases for
when it holds and one for when it does not. It is part of no program's hash.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from _guide.check.agreement import APART, Verdict, grounds, plain
from _guide.check.text import NUMERIC, closest, place, toml_fault

if TYPE_CHECKING:
    from _guide.check.everything import Examined
    from _guide.reference import Reference

LISTS = {True: "holds", False: "fails"}


def folded(text: str) -> str:
    """A phrase as it is compared: plain, its first letter small."""
    text = plain(text)
    return text[:1].lower() + text[1:]


class Phrases:
    """The phrases of one topic, and the judgements that texts cite."""

    def __init__(self, project: Examined, topic: str) -> None:
        self.project = project
        self.path = f"examples/{topic}/phrases.toml"
        # The keys that texts name, and those of them that lack phrases.
        self.named: set[str] = set()
        self.lacking: set[str] = set()
        # By judgement and truth; empty where something is wrong.
        self.lists: dict[str, dict[bool, dict[str, str]]] = {}
        self.text = project.text(self.path)
        try:
            for key, table in tomllib.loads(self.text).items():
                self.lists[key] = self.lists_of(key, table)
        except tomllib.TOMLDecodeError as error:
            project.tell(self.path, *toml_fault(error, self.text))

    def tell(self, key: str, message: str) -> None:
        head = rf"^[ \t]*\[[ \t]*[\"']?{re.escape(key)}\b"
        at = re.search(head, self.text, re.M)
        where = place(self.text, at.start()) if at else ()
        self.project.tell(self.path, message, *where)

    def lists_of(self, key: str, table: object) -> dict[bool, dict[str, str]]:
        """The phrases of both lists by what is compared, if in their form."""
        form = f'["{key}"], holds = ["…"], fails = ["…"]'
        lists = {True: {}, False: {}}
        if (
            not isinstance(table, dict)
            or set(table) != set(LISTS.values())
            or not all(isinstance(listed, list) for listed in table.values())
            or not all(isinstance(p, str) for p in sum(table.values(), []))
        ):
            self.tell(key, f"{key} has another form; expected {form}")
            return lists
        for truth, name in LISTS.items():
            lists[truth] = {folded(phrase): phrase for phrase in table[name]}
            if not table[name]:
                self.tell(
                    key,
                    f"{key} has no phrase in {name}; write one that a text "
                    f"would say if it {told(truth)}",
                )
        for words in sorted(set(lists[True]) & set(lists[False])):
            self.tell(
                key,
                f"{key} is told by '{words}' if it holds and if it does not; "
                "take it out of one list",
            )
        return lists

    def judge(
        self, text: str, reference: Reference, found: dict[str, dict]
    ) -> Verdict | None:
        """None if the words tell the judgement as it came out.

        `found` has a result for each framework that must agree. Digits in
        code are settings, and part of the words.
        """
        key = reference.key
        without_code = re.sub(r"`[^`]*`|\$[^$]*\$|<code>.*?</code>", "", text)
        shown, words = plain(text), folded(text)
        if NUMERIC.search(without_code) or not without_code.strip():
            return Verdict(
                f"text says {shown}, but {reference} is a judgement, which has "
                "no number; bind the number to a value, or write words"
            )
        if key not in self.lists:
            self.lacking.add(key)
            return None
        lists = self.lists[key]
        # Where a list is empty, that is told already.
        wrong = {
            framework: result["judgements"][key]
            for framework, result in found.items()
            if (fitting := lists[result["judgements"][key]["holds"]])
            and words not in fitting
        }
        if not wrong:
            return None
        truth = next(iter(wrong.values()))["holds"]
        phrases = ", ".join(f"'{phrase}'" for phrase in lists[truth].values())
        if words not in lists[not truth]:
            return Verdict(
                f"text says {shown}, which is no phrase for {reference}, which "
                f"{told(truth)}; expected one of: {phrases}; write one of "
                f"these, or add yours to {LISTS[truth]} in {self.path}"
            )
        apart = f", or {APART}" * (len(wrong) < len(found))
        return Verdict(
            f"text says {shown}, but it {told(truth)}: "
            f"{grounds(reference, wrong, found)} ({reference}); expected one "
            f"of: {phrases}; rewrite the sentence{apart}"
        )

    def check(self, judged: set[str] | None) -> None:
        """Whether there is a table for what texts cite, and for no more.

        `judged` are the judgements of the topic, None if a result is broken.
        """
        for key in sorted(self.lacking):
            self.tell(
                key,
                f"has no phrases for {key}, which texts cite; write: "
                f'["{key}"], holds = ["…"], fails = ["…"]',
            )
        for key in sorted(self.lists):
            why = ""
            if judged is not None and key not in judged:
                why = f"is no judgement{closest(key, judged)}"
            elif key not in self.named:
                why = "is cited by no text"
            if why:
                self.tell(key, f"{key} {why}; mend the key, or delete it")


def told(truth: bool) -> str:
    return "holds" if truth else "does not hold"
