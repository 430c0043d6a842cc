"""What a note in a ticket says: plain text, with a marker by which it is found again."""

from collections.abc import Callable
from dataclasses import dataclass

from db import assessments, handoffs, users
from db.assessments import Statements
from db.enums import HandoffIntent
from db.handoffs import HandoffRow
from db.psa_notes import NoteRow
from db.session import Transaction
from db.users import UserRow
from notify.escalation_mails import BranchLine
from notify.letters import branch_lines
from notify.mail_text import legible, shortened

#: Autotask keeps 32,000 characters of a note, the least of the three.
_LONGEST = 30_000
_MARKER_BEGINS = "[handoff:"
_INTENTS = {HandoffIntent.PARK: "parked", HandoffIntent.ESCALATE: "escalated"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteFacts:
    """All that a note speaks of."""

    handoff: HandoffRow
    handed_off_by: UserRow
    assessment: Statements | None = None


async def read_facts(tx: Transaction, note: NoteRow) -> NoteFacts:
    """Read what a note is to speak of."""
    handoff = (await handoffs.by_ids(tx, [note.handoff_id]))[note.handoff_id]
    escalator = (await users.by_ids(tx, [handoff.handed_off_by_id]))[handoff.handed_off_by_id]
    assessment = (await assessments.by_handoffs(tx, [handoff.id])).get(handoff.id)
    statements = None if assessment is None else assessment.statements
    return NoteFacts(handoff=handoff, handed_off_by=escalator, assessment=statements)


def marker_of(note: NoteRow) -> str:
    """Return what no other note holds."""
    return f"{_MARKER_BEGINS}{note.handoff_id}#{note.round}]"


def write_note(facts: NoteFacts, *, marker: str, link: str, redact: Callable[[str], str]) -> str:
    """Return the text of a note.

    Args:
        facts: what it speaks of.
        marker: stands in its last line, whole, however long the rest is.
        link: where the handoff is read.
        redact: takes the secrets out of a text that people or assistants wrote.
    """
    parts = [_head(facts), _problem(facts.handoff)]
    parts += [_notes(facts.handoff)]
    parts += [_branches(facts.handoff) if facts.assessment is None else _assessment(facts.assessment)]
    body = redact(legible("\n\n".join(part for part in parts if part)))
    body = body.replace(_MARKER_BEGINS, "(handoff:")  # nothing that was written may pass for a marker
    end = f"\n\n{link}\n{marker}"
    return f"{shortened(body, _LONGEST - len(end))}{end}"


def _head(facts: NoteFacts) -> str:
    handoff = facts.handoff
    when = f"{handoff.created_at:%Y-%m-%d %H:%M} UTC"
    by = facts.handed_off_by.name
    return f"Handoff: {_INTENTS[handoff.intent]} by {by}, {when}. Priority {handoff.priority.name}."


def _problem(handoff: HandoffRow) -> str:
    snapshot = handoff.snapshot
    domain = f" ({snapshot['problem_domain']})" if snapshot["problem_domain"] else ""
    lines = [f"Problem: {snapshot['problem_summary'] or 'not described'}{domain}"]
    steps = f"Steps taken: {snapshot['step_count']}."
    tier = snapshot["confidence_tier"]
    lines.append(f"{steps} Confidence in the diagnosis: {tier}." if tier else steps)
    return "\n".join(lines)


def _notes(handoff: HandoffRow) -> str:
    return f"Notes of the engineer:\n{handoff.notes}" if handoff.notes else ""


def _branches(handoff: HandoffRow) -> str:
    lines = branch_lines(handoff.snapshot["branch_map"], handoff.snapshot["active_branch_id"])
    return "\n".join(["Lines of investigation:", *(_branch(line) for line in lines)]) if lines else ""


def _branch(line: BranchLine) -> str:
    reason = f": {line.status_reason}" if line.status_reason else ""
    active = ", being worked on" if line.is_active else ""
    return f"{'  ' * line.depth}- {line.label} ({line.status}{active}){reason}"


def _assessment(assessment: Statements) -> str:
    made_by = f"made by {assessment.generated_by}, not by a person, confidence {assessment.confidence}"
    lines = [f"Assessment ({made_by}):"]
    lines.append(f"Likely cause: {assessment.likely_cause or 'unknown'}")
    for title, steps in (
        ("Already tried:", assessment.already_tried),
        ("To do next:", assessment.suggested_steps),
    ):
        if steps:
            lines += [title, *(f"- {step}" for step in steps)]
    return "\n".join(lines)
