"""Write the mails about a handoff: plain values in, a finished message out.

A handoff's words are rendered once; each recipient's mail adds its headers, its link and its reason.
Whatever a person typed is data here: it can break neither a header nor the page.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.headerregistry import BaseHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache
from uuid import UUID

from markupsafe import escape

from db.assessments import Statements
from notify.mail_headers import UnusableAddress, body_part, header, header_text, mailbox, sender_address
from notify.mail_templates import PAGE, TEXT, wrapped
from notify.mail_text import capped, legible, one_line, shortened

__all__ = ["BranchLine", "EscalationMail", "UnusableAddress", "render"]

SUBJECT_LIMIT = 120  #: characters of the problem's summary in a subject
NOTES_LIMIT = 20_000  #: characters; Gmail clips a page over 102 KB
PROBLEM_LIMIT = 2_000  #: characters
LINE_LIMIT = 300  #: characters of a name, a label or a reason
BRANCH_LIMIT = 50  #: branches that a mail lists
STEP_LIMIT = 5  #: steps of an assessment that a mail lists
DEPTH_LIMIT = 6  #: steps of indentation: deeper branches stand at this one

_NOBODY = UUID(int=0)
# `legible` takes control characters out of everything else, so these cannot be forged.
MARK = "\x00"  #: begins and ends each mark of a recipient's own piece
_LINK_MARK = f"{MARK}link{MARK}"
_WHY_MARK = f"{MARK}why{MARK}"
_UNSUBSCRIBE_MARK = f"{MARK}unsubscribe{MARK}"

_COLOURS = {"URGENT": "#b42318", "HIGH": "#b54708", "NORMAL": "#1456b8", "LOW": "#526071"}
_CLAIMED_COLOUR = "#067647"
_IMPORTANCE = {"URGENT": "high", "HIGH": "high", "LOW": "low"}
# A branch's status is free text; these are the words that assistants use.
_HELPED = {"completed", "confirmed", "done", "fixed", "passed", "resolved", "succeeded", "success", "worked"}
_FAILED = {"abandoned", "blocked", "dead_end", "error", "failed", "failure", "rejected", "ruled_out"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchLine:
    """One line of investigation, as a mail lists it."""

    label: str
    status: str
    status_reason: str | None
    is_active: bool  #: the branch that was under way at the handoff
    depth: int  #: 0 for a root; branches come in the order of the tree


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationMail:
    """Everything that a mail about an escalation says, for one recipient."""

    delivery_id: UUID
    handoff_id: UUID
    kind: str  #: ESCALATION, REMINDER, CLAIMED or UNREACHED
    round: int  #: which reminder this is
    account_name: str
    team_name: str | None
    recipient_name: str
    recipient_email: str
    handed_off_by: str
    claimed_by: str | None
    priority: str  #: LOW, NORMAL, HIGH or URGENT
    problem_summary: str | None
    problem_domain: str | None
    notes: str | None
    step_count: int
    confidence_tier: str | None
    status: str  #: of the session when it was handed off
    branches: tuple[BranchLine, ...]  #: empty if the session was not branching
    psa_ticket_id: str | None
    assessment: Statements | None  #: None: there is none (yet)
    created_at: datetime  #: of the handoff
    link: str  #: https URL of the handoff; may differ by recipient
    why: str  #: one sentence: why this recipient gets this mail
    unsubscribe: str | None = None  #: https URL whose page, or POST, stops mails of this kind


def render(mail: EscalationMail, *, sender: str, now: datetime, redact: Callable[[str], str]) -> EmailMessage:
    """Write the mail: text and HTML, in one thread with the handoff's other mails.

    `redact` takes secrets out of a text: what people typed leaves the service here.

    Raises:
        UnusableAddress: the recipient's or the sender's address cannot be written to.
    """
    origin, domain = _origin(sender)
    message = EmailMessage(policy=SMTP)
    message["From"] = origin
    message["To"] = mailbox("To", mail.recipient_name, mail.recipient_email)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = message_id(mail, domain)
    shared = of_all(mail)
    for name, value in _shared_headers(_without_secrets(shared, redact), domain).items():
        message[name] = header(name, value)
    if mail.unsubscribe is not None:  # RFC 8058
        message["List-Unsubscribe"] = header("List-Unsubscribe", unsubscribe_header(mail))
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    text, page = words_of_all(shared, redact)
    for_text, for_page = own_pieces(mail)
    message.attach(body_part("plain", filled(text, for_text)))
    message.attach(body_part("html", filled(page, for_page)))
    return message


def message_id(mail: EscalationMail, domain: str) -> str:
    """Name the mail, the same in each attempt."""
    return f"<delivery-{mail.delivery_id}@{domain}>"


def unsubscribe_header(mail: EscalationMail) -> str:
    """Return where mails of this kind are turned off, as a header has it."""
    return f"<{mail.unsubscribe}>"


def own_pieces(mail: EscalationMail) -> tuple[dict[str, str], dict[str, str]]:
    """Return by mark what stands in this recipient's text and page alone."""
    links = {_LINK_MARK: _address(mail.link), _UNSUBSCRIBE_MARK: _address(mail.unsubscribe or "")}
    for_text, for_page = _why(mail.why)
    on_page = {mark: str(escape(link)) for mark, link in links.items()}
    return {**links, _WHY_MARK: for_text}, {**on_page, _WHY_MARK: for_page}


@lru_cache(maxsize=64)
def _why(sentence: str) -> tuple[str, str]:
    """Return the reason as it stands in the text and on the page: many recipients have the same."""
    why = one_line(sentence)
    return wrapped(why), str(escape(why))


def filled(words: str, pieces: Mapping[str, str]) -> str:
    """Put the recipient's own pieces where their marks are."""
    for mark, piece in pieces.items():
        words = words.replace(mark, piece)
    return words


def of_all(mail: EscalationMail) -> EscalationMail:
    """Return what all recipients read: equal for all of them, so that it is worked out once."""
    return replace(
        mail,
        delivery_id=_NOBODY,
        recipient_name="",
        recipient_email="",
        link="",
        why="",
        unsubscribe=None if mail.unsubscribe is None else _UNSUBSCRIBE_MARK,
    )


def words_of_all(shared: EscalationMail, redact: Callable[[str], str]) -> tuple[str, str]:
    """Return text and page of all recipients, with marks where their own pieces go."""
    return _words(_without_secrets(shared, redact))


def _address(link: str) -> str:
    return "".join(legible(link).split())


@lru_cache(maxsize=64)
def _without_secrets(mail: EscalationMail, redact: Callable[[str], str]) -> EscalationMail:
    """Return what all recipients of a mail read, without the secrets that somebody typed."""
    found = mail.assessment
    return replace(
        mail,
        problem_summary=_redacted(mail.problem_summary, redact),
        notes=_redacted(mail.notes, redact),
        branches=tuple(
            replace(line, label=redact(line.label), status_reason=_redacted(line.status_reason, redact))
            for line in mail.branches
        ),
        assessment=None
        if found is None
        else replace(
            found,
            likely_cause=_redacted(found.likely_cause, redact),
            suggested_steps=tuple(map(redact, found.suggested_steps)),
            already_tried=tuple(map(redact, found.already_tried)),
        ),
    )


def _redacted(text: str | None, redact: Callable[[str], str]) -> str | None:
    return None if text is None else redact(text)


@lru_cache(maxsize=8)
def _origin(sender: str) -> tuple[BaseHeader, str]:
    origin = sender_address(sender)
    return mailbox("From", origin.display_name, origin.addr_spec), origin.domain


def _shared_headers(mail: EscalationMail, domain: str) -> dict[str, str]:
    """Headers that are equal in all mails of a kind about one handoff.

    Source: RFC 3834 section 5 (Auto-Submitted), RFC 5322 section 3.6.4 (threads); X-Auto-Response-Suppress is
    Exchange's.
    """
    thread = f"<handoff-{mail.handoff_id}@{domain}>"
    headers = {
        "Subject": _subject(mail),
        "In-Reply-To": thread,
        "References": thread,
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "X-Handoff-Id": str(mail.handoff_id),
        "MIME-Version": "1.0",
        # Quoted-printable never yields "=_" (RFC 2045 section 6.7), so no part can hold this boundary.
        "Content-Type": 'multipart/alternative; boundary="=_handoff"',
    }
    if mail.kind != "CLAIMED" and mail.priority in _IMPORTANCE:
        headers["Importance"] = _IMPORTANCE[mail.priority]
    return headers


def _subject(mail: EscalationMail) -> str:
    problem = shortened(header_text(mail.problem_summary or "") or "Untitled problem", SUBJECT_LIMIT)
    priority = "" if mail.priority == "NORMAL" else f"[{header_text(mail.priority)}] "
    match mail.kind:
        case "CLAIMED":
            return f"Claimed by {_claimer(mail)}: {problem}"
        case "REMINDER":
            return f"{priority}Reminder {mail.round}: {problem}"
        case "UNREACHED":
            return f"{priority}Nobody could be told: {problem}"
        case _:
            return f"{priority}Escalation: {problem}"


@lru_cache(maxsize=64)
def _words(mail: EscalationMail) -> tuple[str, str]:
    """Render text and HTML with marks where the recipient's link and reason go."""
    view = _view(mail)
    return TEXT.render(view), PAGE.render(view)


def _view(mail: EscalationMail) -> dict[str, object]:
    problem = capped(mail.problem_summary or "", PROBLEM_LIMIT).strip() or "Untitled problem"
    return {
        "link": _LINK_MARK,
        "why": _WHY_MARK,
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
            return f"{_claimer(mail)} has picked this up."
        case "REMINDER":
            return f"Nobody has picked this up yet. {_name(mail.handed_off_by)} needs somebody to take over."
        case "UNREACHED":
            return "None of the responders could be told of this. Call somebody."
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


def _claimer(mail: EscalationMail) -> str:
    return shortened(header_text(mail.claimed_by or ""), 60) or "a colleague"


def _name(text: str) -> str:
    return shortened(one_line(text), LINE_LIMIT)
