"""The executable schema, and the schema as text."""

import strawberry
from graphql import GraphQLError
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

import schema.enums  # noqa: F401 (describes the enums before the types use them)
from schema.errors import PublicErrors
from schema.mutations import Mutation
from schema.queries import Query
from schema.subscriptions import Subscription


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
        extensions=[PublicErrors, ParserCache, ValidationCache],
        config=StrawberryConfig(disable_field_suggestions=True),
    )


def print_schema() -> str:
    """Return the schema definition as it stands in schema.graphql."""
    return build_schema().as_str() + "\n"
