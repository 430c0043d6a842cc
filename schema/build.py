"""The executable schema, and the schema as text."""

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, cast

from graphql import GraphQLError
from strawberry.extensions.context import OperationContextManager
from strawberry.extensions.runner import SchemaExtensionsRunner
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StreamResult
from strawberry.types import ExecutionContext

import schema.enums  # noqa: F401 (describes the enums before the types use them)
from schema.documents import Documents
from schema.errors import PublicErrors
from schema.mutations import Mutation
from schema.plain_inputs import prepare_inputs
from schema.plain_resolvers import prepare_resolvers
from schema.plans import PlannedSchema
from schema.queries import Query
from schema.scalars import DateTime, Duration
from schema.streams import SharingExecutor
from schema.subscriptions import Subscription

_NOTHING = nullcontext()


class _StreamRunner(SchemaExtensionsRunner):
    """The extensions' hooks of a stream, without those around the whole of it.

    Of a stream `PublicErrors` looks at each result by itself, and nobody else has such a hook. Strawberry
    holds 3 KB for them as long as a subscription lasts.
    """

    def operation(self) -> OperationContextManager:
        """Do nothing before or after."""
        return cast("OperationContextManager", _NOTHING)


class _Schema(PlannedSchema):
    """Strawberry's schema, without its log line and traceback for each mistake of a client."""

    def _stream(
        self,
        execution_context: ExecutionContext,
        extensions_runner: SchemaExtensionsRunner,
        *args: Any,  # noqa: ANN401 (Strawberry's own)
        **kwargs: Any,  # noqa: ANN401
    ) -> StreamResult:
        """Run an operation whose results are sent one by one."""
        slim = _StreamRunner(execution_context, extensions_runner.extensions)
        return super()._stream(execution_context, slim, *args, **kwargs)

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Log nothing here: `PublicErrors` logs what is the server's fault."""


def build_schema(allowed: Mapping[str, str] | None = None) -> PlannedSchema:
    """Make the schema. `allowed`: the only documents that it answers, by hash; None for any.

    The one that answers any holds nothing of a node: it is made once for all nodes of the process.
    """
    return _open_schema() if allowed is None else _make_schema(allowed)


@cache
def _open_schema() -> PlannedSchema:
    return _make_schema(None)


def _make_schema(allowed: Mapping[str, str] | None) -> PlannedSchema:
    schema = _Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=[PublicErrors, partial(Documents, allowed)],
        execution_context_class=SharingExecutor,
        config=StrawberryConfig(scalar_map={timedelta: Duration, datetime: DateTime}),
    )
    prepare_inputs(schema._schema)
    prepare_resolvers(schema)
    schema.allowed = None if allowed is None else frozenset(allowed.values())
    return schema


def print_schema() -> str:
    """Return the schema definition as it stands in schema.graphql."""
    return build_schema().as_str() + "\n"
