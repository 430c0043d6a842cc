"""How the templates of the mails show what a mail says: shortened, legible, in words for people."""

from datetime import UTC

from notify.escalation_mails import BranchLine, EscalationMail
from notify.mail_headers import header_text
from notify.mail_text import capped, one_line, shortened

SUBJECT_LIMIT = 120  #: characters of the problem's summary in a subject
NOTES_LIMIT = 20_000  #: characters; Gmail clips a page over 102 KB
PROBLEM_LIMIT = 2_000  #: characters
LINE_LIMIT = 300  #: characters of a name, a label or a reason
BRANCH_LIMIT = 50  #: branches that a mail lists
STEP_LIMIT = 5  #: steps of an assessment that a mail lists
DEPTH_LIMIT = 6  #: steps of indentation: deeper branches stand at this one

_COLOURS = {"URGENT": "#b42318", "HIGH": "#b54708", "NORMAL": "#1456b8", "LOW": "#526071"}
_CLAIMED_COLOUR = "#067647"
# A branch's status is free text; these are the words that assistants use.
_HELPED = {"completed", "confirmed", "done", "fixed", "passed", "resolved", "succeeded", "success", "worked"}
_FAILED = {"abandoned", "blocked", "dead_end", "error", "failed", "failure", "rejected", "ruled_out"}


def view(mail: EscalationMail, *, link: str, why: str) -> dict[str, object]:
    """Return what the templates show of a mail; `link` and `why` stand for the recipient's own."""
    problem = capped(mail.problem_summary or "", PROBLEM_LIMIT).strip() or "Untitled problem"
    return {
        "link": link,
        "why": why,
        "unsubscribe": mail.unsubscribe,
        "colour": _CLAIMED_COLOUR
        if mail.kind == "CLAIMED"
        else _COLOURS.get(mail.priority, _COLOURS["NORMAL"]),
        "badges": _badges(mail),
        "headline": shortened(one_line(problem), SUBJECT_LIMIT),
        "lead": _lead(mail),
        "problem": problem,
        "notes": capped(mail.notes or "", NOTES_LIMIT).strip("\n"),
        "handed_off_by": _name(mail.handed_off_by),
        "assessment": _assessment(mail),
        "branches": [_branch(line) for line in mail.branches[:BRANCH_LIMIT]],
        "branches_left_out": max(0, len(mail.branches) - BRANCH_LIMIT),
        "facts": _facts(mail),
    }


def _badges(mail: EscalationMail) -> list[str]:
    """The coloured word first, then what the mail is and where it comes from."""
    kind = f"Reminder {mail.round}" if mail.kind == "REMINDER" else mail.kind.capitalize()
    is_pressing = mail.kind != "CLAIMED" and mail.priority != "NORMAL"
    words = [mail.priority, kind] if is_pressing else [kind.upper()]
    return words + [_name(name) for name in (mail.account_name, mail.team_name) if name]


def _lead(mail: EscalationMail) -> str:
    match mail.kind:
        case "CLAIMED":
            return f"{claimer(mail)} has picked this up."
        case "REMINDER":
            return f"Nobody has picked this up yet. {_name(mail.handed_off_by)} needs somebody to take over."
        case "UNREACHED":
            return "None of the responders could be told of this. Call somebody."
        case _ if mail.is_back:
            return "It was claimed, and is back in the queue. Somebody has to take over."
        case _:
            return f"{_name(mail.handed_off_by)} is stuck and needs somebody to take over."


def _facts(mail: EscalationMail) -> list[tuple[str, str]]:
    at = mail.created_at.astimezone(UTC)
    facts = {
        "Priority": mail.priority.capitalize(),
        "Domain": mail.problem_domain,
        "Session": f"{mail.status.capitalize()}, {mail.step_count} step{'' if mail.step_count == 1 else 's'}",
        "Confidence": mail.confidence_tier and mail.confidence_tier.capitalize(),
        "Ticket": mail.psa_ticket_id,
        "Handed off": f"{at.day} {at:%b %Y, %H:%M} UTC by {_name(mail.handed_off_by)}",
    }
    return [(name, _name(value)) for name, value in facts.items() if value]


def _assessment(mail: EscalationMail) -> dict[str, object] | None:
    """Show the assessment to those who are asked to take over."""
    found = mail.assessment
    if found is None or mail.kind not in ("ESCALATION", "REMINDER"):
        return None
    cause = found.likely_cause
    return {
        "cause": capped(cause, PROBLEM_LIMIT).strip() if cause else "No likely cause could be told.",
        "steps": [_name(step) for step in found.suggested_steps[:STEP_LIMIT]],
        "tried": [_name(step) for step in found.already_tried[:STEP_LIMIT]],
        "source": f"Confidence: {found.confidence.lower()}. By {_name(found.generated_by)}, not by a person.",
    }


def _branch(line: BranchLine) -> dict[str, object]:
    status = _name(line.status).replace("_", " ").lower()
    reason = _name(line.status_reason or "")
    mark, colour = _mark(line)
    return {
        "depth": min(line.depth, DEPTH_LIMIT),
        "is_active": line.is_active,
        "mark": mark,
        "colour": colour,
        "label": _name(line.label),
        "remark": f"{status}: {reason}" if reason else status,
    }


def _mark(line: BranchLine) -> tuple[str, str]:
    status = line.status.casefold().replace(" ", "_").replace("-", "_")
    if line.is_active:
        return "→", "#1456b8"
    if status in _HELPED:
        return "✓", "#067647"
    if status in _FAILED:
        return "✗", "#b42318"
    return "•", "#526071"


def claimer(mail: EscalationMail) -> str:
    """Return who has claimed, short enough for a subject."""
    return shortened(header_text(mail.claimed_by or ""), 60) or "a colleague"


def _name(text: str) -> str:
    return shortened(one_line(text), LINE_LIMIT)
