"""The root fields that write. Each opens the one transaction of its request, and maps refusals to types."""

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import partial
from typing import Annotated, Protocol

import strawberry

from db.session import Transaction
from db.sessions import SessionRow
from db.users import UserRow
from resolvers import handoffs, sessions
from resolvers.errors import Refusal
from schema.context import Info
from schema.ids import read_id
from schema.inputs import (
    AddSessionBranchInput,
    AppendSessionMessagesInput,
    ClaimHandoffInput,
    CreateHandoffInput,
    ReleaseHandoffInput,
    ResolveSessionInput,
    StartSessionInput,
    UpdateSessionBranchInput,
    UpdateSessionInput,
)
from schema.payloads import (
    ClaimHandoffResult,
    ClaimHandoffSuccess,
    CreateHandoffResult,
    CreateHandoffSuccess,
    ReleaseHandoffResult,
    ReleaseHandoffSuccess,
    SessionResult,
    SessionSuccess,
    StartSessionPayload,
    claim_problem,
    create_problem,
    release_problem,
    session_problem,
)
from schema.permissions import responders
from schema.types.handoffs import Handoff, Reach, Session

_Input = strawberry.argument(description="The one argument.")


@strawberry.type(description="What can be changed. Every field needs an owner, admin or engineer.")
class Mutation:
    """The mutations."""

    @strawberry.mutation(
        description=(
            "Park or escalate a session. The handoff is stored first, and whoever is to be told is told "
            "after that: no mail server and no broker can fail or delay it."
        ),
        extensions=responders(),
    )
    async def create_handoff(
        self,
        info: Info,
        input: Annotated[CreateHandoffInput, _Input],  # noqa: A002 (the contract's name)
    ) -> CreateHandoffResult:
        """Hand a session off."""
        context = info.context
        viewer = await context.viewer()
        try:
            async with _transaction(info) as tx:
                made = await handoffs.create(
                    tx, viewer, input.new(), now=context.now, grace=context.services.push_grace
                )
        except Refusal as refusal:
            return create_problem(refusal)
        return CreateHandoffSuccess(
            handoff=Handoff.from_row(made.handoff), reach=Reach.from_count(made.reach)
        )

    @strawberry.mutation(
        description=(
            "Take over an open handoff. Exactly one of any number who try gets it; the others learn who has "
            "it and since when. Repeated by the winner, it succeeds again."
        ),
        extensions=responders(),
    )
    async def claim_handoff(
        self,
        info: Info,
        input: Annotated[ClaimHandoffInput, _Input],  # noqa: A002 (the contract's name)
    ) -> ClaimHandoffResult:
        """Claim a handoff."""
        viewer = await info.context.viewer()
        try:
            async with _transaction(info) as tx:
                handoff = await handoffs.claim(tx, viewer, read_id(input.handoff_id), now=info.context.now)
        except Refusal as refusal:
            return claim_problem(refusal)
        return ClaimHandoffSuccess(handoff=Handoff.from_row(handoff))

    @strawberry.mutation(
        description=(
            "Put a handoff that you claimed back into the queue. An escalation is told again to every "
            "responder but you."
        ),
        extensions=responders(),
    )
    async def release_handoff(
        self,
        info: Info,
        input: Annotated[ReleaseHandoffInput, _Input],  # noqa: A002 (the contract's name)
    ) -> ReleaseHandoffResult:
        """Release a handoff."""
        context = info.context
        viewer = await context.viewer()
        try:
            async with _transaction(info) as tx:
                handoff = await handoffs.release(
                    tx,
                    viewer,
                    read_id(input.handoff_id),
                    input.reason,
                    now=context.now,
                    grace=context.services.push_grace,
                )
        except Refusal as refusal:
            return release_problem(refusal)
        return ReleaseHandoffSuccess(handoff=Handoff.from_row(handoff))

    @strawberry.mutation(description="Start a troubleshooting session.", extensions=responders())
    async def start_session(
        self,
        info: Info,
        input: Annotated[StartSessionInput, _Input],  # noqa: A002 (the contract's name)
    ) -> StartSessionPayload:
        """Start a session."""
        viewer = await info.context.viewer()
        async with _transaction(info) as tx:
            session = await sessions.start(tx, viewer, input.new(), now=info.context.now)
        return StartSessionPayload(session=Session.from_row(session))

    @strawberry.mutation(description="Set fields of a session.", extensions=responders())
    async def update_session(
        self,
        info: Info,
        input: Annotated[UpdateSessionInput, _Input],  # noqa: A002 (the contract's name)
    ) -> SessionResult:
        """Change a session."""
        session_id, changes = read_id(input.session_id), input.changes()
        return await _change(info, partial(sessions.update, session_id=session_id, changes=changes))

    @strawberry.mutation(description="Add messages after the last one of a session.", extensions=responders())
    async def append_session_messages(
        self,
        info: Info,
        input: Annotated[AppendSessionMessagesInput, _Input],  # noqa: A002 (the contract's name)
    ) -> SessionResult:
        """Add messages."""
        messages = [message.new() for message in input.messages]
        session_id = read_id(input.session_id)
        return await _change(
            info, partial(sessions.append_messages, session_id=session_id, messages=messages)
        )

    @strawberry.mutation(
        description="Add a line of investigation. A session's first becomes its active branch.",
        extensions=responders(),
    )
    async def add_session_branch(
        self,
        info: Info,
        input: Annotated[AddSessionBranchInput, _Input],  # noqa: A002 (the contract's name)
    ) -> SessionResult:
        """Add a branch."""
        session_id = read_id(input.session_id)
        return await _change(info, partial(sessions.add_branch, session_id=session_id, new=input.new()))

    @strawberry.mutation(
        description="Set fields of a branch. An unknown or foreign branch is NOT_FOUND.",
        extensions=responders(),
    )
    async def update_session_branch(
        self,
        info: Info,
        input: Annotated[UpdateSessionBranchInput, _Input],  # noqa: A002 (the contract's name)
    ) -> SessionResult:
        """Change a branch."""
        branch_id, changes = read_id(input.branch_id), input.changes()
        return await _change(info, partial(sessions.update_branch, branch_id=branch_id, changes=changes))

    @strawberry.mutation(
        description="Finish a session. Its handoff is closed, and what was still to be sent is skipped.",
        extensions=responders(),
    )
    async def resolve_session(
        self,
        info: Info,
        input: Annotated[ResolveSessionInput, _Input],  # noqa: A002 (the contract's name)
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
        async with _transaction(info) as tx:
            session = await change(tx, viewer, now=info.context.now)
    except Refusal as refusal:
        return session_problem(refusal)
    return SessionSuccess(session=Session.from_row(session))


def _transaction(info: Info) -> AbstractAsyncContextManager[Transaction]:
    return info.context.services.database.transaction(info.context.account_id)
