"""Replies that answer what the assistant asked, without a verb of doing: `no 833 in the errorlog`."""

import re

from assist.actions import OTHERS
from assist.attempts import Attempt
from assist.clauses import Clause
from assist.conversation import Turn, refuses
from assist.error_codes import codes_in
from assist.outcomes import Outcome, ending_of, finding_of
from assist.topics import overlap, shares_topic

_ASKS_FOR_CHANGE = re.compile(
    r"(?i)^(?:(?:then|also|first|next|please|good|right|yes|no|now|those|just)[., ]+)*(?:add|allow"
    r"|apply|bypass|change|clear|clone|delete|disable|enable|exclude"
    r"|export|forward|install|issue|lower|move|put|raise|reboot|reinstall|remove|rename|renew|replace"
    r"|reset|restart|roll|rotate|set(?! up)|swap|switch"
    r"|turn|try|unlink|update|upgrade|use|make|import|publish|do|document|suspend|test|take|keep|tick"
    r"|free|give|unplug|retry|recreate|rebuild|create|reseat|repair|flush|disconnect|power|boot|unlock"
    r"|increase|reduce|limit|demote|fix|register|configure|extend|restore|reconnect|rejoin)\b"
)
_ENDING_IN = 3  #: clauses of a reply in which it says how a change ended
_SAYS_DONE = re.compile(
    r"(?i)^\W*(?:ok|yes|yep)?\W*(?:done|did|tried|no (?:change|difference|luck|joy)|same|that (?:worked"
    r"|helped|did it))\b"
)
PLANS = re.compile(
    r"(?i)^\W*(?:i |we )?(?:will|'ll|going to|gonna|want to|next|haven'?t|not yet|change window)\b"
)
_BAD = re.compile(
    r"(?i)\b(?:errors?|fail\w*|0x[0-9a-f]+|denied|drop(?:s|ped)|timeouts?|expired|invalid|exception"
    r"|event \d+|missing|full|100 ?%?|no)\b"
)
_REPORTS = re.compile(
    r"(?i)^[\w./$ -]{2,40}?(?:\s*:|\s+(?:gives?|gave|says?|said|shows?|showed|returns?|returned"
    r"|reports?))\s+(?P<told>\S.*)"
)


def answer_to(turn: Turn, place: int) -> list[Attempt]:
    """Take a reply without a verb of doing as the result of what was asked."""
    results = [clause for clause in turn.clauses if not clause.is_joke and _is_report(clause)][:12]
    if not turn.asked or not results:
        return []
    asked = asked_for(turn, results)
    words = " ".join(clause.text for clause in results)
    first = next((clause for clause in results if not clause.is_log), results[0])
    told = telling(results) or first
    ended = next((clause for clause in results[:_ENDING_IN] if ending_of(clause.text)), first)
    ending = ending_of(ended.text)
    if _ASKS_FOR_CHANGE.match(asked.text):
        if ending is None or not (shares_topic(asked.text, words) or _SAYS_DONE.match(first.text)):
            return _unasked(results, place)
        return [_answered(asked, ended, ending, place)]
    outcome = ending if ending is Outcome.IN_PROGRESS else finding_of(told.text)
    return [_answered(asked, told, outcome, place)]


def _answered(asked: Clause, told: Clause, outcome: Outcome, place: int) -> Attempt:
    evidence = (told.evidence(), asked.evidence())
    return Attempt(asked.text, outcome, told.text, evidence, place, is_check=True, is_answer=True)


def _is_report(clause: Clause) -> bool:
    return not (refuses(clause) or PLANS.match(clause.text) or clause.text.endswith("?"))


def _unasked(results: list[Clause], place: int) -> list[Attempt]:
    """Take a clause that finds something in order as a check of its own: `memory test clean`."""
    return [
        Attempt(clause.text, Outcome.NOTHING_FOUND, None, (clause.evidence(),), place, is_check=True)
        for clause in results[:1]
        if not clause.is_log and finding_of(clause.text) is Outcome.NOTHING_FOUND
    ]


def report_in(turn: Turn, place: int) -> list[Attempt]:
    """Take `df -i gives ...`, or a heading with a log below it, as a check, though nobody asked for it."""
    for at, clause in enumerate(turn.clauses if place else ()):
        if clause.is_log or clause.is_joke or not _is_report(clause) or OTHERS.match(clause.text):
            continue
        below = turn.clauses[at + 1 : at + 12]
        report = _REPORTS.match(clause.text[:400])
        if report is not None:
            outcome = finding_of(report["told"])
            return [Attempt(clause.text, outcome, None, (clause.evidence(),), place, is_check=True)]
        if clause.text.endswith(":") and below and below[0].is_log:
            told = telling(list(below)) or below[0]
            evidence = (clause.evidence(), told.evidence())
            return [Attempt(clause.text, finding_of(told.text), told.text, evidence, place, is_check=True)]
    return []


def asked_for(turn: Turn, results: list[Clause]) -> Clause:
    """Choose what the engineer answers among the things asked: that which their words share most with."""
    words = " ".join(clause.text for clause in results or turn.clauses)
    return max(turn.asked, key=lambda asked: overlap(asked.text, words))


def telling(results: list[Clause]) -> Clause | None:
    """Choose what says most of a check's results: an error, else that all is in order, else the figures."""
    return max(results, key=lambda clause: _weight(clause.text[:500]), default=None)


def _weight(text: str) -> int:
    is_in_order = finding_of(text) is Outcome.NOTHING_FOUND
    has_words = len(text.split()) > 2 or any(character.isdigit() for character in text)
    is_bad = (_BAD.search(text) is not None or codes_in(text) != ()) and not is_in_order
    return 4 * is_bad + 2 * is_in_order + has_words
