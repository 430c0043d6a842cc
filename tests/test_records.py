"""Every mutation leaves a record: its event where it is accepted, a row of the audit log where it is not."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from db.audit_log import Refused
from db.enums import EventKind
from db.models import audit_log
from db.session import Database, new_id
from db.users import UserRow
from resolvers.refusals import RefusalLog
from schema.context import utc_now
from tests.cast import Cast
from tests.client import CLAIM, RELEASE, Api, running_api
from tests.live import running_server
from tests.sockets import eventually

ACKNOWLEDGE = "mutation ($id: ID!) { acknowledgeEscalation(input: { handoffId: $id }) { handoff { id } } }"
START = """
mutation ($summary: String!) { startSession(input: { problemSummary: $summary }) { session { id } } }
"""
POLICY = "mutation { updateAccountPolicy(input: { remind: EVERYONE }) { policy { remind } } }"


@dataclass(frozen=True, slots=True)
class Record:
    """What the audit log says of a refusal, without its time."""

    account_id: UUID | None
    user_id: UUID | None
    operation: str
    outcome: str
    address: str | None = "127.0.0.1"


async def test_a_typed_refusal_is_recorded_with_who_and_what(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    await api.claim(cast.bob, handoff_id)
    before = await cast.last_event()

    await api.claim(cast.adam, handoff_id)
    await api.claim(cast.alice, str(new_id()))
    await api.release(cast.alice, handoff_id)
    await api.create(cast.alice, new_id())

    assert await recorded(api) == [
        Record(cast.account_id, cast.adam.id, "claimHandoff", "HandoffAlreadyClaimed"),
        Record(cast.account_id, cast.alice.id, "claimHandoff", "HandoffNotFound"),
        Record(cast.account_id, cast.alice.id, "releaseHandoff", "HandoffNotClaimedByYou"),
        Record(cast.account_id, cast.alice.id, "createHandoff", "SessionNotFound"),
    ]
    assert await cast.last_event() == before


async def test_an_error_is_recorded_by_its_code(api: Api) -> None:
    cast = api.cast

    await api.ask(cast.vera, CLAIM, id=str(new_id()))
    await api.ask(cast.alice, POLICY)
    await api.ask(cast.alice, ACKNOWLEDGE, id=str(new_id()))
    await api.ask(cast.charlie, START, summary="x" * 501)

    assert await recorded(api) == [
        Record(cast.account_id, cast.vera.id, "claimHandoff", "FORBIDDEN"),
        Record(cast.account_id, cast.alice.id, "updateAccountPolicy", "FORBIDDEN"),
        Record(cast.account_id, cast.alice.id, "acknowledgeEscalation", "NOT_FOUND"),
        Record(cast.other_account_id, cast.charlie.id, "startSession", "BAD_USER_INPUT"),
    ]


@pytest.mark.parametrize("who", ["nobody", "ina"])
async def test_who_is_not_signed_in_is_recorded_as_nobody(api: Api, who: str) -> None:
    user: UserRow | None = getattr(api.cast, who, None)

    answer = await api.ask(user, CLAIM, id=str(new_id()))

    assert answer.codes == ["UNAUTHENTICATED"]
    assert await recorded(api) == [Record(None, None, "claimHandoff", "UNAUTHENTICATED")]


async def test_a_stranger_who_is_turned_away_at_the_door_is_recorded_too(
    database_url: str, cast: Cast
) -> None:
    two = "mutation { releaseHandoff(input: { handoffId: 1 }) { __typename } startSession { id } }"
    async with running_api(database_url, cast, demo=False) as api:
        answers = [await api.ask(None, document) for document in (two, "{ me { name } }", "mutation {")]

        assert [answer.codes for answer in answers] == [["UNAUTHENTICATED"]] * 3
        assert await recorded(api) == [
            Record(None, None, "releaseHandoff", "UNAUTHENTICATED"),
            Record(None, None, "startSession", "UNAUTHENTICATED"),
        ]


async def test_a_stranger_cannot_fill_the_log(database_url: str, cast: Cast) -> None:
    async with running_api(database_url, cast, stranger_limit="2/hour") as api:
        for _ in range(4):
            await api.ask(None, CLAIM, id=str(new_id()))
        await api.ask(cast.vera, CLAIM, id=str(new_id()))

        assert await recorded(api) == [
            Record(None, None, "claimHandoff", "UNAUTHENTICATED"),
            Record(None, None, "claimHandoff", "UNAUTHENTICATED"),
            Record(cast.account_id, cast.vera.id, "claimHandoff", "FORBIDDEN"),
        ]


async def test_the_database_itself_keeps_what_was_recorded(api: Api, engine: str) -> None:
    await api.ask(api.cast.vera, CLAIM, id=str(new_id()))
    before = await recorded(api)
    changes = ["UPDATE audit_log SET outcome = 'none'", "DELETE FROM audit_log"]
    if engine == "sqlite":
        changes.append("INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log")

    refused = "refusals are never changed" if engine == "sqlite" else "permission denied for table audit_log"
    for change in changes:
        with pytest.raises(DBAPIError, match=refused):
            async with api.node.database.system() as tx:
                await tx.connection.execute(text(change))

    assert before == [Record(api.cast.account_id, api.cast.vera.id, "claimHandoff", "FORBIDDEN")]
    assert await recorded(api) == before


async def test_who_does_too_much_is_recorded_and_cannot_fill_the_log(database_url: str, cast: Cast) -> None:
    async with running_api(database_url, cast, mutation_limit="2/hour") as api:
        for _ in range(6):
            await api.ask(cast.alice, START, summary="x")
        await api.ask(cast.bob, START, summary="x")

        assert (
            await recorded(api)
            == [Record(cast.account_id, cast.alice.id, "startSession", "RATE_LIMITED")] * 2
        )


async def test_a_mutation_that_fails_is_recorded_too(api: Api) -> None:
    async with table_away(api.node.database, "session_messages"):
        answer = await api.ask(
            api.cast.alice,
            "mutation ($input: StartSessionInput!) { startSession(input: $input) { session { id } } }",
            input={"problemSummary": "x", "messages": [{"role": "USER", "content": "x"}]},
        )

    assert answer.codes == ["INTERNAL"]
    assert await recorded(api) == [Record(api.cast.account_id, api.cast.alice.id, "startSession", "INTERNAL")]


async def test_an_accepted_mutation_leaves_its_event_and_no_row(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    before = await cast.last_event()

    await api.escalate(cast.alice, session.id)

    event = await cast.newest_event()
    assert await cast.last_event() == before + 1
    assert (event.kind, event.actor_id) == (EventKind.HANDOFF_CREATED, cast.alice.id)
    assert await recorded(api) == []


async def test_each_refused_mutation_of_a_document_is_recorded(api: Api) -> None:
    both = "mutation ($id: ID!) { a: claimHandoff(input: { handoffId: $id }) { __typename } "
    both += "b: releaseHandoff(input: { handoffId: $id }) { __typename } }"

    await api.ask(api.cast.alice, both, id=str(new_id()))

    who = (api.cast.account_id, api.cast.alice.id)
    assert await recorded(api) == [
        Record(*who, "claimHandoff", "HandoffNotFound"),
        Record(*who, "releaseHandoff", "HandoffNotFound"),
    ]


async def test_queries_that_are_refused_leave_no_record(api: Api) -> None:
    await api.ask(None, "{ me { name } }")
    await api.ask(api.cast.vera, "{ apiKeys { totalCount } }")

    assert await recorded(api) == []


async def test_a_refusal_over_a_socket_is_recorded(database_url: str, cast: Cast) -> None:
    async with running_server(database_url, cast) as live, live.dashboard(cast.vera) as socket:
        refused = await socket.subscribe(RELEASE, id=str(new_id()))

        assert await refused.refusal() == "FORBIDDEN"
        assert await recorded(live) == [Record(cast.account_id, cast.vera.id, "releaseHandoff", "FORBIDDEN")]


async def test_refusals_outlast_a_database_that_cannot_take_them(
    cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = RefusalLog(cast.database, batch_seconds=0.001)
    await refusals.start()

    async def is_told() -> bool:
        return "refusals not recorded yet" in caplog.messages

    async def are_there() -> bool:
        return len(await rows(cast.database)) == 3

    async with table_away(cast.database, "audit_log"):
        for outcome in ("A", "B", "C"):
            refusals.note(refused(cast, outcome))
        await eventually(is_told)
    await eventually(are_there)

    await refusals.stop()
    assert [row.outcome for row in await rows(cast.database)] == ["A", "B", "C"]


async def test_what_waits_to_be_recorded_is_bounded_and_what_is_lost_is_told(
    cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = RefusalLog(cast.database, most_waiting=20)
    for number in range(60):
        refusals.note(refused(cast, str(number)))

    await refusals.start()
    await refusals.stop()

    kept = [row.outcome for row in await rows(cast.database)]
    (said,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert kept == [str(number) for number in range(40, 60)]
    assert (said.getMessage(), vars(said)["lost"]) == ("refusals lost: too many at once", 40)


def refused(cast: Cast, outcome: str) -> Refused:
    return Refused(
        account_id=cast.account_id,
        user_id=cast.alice.id,
        at=utc_now(),
        address="192.0.2.1",
        operation="claimHandoff",
        outcome=outcome,
    )


async def recorded(api: Api) -> list[Record]:
    """Have what waits written, and return all that is recorded, in the order in which it came."""
    await api.node.refusals.stop()
    found = await rows(api.node.database)
    assert all(isinstance(row.at, datetime) and row.at <= utc_now() for row in found)
    return [Record(row.account_id, row.user_id, row.operation, row.outcome, row.address) for row in found]


async def rows(database: Database) -> list[Any]:
    async with database.system_reading() as tx:
        return list(await tx.connection.execute(select(audit_log).order_by(audit_log.c.id)))


@asynccontextmanager
async def table_away(database: Database, table: str) -> AsyncIterator[None]:
    """Let the database fail wherever it needs the table, while the block runs."""
    await _run(database, f"ALTER TABLE {table} RENAME TO away")
    yield
    await _run(database, f"ALTER TABLE away RENAME TO {table}")


async def _run(database: Database, statement: str) -> None:
    async with database.owning() as tx:
        await tx.connection.execute(text(statement))
