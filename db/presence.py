"""Who has a live dashboard connection now, on any node.

A connection is one running `escalationCreated` subscription of a responder. It counts while the node
that holds it beats: a killed node's people are offline when its last beat is `STALE_AFTER` old, and
nobody has to clean up for that.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select

from db.models import connections, nodes, sessions
from db.prepared import Ask, own, value
from db.session import Transaction

#: How long a node is believed to live after its last beat.
STALE_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One running subscription of a responder."""

    account_id: UUID
    id: UUID
    node_id: UUID
    user_id: UUID
    team_id: UUID | None  #: None: follows every team
    opened_at: datetime


async def connect(tx: Transaction, connection: ConnectionRow) -> None:
    """Store a connection of the transaction's account."""
    await tx.execute(insert(connections).values({**asdict(connection), "account_id": tx.account_id}))


async def disconnect(tx: Transaction, connection_id: UUID) -> None:
    """Forget a connection."""
    await tx.execute(delete(connections).where(tx.own(connections), connections.c.id == connection_id))


async def online_for(tx: Transaction, team_id: UUID | None, *, now: datetime) -> set[UUID]:
    """Return the users whose dashboards show an escalation of a session of that team (None: of no team)."""
    follows: ColumnElement[bool] = connections.c.team_id.is_(None)
    if team_id is not None:
        follows = or_(follows, connections.c.team_id == team_id)
    return await _online(tx, now, follows)


def ask_online(session_id: UUID, *, now: datetime) -> Ask[UUID]:
    """Ask for the users whose dashboards show an escalation of a session."""
    values = {"session_id": session_id, "alive_since": now - STALE_AFTER}
    return Ask(_ONLINE, lambda user_id: user_id, values)


async def online_among(tx: Transaction, user_ids: Sequence[UUID], *, now: datetime) -> set[UUID]:
    """Return those of the users who have any dashboard open."""
    return await _online(tx, now, connections.c.user_id.in_(user_ids))


async def _online(tx: Transaction, now: datetime, condition: ColumnElement[bool]) -> set[UUID]:
    alive = and_(nodes.c.id == connections.c.node_id, nodes.c.heartbeat_at > now - STALE_AFTER)
    statement = select(connections.c.user_id).join(nodes, alive).where(tx.own(connections), condition)
    return set((await tx.connection.execute(statement.distinct())).scalars())


_alive = and_(
    nodes.c.id == connections.c.node_id, nodes.c.heartbeat_at > value("alive_since", nodes.c.heartbeat_at)
)
_its_team = select(sessions.c.team_id).where(
    own(sessions), sessions.c.id == value("session_id", sessions.c.id)
)
_ONLINE = (
    select(connections.c.user_id)
    .join(nodes, _alive)
    .where(own(connections))
    .where(or_(connections.c.team_id.is_(None), connections.c.team_id == _its_team.scalar_subquery()))
    .distinct()
)
