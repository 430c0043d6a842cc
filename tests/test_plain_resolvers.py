"""Resolvers are called as Strawberry calls them: with the same arguments, in the same order of extensions."""

from enum import Enum
from typing import Annotated, Any

import pytest
import strawberry
from graphql import GraphQLObjectType
from strawberry.extensions import FieldExtension
from strawberry.extensions.field_extension import AsyncExtensionResolver

from schema.plain_resolvers import prepare_resolvers


@strawberry.enum
class Size(Enum):
    """A size."""

    SMALL = "s"
    LARGE = "l"


@strawberry.input
class Inner:
    """Something inside."""

    sizes: list[Size]
    label: str | None = None


@strawberry.input
class Outer:
    """An input."""

    inner: Inner
    more: list[Inner] = strawberry.field(default_factory=list)


class Marking(FieldExtension):
    """Says in the answer what passed by, and refuses some of it."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    async def resolve_async(
        self,
        next_: AsyncExtensionResolver,
        source: Any,  # noqa: ANN401
        info: strawberry.Info,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Mark."""
        if kwargs.get("word") == self._mark:
            raise ValueError(f"{self._mark} refuses {sorted(kwargs)}")
        return f"{self._mark}({await next_(source, info, **kwargs)})"


class Renaming(FieldExtension):
    """Changes the arguments."""

    def map_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Take one away."""
        return {name: value for name, value in kwargs.items() if name != "size"}


MARKED: list[FieldExtension] = [Marking("a"), Marking("b")]


@strawberry.type
class Query:
    """The root."""

    @strawberry.field
    async def all(
        self,
        info: strawberry.Info,
        outer: Outer | None = None,
        sizes: list[Size] | None = None,
        size: Size = Size.LARGE,
        given: Annotated[int | None, strawberry.argument(name="from")] = 5,
    ) -> str:
        """Show everything."""
        return f"{info.field_name} {info.context} {outer} {sizes} {size} {given}"

    @strawberry.field
    def at_once(self, some_words: list[str], maybe: strawberry.Maybe[int | None] = None) -> str:
        """Show without waiting."""
        some_words.append("changed")
        return f"{some_words} {maybe}"

    @strawberry.field(extensions=MARKED)  # type: ignore[untyped-decorator]  # with extensions
    async def marked(self, info: strawberry.Info, word: str = "c") -> str | None:
        """Show what was marked."""
        return f"{info.path.key} {word}"

    @strawberry.field(extensions=[Marking("later")])  # type: ignore[untyped-decorator]  # with extensions
    def marked_at_once(self, word: str | None) -> str:
        """Show what was marked, without waiting."""
        return f"{word}"

    @strawberry.field(extensions=[Renaming()])  # type: ignore[untyped-decorator]  # with extensions
    async def renamed(self, size: Size = Size.SMALL) -> str:
        """Show what is left."""
        return str(size)

    @strawberry.field
    def parent(parent: strawberry.Parent[Any], info: strawberry.Info) -> str:  # noqa: N805
        """Show what it belongs to."""
        return f"{parent} {info.field_name}"

    @strawberry.field
    def about(self, about: strawberry.Info, word: str = "") -> str:
        """Show what is known under another name."""
        return f"{about.field_name} {word}"


PLAIN = strawberry.Schema(Query)
PREPARED = strawberry.Schema(Query)
prepare_resolvers(PREPARED)


@pytest.mark.parametrize(
    "document",
    [
        "{ all }",
        "{ all(outer: null, sizes: null, size: SMALL, from: null) }",
        '{ all(outer: { inner: { sizes: [SMALL, LARGE], label: "x" }, more: [{ sizes: [] }] }) }',
        "{ all(sizes: LARGE) again: all(sizes: []) }",
        "query ($o: Outer = { inner: { sizes: SMALL } }, $n: Int) { all(outer: $o, from: $n) }",
        '{ atOnce(someWords: ["a"]) no: atOnce(someWords: [], maybe: null) b: atOnce(someWords: "b") }',
        '{ marked a: marked(word: "a") b: marked(word: "b") markedAtOnce(word: null) }',
        '{ markedAtOnce(word: "later") marked }',
        '{ renamed(size: LARGE) parent about(word: "known") }',
    ],
)
async def test_a_resolver_is_given_what_strawberry_gives_it(document: str) -> None:
    expected = await PLAIN.execute(document, root_value="root", context_value="context")

    found = await PREPARED.execute(document, root_value="root", context_value="context")

    assert found.data == expected.data
    assert [str(error) for error in found.errors or ()] == [str(error) for error in expected.errors or ()]


def test_only_what_is_called_in_the_usual_way_is_called_so() -> None:
    kind = PREPARED._schema.get_type("Query")
    assert isinstance(kind, GraphQLObjectType)

    callers = {name: field.resolve.__module__ for name, field in kind.fields.items() if field.resolve}

    here = prepare_resolvers.__module__
    assert {name for name, module in callers.items() if module == here} == {"all", "marked", "markedAtOnce"}
