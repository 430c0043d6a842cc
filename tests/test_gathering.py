"""Whatever fails or is cancelled while others are awaited: no coroutine is left that nobody awaits."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import strawberry

from tests.test_completion import Compiled

#: The depth of the documents below, and more: whoever fails later fails alone.
TURNS = range(9)


@strawberry.type
class Branch:
    """Has values that come at once, and values that come later, at any depth."""

    label: str = "branch"

    @strawberry.field
    def near(self) -> "Branch":
        """Go on at once."""
        return Branch()

    @strawberry.field
    async def far(self) -> "Branch":
        """Go on later."""
        return Branch()

    @strawberry.field
    async def twigs(self) -> list["Branch"]:
        """Go on twice."""
        return [Branch(), Branch()]

    @strawberry.field
    async def one(self) -> int:
        """Answer without waiting."""
        return 1

    @strawberry.field
    async def two(self) -> int:
        """Answer later."""
        await asyncio.sleep(0)
        return 2


@strawberry.type
class Query:
    """The root."""

    @strawberry.field
    async def failing(self, turns: int) -> int:
        """Fail where no null may stand, after some turns of the loop."""
        await turn(turns)
        raise ValueError(f"failed after {turns}")

    @strawberry.field
    async def branch(self) -> Branch | None:
        """Show the first."""
        return Branch()


SCHEMA = strawberry.Schema(Query, execution_context_class=Compiled)
SELECTIONS = [
    "{ label one two }",
    "{ one two }",
    "{ label far { label one two } two }",
    "{ far { near { far { one two } two } two } one }",
    "{ label twigs { label one two } two }",
    "{ twigs { one near { label one two } } two }",
    "{ near { label near { label one two } two } two }",
]


@pytest.fixture(autouse=True, scope="module")
def little_to_collect() -> None:
    """Leave all that other tests left out of the collections of these, of which there are many."""
    gc.collect()
    gc.freeze()


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Check that no coroutine of what is done meanwhile was never awaited."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


async def turn(turns: int) -> None:
    """Let the loop turn."""
    for _ in range(turns):
        await asyncio.sleep(0)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("turns", TURNS)
async def test_a_field_that_fails_leaves_no_coroutine_of_the_others(selection: str, turns: int) -> None:
    document = f"{{ failing(turns: {turns}) branch {selection} }}"

    async with nothing_left():
        result = await SCHEMA.execute(document)

    assert result.data is None
    assert [error.message for error in result.errors or ()] == [f"failed after {turns}"]


async def test_of_those_that_fail_the_first_is_told() -> None:
    async with nothing_left():
        result = await SCHEMA.execute("{ a: failing(turns: 5) b: failing(turns: 2) c: failing(turns: 3) }")

    assert result.data is None
    assert [(error.path, error.message) for error in result.errors or ()] == [(["b"], "failed after 2")]


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("turns", TURNS)
async def test_a_request_that_is_cancelled_leaves_no_coroutine(selection: str, turns: int) -> None:
    async with nothing_left():
        request = asyncio.create_task(SCHEMA.execute(f"{{ a: branch {selection} b: branch {selection} }}"))
        await turn(turns)
        was_over = request.done()
        request.cancel()
        (end,) = await asyncio.gather(request, return_exceptions=True)

    assert isinstance(end, asyncio.CancelledError) != was_over
    assert asyncio.all_tasks() == {asyncio.current_task()}
