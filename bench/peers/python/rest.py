"""FastAPI as its documentation shows it: the same rows by the ORM, models of pydantic, no GraphQL."""

import os
from datetime import datetime
from typing import Annotated
from uuid import UUID

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, field_serializer
from pydantic.alias_generators import to_camel

from bench.peers.python import models, store
from bench.peers.python.models import make_session
from db.enums import ConfidenceTier, HandoffIntent, HandoffPriority, HandoffState, SessionStatus


class Shown(BaseModel):
    """What is shown of a row."""

    model_config = ConfigDict(from_attributes=True, alias_generator=to_camel, populate_by_name=True)


class Session(Shown):
    """A session."""

    id: UUID
    status: SessionStatus
    problem_summary: str | None
    problem_domain: str | None
    step_count: int
    confidence_tier: ConfidenceTier | None
    branching: bool
    handoff_count: int
    psa_ticket_id: str | None
    psa_connection_id: UUID | None
    actual_cause: str | None
    created_at: datetime
    resolved_at: datetime | None


class Handoff(Shown):
    """A handoff."""

    id: UUID
    intent: HandoffIntent
    priority: HandoffPriority
    state: HandoffState
    notes: str | None
    created_at: datetime
    claimed_at: datetime | None
    session: Session

    @field_serializer("priority")
    def _by_name(self, priority: HandoffPriority) -> str:
        return priority.name


class Created(Shown):
    """A handoff, and whom it reached."""

    online: int
    email: int
    handoff: Handoff


class Wish(Shown):
    """What is asked for."""

    intent: HandoffIntent
    priority: str = "NORMAL"
    notes: str | None = None


Account = Annotated[UUID, Header(alias="x-account")]
User = Annotated[UUID, Header(alias="x-user")]
app = FastAPI()


@app.get("/queue")
async def queue(account: Account, first: int = 20) -> list[Handoff]:
    """Read the queue."""
    async with make_session() as db:
        return [Handoff.model_validate(row) for row in await store.read_queue(db, account, first)]


@app.post("/sessions/{session_id}/handoffs")
async def create(session_id: UUID, wish: Wish, account: Account, user: User) -> Created:
    """Escalate a session."""
    try:
        async with make_session.begin() as db:
            priority = HandoffPriority[wish.priority]
            row, session = await store.create(db, account, user, session_id, priority, wish.notes)
    except store.RefusedError:
        raise HTTPException(409) from None
    return Created(online=row.reach_online, email=row.reach_email, handoff=_shown(row, session))


@app.post("/handoffs/{handoff_id}/claim")
async def claim(handoff_id: UUID, account: Account, user: User) -> Handoff:
    """Claim a handoff."""
    try:
        async with make_session.begin() as db:
            row, session = await store.claim(db, account, user, handoff_id)
    except store.RefusedError:
        raise HTTPException(409) from None
    return _shown(row, session)


def _shown(row: models.Handoff, session: models.Session) -> Handoff:
    return Handoff(
        id=row.id,
        intent=row.intent,
        priority=row.priority,
        state=row.state,
        notes=row.notes,
        created_at=row.created_at,
        claimed_at=row.claimed_at,
        session=Session.model_validate(session),
    )


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
