"""The way from a running operation to its client: receipts, and writing without the operation's task.

The socket that carries an operation gives it an outlet. After an event's frame it sends a ping with a token
for each receipt that was asked for; a pong that echoes the token proves that this client received the event
(see `server/sockets.py`). Other transports give none: nobody collects receipts there, the mail goes after
the grace period, and every event passes through the operation's task.
"""

from contextvars import ContextVar
from typing import TYPE_CHECKING

from db.pushes import Push

if TYPE_CHECKING:
    from schema.streams import SharingExecutor


class Outlet:
    """Of one operation."""

    __slots__ = ("asked", "executor")

    def __init__(self) -> None:
        #: The receipts that the operation asks for, of the event that it yields next.
        self.asked: list[Push] = []
        #: What executes the operation's events; None until it is subscribed.
        self.executor: SharingExecutor | None = None

    @property
    def is_direct(self) -> bool:
        """Whether `write` may be called at all."""
        return False

    def write(self, payload: bytes, push: Push | None) -> bool:
        """Write an event, without waiting.

        Args:
            payload: The execution's result as JSON.
            push: What to ask a receipt of.

        Returns:
            Whether it was written: not to a client that has yet to take what was written before, or has gone.
        """
        raise NotImplementedError


_outlet: ContextVar[Outlet | None] = ContextVar("_outlet", default=None)


def open_outlet(outlet: Outlet) -> None:
    """Give the running operation its outlet. Each runs in a task, and so in a context, of its own."""
    _outlet.set(outlet)


def current_outlet() -> Outlet | None:
    """Return the outlet of the running operation, None where it has none."""
    return _outlet.get()


def ask_receipt(push: Push) -> None:
    """Ask for a receipt of the event that is yielded next."""
    outlet = _outlet.get()
    if outlet is not None:
        outlet.asked.append(push)
