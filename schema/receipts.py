"""How a subscription asks for a receipt of what it is about to yield.

The socket that carries the operation sends a ping with a token after the event's frame; a pong that
echoes the token proves that this client received the event (see `server/sockets.py`). Over a transport
without pings nobody collects what is asked here, and the mail goes after the grace period.
"""

from contextvars import ContextVar

from db.deliveries import Push

#: The receipts that the running operation asks for; None where nobody collects them.
_asked: ContextVar[list[Push] | None] = ContextVar("_asked", default=None)


def collect_receipts() -> list[Push]:
    """Collect what the running operation asks for from now on, in the list that is returned.

    Each operation runs in a task of its own and so has a list of its own.
    """
    asked: list[Push] = []
    _asked.set(asked)
    return asked


def ask_receipt(push: Push) -> None:
    """Ask for a receipt of the event that is yielded next."""
    asked = _asked.get()
    if asked is not None:
        asked.append(push)
