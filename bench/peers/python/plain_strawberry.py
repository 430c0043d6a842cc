"""Strawberry as its documentation shows it: ORM rows, resolvers, the stock schema and the stock view."""

import os
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.types import Info

from bench.peers.python import models, store
from bench.peers.python.models import make_session
from db.enums import ConfidenceTier, HandoffIntent, HandoffPriority, HandoffState, SessionStatus

for words in (ConfidenceTier, HandoffIntent, HandoffPriority, HandoffState, SessionStatus):
    strawberry.enum(words)


@strawberry.type
class Session:
    """A session."""

    id: strawberry.ID
    status: SessionStatus
    problem_summary: str | None
    problem_domain: str | None
    step_count: int
    confidence_tier: ConfidenceTier | None
    branching: bool
    handoff_count: int
    psa_ticket_id: str | None
    psa_connection_id: strawberry.ID | None
    actual_cause: str | None
    created_at: datetime
    resolved_at: datetime | None

    @classmethod
    def from_row(cls, row: models.Session) -> "Session":
        """Show a row."""
        return cls(
            id=strawberry.ID(str(row.id)),
            status=row.status,
            problem_summary=row.problem_summary,
            problem_domain=row.problem_domain,
            step_count=row.step_count,
            confidence_tier=row.confidence_tier,
            branching=row.branching,
            handoff_count=row.handoff_count,
            psa_ticket_id=row.psa_ticket_id,
            psa_connection_id=None
            if row.psa_connection_id is None
            else strawberry.ID(str(row.psa_connection_id)),
            actual_cause=row.actual_cause,
            created_at=row.created_at,
            resolved_at=row.resolved_at,
        )


@strawberry.type
class Handoff:
    """A handoff."""

    id: strawberry.ID
    intent: HandoffIntent
    priority: HandoffPriority
    state: HandoffState
    notes: str | None
    created_at: datetime
    claimed_at: datetime | None
    session: Session

    @classmethod
    def from_row(cls, row: models.Handoff, session: models.Session) -> "Handoff":
        """Show a row."""
        return cls(
            id=strawberry.ID(str(row.id)),
            intent=row.intent,
            priority=row.priority,
            state=row.state,
            notes=row.notes,
            created_at=row.created_at,
            claimed_at=row.claimed_at,
            session=Session.from_row(session),
        )


@strawberry.type
class HandoffEdge:
    """An item."""

    node: Handoff


@strawberry.type
class HandoffConnection:
    """A page."""

    edges: list[HandoffEdge]


@strawberry.type
class Reach:
    """Whom it reached."""

    online: int
    email: int
    unreachable: bool


@strawberry.type
class CreateHandoffSuccess:
    """It is made."""

    reach: Reach
    handoff: Handoff


@strawberry.type
class ClaimHandoffSuccess:
    """It is the caller's."""

    handoff: Handoff


@strawberry.type
class Problem:
    """It was refused."""

    message: str


@strawberry.input
class CreateHandoffInput:
    """What is asked for."""

    session_id: strawberry.ID
    intent: HandoffIntent
    priority: HandoffPriority = HandoffPriority.NORMAL
    notes: str | None = None


@strawberry.input
class ClaimHandoffInput:
    """What is asked for."""

    handoff_id: strawberry.ID


CreateResult = Annotated[CreateHandoffSuccess | Problem, strawberry.union("CreateHandoffResult")]
ClaimResult = Annotated[ClaimHandoffSuccess | Problem, strawberry.union("ClaimHandoffResult")]


@strawberry.type
class Query:
    """What can be read."""

    @strawberry.field
    async def queue(self, info: Info[Any, None], first: int = 20) -> HandoffConnection:
        """Read the queue."""
        account_id, _ = caller(info)
        async with make_session() as db:
            rows = await store.read_queue(db, account_id, first)
            return HandoffConnection(
                edges=[HandoffEdge(node=Handoff.from_row(row, row.session)) for row in rows]
            )


@strawberry.type
class Mutation:
    """What can be changed."""

    @strawberry.mutation
    async def create_handoff(
        self,
        info: Info[Any, None],
        input: CreateHandoffInput,  # noqa: A002 (the contract's name)
    ) -> CreateResult:
        """Escalate a session."""
        account_id, user_id = caller(info)
        try:
            async with make_session.begin() as db:
                row, session = await store.create(
                    db, account_id, user_id, UUID(input.session_id), input.priority, input.notes
                )
        except store.RefusedError:
            return Problem(message="It cannot be handed off.")
        reach = Reach(online=row.reach_online, email=row.reach_email, unreachable=False)
        return CreateHandoffSuccess(reach=reach, handoff=Handoff.from_row(row, session))

    @strawberry.mutation
    async def claim_handoff(
        self,
        info: Info[Any, None],
        input: ClaimHandoffInput,  # noqa: A002 (the contract's name)
    ) -> ClaimResult:
        """Claim a handoff."""
        account_id, user_id = caller(info)
        try:
            async with make_session.begin() as db:
                row, session = await store.claim(db, account_id, user_id, UUID(input.handoff_id))
        except store.RefusedError:
            return Problem(message="It is not open.")
        return ClaimHandoffSuccess(handoff=Handoff.from_row(row, session))


def caller(info: Info[Any, None]) -> tuple[UUID, UUID]:
    """Return account and user as the request names them."""
    request: Request = info.context["request"]
    return UUID(request.headers["x-account"]), UUID(request.headers["x-user"])


app = Starlette(routes=[Route("/graphql", GraphQL[Any, None](strawberry.Schema(Query, Mutation)))])

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
