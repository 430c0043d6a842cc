"""How many connections to the mail server a worker uses: as many as keep it busy, and no more."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from notify.smtp import Mailer

#: While nothing is known of the mail server.
AT_FIRST = 4
#: About what a mail costs the worker itself: while one mail waits for the mail server and the database, so
#: many others can be worked on as this goes into the wait.
_OWN_SECONDS = 0.0005
_WEIGHT_OF_THE_LAST = 0.1


class Mailers:
    """The connections of one worker, each with one mail in hand at most."""

    def __init__(self, mailers: Sequence[Mailer], clock: Callable[[], float] = time.monotonic) -> None:
        self._all = mailers
        self._idle = list(reversed(mailers))  # the last one used is the next: few are kept open
        self._taken_at: dict[Mailer, float] = {}
        self._turn: float | None = None  #: seconds that a mail is in hand, as of late
        self.clock = clock

    @property
    def timeout(self) -> timedelta:
        """How long a mail server may take over one mail."""
        return max(mailer.timeout for mailer in self._all)

    @property
    def room(self) -> int:
        """How many more mails may be begun now."""
        return max(0, self.size - len(self._taken_at))

    @property
    def size(self) -> int:
        """How many mails may be in hand now. One that hangs makes room for others, the longer the more."""
        waits = [] if self._turn is None else [self._turn]
        if self._taken_at:
            waits.append(self.clock() - min(self._taken_at.values()))
        wanted = connections_for(max(waits, default=0.0))
        return min(wanted if self._turn is not None else max(wanted, AT_FIRST), len(self._all))

    def take(self, begun_at: float) -> Mailer:
        """Take a connection for a mail that was begun then; there is one while there is room."""
        mailer = self._idle.pop()
        self._taken_at[mailer] = begun_at
        return mailer

    def put_back(self, mailer: Mailer) -> None:
        """Have a connection back whose mail is recorded."""
        took = self.clock() - self._taken_at.pop(mailer)
        self._idle.append(mailer)
        if not mailer.has_just_connected:
            before = took if self._turn is None else self._turn
            self._turn = before + _WEIGHT_OF_THE_LAST * (took - before)

    def put_back_unused(self, mailer: Mailer) -> None:
        """Have a connection back whose mail was not handed in."""
        del self._taken_at[mailer]
        self._idle.append(mailer)

    async def rest(self) -> None:
        """Close the connections that nobody has used for a while."""
        await asyncio.gather(*(mailer.close() for mailer in self._idle if mailer.is_idle))

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(mailer.close() for mailer in self._all))


def connections_for(turn: float) -> int:
    """Return how many mails keep a worker busy when each is in hand for so many seconds."""
    return max(1, math.ceil(turn / _OWN_SECONDS))
