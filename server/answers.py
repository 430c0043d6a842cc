"""Encoded answers that are sent again while they are exact.

An answer that shows only what events tell of (`schema/evented.py`) is exact until the number of the
account's last event grows. That number is read for each request, in the statement that reads who asks,
so nothing is ever answered that was not so after the request had come, on whichever node the change was
made.

An answer is kept where the number was the same before it was made and after: no event was committed in
between. Of equal requests that miss at the same number, one makes the answer and the others wait for
it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from starlette.responses import Response

from db.enums import Role
from resolvers.errors import Unauthenticated
from resolvers.identity import Caller
from schema.context import Context

#: A request is asked for anew this often where the account changes while its answer is made.
_TRIES = 3
_LONGEST_REQUEST = 16 * 1024
_OVERHEAD = 1024  #: bytes that a kept answer takes beside its own and its request's, about

#: Makes an answer, and says whether it may be kept: whether it holds no error.
Make = Callable[[], Awaitable[tuple[Response, bool]]]
#: Whose request it is, as far as its answer depends on that, and what it asks for in which media type.
Key = tuple[UUID, Role, bool, str, bytes]


@dataclass(frozen=True, slots=True)
class _Kept:
    sequence: int
    response: Response
    size: int  #: bytes


@dataclass(slots=True)
class Answers:
    """The answers of one process, bounded by their bytes; those not asked for longest go first."""

    most_bytes: int = 64 * 1024 * 1024
    _bytes: int = 0
    _kept: OrderedDict[Key, _Kept] = field(default_factory=OrderedDict)
    _making: dict[tuple[Key, int], "asyncio.Future[Response | None]"] = field(default_factory=dict)
    #: Requests that were answered before, and showed only what events tell of.
    _evented: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    def is_evented(self, body: bytes) -> bool:
        """Whether a request's answer may be kept."""
        return body in self._evented

    def note_evented(self, body: bytes) -> None:
        """Remember that a request's answers may be kept."""
        if len(body) <= _LONGEST_REQUEST:
            self._evented[body] = None
            if len(self._evented) > 1024:
                self._evented.popitem(last=False)

    async def answer(self, context: Context, body: bytes, accept: str, make: Make) -> Response:
        """Answer a request whose answers may be kept."""
        for _ in range(_TRIES):
            caller = await _look(context)
            if caller is None or caller.event_sequence is None:
                break
            user, sequence = caller.user, caller.event_sequence
            key = (user.account_id, user.role, caller.is_ingest_only, accept, body)
            if response := self._find(key, sequence):
                return response
            if (key, sequence) not in self._making:
                return await self._make(context, key, sequence, make)
            if response := await asyncio.shield(self._making[key, sequence]):
                return response
        return (await make())[0]

    async def _make(self, context: Context, key: Key, sequence: int, make: Make) -> Response:
        """Make an answer, for all who ask for it at this number."""
        future = self._making[key, sequence] = asyncio.get_running_loop().create_future()
        kept = None
        try:
            response, may_be_kept = await make()
            caller = await _look(context) if may_be_kept else None
            if caller is not None and caller.event_sequence == sequence:
                kept = response
                self._keep(key, sequence, response)
            return response
        finally:
            del self._making[key, sequence]
            future.set_result(kept)

    def _find(self, key: Key, sequence: int) -> Response | None:
        kept = self._kept.get(key)
        if kept is None or kept.sequence != sequence:
            return None
        self._kept.move_to_end(key)
        return kept.response

    def _keep(self, key: Key, sequence: int, response: Response) -> None:
        before = self._kept.pop(key, None)
        kept = _Kept(sequence, response, len(response.body) + len(key[-1]) + len(key[-2]) + _OVERHEAD)
        self._bytes += kept.size - (0 if before is None else before.size)
        self._kept[key] = kept
        while self._bytes > self.most_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].size


async def _look(context: Context) -> Caller | None:
    """Read who asks anew; None for nobody, who is refused where the answer is made."""
    try:
        return await context.look_again()
    except Unauthenticated:
        return None
