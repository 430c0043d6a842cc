"""Writes what the one who claims should know before they begin. Plain text, made to be read once, quickly."""

from dataclasses import dataclass
from datetime import UTC, datetime

from assist.branch_status import outcome_of
from assist.evidence import shortened
from assist.mentions import errors_of, machines_of
from assist.outcomes import Outcome
from assist.port import Case, CaseBranch
from db.assessments import Statements
from db.enums import MessageRole

#: Who wrote it, and which version.
WRITER = "briefing/1"

_MOST_LINES = 8  # of one part
_LONGEST_LINE = 300
_LONGEST_NOTES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Something that was done with the session before."""

    at: datetime
    who: str | None  #: None: the service itself
    what: str  #: a sentence without its subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that a briefing is written from."""

    case: Case
    handed_off_by: str
    intent: str  #: `escalated` or `parked`
    priority: str
    created_at: datetime
    owner: str
    holder: str | None  #: who has claimed it, and reads this; None: nobody, or a name is two people's
    ticket: str | None
    said_since: int  #: messages after the handoff
    found: Statements | None  #: None: there is no assessment (yet)
    past: tuple[Past, ...]  #: of the session's handoffs, oldest first, without the making of this one


def write(known: Known) -> str:
    """Return the briefing. A part that would say nothing is left out."""
    parts = {
        "PROBLEM": _problem(known),
        "WHERE IT STANDS": _standing(known),
        "TRIED": _tried(known),
        "FIRST THING TO DO": _first(known),
        "OPEN QUESTIONS": _questions(known),
        "HISTORY": _history(known),
    }
    return "\n\n".join("\n".join([title, *lines]) for title, lines in parts.items() if lines)


def _problem(known: Known) -> list[str]:
    case = known.case
    about = [text for text in (case.domain, known.ticket and f"ticket {known.ticket}") if text]
    summary = _line(case.problem or "Untitled problem")
    lines = [f"{summary} ({', '.join(map(_line, about))})" if about else summary]
    priority = f"{known.priority.lower()} priority"
    lines.append(f"{known.handed_off_by} {known.intent} it, {_time(known.created_at)}, {priority}.")
    if case.notes:
        lines += ["Notes:", *(f"  {line}" for line in shortened(case.notes, _LONGEST_NOTES).splitlines())]
    return lines


def _standing(known: Known) -> list[str]:
    lines = []
    if known.found is not None:
        cause = known.found.likely_cause or "none can be told from the session"
        made_by = f"confidence {known.found.confidence.lower()}, {known.found.generated_by}"
        lines.append(f"Likely cause: {_line(cause)} ({made_by})")
    lines += [f"In hand: {_branch(branch)}" for branch in known.case.branches if branch.is_active]
    for what, mentions in (("Errors", errors_of(known.case)), ("Machines", machines_of(known.case))):
        if mentions:
            lines.append(f"{what} named: {', '.join(mention.name for mention in mentions)}")
    if known.said_since:
        lines.append(f"The session went on after the handoff: {_count(known.said_since, 'message')}.")
    return lines


def _tried(known: Known) -> list[str]:
    """The branches that came to an end, and what the assessor found in the conversation."""
    ended = [
        branch
        for branch in known.case.branches
        if outcome_of(branch) in (Outcome.CONFIRMED, Outcome.RULED_OUT) and not branch.is_active
    ]
    lines = [_branch(branch) for branch in ended]
    labels = [branch.label.casefold() for branch in ended]
    if known.found is not None:
        steps = map(_line, known.found.already_tried)
        lines += [step for step in steps if not any(label in step.casefold() for label in labels)]
    return _listed(lines)


def _first(known: Known) -> list[str]:
    steps = () if known.found is None else known.found.suggested_steps
    if steps:
        return [f"{number}. {_line(step)}" for number, step in enumerate(steps[:3], 1)]
    active = next((branch for branch in known.case.branches if branch.is_active), None)
    if active is not None:
        return [f"Go on with “{_line(active.label)}”."]
    if known.holder == known.handed_off_by:
        return []
    return [f"Ask {known.handed_off_by} what they would do next: the session does not say."]


def _questions(known: Known) -> list[str]:
    lines = [
        f"Nobody has finished “{_line(branch.label)}”{_because(branch)}."
        for branch in known.case.branches
        if outcome_of(branch) not in (Outcome.CONFIRMED, Outcome.RULED_OUT) and not branch.is_active
    ]
    asked = _unanswered(known.case)
    if asked is not None:
        lines.append(f"The assistant's last question has no answer: {_line(asked)}")
    return _listed(lines)


def _unanswered(case: Case) -> str | None:
    """Return the last sentence of the conversation if the assistant asked it and nobody answered."""
    last = next((each for each in reversed(case.messages) if each.role != MessageRole.SYSTEM), None)
    if last is None or last.role != MessageRole.ASSISTANT or not last.content.rstrip().endswith("?"):
        return None
    line = last.content.rstrip().splitlines()[-1]
    return line.replace("! ", ". ").rpartition(". ")[2]


def _history(known: Known) -> list[str]:
    entries = [f"{_time(past.at)}: {past.who or 'Handoff'} {_line(past.what)}" for past in known.past]
    return [*_listed(entries, keep_last=True), *_whom_to_ask(known)]


def _whom_to_ask(known: Known) -> list[str]:
    """Name who knows of it, but for the one who has it: they read this."""
    knowing = {known.handed_off_by: f"who {known.intent} it"}
    knowing.setdefault(known.owner, "whose session it is")
    people = dict.fromkeys(past.who for past in reversed(known.past) if past.who)
    others = [who for who in people if who not in (*knowing, known.holder)]
    asked = ", or ".join(f"{who}, {why}" for who, why in knowing.items() if who != known.holder)
    told = [f"Ask {asked}"] if asked else []
    told += [f"{', '.join(others[:3])} had to do with it before"] if others else []
    return [f"{'; '.join(told)}."] if told else []


def _branch(branch: CaseBranch) -> str:
    status = branch.status.replace("_", " ").lower()
    return f"{_line(branch.label)}: {_line(status)}{_because(branch)}"


def _because(branch: CaseBranch) -> str:
    return f" ({_line(branch.status_reason).rstrip('.')})" if branch.status_reason else ""


def _listed(lines: list[str], *, keep_last: bool = False) -> list[str]:
    """Return the lines as a list that is short enough to be read."""
    kept = lines[-_MOST_LINES:] if keep_last else lines[:_MOST_LINES]
    left_out = len(lines) - len(kept)
    more = [f"- and {left_out} {'earlier' if keep_last else 'more'}"] if left_out else []
    shown = [f"- {line}" for line in kept]
    return more + shown if keep_last else shown + more


def _line(text: str) -> str:
    return shortened(" ".join(text.split()), _LONGEST_LINE)


def _time(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
