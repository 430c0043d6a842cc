"""Executes a document that was read before, and does nothing else.

Around every operation Strawberry makes extensions, runs their hooks, looks for the operation and its kind,
and makes a manager of middleware. For a document that was read, measured and validated before, none of that
has an effect. So it goes to the executor at once, and its errors through the same `PublicErrors`. Whatever
is wrong with a document takes Strawberry's way, which says so.
"""

from collections.abc import Collection, Iterable
from typing import Any, cast

import strawberry
from graphql import GraphQLError, get_operation_ast
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from schema.context import Context
from schema.documents import Document, read
from schema.errors import PublicErrors
from schema.streams import SharingExecutor

_PUBLIC = PublicErrors()


class PlannedSchema(strawberry.Schema):
    """Strawberry's schema, which executes documents without fault at once where the process wants it."""

    #: The only documents that are answered; None: any.
    allowed: Collection[str] | None = None

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,  # noqa: ANN401
        root_value: Any | None = None,  # noqa: ANN401
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Execute an operation."""
        executor = None
        if isinstance(context_value, Context) and context_value.services.has_plans:
            kinds = frozenset(allowed_operation_types or OperationType)
            executor = self.plan(
                query, variable_values, context_value, operation_name, kinds, operation_extensions, root_value
            )
        if executor is not None:
            return await run(executor)
        return await super().execute(
            query,
            variable_values,
            context_value,
            root_value,
            operation_name,
            allowed_operation_types,
            operation_extensions,
        )

    def plan(
        self,
        query: str | None,
        variables: dict[str, Any] | None,
        context: Context,
        operation_name: str | None,
        kinds: Collection[OperationType],
        extensions: dict[str, Any] | None,
        root_value: object = None,
    ) -> SharingExecutor | None:
        """Return what executes an operation of one of the kinds; None where anything is wrong with it."""
        document = self._find(query, variables, operation_name, kinds)
        if document is None:
            return None
        executor = SharingExecutor.build(
            self._schema,
            document.node,
            root_value,
            context,
            variables,
            operation_name,
            is_awaitable=cast("Any", optimized_is_awaitable),
            operation_extensions=extensions,
        )
        return executor if isinstance(executor, SharingExecutor) else None

    def _find(
        self,
        query: str | None,
        variables: dict[str, Any] | None,
        operation_name: str | None,
        kinds: Collection[OperationType],
    ) -> Document | None:
        """Return a document without fault whose operation is of one of the kinds; None for any other."""
        if not query or (self.allowed is not None and query not in self.allowed):
            return None
        try:
            document = read(self._schema, query)
        except (GraphQLError, RecursionError):
            return None
        operation = get_operation_ast(document.node, operation_name)
        is_wanted = operation is not None and OperationType(operation.operation.value) in kinds
        return None if not is_wanted or document.errors_for(self._schema, variables) else document


async def run(executor: SharingExecutor) -> ExecutionResult:
    """Execute an operation; its errors say what a client may know."""
    try:
        result = executor.execute_operation()
        if executor.is_awaitable(result):
            result = await result
    except Exception as error:  # noqa: BLE001 (as Strawberry does: the client learns no more than of others)
        result = ExecutionResult(None, [GraphQLError(str(error), original_error=error)])
    errors = result.errors and [_PUBLIC.anonymise_error(error) for error in result.errors]
    return ExecutionResult(result.data, errors)
