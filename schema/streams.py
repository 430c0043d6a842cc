"""One execution of an event for all equal subscriptions of an account on this node.

Two thousand dashboards ask the same document. What it selects from an event is the same for all of them, so
the first one's execution is everybody's, done in a context of the account that knows no viewer. Who may see
the event was decided before, for each subscriber by itself.

A field that asks who is looking raises `ViewerNeeded` in that context; its document is then executed for each
subscriber with their own. So nothing has to be marked, and nothing can be forgotten.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from graphql import (
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    VariableNode,
)

from resolvers.identity import Caller
from schema.context import Context, Services
from schema.execution import CompletingExecutor

#: How long a result is handed on. A slower subscriber executes the event again, and sees what is so by then.
_SECONDS = 2.0
_MOST_RESULTS = 256
_MOST_OPERATIONS = 512


class ViewerNeeded(Exception):  # noqa: N818 (no error: it says how to execute)
    """What was selected depends on who is looking."""


class AccountContext(Context):
    """A context of an account, in which nobody asks."""

    def __init__(self, services: Services, account_id: UUID) -> None:
        super().__init__(services, token=None, is_socket=False)
        self._account_id = account_id

    @property
    def account_id(self) -> UUID:
        """The account."""
        return self._account_id

    async def look_again(self) -> Caller:
        """Refuse.

        Raises:
            ViewerNeeded: always.
        """
        raise ViewerNeeded


@dataclass(slots=True)
class _Operation:
    """What is known of an operation that is subscribed to."""

    node: OperationDefinitionNode  #: held, so that its id is nobody else's
    variables: tuple[str, ...]  #: those on which the answer depends
    needs_viewer: bool = False


@dataclass(slots=True)
class _Result:
    """A result that is being made, or was made a moment ago."""

    operation: _Operation
    task: "asyncio.Task[ExecutionResult]"
    until: float


@dataclass(slots=True)
class Streams:
    """The events that are executed on this node, each once for equal subscriptions."""

    _operations: OrderedDict[int, _Operation] = field(default_factory=OrderedDict)
    _results: OrderedDict[object, _Result] = field(default_factory=OrderedDict)

    def operation(self, executor: "SharingExecutor") -> _Operation:
        """Return what is known of the executor's operation."""
        node = executor.operation
        known = self._operations.get(id(node))
        if known is None:
            known = _Operation(node, _variables_in(node, executor.fragment_definitions))
            self._operations[id(node)] = known
            if len(self._operations) > _MOST_OPERATIONS:
                self._operations.popitem(last=False)
        return known

    async def once(
        self,
        key: object,
        operation: _Operation,
        execute: Callable[[], Coroutine[Any, Any, ExecutionResult]],
    ) -> ExecutionResult:
        """Return the result of equal executions, of which the first is run."""
        now = asyncio.get_running_loop().time()
        found = self._results.get(key)
        if found is None or found.until < now:
            # A task of its own: the subscriber that came first may leave, and the others still wait.
            found = _Result(operation, asyncio.create_task(execute()), now + _SECONDS)
            self._results[key] = found
            self._results.move_to_end(key)
            self._drop(now)
        return await asyncio.shield(found.task)

    def _drop(self, now: float) -> None:
        while self._results:
            oldest = next(iter(self._results.values()))
            if oldest.until >= now and len(self._results) <= _MOST_RESULTS:
                return
            self._results.popitem(last=False)


class SharingExecutor(CompletingExecutor):
    """Executes the events of subscriptions once, where the process has `Streams`; all else as ever."""

    def execute_operation(self, serially: bool | None = None) -> Any:  # noqa: ANN401 (graphql-core's own)
        """Execute, or wait for whoever executes the same."""
        context = self.context_value
        cursor = getattr(self.root_value, "cursor", None)
        if cursor is None or not isinstance(context, Context) or context.services.streams is None:
            return super().execute_operation(serially)
        return self._share(context, context.services.streams, cursor)

    async def _share(self, context: Context, streams: Streams, cursor: str) -> ExecutionResult:
        operation = streams.operation(self)
        if not operation.needs_viewer:
            given = self.variable_values.coerced
            variables = tuple(repr(given.get(name)) for name in operation.variables)
            key = (context.account_id, id(operation.node), variables, cursor, self.root_value.missed_before)
            shared = cast("SharingExecutor", self.build_per_event_executor(self.root_value))
            shared.context_value = AccountContext(context.services, context.account_id)
            result = await streams.once(key, operation, shared._alone)
            if not any(_needs_viewer(error) for error in result.errors or ()):
                return ExecutionResult(result.data, None if result.errors is None else list(result.errors))
            operation.needs_viewer = True
        return await self._alone()

    async def _alone(self) -> ExecutionResult:
        result = super().execute_operation(False)
        return cast("ExecutionResult", await result if self.is_awaitable(result) else result)


def _needs_viewer(error: BaseException | None) -> bool:
    while isinstance(error, GraphQLError):
        error = error.original_error
    return isinstance(error, ViewerNeeded)


def _variables_in(
    operation: OperationDefinitionNode, fragments: dict[str, FragmentDefinitionNode]
) -> tuple[str, ...]:
    """Return the variables of which an answer depends: not those that only say which events are wanted."""
    found: set[str] = set()
    waiting: list[Node] = [*fragments.values(), *(operation.directives or ())]
    for selection in operation.selection_set.selections:
        if isinstance(selection, FieldNode):
            waiting += [
                *(selection.directives or ()),
                *([selection.selection_set] if selection.selection_set else []),
            ]
        else:
            waiting.append(selection)
    while waiting:
        node = waiting.pop()
        if isinstance(node, VariableNode):
            found.add(node.name.value)
        for key in node.keys:
            inner = getattr(node, key, None)
            waiting += [
                one
                for one in (inner if isinstance(inner, list | tuple) else [inner])
                if isinstance(one, Node)
            ]
    return tuple(sorted(found))
