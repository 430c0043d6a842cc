"""Write the mail with a link to sign in."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from uuid import uuid4

from notify.mail_headers import body_part, header, mailbox, sender_address
from notify.mail_templates import LOGIN_PAGE, LOGIN_TEXT
from notify.mail_text import one_line, shortened

_NAME_LIMIT = 100  #: characters


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginMail:
    """All that the mail says."""

    name: str
    email: str
    account_name: str
    link: str = field(repr=False)  #: it signs in, so it is as secret as a password
    valid_for: timedelta


def render(mail: LoginMail, *, sender: str, now: datetime) -> EmailMessage:
    """Write the mail, text and HTML.

    Raises:
        UnusableAddress: the recipient's or the sender's address cannot be written to.
    """
    origin = sender_address(sender)
    headers = {
        "Subject": "Sign in to Handoff",
        "Message-ID": f"<login-{uuid4()}@{origin.domain}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834 section 5
        "X-Auto-Response-Suppress": "All",
        "MIME-Version": "1.0",
        "Content-Type": 'multipart/alternative; boundary="=_handoff"',
    }
    message = EmailMessage(policy=SMTP)
    message["From"] = mailbox("From", origin.display_name, origin.addr_spec)
    message["To"] = mailbox("To", mail.name, mail.email)
    message["Date"] = format_datetime(now)
    for name, value in headers.items():
        message[name] = header(name, value)
    said = {
        "name": shortened(one_line(mail.name), _NAME_LIMIT),
        "account": shortened(one_line(mail.account_name), _NAME_LIMIT),
        "link": mail.link,
        "minutes": int(mail.valid_for.total_seconds() // 60),
    }
    message.attach(body_part("plain", LOGIN_TEXT.render(said)))
    message.attach(body_part("html", LOGIN_PAGE.render(said)))
    return message
