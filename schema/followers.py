"""A subscription that is told its events together with others."""

from collections.abc import Callable
from dataclasses import dataclass

from db.events import EventRow
from db.pushes import Push
from db.users import UserRow
from notify.subscribers import Subscriber
from resolvers.identity import Caller
from schema.outlets import Outlet

PushOf = Callable[[EventRow, UserRow], Push | None]


@dataclass(slots=True, eq=False)
class Follower:
    """A subscription that follows with others."""

    subscriber: Subscriber
    outlet: Outlet
    caller: Caller  #: as they were when it began to
    push_of: PushOf | None  #: what to ask a receipt of; None: never anything
    until: float = 0.0  #: when it is to look by itself, on the loop's clock
    told: int = 0  #: the number of the last event that it has been told, or knows by itself

    def tell(self, event: EventRow, payload: bytes) -> bool:
        """Write an event, and tell whether it was written."""
        push = None if self.push_of is None else self.push_of(event, self.caller.user)
        is_told = self.outlet.write(payload, push)
        if is_told:
            self.told = event.sequence
        return is_told
