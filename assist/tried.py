"""What was tried, from what the engineer wrote: actions, answers, and what later messages say of them."""

import re
from collections.abc import Iterable
from dataclasses import replace

from assist.actions import NOTHING_YET, action_in, also_checks, is_trial, tries_out
from assist.answers import PLANS, answer_to, asked_for, report_in, telling
from assist.attempts import Attempt
from assist.clauses import Clause
from assist.conversation import Turn
from assist.outcomes import Outcome, ending_of, finding_of
from assist.topics import shares_topic
from db.enums import MessageRole

_WITHOUT_OBJECT = re.compile(
    r"(?i)^\W*(?:ok|yes|yep|so|did|done|ran|tried|checked|made|tested|that|this|it|them|both|all|these"
    r"|those|the|same|too|as|told|you|said|reset|now)\b[\W]*"
)
_POINTS_BACK = re.compile(r"(?i)^(?:\W*\w+){0,2}\W+(?:it|them|that|this|those|these)\b")
_REVERSED = re.compile(
    r"(?i)\b(?:wasn'?t it|not it|isn'?t it|not the (?:cause|problem|reason|issue)|back (?:on|to) \w+"
    r"|back again|came back|happen\w+ again|is back)\b"
)
_REACH = 10  #: attempts that a later message may take back
_MOST = 60  #: attempts that are told apart
#: Clauses after an action that may say how it ended.
_RESULTS = 4


def attempts_of(turns: tuple[Turn, ...]) -> tuple[Attempt, ...]:
    """Return what the engineer says was done, in order, each with its outcome where one was told."""
    attempts: list[Attempt] = []
    for place, turn in enumerate(turns):
        if turn.message.role is not MessageRole.USER:
            continue
        _reverse(attempts, turn)
        found = _actions(turn, place, is_first=place == 0)
        if _complete(attempts, turn, has_actions=bool(found)) and found and tries_out(found[0].verb):
            del found[0]
        attempts += found or answer_to(turn, place) or report_in(turn, place)
    return tuple(attempts[-_MOST:])


def _actions(turn: Turn, place: int, *, is_first: bool) -> list[Attempt]:
    clauses = [clause for clause in turn.clauses if not clause.is_joke]
    starts: list[tuple[int, re.Match[str]]] = []
    for at, clause in enumerate(clauses):
        verb = action_in(clause, is_first=is_first)
        if verb is not None and not (starts and is_trial(verb) and not starts[-1][1]["check"]):
            starts.append((at, verb))
    ends = [*(at for at, _ in starts[1:]), len(clauses)][: len(starts)]
    return _joined(
        _attempt(turn, place, clauses, at, verb, clauses[at + 1 : min(end, at + 1 + _RESULTS)])
        for (at, verb), end in zip(starts, ends, strict=True)
    )


def _joined(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Take changes that were made in one go, with one ending for all, as one."""
    joined: list[Attempt] = []
    for attempt in attempts:
        if (
            joined
            and not attempt.is_check
            and not joined[-1].is_check
            and joined[-1].outcome is Outcome.UNKNOWN
        ):
            first = joined.pop()
            both = f"{first.what.rstrip(' .')}; {attempt.what}"
            joined.append(replace(attempt, what=both, evidence=first.evidence + attempt.evidence))
        else:
            joined.append(attempt)
    return joined


def _attempt(
    turn: Turn, place: int, clauses: list[Clause], at: int, verb: re.Match[str], results: list[Clause]
) -> Attempt:
    clause = clauses[at]
    is_check = verb["check"] is not None or also_checks(verb)
    what, evidence, is_answer = clause.text, [clause.evidence()], False
    if at and _POINTS_BACK.match(clause.text) and not clauses[at - 1].is_log:
        what = f"{clauses[at - 1].text.rstrip('. ')}; {clause.text}"
    if not _WITHOUT_OBJECT.sub("", _WITHOUT_OBJECT.sub("", clause.text.rstrip(". "))) and turn.asked:
        asked = asked_for(turn, results)
        what, evidence, is_answer = asked.text, [asked.evidence(), clause.evidence()], True
    own = clause.text[verb.end("verb") :]
    outcome, told = _outcome(own, results, is_check=is_check)
    if told is not None:
        evidence.append(told.evidence())
    return Attempt(
        what, outcome, told.text if told else None, tuple(evidence), place, is_check, verb["verb"], is_answer
    )


def _outcome(own: str, results: list[Clause], *, is_check: bool) -> tuple[Outcome, Clause | None]:
    """Read the outcome from the rest of the clause and from those after it; name the one that tells."""
    results = [clause for clause in results if not PLANS.match(clause.text)]
    spoken = [clause for clause in results if not clause.is_log]
    for clause in spoken:
        ending = ending_of(clause.text)
        if ending is not None and not is_check:
            return ending, clause
    ending = ending_of(own)
    if ending is not None and (not is_check or ending is not Outcome.HELPED):
        return ending, None
    if not is_check:
        return Outcome.UNKNOWN, None
    result = telling(results)
    if result is not None:
        return finding_of(result.text), result
    has_finding = re.search(r"[,:]|\b(?:and|so|its?|is|are|clean|ok|fine)\b", own) is not None
    return (finding_of(own) if has_finding else Outcome.UNKNOWN), None


def _complete(attempts: list[Attempt], turn: Turn, *, has_actions: bool) -> bool:
    """Give the last attempt the outcome that the next message tells."""
    if not attempts or attempts[-1].outcome not in (Outcome.UNKNOWN, Outcome.IN_PROGRESS):
        return False
    for clause in turn.clauses[:3]:
        is_no_result = clause.is_log or clause.text.endswith("?") or NOTHING_YET.search(clause.text)
        ending = None if is_no_result else ending_of(clause.text)
        if ending in (Outcome.HELPED, Outcome.DID_NOT_HELP) and (
            not has_actions or not turn.asked or shares_topic(clause.text, attempts[-1].what)
        ):
            last = attempts[-1]
            attempts[-1] = replace(
                last, outcome=ending, detail=clause.text, evidence=(*last.evidence, clause.evidence())
            )
            return True
    return False


def _reverse(attempts: list[Attempt], turn: Turn) -> None:
    """Take back what helped at first, where a later message says that it did not."""
    for clause in turn.clauses:
        if clause.is_log or not _REVERSED.search(clause.text[:400]):
            continue
        for at in range(len(attempts) - 1, max(-1, len(attempts) - 1 - _REACH), -1):
            attempt = attempts[at]
            if attempt.outcome is Outcome.HELPED and (
                at == len(attempts) - 1 or shares_topic(attempt.what, clause.text)
            ):
                attempts[at] = replace(
                    attempt,
                    outcome=Outcome.DID_NOT_HELP,
                    detail=clause.text,
                    evidence=(*attempt.evidence, clause.evidence()),
                )
                break
