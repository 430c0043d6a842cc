"""Whoever counts escalations by hand: slowly, from the rows and the event log, one by one."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy import select

from db.deliveries import DeliveryRow
from db.enums import Channel, DeliveryStatus, EventKind, HandoffIntent
from db.events import EventRow
from db.handoffs import HandoffRow
from db.models import deliveries, events, handoffs, sessions
from db.session import Transaction, columns_of
from db.sessions import SessionRow
from db.statistics import StatsDimension, Window


@dataclass
class Fate:
    """What the log tells of a handoff."""

    claims: list[tuple[datetime, UUID | None]] = field(default_factory=list)
    released: int = 0
    reminders: int = 0
    bounced: bool = False


@dataclass(frozen=True)
class Ledger:
    """All that an account has to count."""

    handoffs: list[HandoffRow]
    sessions: dict[UUID, SessionRow]
    deliveries: list[tuple[DeliveryRow, datetime]]  #: each with when it was due first
    fates: dict[UUID, Fate]

    def in_window(self, window: Window) -> list[HandoffRow]:
        """Return the escalations that count."""
        return [
            row
            for row in self.handoffs
            if row.intent == HandoffIntent.ESCALATE and window.since <= row.created_at < window.until
        ]

    def count(self, rows: Iterable[HandoffRow]) -> dict[str, Any]:
        """Return what became of some escalations, in the words of the API."""
        rows = list(rows)
        fates = [self.fates[row.id] for row in rows]
        pairs = list(zip(rows, fates, strict=True))
        resolved = [(row, self.sessions[row.session_id].resolved_at) for row in rows]
        return {
            "escalated": len(rows),
            "claimed": sum(bool(fate.claims) for fate in fates),
            "timeToClaim": durations(
                [_seconds(row.created_at, fate.claims[0][0]) for row, fate in pairs if fate.claims]
            ),
            "timeToResolve": durations([_seconds(row.created_at, at) for row, at in resolved if at]),
            "reminders": sum(fate.reminders for fate in fates),
            "released": sum(fate.released for fate in fates),
            "bouncedBack": sum(fate.bounced for fate in fates),
        }

    def count_groups(self, window: Window, dimension: StatsDimension) -> list[dict[str, Any]]:
        """Return what became of each group, the largest first."""
        keys: dict[StatsDimension, Callable[[HandoffRow], object]] = {
            StatsDimension.DOMAIN: lambda row: row.snapshot["problem_domain"],
            StatsDimension.TEAM: lambda row: row.team_id,
            StatsDimension.PRIORITY: lambda row: row.priority.name,
            StatsDimension.ENGINEER: lambda row: row.handed_off_by_id,
            StatsDimension.CLAIMER: lambda row: (
                self.fates[row.id].claims[0][1] if self.fates[row.id].claims else None
            ),
        }
        groups = defaultdict(list)
        for row in self.in_window(window):
            key = keys[dimension](row)
            groups[None if key is None else str(key)].append(row)
        counted = [{"key": key} | self.count(rows) for key, rows in groups.items()]
        return sorted(counted, key=lambda group: (-group["escalated"], group["key"] is None, group["key"]))

    def count_channels(self, window: Window) -> list[dict[str, Any]]:
        """Return where the deliveries over each channel stand."""
        counted = {row.id for row in self.in_window(window)}
        return [
            _count_channel(
                channel,
                [
                    pair
                    for pair in self.deliveries
                    if pair[0].handoff_id in counted and pair[0].channel == channel
                ],
            )
            for channel in Channel
        ]


def durations(seconds: list[float]) -> dict[str, Any]:
    """Return how many durations there are, and their percentiles."""
    return {
        "count": len(seconds),
        "medianSeconds": nearest_rank(seconds, Fraction(50, 100)),
        "p90Seconds": nearest_rank(seconds, Fraction(90, 100)),
        "p99Seconds": nearest_rank(seconds, Fraction(99, 100)),
    }


def nearest_rank(values: list[float], share: Fraction) -> float | None:
    """Return the least value that at least this share of the values does not exceed."""
    return min(
        (value for value in values if sum(other <= value for other in values) >= share * len(values)),
        default=None,
    )


async def read(tx: Transaction) -> Ledger:
    """Read all that the account has."""
    found = await tx.fetch_all(select(*columns_of(HandoffRow, handoffs)).where(tx.own(handoffs)), HandoffRow)
    of_sessions = select(*columns_of(SessionRow, sessions)).where(tx.own(sessions))
    told = select(*columns_of(DeliveryRow, deliveries), deliveries.c.first_due_at).where(tx.own(deliveries))
    log = select(*columns_of(EventRow, events)).where(tx.own(events)).order_by(events.c.sequence)
    return Ledger(
        found,
        {row.id: row for row in await tx.fetch_all(of_sessions, SessionRow)},
        [(DeliveryRow(*row[:-1]), row[-1]) for row in await tx.connection.execute(told)],
        _follow(await tx.fetch_all(log, EventRow)),
    )


def _follow(log: list[EventRow]) -> dict[UUID, Fate]:
    """Live through what happened, in order."""
    fates: dict[UUID, Fate] = defaultdict(Fate)
    held: dict[UUID | None, UUID] = {}  # the handoff last claimed, by session, until it is over
    for event in log:
        fate = Fate() if event.handoff_id is None else fates[event.handoff_id]
        if event.kind == EventKind.HANDOFF_CLAIMED and event.handoff_id is not None:
            fate.claims.append((event.at, event.actor_id))
            held[event.session_id] = event.handoff_id
        elif event.kind == EventKind.HANDOFF_RELEASED:
            fate.released += 1
            del held[event.session_id]
        elif event.kind == EventKind.ESCALATION_REMINDED:
            fate.reminders += 1
        elif event.kind == EventKind.HANDOFF_CREATED and event.session_id in held:
            fates[held.pop(event.session_id)].bounced = True
        elif event.kind == EventKind.SESSION_RESOLVED:
            held.pop(event.session_id, None)
    return fates


def _count_channel(channel: Channel, rows: list[tuple[DeliveryRow, datetime]]) -> dict[str, Any]:
    states = [row.status for row, _ in rows]
    lags = []
    for row, due_at in rows:
        arrived_at = row.delivered_at or row.sent_at
        if row.status in (DeliveryStatus.SENT, DeliveryStatus.DELIVERED) and arrived_at is not None:
            lags.append(_seconds(due_at, arrived_at))
    return {
        "channel": channel.name,
        "sent": states.count(DeliveryStatus.SENT),
        "delivered": states.count(DeliveryStatus.DELIVERED),
        "failed": states.count(DeliveryStatus.FAILED),
        "skipped": states.count(DeliveryStatus.SKIPPED),
        "medianSeconds": nearest_rank(lags, Fraction(50, 100)),
        "p99Seconds": nearest_rank(lags, Fraction(99, 100)),
    }


def _seconds(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0)
