"""Write the mails about a handoff: plain values in, a finished message out.

A handoff's words are rendered once; each recipient's mail adds its headers, its link and its reason.
Whatever a person typed is data here: it can break neither a header nor the page.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from email.headerregistry import BaseHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache
from uuid import UUID

from markupsafe import escape

from notify.escalation_mails import EscalationMail
from notify.mail_headers import body_part, header, header_text, mailbox, sender_address
from notify.mail_templates import PAGE, TEXT, wrapped
from notify.mail_text import legible, one_line, shortened
from notify.mail_view import SUBJECT_LIMIT, claimer, view

_NOBODY = UUID(int=0)
# `legible` takes control characters out of everything else, so these cannot be forged.
MARK = "\x00"  #: begins and ends each mark of a recipient's own piece
_LINK_MARK = f"{MARK}link{MARK}"
_WHY_MARK = f"{MARK}why{MARK}"
_UNSUBSCRIBE_MARK = f"{MARK}unsubscribe{MARK}"

_IMPORTANCE = {"URGENT": "high", "HIGH": "high", "LOW": "low"}


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
            return f"Claimed by {claimer(mail)}: {problem}"
        case "REMINDER":
            return f"{priority}Reminder {mail.round}: {problem}"
        case "UNREACHED":
            return f"{priority}Nobody could be told: {problem}"
        case _:
            return f"{priority}Escalation{' again' if mail.is_back else ''}: {problem}"


@lru_cache(maxsize=64)
def _words(mail: EscalationMail) -> tuple[str, str]:
    """Render text and HTML with marks where the recipient's link and reason go."""
    shown = view(mail, link=_LINK_MARK, why=_WHY_MARK)
    return TEXT.render(shown), PAGE.render(shown)
