"""What is in the database before anything is measured, the same on both engines.

Instants are whole seconds, so that every peer can print them in the same way at no cost.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from db.session import new_id

RECIPIENTS = 10
#: Stays online: its node never misses a heartbeat.
FAR_AWAY = datetime(2100, 1, 1, tzinfo=UTC)

#: Rows of tables, in the order in which they refer to each other: columns, then rows.
Rows = dict[str, tuple[tuple[str, ...], list[tuple[object, ...]]]]

_NOTES = (
    "Restarted the concentrator twice; the tunnel drops after the rekey. Customer is on a call at two. {}"
)
_SUMMARY = "VPN drops every hour at the branch office, number {}"
_SNAPSHOT = json.dumps(
    {
        "problem_summary": "VPN drops every hour",
        "problem_domain": "network",
        "status": "ACTIVE",
        "step_count": 7,
        "confidence_tier": "MEDIUM",
        "branch_map": [],
        "active_branch_id": None,
    }
)
_SESSION = (
    "account_id", "id", "owner_id", "status", "problem_summary", "problem_domain", "step_count",
    "confidence_tier", "message_count", "branch_count", "handoff_count", "psa_ticket_id", "created_at",
)  # fmt: skip
_HANDOFF = (
    "account_id", "id", "session_id", "intent", "priority", "state", "notes", "snapshot", "round",
    "reach_online", "reach_email", "unreachable", "handed_off_by_id", "created_at", "opened_at", "reminders",
)  # fmt: skip
_DELIVERY = (
    "account_id", "id", "handoff_id", "recipient_id", "channel", "kind", "round", "status", "attempts",
    "created_at", "first_due_at", "due_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant with its people; the first of them acts, the others are told."""

    id: UUID = field(default_factory=new_id)
    people: tuple[UUID, ...] = field(default_factory=lambda: tuple(new_id() for _ in range(RECIPIENTS + 1)))

    @property
    def actor_id(self) -> UUID:
        """Who escalates and claims."""
        return self.people[0]


@dataclass(frozen=True, slots=True)
class Escalation:
    """A session, and the handoff that it waits with; the handoff's id means nothing before it is made."""

    account: Account
    session_id: UUID = field(default_factory=new_id)
    handoff_id: UUID = field(default_factory=new_id)


def tenants(accounts: Sequence[Account]) -> Rows:
    """Return the accounts and their people, each of them at a screen."""
    now, node_id = _now(), new_id()
    people = [(account.id, person) for account in accounts for person in account.people]
    return {
        "accounts": (("id", "name", "created_at"), [(a.id, str(a.id), now) for a in accounts]),
        "account_counters": (("account_id", "event_sequence"), [(a.id, 0) for a in accounts]),
        "users": (
            ("account_id", "id", "email", "name", "role", "active", "created_at"),
            [(a, p, f"{p}@msp.example", f"Engineer {p}", "ENGINEER", True, now) for a, p in people],
        ),
        "nodes": (("id", "name", "started_at", "heartbeat_at"), [(node_id, "screens", now, FAR_AWAY)]),
        "connections": (
            ("account_id", "id", "node_id", "user_id", "opened_at"),
            [(a, new_id(), node_id, p, now) for a, p in people],
        ),
    }


def started(escalations: Sequence[Escalation]) -> Rows:
    """Return the sessions, not handed off yet."""
    return {"sessions": (_SESSION, _sessions(escalations, "ACTIVE", handoffs=0))}


def waiting(escalations: Sequence[Escalation], *, told: bool) -> Rows:
    """Return the sessions with their open handoffs and, if `told`, a push and a mail to each recipient."""
    now = _now()
    rows: Rows = {
        "sessions": (_SESSION, _sessions(escalations, "ESCALATED", handoffs=1)),
        "handoffs": (_HANDOFF, [_handoff(each, number) for number, each in enumerate(escalations)]),
    }
    if told:
        rows["deliveries"] = (
            _DELIVERY,
            [
                (
                    *(e.account.id, new_id(), e.handoff_id, person, channel, "ESCALATION", 0, "PENDING", 0),
                    *(now, due_at, due_at),
                )
                for e in escalations
                for person in e.account.people[1:]
                for channel, due_at in (("PUSH", now), ("EMAIL", now + timedelta(seconds=30)))
            ],
        )
    return rows


def _sessions(escalations: Sequence[Escalation], status: str, *, handoffs: int) -> list[tuple[object, ...]]:
    at = _now() - timedelta(days=1)
    return [
        (
            *(e.account.id, e.session_id, e.account.actor_id, status, _SUMMARY.format(number), "network"),
            *(number % 9, "MEDIUM", 0, 0, handoffs, f"T-{number}", at - timedelta(seconds=number)),
        )
        for number, e in enumerate(escalations)
    ]


def _handoff(e: Escalation, number: int) -> tuple[object, ...]:
    at = _now() - timedelta(seconds=number)
    told = (RECIPIENTS, 0, False)
    return (
        *(e.account.id, e.handoff_id, e.session_id, "ESCALATE", number % 4, "OPEN", _NOTES.format(number)),
        *(_SNAPSHOT, 0, *told, e.account.actor_id, at, at, 0),
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
