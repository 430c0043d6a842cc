"""What the status of a branch means, in whichever words the assistant put it."""

import re

from assist.outcomes import Outcome
from assist.port import CaseBranch

#: In this order: `not ruled out` and `unconfirmed` hold the words that they deny.
_MEANINGS = (
    (
        re.compile(
            r"\b(?:un\w+ed|not (?:\w+ )?(?:confirmed|proven|started|looked|checked|tested|ruled)|untested)\b"
        ),
        None,
    ),
    (
        re.compile(
            r"\b(?:ruled? out|dead ?end|reject\w*|exclu\w+|eliminat\w+|disprov\w+|refut\w+|discard\w*"
            r"|abandon\w*|not (?:it|the)"
            r"|no improvement|fail\w*|negative|false|invalid\w*|dismiss\w*|closed no\w*)\b"
        ),
        Outcome.RULED_OUT,
    ),
    (
        re.compile(
            r"\b(?:confirm\w*|root cause|cause found|proven|verified|solved|resolved|fixed|positive|found)\b"
        ),
        Outcome.CONFIRMED,
    ),
    (
        re.compile(
            r"\b(?:in progress|investigat\w+|testing|ongoing|wip|waiting|likely|suspect\w*|probable"
            r"|promising|started)\b"
        ),
        Outcome.IN_PROGRESS,
    ),
)
_NOTHING_YET = re.compile(
    r"(?i)\b(?:wait\w*|await\w*|(?:is|still) pending|not (?:yet|looked|checked|tested)|to be|to do|todo"
    r"|will|tomorrow|tonight|maybe|unclear|no idea)\b"
)


def outcome_of(branch: CaseBranch) -> Outcome | None:
    """Return how a line of investigation ended; None while nobody has looked, as far as is said."""
    status = re.sub(r"[\W_]+", " ", branch.status[:200].lower())
    return next((meaning for words, meaning in _MEANINGS if words.search(status)), None)


def has_findings(branch: CaseBranch) -> bool:
    """Tell whether the branch's reason holds a finding, and not only what is being waited for."""
    return bool(branch.status_reason) and not _NOTHING_YET.search((branch.status_reason or "")[:2000])


def words_of(branch: CaseBranch) -> str:
    """Return the words that a statement about the branch rests on: its reason, or else its label."""
    return branch.status_reason or branch.label
