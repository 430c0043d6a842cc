"""The steps of an assessment: the most telling of what was tried, and what is left to do."""

import re

from assist.attempts import Attempt, sentence_of
from assist.branch_status import outcome_of, words_of
from assist.clauses import Clause, branch_evidence, said
from assist.conversation import Turn, asks, is_question, refuses
from assist.outcomes import Outcome
from assist.port import CaseBranch, Evidence, Step
from assist.topics import likeness, overlap, topics_of

_MOST = 5  #: steps of a kind that are shown
_SAME_THING = 0.3  #: share of topics by which two steps are one
_REPEATED = 0.6  #: likeness of an attempt that is told twice
_ANSWERED = 0.34  #: share of a suggestion's topics that somebody speaks of who did it
_TELLING_WORDS = 2
_TURNS_BACK = 2  #: messages of the assistant in which what is left to do is looked for
_SETTLED = (Outcome.HELPED, Outcome.DID_NOT_HELP, Outcome.FOUND, Outcome.NOTHING_FOUND)


def already_tried(
    branches: tuple[CaseBranch, ...], attempts: tuple[Attempt, ...], cause: str | None
) -> tuple[Step, ...]:
    """Return what was tried and how it ended, the most telling first, without the branch of the cause."""
    lines = [_of_branch(branch) for branch in branches if _is_told(branch) and not _is_cause(branch, cause)]
    ranked = sorted(_distinct(attempts), key=_rank, reverse=True)
    steps = list(lines)
    for attempt in ranked:
        step = Step(text=sentence_of(attempt), evidence=distinct(attempt.evidence))
        twin = next(
            (at for at, line in enumerate(steps) if at < len(lines) and _is_same(line, attempt)), None
        )
        if twin is None:
            steps.append(step)
        else:
            both = distinct(steps[twin].evidence + step.evidence)
            steps[twin] = Step(text=steps[twin].text, evidence=both[:_MOST])
    return tuple(steps[:_MOST])


def suggested_steps(
    branches: tuple[CaseBranch, ...],
    turns: tuple[Turn, ...],
    attempts: tuple[Attempt, ...],
    cause: str | None,
) -> tuple[Step, ...]:
    """Return what the assistant suggested last and nobody reported, and the branches nobody has looked at."""
    steps = [
        Step(text=_as_task(clause.text), evidence=distinct((clause.evidence(),)))
        for clause in _unanswered(turns, attempts)
    ]
    steps += [
        Step(text=f"Look at: {said(branch.label)}", evidence=evidence)
        for branch in branches
        if outcome_of(branch) is None
        and not _is_cause(branch, cause)
        and (evidence := distinct((branch_evidence(branch.id, branch.label),)))
    ]
    return tuple(steps[:_MOST])


def _unanswered(turns: tuple[Turn, ...], attempts: tuple[Attempt, ...]) -> list[Clause]:
    """Return what the assistant asked for last and the engineer did not speak of, or could not do.

    Of the message before, only what the engineer could not do: the rest was answered in their own words.
    """
    places = [
        place for place, turn in enumerate(turns) if turn.clauses and not turn.clauses[0].is_by_engineer
    ]
    going_on = {evidence for attempt in attempts if _is_going_on(attempt) for evidence in attempt.evidence}
    answered = {evidence for attempt in attempts for evidence in attempt.evidence} - going_on
    found: list[Clause] = []
    for place in reversed(places[-_TURNS_BACK:]):
        replies = [clause for turn in turns[place + 1 :] for clause in turn.clauses if clause.is_by_engineer]
        refused = " ".join(clause.text for clause in replies if refuses(clause))
        done = " ".join(clause.text for clause in replies if not refuses(clause) and not is_question(clause))
        for clause in turns[place].clauses:
            is_open = place == places[-1] and overlap(clause.text, done) < _ANSWERED
            if (
                asks(clause)
                and clause.evidence() not in answered
                and (is_open or clause.evidence() in going_on or overlap(clause.text, refused) >= _ANSWERED)
            ):
                found.append(clause)
    return found


def _is_going_on(attempt: Attempt) -> bool:
    """Tell whether somebody else has yet to answer what was asked: whoever claims waits for it, too."""
    return attempt.is_answer and attempt.outcome is Outcome.IN_PROGRESS


def _as_task(text: str) -> str:
    task = said(re.sub(r"(?i)^(?:right|good|yes|ok|then|and|so)[., ]+(?=\w)", "", text), 200).rstrip(" ;,")
    return task[:1].upper() + task[1:]


def _is_cause(branch: CaseBranch, cause: str | None) -> bool:
    is_ruled_out = outcome_of(branch) is Outcome.RULED_OUT
    return cause is not None and not is_ruled_out and overlap(branch.label, cause) > _SAME_THING


def _is_told(branch: CaseBranch) -> bool:
    """Tell whether somebody worked on the branch, by its status."""
    return outcome_of(branch) is not None


def _of_branch(branch: CaseBranch) -> Step:
    outcome = outcome_of(branch) or Outcome.UNKNOWN
    text = f"{said(branch.label, 140)} - {outcome.value}"
    if branch.status_reason:
        text += f": {said(branch.status_reason, 160)}"
    return Step(text=text, evidence=distinct((branch_evidence(branch.id, words_of(branch)),)))


def _distinct(attempts: tuple[Attempt, ...]) -> list[Attempt]:
    """Drop what is told twice; the later telling knows more."""
    kept: list[Attempt] = []
    for attempt in reversed(attempts):
        if not any(likeness(attempt.what, other.what) > _REPEATED for other in kept):
            kept.append(attempt)
    return kept[::-1]


def _rank(attempt: Attempt) -> tuple[int, int]:
    """Put changes whose end is known first, then checks, then what is still going on; the latest first."""
    if attempt.outcome in _SETTLED:
        return (1 if attempt.is_check else 2, attempt.order)
    return (0, attempt.order)


def _is_same(line: Step, attempt: Attempt) -> bool:
    own, other = topics_of(line.text), topics_of(f"{attempt.what} {attempt.detail or ''}")
    shared = own & other
    if any(any(map(str.isdigit, topic)) and any(map(str.isalpha, topic)) for topic in shared):
        return True  # a name with digits is a thing of its own
    return len(shared) >= 2 and len(shared) >= _SAME_THING * min(len(own), len(other))


def distinct(evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """Drop what is cited twice, and a word or two where the same message is cited with more."""
    kept = dict.fromkeys(one for one in evidence if one.quote)
    places = {(one.message_index, one.branch_id) for one in kept if len(one.quote.split()) > _TELLING_WORDS}
    return tuple(
        one
        for one in kept
        if len(one.quote.split()) > _TELLING_WORDS or (one.message_index, one.branch_id) not in places
    )
