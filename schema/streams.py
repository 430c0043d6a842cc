"""One execution of an event for all equal subscriptions of an account on this node.

Two thousand dashboards ask the same document. What it selects from an event is the same for all of them, so
the first one's execution is everybody's, done in a context of the account that knows no viewer. Who may see
the event was decided before, for each subscriber by itself.

A field that asks who is looking raises `ViewerNeeded` in that context; its document is then executed for each
subscriber with their own. So nothing has to be marked, and nothing can be forgotten.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from graphql import (
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    Node,
    OperationDefinitionNode,
    VariableNode,
)
from graphql.pyutils import RefMap

from db.errors import is_away
from resolvers.identity import Caller
from schema.context import Context, Services
from schema.errors import causes_in
from schema.execution import CompletingExecutor
from schema.outlets import current_outlet
from schema.remembered import Remembered

if TYPE_CHECKING:
    from schema.fanout import Fanout

#: How long a result is handed on. A slower subscriber executes the event again, and sees what is so by then.
_SECONDS = 2.0
_MOST_RESULTS = 256
_MOST_OPERATIONS = 512
#: How often an event is executed whose execution the database does not survive: for half a minute, at least.
_MOST_ATTEMPTS = 60
#: What graphql-core collects in an executor, and how that begins.
_COLLECTED: dict[str, Callable[[], object]] = {
    "_deferred_execution_plans": RefMap,
    "_initial_execution_plans": RefMap,
    "_relevant_sub_fields": dict,
    "_stream_usages": RefMap,
    "groups": list,
    "pending_incremental_futures": set,
    "streams": list,
    "tasks": list,
}


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

    _operations: Remembered[_Operation] = field(default_factory=lambda: Remembered(_MOST_OPERATIONS))
    _results: OrderedDict[object, _Result] = field(default_factory=OrderedDict)
    fanouts: dict[object, "Fanout"] = field(default_factory=dict)  #: of the audiences that are written to

    def operation(self, executor: "SharingExecutor") -> _Operation:
        """Return what is known of the executor's operation."""
        node = executor.operation

        def look() -> _Operation:
            return _Operation(node, _variables_in(node, executor.fragment_definitions))

        return self._operations.find(id(node), [node], look)

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
        result = await asyncio.shield(found.task)
        if _fault_in(result) is not None:
            found.until = 0.0  # another time it may be another
        return result

    def _drop(self, now: float) -> None:
        while self._results:
            oldest = next(iter(self._results.values()))
            if oldest.until >= now and len(self._results) <= _MOST_RESULTS:
                return
            self._results.popitem(last=False)


class SharingExecutor(CompletingExecutor):
    """Executes the events of subscriptions once, where the process has `Streams`; all else as ever."""

    #: Python's objects share the names of up to 30 attributes. With more, each has its own dict of 1.5 KB.
    __slots__ = ("_completions", "_found", *_COLLECTED)

    def cancellable_iterable(self, iterable: AsyncIterable[Any]) -> AsyncIterable[Any]:
        """Leave word with the outlet of who executes; graphql-core asks this once, before the first event.

        What it collects of an execution goes: each event's own executor has its own.
        """
        outlet = current_outlet()
        if outlet is not None:
            outlet.executor = self
        for name in _COLLECTED:
            delattr(self, name)
        return super().cancellable_iterable(iterable)

    def build_per_event_executor(self, payload: Any) -> Any:  # noqa: ANN401
        """Return an executor for one event."""
        executor = super().build_per_event_executor(payload)
        for name, make in _COLLECTED.items():
            setattr(executor, name, make())
        return executor

    def execute_operation(self, serially: bool | None = None) -> Any:  # noqa: ANN401 (graphql-core's own)
        """Execute, or wait for whoever executes the same."""
        context, event = self.context_value, self.root_value
        look_again = getattr(event, "look_again", None)
        if look_again is None or not isinstance(context, Context):
            return super().execute_operation(serially)
        return self._outlast(context.services, look_again)

    def audience(self, streams: Streams) -> tuple[object, ...]:
        """Return what is equal for all subscriptions that are shown the same."""
        operation = streams.operation(self)
        given = self.variable_values.coerced
        variables = tuple(repr(given.get(name)) for name in operation.variables)
        return (self.context_value.account_id, id(operation.node), variables)

    def for_account(self, event: Any = None) -> "SharingExecutor":  # noqa: ANN401 (what the root field yields)
        """Return an executor of an event for everybody who is shown the same."""
        executor = cast("SharingExecutor", self.build_per_event_executor(event))
        executor.context_value = AccountContext(self.context_value.services, self.context_value.account_id)
        return executor

    def needs_viewer(self, streams: Streams) -> bool:
        """Tell whether what is shown depends on who is looking, as far as is known."""
        return streams.operation(self).needs_viewer

    async def execute_shared(self, streams: Streams, event: Any) -> ExecutionResult | None:  # noqa: ANN401
        """Return what everybody is shown of an event; None: that depends on who is looking."""
        operation = streams.operation(self)
        if operation.needs_viewer:
            return None
        key = (*self.audience(streams), event.cursor, event.missed_before)
        shared = self.for_account(event)
        result = await streams.once(key, operation, shared._alone)
        if any(isinstance(cause, ViewerNeeded) for cause in causes_in(result)):
            operation.needs_viewer = True
            return None
        return result

    async def _outlast(
        self, services: Services, look_again: Callable[[], Awaitable[object]]
    ) -> ExecutionResult:
        """Execute an event; where the database went meanwhile, again when it is back and knows the viewer.

        Not for ever: it may be this event that the database cannot bear.
        """
        executor = self
        for _ in range(_MOST_ATTEMPTS):
            result = await executor._share(services.streams)
            fault = _fault_in(result)
            if fault is None:
                break
            await services.feed.outage.wait_out(fault)
            await look_again()
            executor = self.build_per_event_executor(self.root_value)
        return result

    async def _share(self, streams: Streams | None) -> ExecutionResult:
        result = None if streams is None else await self.execute_shared(streams, self.root_value)
        if result is None:
            return await self._alone()
        return ExecutionResult(result.data, None if result.errors is None else list(result.errors))

    async def _alone(self) -> ExecutionResult:
        result = super().execute_operation(False)
        return cast("ExecutionResult", await result if self.is_awaitable(result) else result)


def _fault_in(result: ExecutionResult) -> Exception | None:
    """Return what says that the database went while something was executed, None where nothing does."""
    return next(filter(is_away, causes_in(result)), None)


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
