"""How an account and its people want to be told, who would be, and whether it worked."""

from __future__ import annotations

from datetime import timedelta

import strawberry

from db import policies
from db.audit import Audit
from db.enums import Channel, ReminderAudience
from db.users import UserRow
from resolvers import audience
from schema.types.people import User


@strawberry.type(
    description="What happens to an escalation that nobody claims, or a claim that nobody works on."
)
class AccountPolicy:
    """An account's policy."""

    reminder_after: list[timedelta] = strawberry.field(
        description="When responders are told again, since the escalation came into the queue. Ascending."
    )
    remind: ReminderAudience = strawberry.field(description="Whom reminders tell.")
    claim_expires_after: timedelta | None = strawberry.field(
        description="How long a claim lasts without work by its holder; null: until it is released."
    )

    @classmethod
    def from_stored(cls, policy: policies.AccountPolicy) -> AccountPolicy:
        """Show a stored policy."""
        return cls(
            reminder_after=list(policy.reminder_after),
            remind=policy.remind,
            claim_expires_after=policy.claim_expires_after,
        )


@strawberry.type(description="How a person wants to be told. Never are both channels off.")
class NotificationPreferences:
    """A person's preferences."""

    mute_push: bool = strawberry.field(description="No pushes of escalations: the mail goes at once instead.")
    mute_email: bool = strawberry.field(
        description="No mails, pushes only; but one if nobody could be told of what you escalated."
    )
    quiet_reminders: bool = strawberry.field(description="No mails that remind.")

    @classmethod
    def from_row(cls, row: UserRow) -> NotificationPreferences:
        """Show a stored user's preferences."""
        return cls(mute_push=row.mute_push, mute_email=row.mute_email, quiet_reminders=row.quiet_reminders)


@strawberry.type(description="A person of the account, and how they would be told of an escalation made now.")
class AudienceMember:
    """A member of an audience."""

    user: User = strawberry.field(description="Who.")
    channel: Channel | None = strawberry.field(description="How they would be told first; null: not at all.")
    reason: str = strawberry.field(description="Why, or why not, in a sentence without its subject.")

    @classmethod
    def from_found(cls, member: audience.AudienceMember) -> AudienceMember:
        """Show a member."""
        return cls(user=User.from_row(member.user), channel=member.channel, reason=member.reason)


@strawberry.type(description="What became of the escalations of a time.")
class DeliveryAudit:
    """An audit."""

    escalations: int = strawberry.field(description="How many were made.")
    settled: int = strawberry.field(description="Of how many every delivery has reached an end.")
    overdue: int = strawberry.field(description="Of how many a delivery is more than a minute late.")
    unreached: int = strawberry.field(
        description="How many are open, and nobody was told of them or still may be: call somebody."
    )
    median_lag_seconds: float | None = strawberry.field(
        description="Median time from when a delivery was due until it was sent; null if none was."
    )
    p99_lag_seconds: float | None = strawberry.field(description="The 99th percentile of the same.")

    @classmethod
    def from_found(cls, found: Audit) -> DeliveryAudit:
        """Show an audit."""
        return cls(
            escalations=found.escalations,
            settled=found.settled,
            overdue=found.overdue,
            unreached=found.unreached,
            median_lag_seconds=found.median_lag_seconds,
            p99_lag_seconds=found.p99_lag_seconds,
        )
