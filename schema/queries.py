"""The root fields that read."""

from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

import strawberry

from db import api_keys, audit, policies, psa_connections, sessions
from db.enums import SessionStatus
from db.statistics import StatsDimension
from resolvers import audience, briefings, statistics
from resolvers.errors import HandoffNotFound, NotFound, SessionNotFound
from resolvers.inputs import clean_instant
from schema.connections import Connection, read_connection, read_page
from schema.context import Info
from schema.ids import read_id
from schema.people_queries import PeopleQueries
from schema.permissions import admins, signed_in
from schema.queue_queries import QueueQueries
from schema.types.api_keys import ApiKey
from schema.types.assessments import Briefing
from schema.types.conversation import SessionBranch
from schema.types.handoffs import Delivery, Handoff, Session
from schema.types.node import TIME_KEY, After, First, Node, created
from schema.types.people import Account, Team, User
from schema.types.policies import AccountPolicy, AudienceMember, DeliveryAudit, NotificationPreferences
from schema.types.psa import PsaConnection
from schema.types.statistics import EscalationStats

Id = Annotated[strawberry.ID, strawberry.argument(description="The stored UUID.")]


@strawberry.type(description="What can be read. Every field needs a signed-in user.")
class Query(QueueQueries, PeopleQueries):
    """The queries."""

    @strawberry.field(
        description="Anything of your account by its id. Unknown or foreign: null and NOT_FOUND.",
        extensions=signed_in(),
    )
    async def node(self, info: Info, id: Id) -> Node | None:  # noqa: A002 (Relay's name)
        """Find the type of an id and load it."""
        found = await _find_node(info, read_id(id))
        if found is None:
            raise NotFound
        return found

    @strawberry.field(description="The signed-in user.", extensions=signed_in(ingest=True))
    async def me(self, info: Info) -> User:
        """Return the caller."""
        return User.from_row(await info.context.viewer())

    @strawberry.field(
        description="A session of your account. Unknown or foreign: null and NOT_FOUND.",
        extensions=signed_in(ingest=True),
    )
    async def session(self, info: Info, id: Id) -> Session | None:  # noqa: A002 (the contract's name)
        """Load a session."""
        row = await info.context.loaders.sessions.load(read_id(id))
        if row is None:
            raise SessionNotFound
        return Session.from_row(row)

    @strawberry.field(
        description=(
            "What to know before taking over: the problem, where it stands, what was tried, what to do "
            "first, what is open, whom to ask. Unknown or foreign: NOT_FOUND."
        ),
        extensions=signed_in(),
    )
    async def handoff_briefing(
        self,
        info: Info,
        handoff_id: Annotated[strawberry.ID, strawberry.argument(description="The handoff's UUID.")],
    ) -> Briefing:
        """Brief on a handoff. Writes only where the briefing that is kept is out of date."""
        context, wanted = info.context, read_id(handoff_id)
        async with context.reading() as tx:
            gathered = await briefings.gather(tx, wanted)
        briefing = await briefings.brief(gathered, now=context.now)
        if not briefing.is_kept:
            async with context.services.database.transaction(context.account_id) as tx:
                await briefings.keep(tx, wanted, briefing)
        return Briefing.from_row(briefing.row)

    @strawberry.field(description="The sessions of your account, newest first.", extensions=signed_in())
    async def sessions(
        self,
        info: Info,
        status: Annotated[
            SessionStatus | None, strawberry.argument(description="Only those that stand here; null for all.")
        ] = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[Session]:
        """Read a page of sessions."""
        page = read_page(first, after, TIME_KEY)
        return await read_connection(
            info.context,
            page,
            rows=partial(sessions.page, status=status),
            count=partial(sessions.count, status=status),
            node=Session.from_row,
            key=created,
        )

    @strawberry.field(
        description="A handoff of your account. Unknown or foreign: null and NOT_FOUND.",
        extensions=signed_in(),
    )
    async def handoff(self, info: Info, id: Id) -> Handoff | None:  # noqa: A002 (the contract's name)
        """Load a handoff."""
        row = await info.context.loaders.handoffs.load(read_id(id))
        if row is None:
            raise HandoffNotFound
        return Handoff.from_row(row)

    @strawberry.field(
        description="What happens to an escalation of your account that nobody claims.",
        extensions=signed_in(),
    )
    async def account_policy(self, info: Info) -> AccountPolicy:
        """Read the policy."""
        async with info.context.reading() as tx:
            return AccountPolicy.from_stored(await policies.read(tx))

    @strawberry.field(description="How you want to be told.", extensions=signed_in())
    async def notification_preferences(self, info: Info) -> NotificationPreferences:
        """Read the caller's preferences."""
        return NotificationPreferences.from_row(await info.context.viewer())

    @strawberry.field(
        description="Who would be told if you escalated this session now, how, and why or why not.",
        extensions=signed_in(),
    )
    async def escalation_audience(
        self,
        info: Info,
        session_id: Annotated[strawberry.ID, strawberry.argument(description="The session.")],
    ) -> list[AudienceMember]:
        """Work out the audience."""
        context = info.context
        viewer = await context.viewer()
        async with context.reading() as tx:
            found = await audience.escalation_audience(tx, viewer, read_id(session_id), now=context.now)
        return [AudienceMember.from_found(member) for member in found]

    @strawberry.field(
        description="What became of the escalations that were made in a window, up to now.",
        extensions=signed_in(),
    )
    async def escalation_stats(
        self,
        info: Info,
        since: Annotated[
            datetime,
            strawberry.argument(name="from", description="The window's first instant, with a time zone."),
        ],
        until: Annotated[
            datetime,
            strawberry.argument(
                name="to",
                description=(
                    "The first instant after the window, with a time zone; at most "
                    f"{statistics.LONGEST.days} days later."
                ),
            ),
        ],
        group_by: Annotated[
            StatsDimension | None,
            strawberry.argument(description="By what to tell them apart; null for the total alone."),
        ] = None,
    ) -> EscalationStats:
        """Count."""
        window = statistics.clean_window(since, until)
        async with info.context.long_reading() as tx:
            found = await statistics.escalation_stats(tx, window, group_by)
        return EscalationStats.from_found(window, found)

    @strawberry.field(
        description="The API keys of your account, newest first, revoked ones too. For owners and admins.",
        extensions=admins(),
    )
    async def api_keys(self, info: Info, first: First = 20, after: After = None) -> Connection[ApiKey]:
        """Read a page of keys."""
        page = read_page(first, after, TIME_KEY)
        return await read_connection(
            info.context, page, rows=api_keys.page, count=api_keys.count, node=ApiKey.from_row, key=created
        )

    @strawberry.field(
        description="The PSA connections of your account, newest first. For owners and admins.",
        extensions=admins(),
    )
    async def psa_connections(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[PsaConnection]:
        """Read a page of connections."""
        page = read_page(first, after, TIME_KEY)
        return await read_connection(
            info.context,
            page,
            rows=psa_connections.page,
            count=psa_connections.count,
            node=PsaConnection.from_row,
            key=created,
        )

    @strawberry.field(
        description="What became of the escalations made since then. For owners and admins.",
        extensions=admins(),
    )
    async def delivery_audit(
        self,
        info: Info,
        since: Annotated[datetime, strawberry.argument(description="From when on, with a time zone.")],
    ) -> DeliveryAudit:
        """Audit the deliveries."""
        context = info.context
        since = clean_instant("since", since)
        async with context.reading() as tx:
            return DeliveryAudit.from_found(await audit.audit(tx, since=since, now=context.now))


async def _find_node(info: Info, key: UUID) -> Node | None:
    """Ask each type's loader, those that clients look up most first."""
    loaders = info.context.loaders
    if handoff := await loaders.handoffs.load(key):
        return Handoff.from_row(handoff)
    if session := await loaders.sessions.load(key):
        return Session.from_row(session)
    if delivery := await loaders.deliveries.load(key):
        return Delivery.from_row(delivery)
    if branch := await loaders.branches.load(key):
        return SessionBranch.from_row(branch)
    if user := await loaders.users.load(key):
        return User.from_row(user)
    if team := await loaders.teams.load(key):
        return Team.from_row(team)
    return Account.from_row(await loaders.account()) if key == info.context.account_id else None
