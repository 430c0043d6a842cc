"""Where all can be read and nothing stored, whoever has to store something asks seldom, and not at once."""

import asyncio

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from notify import outage
from notify.outage import FeedStopped, Outage
from tests.full_disk import full_disk

SECONDS = 0.1  #: at least, between two attempts; up to twice as many
FULL = DBAPIError("INSERT", None, asyncpg.DiskFullError("No space left on device"))
READ_ONLY = DBAPIError("INSERT", None, asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"))
FAULTS = pytest.mark.parametrize("fault", [full_disk(), FULL, READ_ONLY], ids=["sqlite", "full", "read-only"])


class Storing:
    """Somebody who has to store something, and succeeds at the third attempt."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault
        self.tried_at: list[float] = []

    async def store(self) -> str:
        """Try."""
        self.tried_at.append(asyncio.get_running_loop().time())
        if len(self.tried_at) < 3:
            raise self._fault
        return "stored"

    @property
    def waits(self) -> list[float]:
        """How many seconds lay between the attempts."""
        return [later - sooner for sooner, later in zip(self.tried_at, self.tried_at[1:], strict=False)]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it take no longer than a test may."""
    monkeypatch.setattr(outage, "_FULL_SECONDS", SECONDS)


@FAULTS
async def test_who_has_to_store_something_asks_again_after_a_while(fault: Exception) -> None:
    waiting, storing = Outage(), Storing(fault)

    assert await waiting.outlast(storing.store) == "stored"

    assert len(storing.waits) == 2
    assert min(storing.waits) >= SECONDS
    assert not waiting.is_on


async def test_those_who_wait_do_not_all_ask_at_once() -> None:
    waiting, many = Outage(), [Storing(FULL) for _ in range(50)]

    await asyncio.gather(*(waiting.outlast(storing.store) for storing in many))

    second = sorted(storing.tried_at[1] for storing in many)
    assert second[-1] - second[0] > SECONDS / 2


async def test_who_waits_for_room_when_the_node_stops_stores_nothing_any_more() -> None:
    waiting, storing = Outage(), Storing(FULL)
    asking = asyncio.create_task(waiting.outlast(storing.store))
    await asyncio.sleep(0)

    waiting.stop()

    with pytest.raises(FeedStopped):
        await asking
    assert len(storing.tried_at) == 1
