"""Sessions, their handoffs, and what was told about those: types that refer to each other."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from db.deliveries import DeliveryRow
from db.enums import (
    Channel,
    ConfidenceTier,
    DeliveryKind,
    DeliveryStatus,
    HandoffIntent,
    HandoffPriority,
    HandoffState,
    SessionStatus,
    SkipReason,
)
from db.handoffs import HandoffRow
from db.sessions import SessionRow
from resolvers import audience
from schema.completions import KNOWN_AS
from schema.connections import Connection, connect, read_page
from schema.context import Info
from schema.ids import show_id, show_optional_id
from schema.types.assessments import Assessment
from schema.types.conversation import SessionBranch, SessionMessage, SessionSnapshot, load_branch
from schema.types.node import TIME_KEY, After, FirstOrDefault, Node, created, present
from schema.types.people import Account, Team, User, load_optional_user, load_user
from schema.types.timeline import TimelineEntry


@strawberry.type(description="One troubleshooting conversation.")
class Session(Node):
    """A session."""

    status: SessionStatus = strawberry.field(description="Where it stands.")
    problem_summary: str | None = strawberry.field(
        description="The problem in one sentence; null if unknown."
    )
    problem_domain: str | None = strawberry.field(description="The field, like `network`; null if unknown.")
    step_count: int = strawberry.field(description="How many troubleshooting steps were taken.")
    confidence_tier: ConfidenceTier | None = strawberry.field(
        description="How sure the engineer and the assistant are of the diagnosis; null if nobody said."
    )
    branching: bool = strawberry.field(description="Whether lines of investigation are kept apart.")
    handoff_count: int = strawberry.field(description="How often it was handed off.")
    psa_ticket_id: str | None = strawberry.field(description="Its ticket in the PSA; null if it has none.")
    actual_cause: str | None = strawberry.field(
        description="What it was in the end, as its resolver wrote; null if nobody did."
    )
    psa_connection_id: strawberry.ID | None = strawberry.field(
        description="The PSA connection that leads to its ticket; null if none does."
    )
    created_at: datetime = strawberry.field(description="When it was started.")
    resolved_at: datetime | None = strawberry.field(description="When it was resolved; null while it is not.")
    escalation_package: JSON | None = strawberry.field(
        description="What an older escalation queue reads; null before the first handoff.",
        deprecation_reason="Read snapshot, notes and id from the handoff.",
    )
    row: strawberry.Private[SessionRow]

    @strawberry.field(description="The account that it belongs to.")
    async def account(self, info: Info) -> Account:
        """Load the account."""
        return Account.from_row(await info.context.loaders.account())

    @strawberry.field(description="The team that it belongs to; null if none.")
    async def team(self, info: Info) -> Team | None:
        """Load the team."""
        if self.row.team_id is None:
            return None
        return Team.from_row(present(await info.context.loaders.teams.load(self.row.team_id)))

    @strawberry.field(description="The engineer whose session it is.")
    async def owner(self, info: Info) -> User:
        """Load the owner."""
        return await load_user(info, self.row.owner_id)

    @strawberry.field(description="The branch that is being worked on; null if the session is not branching.")
    async def active_branch(self, info: Info) -> SessionBranch | None:
        """Load the branch."""
        return await load_branch(info, self.row.active_branch_id)

    @strawberry.field(description="Every line of investigation, in the order of creation.")
    async def branches(self, info: Info) -> list[SessionBranch]:
        """Load the branches."""
        rows = present(await info.context.loaders.branches_of.load(self.row.id))
        return [SessionBranch.from_row(row) for row in rows]

    @strawberry.field(description="What was said, in order.")
    async def messages(
        self, info: Info, first: FirstOrDefault = 20, after: After = None
    ) -> Connection[SessionMessage]:
        """Read a page of messages."""
        page = read_page(20 if first is None else first, after, (int,))
        session_id = self.row.id

        async def count() -> int:
            return present(await info.context.loaders.sessions.load(session_id)).message_count

        rows = present(await info.context.loaders.messages.load((session_id, page)))
        return connect(rows, page, node=SessionMessage.from_row, key=lambda row: (row.index,), count=count)

    @strawberry.field(description="Its handoffs, newest first.")
    async def handoffs(
        self, info: Info, first: FirstOrDefault = 20, after: After = None
    ) -> Connection[Handoff]:
        """Read a page of handoffs."""
        page = read_page(20 if first is None else first, after, TIME_KEY)
        session_id = self.row.id

        async def count() -> int:
            return present(await info.context.loaders.sessions.load(session_id)).handoff_count

        rows = present(await info.context.loaders.histories.load((session_id, page)))
        return connect(rows, page, node=Handoff.from_row, key=created, count=count)

    @strawberry.field(description="The responder who claimed it last; null while nobody has it.")
    async def escalated_to(self, info: Info) -> User | None:
        """Load the claimer."""
        return await load_optional_user(info, self.row.escalated_to_id)

    @classmethod
    def from_row(cls, row: SessionRow) -> Session:
        """Show a stored session."""
        return cls(
            id=show_id(row.id),
            status=row.status,
            problem_summary=row.problem_summary,
            problem_domain=row.problem_domain,
            step_count=row.step_count,
            confidence_tier=row.confidence_tier,
            branching=row.active_branch_id is not None,
            handoff_count=row.handoff_count,
            psa_ticket_id=row.psa_ticket_id,
            actual_cause=row.actual_cause,
            psa_connection_id=show_optional_id(row.psa_connection_id),
            created_at=row.created_at,
            resolved_at=row.resolved_at,
            escalation_package=row.escalation_package,  # type: ignore[arg-type]  # JSON is a scalar
            row=row,
        )


@strawberry.type(description="One attempt series to tell one recipient one thing over one channel.")
class Delivery(Node):
    """A delivery."""

    channel: Channel = strawberry.field(description="How it travels.")
    kind: DeliveryKind = strawberry.field(description="What it tells.")
    round: int = strawberry.field(description="0 for the escalation itself; releases and reminders count up.")
    status: DeliveryStatus = strawberry.field(description="Where it stands.")
    reason: SkipReason | None = strawberry.field(description="Why it was skipped; null unless it was.")
    error: str | None = strawberry.field(description="The last fault in words; null if there was none.")
    attempts: int = strawberry.field(description="How often it was tried.")
    due_at: datetime = strawberry.field(description="When it is, or was, to be sent.")
    sent_at: datetime | None = strawberry.field(description="When it was sent; null if it was not.")
    delivered_at: datetime | None = strawberry.field(description="When it was confirmed; null if it was not.")
    row: strawberry.Private[DeliveryRow]

    @strawberry.field(description="The handoff that it tells of.")
    async def handoff(self, info: Info) -> Handoff:
        """Load the handoff."""
        return await load_handoff(info, self.row.handoff_id)

    @strawberry.field(description="Who is told; null where no person is: of a note in a ticket.")
    async def recipient(self, info: Info) -> User | None:
        """Load the recipient."""
        return await load_optional_user(info, self.row.recipient_id)

    @classmethod
    def from_row(cls, row: DeliveryRow) -> Delivery:
        """Show a stored delivery."""
        return cls(
            id=show_id(row.id),
            channel=row.channel,
            kind=row.kind,
            round=row.round,
            status=row.status,
            reason=row.reason,
            error=row.error,
            attempts=row.attempts,
            due_at=row.due_at,
            sent_at=row.sent_at,
            delivered_at=row.delivered_at,
            row=row,
        )


@strawberry.type(description="One act of passing a session on.")
class Handoff(Node):
    """A handoff."""

    intent: HandoffIntent = strawberry.field(description="Parked or escalated.")
    priority: HandoffPriority = strawberry.field(description="How urgent.")
    state: HandoffState = strawberry.field(description="Where it stands.")
    notes: str | None = strawberry.field(description="What the engineer wrote; null if nothing.")
    created_at: datetime = strawberry.field(description="When it was handed off.")
    claimed_at: datetime | None = strawberry.field(description="When it was claimed; null if nobody has it.")
    row: strawberry.Private[HandoffRow]
    known_session: strawberry.Private[Session | None]  #: None: not read yet

    @strawberry.field(
        description="The session that is passed on, as it is now.", metadata={KNOWN_AS: "known_session"}
    )
    async def session(self, info: Info) -> Session:
        """Load the session."""
        if self.known_session is not None:
            return self.known_session
        return Session.from_row(present(await info.context.loaders.sessions.load(self.row.session_id)))

    @strawberry.field(description="The session as it stood at the moment of handoff.")
    def snapshot(self) -> SessionSnapshot:
        """Show the stored snapshot."""
        return SessionSnapshot.from_stored(self.row.snapshot)

    @strawberry.field(description="What an assessor makes of an escalation.")
    async def assessment(self, info: Info) -> Assessment:
        """Load the assessment."""
        return Assessment.from_row(await info.context.loaders.assessments.load(self.row.id))

    @strawberry.field(
        description="The branch that was being worked on; null if the session was not branching."
    )
    async def source_branch(self, info: Info) -> SessionBranch | None:
        """Load the branch."""
        return await load_branch(info, self.row.source_branch_id)

    @strawberry.field(description="Who passed it on.")
    async def handed_off_by(self, info: Info) -> User:
        """Load the user."""
        return await load_user(info, self.row.handed_off_by_id)

    @strawberry.field(description="Who has it; null while nobody has.")
    async def claimed_by(self, info: Info) -> User | None:
        """Load the claimer."""
        return await load_optional_user(info, self.row.claimed_by_id)

    @strawberry.field(description="Who was told over which channel, and what came of it, oldest first.")
    async def deliveries(
        self, info: Info, first: FirstOrDefault = 20, after: After = None
    ) -> Connection[Delivery]:
        """Read a page of deliveries."""
        page = read_page(20 if first is None else first, after, TIME_KEY)
        loaders, handoff_id = info.context.loaders, self.row.id

        async def count() -> int:
            return present(await loaders.delivery_counts.load(handoff_id))

        rows = present(await loaders.deliveries_of.load((handoff_id, page)))
        return connect(rows, page, node=Delivery.from_row, key=created, count=count)

    @strawberry.field(description="Whether you were told of it, and why or why not.")
    async def my_notice(self, info: Info) -> Notice:
        """Explain what the caller was told."""
        viewer = await info.context.viewer()
        mine = present(await info.context.loaders.deliveries_to.load((self.row.id, viewer.id)))
        return Notice.from_found(audience.notice_of(viewer, self.row, mine))

    @strawberry.field(description="Whether its note is known to be in the session's ticket.")
    def psa_note_pushed(self) -> bool:
        """Tell whether there is a note."""
        return self.row.psa_note_id is not None

    @strawberry.field(description="The note's id in the PSA; null while none is known to be there.")
    def psa_note_id(self) -> str | None:
        """Show the note's id."""
        return self.row.psa_note_id

    @strawberry.field(description="Everything that happened to it, in order, with who did it.")
    async def timeline(self, info: Info) -> list[TimelineEntry]:
        """Load the timeline."""
        rows = present(await info.context.loaders.timelines.load(self.row.id))
        return [TimelineEntry.from_row(row) for row in rows]

    @classmethod
    def from_row(cls, row: HandoffRow, session: SessionRow | None = None) -> Handoff:
        """Show a stored handoff, with its session where that was just read."""
        return cls(
            id=show_id(row.id),
            intent=row.intent,
            priority=row.priority,
            state=row.state,
            notes=row.notes,
            created_at=row.created_at,
            claimed_at=row.claimed_at,
            row=row,
            known_session=None if session is None else Session.from_row(session),
        )


@strawberry.type(description="Whether a person was told of a handoff, and why or why not.")
class Notice:
    """A notice."""

    told: bool = strawberry.field(description="Whether a push or a mail is known to have gone out to them.")
    reason: str = strawberry.field(description="Why, or why not, for each channel and round.")
    deliveries: list[Delivery] = strawberry.field(
        description="What they were, or are to be, sent; oldest first."
    )

    @classmethod
    def from_found(cls, found: audience.Notice) -> Notice:
        """Show a notice."""
        rows = [Delivery.from_row(row) for row in found.deliveries]
        return cls(told=found.told, reason=found.reason, deliveries=rows)


async def load_handoff(info: Info, handoff_id: UUID) -> Handoff:
    """Load a handoff that exists."""
    return Handoff.from_row(present(await info.context.loaders.handoffs.load(handoff_id)))
