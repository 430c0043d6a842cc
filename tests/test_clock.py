"""A machine whose clock is off is told of: others compare what its processes store with theirs."""

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest

from schema.context import utc_now
from server.clock import Clock
from tests.cast import Cast
from tests.client import Api
from tests.sockets import eventually
from tests.test_metrics import figures

OFF = "this machine's clock is not the database's: let NTP set both"
RIGHT = "this machine's clock is the database's again"
ON_POSTGRESQL = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


class Watch:
    """The clock of a machine, which is off by as much as a test says, and the time that passes."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self.answer_takes = timedelta(0)
        self.passed = 0.0
        self._is_asked = False

    def now(self) -> datetime:
        """Return what the machine takes for the time; each question is followed by its answer."""
        self._is_asked = not self._is_asked
        return utc_now() + self.ahead + (timedelta(0) if self._is_asked else self.answer_takes)


@pytest.fixture
def watch() -> Watch:
    """A clock that is right."""
    return Watch()


@pytest.fixture
def clock(cast: Cast, watch: Watch) -> Clock:
    """What compares it."""
    return Clock(cast.database, watch.now, clock=lambda: watch.passed)


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, Any]]:
    """Return what was logged of the clock since it was last asked."""
    records = [record for record in caplog.records if record.name == "server.clock"]
    caplog.clear()
    return [(record.getMessage(), getattr(record, "seconds_ahead", None)) for record in records]


@ON_POSTGRESQL
@pytest.mark.parametrize("ahead", [5, -5])
async def test_a_clock_that_is_off_is_told_of_once_an_hour_and_when_it_is_right(
    clock: Clock, watch: Watch, caplog: pytest.LogCaptureFixture, ahead: int
) -> None:
    caplog.set_level(logging.INFO)
    await clock.look()
    assert said(caplog) == []

    watch.ahead = timedelta(seconds=ahead)
    for passed, messages in ((0.0, [OFF]), (3599.0, []), (3600.0, [OFF])):
        watch.passed = passed
        await clock.look()
        told = said(caplog)
        assert [message for message, _ in told] == messages
        assert all(abs(seconds - ahead) < 1 for _, seconds in told)
    assert abs(clock.ahead_seconds - ahead) < 1

    watch.ahead = timedelta(0)
    await clock.look()
    assert said(caplog) == [(RIGHT, None)]


@ON_POSTGRESQL
async def test_an_answer_that_takes_long_is_no_difference(
    clock: Clock, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch.answer_takes = timedelta(seconds=8)

    await clock.look()

    assert said(caplog) == []


@ON_POSTGRESQL
async def test_a_node_compares_its_clock_from_its_start_on(
    cast: Cast, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch.ahead = timedelta(minutes=1)
    clock = Clock(cast.database, watch.now)
    await clock.start()

    async def is_told_of() -> bool:
        return any(message == OFF for message, _ in said(caplog))

    await eventually(is_told_of)
    await clock.stop()


async def test_metrics_show_how_far_the_clock_is_ahead(api: Api) -> None:
    node = api.node
    assert abs((await figures(api))["clock_ahead_seconds"]) < 1

    node.clock.ahead_seconds = -3.5
    assert (await figures(api))["clock_ahead_seconds"] == -3.5
