"""Moving windows in memory: what is counted, when it is forgotten, and what is held."""

import pytest
from limits import parse

from server.windows import MemoryWindows

THREE = parse("3/10second")


class Clock:
    """Seconds, as the test sets them."""

    now = 0.0

    def __call__(self) -> float:
        """Return them."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the windows."""
    return Clock()


async def test_the_window_moves(clock: Clock) -> None:
    windows = MemoryWindows(clock)
    allowed = []
    for at in (0, 4, 8, 9, 10, 11, 14, 20):
        clock.now = at
        allowed.append(await windows.hit(THREE, "mutation", "alice"))

    assert allowed == [None, None, None, 1, None, 3, None, None]


async def test_each_limit_action_and_key_is_counted_by_itself(clock: Clock) -> None:
    windows = MemoryWindows(clock)
    one = parse("1/10second")

    counted = [("mutation", "alice"), ("mutation", "bob"), ("connect", "alice"), ("mutation", "alice")]
    waits = [await windows.hit(one, action, key) for action, key in counted]
    of_another = await windows.hit(parse("1/20second"), "mutation", "alice")

    assert waits == [None, None, None, 10]
    assert of_another is None


async def test_what_is_refused_is_not_counted(clock: Clock) -> None:
    windows = MemoryWindows(clock)
    one = parse("1/10second")
    await windows.hit(one, "mutation", "alice")

    refused = []
    for at in (5, 9):
        clock.now = at
        refused.append(await windows.hit(one, "mutation", "alice"))
    clock.now = 10

    assert refused == [5, 1]
    assert await windows.hit(one, "mutation", "alice") is None


async def test_keys_that_are_not_counted_any_more_are_dropped(clock: Clock) -> None:
    windows = MemoryWindows(clock)
    for number in range(1000):
        await windows.hit(THREE, "mutation", f"stranger {number}")
    held = len(windows)

    clock.now = 60
    for _ in range(600):
        clock.now += 5
        await windows.hit(THREE, "mutation", "alice")

    assert (held, len(windows)) == (1000, 1)
