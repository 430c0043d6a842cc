"""What a session names that one can look up: error codes, and the machines it is about."""

from collections.abc import Callable
from dataclasses import dataclass

from assist.clauses import branch_evidence, clauses_of
from assist.error_codes import codes_in
from assist.machines import machines_in
from assist.port import Case, Evidence

_MOST = 8  #: of a kind


@dataclass(frozen=True, slots=True)
class Mention:
    """A code or a machine, how often it is named, and where first."""

    name: str
    times: int
    evidence: Evidence


def errors_of(case: Case) -> tuple[Mention, ...]:
    """Return the error codes that the session names most often, at most eight, the most frequent first."""
    return _mentions(case, codes_in)


def machines_of(case: Case) -> tuple[Mention, ...]:
    """Return the machines and addresses that the session names most often, at most eight."""
    return _mentions(case, machines_in)


def _mentions(case: Case, names_in: Callable[[str], tuple[str, ...]]) -> tuple[Mention, ...]:
    found: dict[str, Mention] = {}
    for text, evidence in _texts(case):
        for name in names_in(text):
            first = found.get(name)
            times = first.times + 1 if first else 1
            found[name] = Mention(name, times, first.evidence if first else evidence)
    return tuple(sorted(found.values(), key=lambda mention: -mention.times)[:_MOST])


def _texts(case: Case) -> list[tuple[str, Evidence]]:
    texts = [(clause.text, clause.evidence()) for message in case.messages for clause in clauses_of(message)]
    for branch in case.branches:
        texts += [
            (words, branch_evidence(branch.id, words))
            for words in (branch.label, branch.status_reason)
            if words
        ]
    return texts
