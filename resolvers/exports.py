"""What an account keeps of its work, as records to be written one to a line; see docs/export.md."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from db import accounts, events, exports, sessions
from db.exports import Span
from db.session import Transaction
from db.sessions import SessionRow
from resolvers.errors import BadInput
from resolvers.inputs import clean_instant

#: Raised when a record loses a field or a field changes its meaning; more fields and types are no new format.
FORMAT = 1
#: How many messages are held at once, unless a single session has more.
_MESSAGES = 2_000
#: What is not told: whose the export is stands in its first record, and the package repeats the snapshot.
_LEFT_OUT = {"account_id", "escalation_package"}

Record = dict[str, Any]


def clean_span(since: datetime | None, until: datetime | None) -> Span:
    """Return the span from one instant up to another.

    Raises:
        BadInput: an instant has no time zone, or the second is not later.
    """
    since = None if since is None else clean_instant("since", since)
    until = None if until is None else clean_instant("until", until)
    if since is not None and until is not None and until <= since:
        raise BadInput("until must be later than since.")
    return Span(since=since, until=until)


async def records(tx: Transaction, span: Span, *, now: datetime) -> AsyncGenerator[Record, None]:
    """Yield the records of an export, each after those that it refers to. The last counts them by type.

    The transaction is a snapshot, so that they agree. No more than a page of them is held at once.
    """
    counts: dict[str, int] = {}
    yield await _head(tx, span, now=now)
    names: dict[UUID, str] = {}
    async for team in _plain("team", exports.all_teams(tx), counts):
        names[team["id"]] = team["name"]
        yield team
    async for record in _plain("user", exports.all_people(tx), counts):
        yield record
    async for record in _sessions(tx, span, names, counts):
        yield record
    parts: dict[str, Callable[[Transaction, Span], AsyncIterator[Sequence[Any]]]] = {
        "handoff": exports.handoffs_of,
        "event": exports.events_of,
        "delivery": exports.deliveries_of,
        "attempt": exports.attempts_of,
    }
    for kind, pages in parts.items():
        async for record in _plain(kind, pages(tx, span), counts):
            yield record
    yield {"type": "end", "records": counts}


async def _head(tx: Transaction, span: Span, *, now: datetime) -> Record:
    account = await accounts.by_id(tx)
    return {
        "type": "export",
        "format": FORMAT,
        "account_id": account.id,
        "account": account.name,
        "since": span.since,
        "until": span.until,
        "event_sequence": await events.latest_sequence(tx),
        "exported_at": now,
    }


async def _plain(
    kind: str, pages: AsyncIterator[Sequence[Any]], counts: dict[str, int]
) -> AsyncIterator[Record]:
    """Yield a record for each row, and count them."""
    counts[kind] = 0
    async for page in pages:
        counts[kind] += len(page)
        for row in page:
            yield {"type": kind, **_fields(row)}


async def _sessions(
    tx: Transaction, span: Span, team_names: dict[UUID, str], counts: dict[str, int]
) -> AsyncIterator[Record]:
    """Yield a record for each session, its branches and messages inside."""
    counts["session"] = 0
    async for page in exports.sessions_of(tx, span):
        counts["session"] += len(page)
        for few in _few_at_a_time(page):
            ids = [session.id for session in few]
            branches, messages = await sessions.branches_of(tx, ids), await exports.messages_of(tx, ids)
            for session in few:
                yield {
                    "type": "session",
                    **_fields(session),
                    "team": None if session.team_id is None else team_names[session.team_id],
                    "branches": [_fields(branch, but="session_id") for branch in branches[session.id]],
                    "messages": [_fields(message, but="session_id") for message in messages[session.id]],
                }


def _few_at_a_time(page: Sequence[SessionRow]) -> Iterator[list[SessionRow]]:
    """Part a page, so that the messages of a part can be held at once."""
    few: list[SessionRow] = []
    for session in page:
        if few and sum(one.message_count for one in few) + session.message_count > _MESSAGES:
            yield few
            few = []
        few.append(session)
    if few:
        yield few


def _fields(row: Any, *, but: str = "") -> Record:  # noqa: ANN401 (a row of any table)
    """Return the fields of a row; a member of a closed set by its name."""
    return {
        field.name: value.name if isinstance(value := getattr(row, field.name), Enum) else value
        for field in fields(row)
        if field.name not in _LEFT_OUT and field.name != but
    }
