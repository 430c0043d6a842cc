"""Taking sessions in."""

from collections.abc import Awaitable
from datetime import datetime
from functools import partial
from typing import Annotated, Protocol

import strawberry

from db.session import Transaction
from db.sessions import SessionRow
from db.users import UserRow
from resolvers import branches, sessions
from resolvers.errors import Refusal
from schema.context import Info
from schema.ids import read_id
from schema.mutations.transaction import Argument, transaction
from schema.payloads import (
    SessionResult,
    SessionSuccess,
    StartSessionPayload,
    session_problem,
)
from schema.permissions import responders
from schema.session_inputs import (
    AddSessionBranchInput,
    AppendSessionMessagesInput,
    ResolveSessionInput,
    StartSessionInput,
    UpdateSessionBranchInput,
    UpdateSessionInput,
)
from schema.types.handoffs import Session


@strawberry.type
class SessionMutations:
    """Start, feed, resolve."""

    @strawberry.mutation(description="Start a troubleshooting session.", extensions=responders(ingest=True))
    async def start_session(
        self,
        info: Info,
        input: Annotated[StartSessionInput, Argument],  # noqa: A002 (the contract's name)
    ) -> StartSessionPayload:
        """Start a session."""
        caller = await info.context.caller()
        async with transaction(info) as tx:
            session = await sessions.start(
                tx,
                caller.user,
                input.new(),
                now=info.context.now,
                is_ingest=caller.is_ingest_only,
                idempotency_key=input.idempotency_key,
            )
        return StartSessionPayload(session=Session.from_row(session))

    @strawberry.mutation(description="Set fields of a session.", extensions=responders(ingest=True))
    async def update_session(
        self,
        info: Info,
        input: Annotated[UpdateSessionInput, Argument],  # noqa: A002 (the contract's name)
    ) -> SessionResult:
        """Change a session."""
        session_id, changes = read_id(input.session_id), input.changes()
        return await _change(info, partial(sessions.update, session_id=session_id, changes=changes))

    @strawberry.mutation(
        description="Add messages after the last one of a session.", extensions=responders(ingest=True)
    )
    async def append_session_messages(
        self,
        info: Info,
        input: Annotated[AppendSessionMessagesInput, Argument],  # noqa: A002 (the contract's name)
    ) -> SessionResult:
        """Add messages."""
        messages = [message.new() for message in input.messages]
        append = partial(
            sessions.append_messages,
            session_id=read_id(input.session_id),
            messages=messages,
            idempotency_key=input.idempotency_key,
        )
        return await _change(info, append)

    @strawberry.mutation(
        description=(
            "Add a line of investigation. If the session is not branching, because this is its first branch "
            "or because its `activeBranchId` was cleared, this becomes its active branch. A session holds at "
            "most 200."
        ),
        extensions=responders(ingest=True),
    )
    async def add_session_branch(
        self,
        info: Info,
        input: Annotated[AddSessionBranchInput, Argument],  # noqa: A002 (the contract's name)
    ) -> SessionResult:
        """Add a branch."""
        add = partial(
            branches.add,
            session_id=read_id(input.session_id),
            new=input.new(),
            idempotency_key=input.idempotency_key,
        )
        return await _change(info, add)

    @strawberry.mutation(
        description="Set fields of a branch. An unknown or foreign branch is NOT_FOUND.",
        extensions=responders(ingest=True),
    )
    async def update_session_branch(
        self,
        info: Info,
        input: Annotated[UpdateSessionBranchInput, Argument],  # noqa: A002 (the contract's name)
    ) -> SessionResult:
        """Change a branch."""
        branch_id, changes = read_id(input.branch_id), input.changes()
        return await _change(info, partial(branches.update, branch_id=branch_id, changes=changes))

    @strawberry.mutation(
        description="Finish a session. Its handoff is closed, and what was still to be sent is skipped.",
        extensions=responders(ingest=True),
    )
    async def resolve_session(
        self,
        info: Info,
        input: Annotated[ResolveSessionInput, Argument],  # noqa: A002 (the contract's name)
    ) -> SessionResult:
        """Resolve a session."""
        session_id, cause = read_id(input.session_id), input.actual_cause
        return await _change(info, partial(sessions.resolve, session_id=session_id, actual_cause=cause))


class _Change(Protocol):
    """A change of a session, all but its circumstances given."""

    def __call__(self, tx: Transaction, viewer: UserRow, *, now: datetime) -> Awaitable[SessionRow]: ...


async def _change(info: Info, change: _Change) -> SessionResult:
    viewer = await info.context.viewer()
    try:
        async with transaction(info) as tx:
            session = await change(tx, viewer, now=info.context.now)
    except Refusal as refusal:
        return session_problem(refusal)
    return SessionSuccess(session=Session.from_row(session))
