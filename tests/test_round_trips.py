"""How often a mutation waits for PostgreSQL: numbers that must not creep."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from db import deliveries
from db.enums import HandoffIntent, Role
from db.models import users
from db.session import Database, new_id
from resolvers import handing_off, handoffs
from resolvers.errors import HandoffAlreadyClaimed
from resolvers.new_handoffs import NewHandoff
from tests.cast import Cast
from tests.client import running_api
from tests.servers.postgres_wire import Traffic, watching

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

QUEUE = """{ queue(first: 100) { edges { node {
  id notes handedOffBy { name } session { status owner { name } team { name } }
} } } }"""
#: A whole transaction.
ALONE = "SELECT * FROM pg_temp.at_once_"
#: A read that names its account.
FORESEEN = "WITH account AS MATERIALIZED (SELECT set_config('app.account_id', "
#: With the BEGIN go the account and the lock of the session.
TO_BEGIN = ["BEGIN", "SET LOCAL app.account_id", "EXECUTE hold_session"]
#: With that of a claim the claimer's lock as well.
TO_BEGIN_CLAIM = [*TO_BEGIN[:2], "EXECUTE hold_user", TO_BEGIN[2]]


@dataclass(frozen=True, slots=True)
class Desk:
    """The cast's account over a connection that is watched."""

    cast: Cast
    database: Database
    traffic: Traffic

    async def create(
        self,
        *,
        key: str | None = None,
        intent: HandoffIntent = HandoffIntent.ESCALATE,
        is_foreseen: bool = True,
    ) -> UUID:
        """Hand a new session off, with the traffic of that alone."""
        session = await self.cast.start_session()
        self.traffic.clear()
        new = NewHandoff(session_id=session.id, intent=intent, notes="MTU?", idempotency_key=key)
        now, wait, foreseen = datetime.now(UTC), timedelta(0), None
        if is_foreseen:
            foreseen = await handing_off.foresee(self.database, self.cast.alice, new, now=now)
        async with self.database.transaction(self.cast.account_id) as tx:
            made = await handing_off.create(
                tx, self.cast.alice, new, now=now, grace=wait, assessment_wait=wait, foreseen=foreseen
            )
        return made.handoff.id

    async def claim(self, handoff_id: UUID) -> None:
        """Claim as Bob, with the traffic of that alone."""
        self.traffic.clear()
        async with self.database.transaction(self.cast.account_id) as tx:
            await handoffs.claim(tx, self.cast.bob, handoff_id, now=datetime.now(UTC), is_all=True)

    def seen(self) -> tuple[int, list[str]]:
        """Return how often the server was waited for, and how each statement began."""
        return self.traffic.round_trips, [" ".join(text.split()) for text in self.traffic.statements]


@pytest.fixture
async def desk(database_url: str, cast: Cast) -> AsyncIterator[Desk]:
    """A desk whose statements have been prepared."""
    async with watching(database_url) as (url, traffic):
        desk = Desk(cast, Database(url), traffic)
        await desk.claim(await desk.create())
        await desk.create(key="known statements")
        await desk.create(intent=HandoffIntent.PARK, key="those of parking")
        await desk.create(is_foreseen=False)
        yield desk
        await desk.database.dispose()


@pytest.mark.parametrize("recipients", [10, 1000])
async def test_an_escalation_takes_two_round_trips_however_many_are_told(desk: Desk, recipients: int) -> None:
    await _add_responders(desk.cast, recipients - 3)  # beside Bob, Olivia and Adam

    handoff_id = await desk.create()

    round_trips, statements = desk.seen()
    assert round_trips == 2
    assert _match(statements, [FORESEEN, ALONE])
    assert await _count_deliveries(desk.cast, handoff_id) == recipients


async def test_a_connection_that_has_shown_another_account_costs_no_round_trip(desk: Desk) -> None:
    assert await _seen_of_other_account(desk) == [desk.cast.charlie.id]

    handoff_id = await desk.create()

    round_trips, statements = desk.seen()
    assert round_trips == 2
    assert _match(statements, [FORESEEN, ALONE])
    assert await _count_deliveries(desk.cast, handoff_id) == 3  # Bob's, Olivia's and Adam's
    assert await _seen_of_other_account(desk) == [desk.cast.charlie.id]


@pytest.mark.parametrize("recipients", [10, 1000])
async def test_an_escalation_that_was_not_foreseen_takes_four(desk: Desk, recipients: int) -> None:
    await _add_responders(desk.cast, recipients - 3)

    handoff_id = await desk.create(is_foreseen=False)

    round_trips, statements = desk.seen()
    assert round_trips == 4
    assert _match(statements, [*TO_BEGIN, "SELECT", "WITH moved AS (INSERT INTO handoffs", "COMMIT"])
    assert statements[4].count("INSERT INTO deliveries") == 1
    assert await _count_deliveries(desk.cast, handoff_id) == recipients


@pytest.mark.parametrize("intent", list(HandoffIntent))
async def test_an_idempotency_key_costs_no_round_trip(desk: Desk, intent: HandoffIntent) -> None:
    await desk.create(key="first", intent=intent)
    await desk.create(key="second", intent=intent)

    round_trips, statements = desk.seen()
    assert round_trips == 2
    assert _match(statements, [FORESEEN, ALONE])


async def test_a_claim_takes_one_round_trip(desk: Desk) -> None:
    handoff_id = await desk.create()

    await desk.claim(handoff_id)

    round_trips, statements = desk.seen()
    assert round_trips == 1
    assert _match(statements, [ALONE])


async def test_a_claim_in_a_transaction_that_does_more_takes_three_and_is_one_statement(desk: Desk) -> None:
    for handoff_id in [await desk.create() for _ in range(2)]:  # the second time the statements are prepared
        desk.traffic.clear()
        async with desk.database.transaction(desk.cast.account_id) as tx:
            await handoffs.claim(tx, desk.cast.bob, handoff_id, now=datetime.now(UTC))

    round_trips, statements = desk.seen()
    assert round_trips == 3
    assert _match(statements, [*TO_BEGIN_CLAIM, "WITH moved AS (UPDATE handoffs", "COMMIT"])


async def test_whoever_comes_too_late_learns_it_in_five_round_trips(desk: Desk) -> None:
    handoff_id = await desk.create()
    await desk.claim(handoff_id)
    for _ in range(2):  # the second time the statements are prepared
        desk.traffic.clear()
        with pytest.raises(HandoffAlreadyClaimed):
            async with desk.database.transaction(desk.cast.account_id) as tx:
                await handoffs.claim(tx, desk.cast.olivia, handoff_id, now=datetime.now(UTC), is_all=True)

    round_trips, statements = desk.seen()
    assert round_trips == 5
    assert _match(
        statements,
        [ALONE, *TO_BEGIN_CLAIM, "WITH moved AS (UPDATE handoffs", "SELECT handoffs", "ROLLBACK"],
    )


LISTS = """
query ($first: Int!) { queue(first: $first) { totalCount edges { node {
  id handedOffBy { name } claimedBy { name } sourceBranch { label parentBranch { label } }
  assessment { status } snapshot { branches { label } } timeline { summary actor { name } }
  myNotice { deliveries { channel } }
  deliveries(first: 3) { totalCount edges { node { recipient { name online } handoff { id } } } }
  session {
    account { name } team { name } owner { name } activeBranch { label } escalatedTo { name }
    branches { label parentBranch { label } }
    messages(first: 2) { totalCount edges { node { content } } }
    handoffs(first: 2) { totalCount edges { node { id timeline { kind } } } }
  }
} } } }
"""


async def test_what_touches_every_list_asks_as_often_for_many_rows_as_for_one(
    database_url: str, cast: Cast
) -> None:
    asked: dict[int, int] = {}
    async with watching(database_url) as (url, traffic), running_api(url, cast) as api:
        for _ in range(12):
            await cast.one_of_each(cast.alice)
        for first in (12, 1, 12, 1):  # the first time each the statements are prepared
            traffic.clear()
            page = (await api.ask(cast.bob, LISTS, first=first)).only()
            assert len(page["edges"]) == first
            asked[first] = sum(text.startswith("SELECT") for text in traffic.statements)

    # Batches may fall together or apart; a statement for each row of one list would be eleven more.
    assert asked[12] < asked[1] + 5


async def test_a_page_of_the_queue_asks_once_for_who_asks_and_once_for_all_that_it_shows(
    database_url: str, cast: Cast
) -> None:
    async with watching(database_url) as (url, traffic), running_api(url, cast, reused_answers=False) as api:
        for _ in range(3):
            await cast.one_of_each(cast.alice)
        for _ in range(2):  # the second time the statements are prepared
            traffic.clear()
            page = (await api.ask(cast.bob, QUEUE)).only()
        round_trips, statements = traffic.round_trips, [" ".join(text.split()) for text in traffic.statements]

    assert len(page["edges"]) == 3
    assert round_trips == 2
    assert _match(statements, ["SELECT users.id", "SELECT handoffs.id"])


def _match(statements: list[str], beginnings: list[str]) -> bool:
    return [text[: len(begin)] for text, begin in zip(statements, beginnings, strict=True)] == beginnings


async def _add_responders(cast: Cast, count: int) -> None:
    rows = [
        {
            "account_id": cast.account_id,
            "id": new_id(),
            "email": f"e{number}@northwind.example",
            "name": f"Engineer {number}",
            "role": Role.ENGINEER,
            "created_at": datetime.now(UTC),
        }
        for number in range(count)
    ]
    async with cast.database.transaction(cast.account_id) as tx:
        await tx.execute(insert(users), rows)


async def _seen_of_other_account(desk: Desk) -> list[UUID]:
    """Return whom a connection that reads shows of all, while it is the other account's."""
    async with desk.database.reading(desk.cast.other_account_id) as tx:
        return list((await tx.connection.execute(select(users.c.id))).scalars())


async def _count_deliveries(cast: Cast, handoff_id: UUID) -> int:
    async with cast.database.reading(cast.account_id) as tx:
        return (await deliveries.count_of_handoffs(tx, [handoff_id]))[handoff_id]
