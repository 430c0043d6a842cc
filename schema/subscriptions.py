"""The root fields that push. Each follows the account's event log from a cursor on.

A stream joins the feed first, then reads what happened between the client's cursor and that moment, then
follows: nothing is missed and nothing comes twice. Its viewer is asked for again while it runs. While the
database is away, it waits: nobody is shown anything before their rights were looked at again.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Annotated, Generic, Self, TypeVar
from uuid import UUID

import strawberry

from db import events
from db.events import EventRow
from db.pushes import Push
from db.users import UserRow
from notify.outage import FeedStopped
from notify.subscribers import Heard, Subscriber, Wanted
from resolvers.errors import BadInput, Forbidden, NotFound
from resolvers.identity import Caller
from schema.context import Context, Info
from schema.fanout import follow_with_others
from schema.followers import Follower, PushOf
from schema.ids import read_optional_id
from schema.outlets import ask_receipt, current_outlet
from schema.permissions import followers
from schema.types.pushed_events import EscalationCreated, PushedEvent, QueueChange
from schema.wishes import QUEUE_CHANGES, Changes, Escalations

T = TypeVar("T", bound=PushedEvent)
_PAGE = 200
_NO_CURSOR = (
    "after is not a cursor of this account's events. Ask for latestCursor, read the queue, then subscribe "
    "after it."
)
LookAgain = Callable[[], Awaitable[Caller]]
TeamId = Annotated[
    strawberry.ID | None, strawberry.argument(description="Only sessions of this team; null for the account.")
]
After = Annotated[
    str | None,
    strawberry.argument(
        description=(
            "The cursor of the last event that the client saw: resume without loss. At first it is the "
            "`latestCursor` from before the queue was read. Null: from now, at an instant that nothing tells."
        )
    ),
]


@strawberry.type(
    description="What is pushed. Every field needs a signed-in user, and ends with their rights."
)
class Subscription:
    """The subscriptions."""

    @strawberry.subscription(
        description=(
            "Escalations and reminders of your account as they happen, but not your own. While an owner, "
            "admin or engineer holds it they count as online and are pushed to before they are mailed; a "
            "viewer may watch."
        ),
        extensions=followers(),
    )
    async def escalation_created(
        self, info: Info, team_id: TeamId = None, after: After = None
    ) -> AsyncGenerator[EscalationCreated, None]:
        """Follow the escalations."""
        return _follow(info, _ESCALATIONS, team_id, after)

    @strawberry.subscription(
        description="Every change of the queue, parked sessions too. Nobody counts as online for it.",
        extensions=followers(),
    )
    async def queue_changed(
        self, info: Info, team_id: TeamId = None, after: After = None
    ) -> AsyncGenerator[QueueChange, None]:
        """Follow the queue."""
        return _follow(info, _QUEUE, team_id, after)


def _escalation(heard: Heard) -> EscalationCreated:
    return EscalationCreated(
        cursor=str(heard.event.sequence),
        missed_before=heard.missed_before,
        round=heard.event.round,
        handoff_id=_handoff_of(heard.event),
    )


def _change(heard: Heard) -> QueueChange:
    return QueueChange(
        cursor=str(heard.event.sequence),
        missed_before=heard.missed_before,
        kind=QUEUE_CHANGES[heard.event.kind],
        handoff_id=_handoff_of(heard.event),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind(Generic[T]):
    """What one of the fields follows."""

    wants: Callable[[UserRow, UUID | None], Wanted]  #: of a viewer and a team
    make: Callable[[Heard], T]  #: the field's value
    push_of: PushOf | None  #: what to ask a receipt of; None: never anything
    is_presence: bool  #: whether a responder who follows counts as online


async def _follow(
    info: Info, kind: _Kind[T], team_id: strawberry.ID | None, after: str | None
) -> AsyncGenerator[T, None]:
    """Yield the wanted events after the cursor in order, each once, until the viewer's rights end.

    Presence begins once no event can be missed: whoever counts as online is pushed to. Events that were
    written to the client for all who follow the same (`schema/fanout.py`) are not yielded.
    """
    context, feed = info.context, info.context.services.feed
    caller = context.known_caller  # whom the permission has just asked for
    team = await feed.outage.outlast(partial(_known_team, info, team_id))
    seen = None if after is None else _read_cursor(after)
    viewing = _Viewing(info, kind, team, caller, began_as=caller)
    try:
        following = feed.subscribe(context.account_id, viewing.wanted(), seen=seen or 0)
        async with following as subscriber, viewing:
            async for event in _missed(context, subscriber, seen, viewing.look_again):
                if subscriber.wanted(event):
                    yield viewing.show(Heard(event, 0))
            while True:
                heard = await _next(info, subscriber, viewing.caller, kind)
                await viewing.renew()
                subscriber.wanted = viewing.wanted()
                if heard is not None and subscriber.wanted(heard.event):
                    yield viewing.show(heard)
    except FeedStopped:
        return


@dataclass(slots=True)
class _Viewing(Generic[T]):
    """A viewer who follows one of the fields, as they were last looked at, and what is shown to them.

    While the block runs, a responder counts as online for what pushes to them, and who becomes one does from
    then on; a viewer's wallboard does not count. Thousands are open for hours, so it is no generator.
    """

    info: Info
    kind: _Kind[T]
    team: UUID | None
    caller: Caller
    began_as: Caller  #: whose rights they are not to lose
    _presence: AbstractAsyncContextManager[None] | None = None

    async def __aenter__(self) -> Self:
        await self._appear()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._presence is not None:
            await self._presence.__aexit__(kind, error, traceback)

    def wanted(self) -> Wanted:
        """Return which events they want; that depends on their role."""
        return self.kind.wants(self.caller.user, self.team)

    async def renew(self) -> None:
        """Look at the viewer again. Who has become a responder goes on as if they began now."""
        self.caller = await self.look_again()
        if self.caller.user.is_responder and not self.began_as.user.is_responder:
            self.began_as = self.caller
            await self._appear()

    async def look_again(self) -> Caller:
        """Return who follows, read anew, as soon as that can be told.

        Raises:
            Unauthenticated: as `Context.look_again`.
            Forbidden: they are no responder any more.
            FeedStopped: the node is shutting down.
        """
        context = self.info.context
        caller = await context.services.feed.outage.outlast(context.look_again)
        if self.began_as.user.is_responder and not caller.user.is_responder:
            raise Forbidden("Your role has changed. Subscribe again to go on as a viewer.")
        return caller

    def show(self, heard: Heard) -> T:
        """Return the value that is yielded next, and ask for its receipt."""
        viewer = self.info.context.known_viewer
        push = None if self.kind.push_of is None or viewer is None else self.kind.push_of(heard.event, viewer)
        if push is not None:
            ask_receipt(push)
        event = self.kind.make(heard)
        event.look_again = self.look_again
        return event

    async def _appear(self) -> None:
        viewer = self.caller.user
        if self.kind.is_presence and viewer.is_responder:
            connected = self.info.context.services.presence.connected
            presence = connected(viewer.account_id, viewer.id, self.team)
            await presence.__aenter__()
            self._presence = presence


async def _next(info: Info, subscriber: Subscriber, caller: Caller, kind: _Kind[T]) -> Heard | None:
    """Wait for an event that is to be yielded, or for the time to look at the viewer again."""
    outlet, streams = current_outlet(), info.context.services.streams
    executor = outlet.executor if outlet is not None and outlet.is_direct else None
    if executor is None or outlet is None or streams is None or executor.needs_viewer(streams):
        heard = await subscriber.next(within=info.context.services.recheck_seconds)
    else:
        if not subscriber.has_news:
            follower = Follower(subscriber, outlet, caller, kind.push_of)
            await follow_with_others(streams, executor, kind.make, follower)
        heard = subscriber.take()
    subscriber.is_doubted = False  # before the viewer is looked at: what comes meanwhile is a doubt again
    return heard


async def _missed(
    context: Context, subscriber: Subscriber, seen: int | None, look_again: LookAgain
) -> AsyncIterator[EventRow]:
    """Yield what happened between the event that the client saw last and the moment that it joined."""
    joined_at = subscriber.position or 0
    position = joined_at if seen is None else seen
    if position > joined_at:
        raise BadInput(_NO_CURSOR)
    while position < joined_at:
        await look_again()
        read = partial(_read_page, context, position, min(_PAGE, joined_at - position))
        page = await context.services.feed.outage.outlast(read)
        for event in page:
            yield event
        position = page[-1].sequence


async def _read_page(context: Context, position: int, limit: int) -> list[EventRow]:
    async with context.reading() as tx:
        return await events.after(tx, position, limit=limit)


def _read_cursor(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise BadInput(_NO_CURSOR)
    return int(cursor)


async def _known_team(info: Info, team_id: strawberry.ID | None) -> UUID | None:
    team = read_optional_id(team_id)
    if team is not None and await info.context.loaders.teams.load(team) is None:
        raise NotFound("No team of your account has this id.")
    return team


def _push_of(event: EventRow, viewer: UserRow) -> Push | None:
    """Return what a receipt of an escalation confirms, given its viewer as they were last looked at.

    None of whom nothing is written down: viewers, and who mutes pushes. The mail to them is on its way, and
    a receipt would swallow it.
    """
    if not viewer.is_responder or viewer.mute_push:
        return None
    return Push(_handoff_of(event), viewer.id, event.round)


def _handoff_of(event: EventRow) -> UUID:
    if event.handoff_id is None:
        raise LookupError("an event about a handoff names none")
    return event.handoff_id


_ESCALATIONS = _Kind(wants=Escalations.of, make=_escalation, push_of=_push_of, is_presence=True)
_QUEUE = _Kind(wants=Changes.of, make=_change, push_of=None, is_presence=False)
