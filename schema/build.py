"""The executable schema, and the schema as text."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import strawberry
from graphql import GraphQLError
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

import schema.enums  # noqa: F401 (describes the enums before the types use them)
from schema.errors import PublicErrors
from schema.mutations import Mutation
from schema.queries import Query
from schema.scalars import Duration
from schema.subscriptions import Subscription


class _ParserCache(ParserCache):
    """The parser's cache. What cannot be parsed is left to Strawberry, which parses it again.

    Raised from here, the error would reach the client past `PublicErrors`, without a code (0.341.2).
    """

    def on_parse(self) -> Iterator[None]:
        """Set the document where it can be parsed."""
        with suppress(GraphQLError, RecursionError):
            next(super().on_parse())
        yield


class _Schema(strawberry.Schema):
    """Strawberry's schema, without its log line and traceback for each mistake of a client."""

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Log nothing here: `PublicErrors` logs what is the server's fault."""


def build_schema() -> strawberry.Schema:
    """Make the schema."""
    return _Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=[PublicErrors, _ParserCache, ValidationCache],
        config=StrawberryConfig(disable_field_suggestions=True, scalar_map={timedelta: Duration}),
    )


def print_schema() -> str:
    """Return the schema definition as it stands in schema.graphql."""
    return build_schema().as_str() + "\n"
