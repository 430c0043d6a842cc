"""Whoever asks while a read is under way gets the next one, together with all who wait."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from server.next_run import NextRun
from tests.sockets import eventually


class Reader:
    """Reads when it is let, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.may_answer = asyncio.Semaphore(0)
        self.fault: Exception | None = None

    async def read(self, keys: Collection[str]) -> Mapping[str, int]:
        """Answer each key with the number of the read; one has no value."""
        self.asked.append(set(keys))
        await self.may_answer.acquire()
        if self.fault is not None:
            raise self.fault
        return {key: len(self.asked) for key in keys if key != "nothing"}


async def test_those_who_come_during_a_read_wait_for_the_next_and_share_it() -> None:
    reader = Reader()
    run = NextRun(reader.read)
    first = asyncio.create_task(run.load("a"))
    await until_asked(reader, 1)
    later = [asyncio.create_task(run.load(key)) for key in ("a", "b", "a", "nothing")]
    await asyncio.sleep(0)

    reader.may_answer.release()
    reader.may_answer.release()

    assert await first == 1
    assert await asyncio.gather(*later) == [2, 2, 2, None]
    assert reader.asked == [{"a"}, {"a", "b", "nothing"}]


async def test_whoever_leaves_takes_nobody_with_them() -> None:
    reader = Reader()
    run = NextRun(reader.read)
    leaving, staying = [asyncio.create_task(run.load("a")) for _ in range(2)]
    await until_asked(reader, 1)

    leaving.cancel()
    reader.may_answer.release()

    assert await staying == 1


async def test_a_fault_is_that_of_all_who_asked_and_of_none_after() -> None:
    reader = Reader()
    run = NextRun(reader.read)
    reader.fault = LookupError("away")
    asking = [asyncio.create_task(run.load(key)) for key in "ab"]
    reader.may_answer.release()
    for task in asking:
        with pytest.raises(LookupError):
            await task
    reader.fault = None
    reader.may_answer.release()

    assert await run.load("a") == 2


async def until_asked(reader: Reader, times: int) -> None:
    async def is_asked() -> bool:
        return len(reader.asked) >= times

    await eventually(is_asked)
