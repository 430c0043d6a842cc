"""Values of statements that were built once: the driver gets what SQLAlchemy would have made of them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Select, Uuid, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from db.enums import Channel, HandoffPriority
from db.prepared import run, value
from db.session import new_id
from db.types import Document, Named, Ranked, UtcDateTime
from tests.cast import Cast

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TOKYO = NOON.astimezone(timezone(timedelta(hours=9)))
IDS = [new_id(), new_id()]


def asking(kind: TypeEngine[Any]) -> Select[Any]:
    """Return a statement that returns what it is given."""
    return select(value("given", kind))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Named(Channel), Channel.EMAIL),
        (Ranked(HandoffPriority), HandoffPriority.HIGH),
        (UtcDateTime(), NOON),
        (UtcDateTime(), TOKYO),
        (Uuid(), IDS[0]),
        (Document, {"a": [1, None, "ü"]}),
    ],
    ids=["word", "rank", "instant", "instant elsewhere", "id", "document"],
)
async def test_a_value_comes_back_as_it_was_given(cast: Cast, kind: TypeEngine[Any], given: object) -> None:
    statement = asking(kind)

    async with cast.database.transaction(cast.account_id) as tx:
        found = [await run(tx, statement, {"given": each}) for each in (given, None)]

    assert [[tuple(row) for row in rows] for rows in found] == [[(given,)], [(None,)]]


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (ARRAY(Named(Channel)), [Channel.EMAIL, None, Channel.PUSH]),
        (ARRAY(UtcDateTime()), [NOON, None, TOKYO]),
        (ARRAY(Uuid()), IDS),
    ],
    ids=["words", "instants", "ids"],
)
async def test_values_in_an_array_come_back_as_they_were_given(
    cast: Cast, kind: TypeEngine[Any], given: list[object]
) -> None:
    async with cast.database.transaction(cast.account_id) as tx:
        ((found,),) = await run(tx, asking(kind), {"given": given})

    assert list(found) == given


async def test_an_instant_without_a_time_zone_is_refused(cast: Cast) -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        await store(cast, UtcDateTime(), NOON.replace(tzinfo=None))


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_among_many_instants_one_without_a_time_zone_is_refused(cast: Cast) -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        await store(cast, ARRAY(UtcDateTime()), [NOON, NOON.replace(tzinfo=None)])


async def store(cast: Cast, kind: TypeEngine[Any], given: object) -> None:
    """Give a statement a value."""
    async with cast.database.transaction(cast.account_id) as tx:
        await run(tx, asking(kind), {"given": given})
