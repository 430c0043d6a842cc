"""What the tests' SMTP server is to do, and what it did."""

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage


@dataclass(frozen=True, kw_only=True)
class ReceivedMail:
    """One mail the server took."""

    sender: str  #: of the envelope, as MAIL FROM gave it
    recipients: tuple[str, ...]  #: of the envelope, only those accepted
    message: EmailMessage
    content: bytes  #: the message as it came over the wire
    encrypted: bool
    begun_at: datetime  #: when MAIL FROM began its transaction


class Trouble(enum.Enum):
    """What the server does instead of its work."""

    HANG_AT_CONNECT = "hang at connect"  #: takes the connection and never greets
    HANG_AT_DATA = "hang at data"  #: reads the whole mail, then neither keeps nor answers it before `behave`
    DROP_AT_CONNECT = "drop at connect"  #: hangs up instead of greeting
    DROP_DURING_DATA = "drop during data"  #: hangs up after the first line of the mail, which is lost
    DROP_BEFORE_REPLY = "drop before reply"  #: keeps the whole mail and hangs up instead of answering 250


@dataclass(kw_only=True)
class Reply:
    """A scripted answer and how often it is still to be given; None is for ever."""

    line: str
    times: int | None

    def take(self) -> str | None:
        """The answer, or None once it was given often enough."""
        if self.times is None:
            return self.line
        self.times = max(self.times - 1, -1)
        return self.line if self.times >= 0 else None


@dataclass(kw_only=True)
class Script:
    """What the server is to do and what it did; shared by the test's thread and the server's."""

    pipelining: bool = True  #: whether it is offered
    trouble: Trouble | None = None
    refused: dict[str, Reply] = field(default_factory=dict)  #: by address, in small letters
    refused_mail: Reply | None = None
    mails: list[ReceivedMail] = field(default_factory=list)
    connections: int = 0
    transactions: int = 0
    troubles: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, *, connections: int = 0, transactions: int = 0, troubles: int = 0) -> None:
        """Count what just happened."""
        with self._changed:
            self.connections += connections
            self.transactions += transactions
            self.troubles += troubles
            self._changed.notify_all()

    def keep(self, mail: ReceivedMail) -> None:
        """Keep a mail."""
        with self._changed:
            self.mails.append(mail)
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self.trouble = self.refused_mail = None
            self.refused.clear()
            self.mails.clear()
            self.connections = self.transactions = self.troubles = 0

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until the condition holds; false if it did not in time."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)
