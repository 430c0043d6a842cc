"""An attempt: what was done or looked at, and how it ended."""

import re
from dataclasses import dataclass

from assist.actions import FILLER
from assist.clauses import said
from assist.outcomes import Outcome
from assist.port import Evidence


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that was done, or looked at."""

    what: str
    outcome: Outcome
    detail: str | None
    evidence: tuple[Evidence, ...]
    order: int  #: the place of its message in the conversation
    is_check: bool = False
    verb: str = ""
    #: What it was asked by, where it is the answer to a suggestion in the assistant's words.
    is_answer: bool = False


def sentence_of(attempt: Attempt) -> str:
    """Say what was done and how it ended in one line."""
    what = re.sub(rf"(?i)^{FILLER}(?=\w)", "", attempt.what) or attempt.what
    what = said(what, 180).rstrip(" .,;:")
    ending = f"{what[:1].upper()}{what[1:]} - {attempt.outcome.value}"
    return f"{ending}: {said(attempt.detail, 120).rstrip(' ,;:')}" if attempt.detail else ending
