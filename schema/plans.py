"""Executes a document that was read before, and does nothing else.

Around every operation Strawberry makes extensions, runs their hooks, looks for the operation and its kind,
and makes a manager of middleware. For a document that was read, measured and validated before, none of that
has an effect. So it goes to the executor at once, and its errors through the same `public_error`. Whatever
is wrong with a document takes Strawberry's way, which says so.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLError, get_operation_ast
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from schema.context import Context
from schema.documents import read
from schema.errors import public_error
from schema.operations import Operation, Root, read_operation
from schema.remembered import Remembered
from schema.streams import SharingExecutor

_OPERATIONS: Remembered[Operation] = Remembered(512)


@dataclass(frozen=True, slots=True)
class Plan:
    """An operation that is about to be executed."""

    executor: SharingExecutor
    root: Root | None  #: what it asks for where that is one field


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
        plan = None
        if isinstance(context_value, Context) and context_value.services.has_plans:
            kinds = frozenset(allowed_operation_types or OperationType)
            plan = self.plan(
                query, variable_values, context_value, operation_name, kinds, operation_extensions, root_value
            )
        if plan is not None:
            return await run(plan)
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
    ) -> Plan | None:
        """Return what executes an operation of one of the kinds; None where anything is wrong with it."""
        operation = self._find(query, variables, operation_name, kinds)
        if operation is None:
            return None
        executor = operation.executor(context, root_value, variables, extensions)
        return None if executor is None else Plan(executor, operation.root)

    def _find(
        self,
        query: str | None,
        variables: dict[str, Any] | None,
        operation_name: str | None,
        kinds: Collection[OperationType],
    ) -> Operation | None:
        """Return an operation of one of the kinds of a document without fault; None for any other."""
        if not query or (self.allowed is not None and query not in self.allowed):
            return None
        try:
            document = read(self._schema, query)
        except (GraphQLError, RecursionError):
            return None
        node = get_operation_ast(document.node, operation_name)
        if node is None or OperationType(node.operation.value) not in kinds:
            return None
        if document.errors_for(self._schema, variables):
            return None
        key = (id(self._schema), id(node))  # documents are parsed once for all schemas
        return _OPERATIONS.find(key, [node], lambda: read_operation(self._schema, document.node, node))


async def run(plan: Plan) -> ExecutionResult:
    """Execute an operation; its errors say what a client may know."""
    executor = plan.executor
    try:
        if plan.root is None:
            result = executor.execute_operation()
            result = await result if executor.is_awaitable(result) else result
        else:
            result = await plan.root.execute(executor)
    except Exception as error:  # noqa: BLE001 (as Strawberry does: the client learns no more than of others)
        result = ExecutionResult(None, [GraphQLError(str(error), original_error=error)])
    errors = result.errors and [public_error(error, executor.operation) for error in result.errors]
    return ExecutionResult(result.data, errors)
