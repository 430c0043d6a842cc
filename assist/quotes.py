"""Which words of a session can be cited, and whether a quote consists of them.

Secrets are taken out of a case before anybody assesses it, and quotes are looked for in what remains: in the
very words that the assessor saw. So a secret can be in no quote, and a mark that stands for one can.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace

from assist.port import Case, CaseBranch, CaseMessage, Evidence

Redact = Callable[[str], str]

#: Quotes of fewer letters and digits prove nothing: they stand in every text.
_SHORTEST_QUOTE = 3


def without_secrets(case: Case, redact: Redact) -> Case:
    """Return the case with every text redacted. Indexes and ids stay; doing it twice changes nothing."""

    def clean(text: str | None) -> str | None:
        return None if text is None else redact(text)

    def message(one: CaseMessage) -> CaseMessage:
        return replace(one, content=redact(one.content))

    def branch(one: CaseBranch) -> CaseBranch:
        return replace(
            one, label=redact(one.label), status=redact(one.status), status_reason=clean(one.status_reason)
        )

    return Case(
        problem=clean(case.problem),
        domain=clean(case.domain),
        notes=clean(case.notes),
        branches=tuple(map(branch, case.branches)),
        messages=tuple(map(message, case.messages)),
    )


def visible(text: str) -> str:
    """Return the text without characters that nobody sees: controls, marks of direction, of no width, tags.

    They can hide words from people which a model reads. Line breaks and tabs stay.
    """
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs"))


def is_quote(quote: str, text: str) -> bool:
    """Tell whether the words of the quote stand in the text, whatever the case and the spaces."""
    wanted = _plain(quote)
    return sum(c.isalnum() for c in wanted) >= _SHORTEST_QUOTE and wanted in _plain(text)


def find_passage(quote: str, text: str) -> str | None:
    """Return the words of the text that a quote means, whatever its case and spaces; None if it has none."""
    words = quote.split()
    found = words and re.search(r"\s+".join(map(re.escape, words)), text, re.IGNORECASE)
    return found.group() if found else None


def rests_on_session(evidence: Evidence, case: Case) -> bool:
    """Tell whether the evidence names exactly one message or branch of the case, and quotes it.

    Args:
        evidence: What an assessor cites.
        case: What it was shown, without secrets.
    """
    text = cited_text(evidence, case)
    return text is not None and is_quote(evidence.quote, text)


def cited_text(evidence: Evidence, case: Case) -> str | None:
    """Return all the words of the message or branch that is cited; None where that is not in the case."""
    if (evidence.message_index is None) == (evidence.branch_id is None):
        return None
    if evidence.branch_id is not None:
        return next((branch_text(b) for b in case.branches if b.id == evidence.branch_id), None)
    return next((m.content for m in case.messages if m.index == evidence.message_index), None)


def branch_text(branch: CaseBranch) -> str:
    """Return the words of a branch that can be quoted."""
    words = f"{branch.label}: {branch.status}"
    return f"{words}, {branch.status_reason}" if branch.status_reason else words


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", visible(text)).casefold().split())
