"""What compiled functions cannot complete is completed, and refused, as graphql-core does it."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
import strawberry
from strawberry.scalars import JSON

from schema.completions import KNOWN_AS, Completions
from schema.execution import CompletingExecutor
from tests.live import Live
from tests.sockets import QUEUE_CHANGES, eventually
from tests.test_shared_streams import shared

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@strawberry.enum
class Size(Enum):
    """A size."""

    SMALL = "s"
    LARGE = "l"


@strawberry.type
class Inner:
    """Something inside."""

    label: str
    order: int | None = None


@strawberry.type
class Thing:
    """Something with a field of each kind."""

    id: strawberry.ID = strawberry.ID("1")
    name: str | None = "thing"
    count: int = 1
    fine: bool = True
    size: Size = Size.SMALL
    at: datetime = NOON
    free: JSON | None = None
    inner: Inner | None = None
    many: list[Inner] = strawberry.field(default_factory=list)
    known: strawberry.Private[Inner | None] = None

    @strawberry.field(metadata={KNOWN_AS: "known"})  # type: ignore[untyped-decorator]  # with metadata
    async def near(self) -> Inner:
        """Show what is known, else what is read."""
        return Inner(label="read") if self.known is None else self.known

    @strawberry.field
    async def slow(self) -> str:
        """Answer later."""
        await asyncio.sleep(0)
        return f"slow {self.id}"

    @strawberry.field
    async def broken(self) -> str | None:
        """Fail."""
        raise ValueError(f"broken {self.id}")

    @strawberry.field
    def refused(self) -> str:
        """Fail where no null may stand."""
        raise ValueError("refused")


@dataclass
class Alike:
    """Has what a thing has, and is none."""

    id: str = "2"
    name: str = "alike"
    count: int = 2


class Text(str):
    """A str, but not exactly."""

    __slots__ = ()


@strawberry.type
class Query:
    """The root."""

    @strawberry.field
    def things(self, info: strawberry.Info) -> list[Thing | None]:
        """Show what the test gives."""
        given: list[Thing | None] = info.context["things"]
        return given

    @strawberry.field
    def thing(self, info: strawberry.Info) -> Thing | None:
        """Show the first."""
        given: Thing | None = info.context["things"][0]
        return given


class Compiled(CompletingExecutor):
    """Always compiles."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._completions = Completions()


PLAIN = strawberry.Schema(Query)
COMPILED = strawberry.Schema(Query, execution_context_class=Compiled)
EVERYTHING = "id name count fine size at free inner { label order } many { __typename label }"


@pytest.mark.parametrize(
    "make",
    [
        lambda: [
            Thing(),
            Thing(name=None, size=Size.LARGE, inner=Inner(label="a"), many=[Inner(label="b", order=2)]),
        ],
        list,
        lambda: [None, Thing()],
        lambda: [Thing(count=2**31)],
        lambda: [Thing(count=None)],  # type: ignore[arg-type]
        lambda: [Thing(count=True), Thing(count=2.0)],  # type: ignore[arg-type]
        lambda: [Thing(name=Text("almost")), Thing(name=5)],  # type: ignore[arg-type]
        lambda: [Thing(fine=1)],  # type: ignore[arg-type]
        lambda: [Thing(size="s"), Thing(size="x")],  # type: ignore[arg-type]
        lambda: [Thing(at="noon")],  # type: ignore[arg-type]
        lambda: [Thing(free={"a": [1]})],  # type: ignore[arg-type]
        lambda: [Thing(inner=Alike())],  # type: ignore[arg-type]
        lambda: [Thing(many=(Inner(label="in a tuple"),))],  # type: ignore[arg-type]
        lambda: [Thing(many=None)],  # type: ignore[arg-type]
        lambda: [Thing(many=[Inner(label="a"), None])],  # type: ignore[list-item]
        lambda: [Thing(inner=Inner(label=None))],  # type: ignore[arg-type]
        lambda: [Alike()],
        lambda: [Thing(known=Inner(label="known")), Thing(), Thing(known=Inner(label="known", order=2))],
        lambda: [Thing(known=Alike()), Thing(known=Inner(label=None))],  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize(
    "document",
    [
        f"{{ things {{ {EVERYTHING} }} }}",
        f"{{ things {{ {EVERYTHING} slow }} thing {{ a: name b: name slow }} }}",
        "{ things { id broken name slow } }",
        "{ things { id near { __typename label order } } thing { near { label } name } }",
        "{ thing { near { label } broken } }",
        "{ things { slow refused id } thing { id } }",
        """{ things { ...F } thing { inner { ...G } count } }
        fragment F on Thing { id many { ...G order } } fragment G on Inner { label }""",
        """query ($no: Boolean = false) {
        things { id name @include(if: $no) inner { label @skip(if: $no) } } }""",
    ],
)
async def test_every_value_is_completed_or_refused_as_by_graphql_core(
    make: Callable[[], list[Any]], document: str
) -> None:
    expected = await PLAIN.execute(document, context_value={"things": make()})

    found = await COMPILED.execute(document, context_value={"things": make()})

    assert found.data == expected.data
    assert [error.formatted for error in found.errors or ()] == [
        error.formatted for error in expected.errors or ()
    ]


async def test_an_executor_is_gone_when_it_has_executed() -> None:
    made: list[weakref.ref[Compiled]] = []

    class Watched(Compiled):
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            super().__init__(*args, **kwargs)
            made.append(weakref.ref(self))

    schema = strawberry.Schema(Query, execution_context_class=Watched)
    gc.disable()  # it would find what holds itself
    try:
        result = await schema.execute("{ things { id slow } }", context_value={"things": [Thing()]})
        left = [ref() for ref in made]
    finally:
        gc.enable()

    assert result.data == {"things": [{"id": "1", "slow": "slow 1"}]}
    assert left == [None]


async def test_a_long_subscription_keeps_nothing_of_the_events_before(live: Live) -> None:
    async with live.dashboard(live.cast.vera) as socket:
        stream = await socket.subscribe(QUEUE_CHANGES)
        for _ in range(3):
            await live.escalate_new()
            await stream.next_event()
        (fanout,) = shared(live).fanouts.values()

        await eventually(lambda: is_empty(fanout._executor))


async def is_empty(executor: Any) -> bool:  # noqa: ANN401
    return not executor._relevant_sub_fields and not executor._found
