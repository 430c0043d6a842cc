"""The inputs of queries and mutations, but for those about sessions, people and PSAs."""

from datetime import timedelta
from typing import Any

import strawberry
from strawberry import UNSET

from db.enums import (
    ApiKeyScope,
    HandoffIntent,
    HandoffPriority,
    ReminderAudience,
    Verdict,
)
from db.queue import QueueFilter as StoredFilter
from resolvers.inputs import MAX_LABEL, clean_text
from resolvers.new_handoffs import NewHandoff
from schema.ids import read_id, read_optional_id


@strawberry.input(description="Which part of the queue. What is left out or null does not narrow it.")
class QueueFilter:
    """A filter of the queue."""

    team_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only sessions of this team. Unknown or foreign: NOT_FOUND."
    )
    intent: HandoffIntent | None = strawberry.field(
        default=None, description="Only parked, or only escalated."
    )
    priority: HandoffPriority | None = strawberry.field(default=None, description="Only this priority.")
    problem_domain: str | None = strawberry.field(
        default=None, description="Only sessions whose domain is this now, to the letter."
    )

    def stored(self) -> StoredFilter:
        """Return the filter in the words of the database.

        Raises:
            BadInput: no session can have such a domain.
        """
        domain = self.problem_domain
        return StoredFilter(
            team_id=read_optional_id(self.team_id),
            intent=self.intent,
            priority=self.priority,
            problem_domain=None if domain is None else clean_text("problemDomain", domain, MAX_LABEL),
        )


@strawberry.input(description="What to hand off, and how.")
class CreateHandoffInput:
    """Input of createHandoff."""

    session_id: strawberry.ID = strawberry.field(description="The session to pass on.")
    intent: HandoffIntent = strawberry.field(description="Park it for later, or escalate it now.")
    notes: str | None = strawberry.field(
        default=None, description="What the next engineer has to know; at most 20,000 characters."
    )
    priority: HandoffPriority = strawberry.field(
        default=HandoffPriority.NORMAL, description="How urgent it is."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description=(
            "Made up by the client, unique per user for 24 hours, whichever mutation it is sent with: a "
            "retried request with the same key and input gets the handoff that the first one made, with "
            "another input BAD_USER_INPUT. At most 200 characters."
        ),
    )

    def new(self) -> NewHandoff:
        """Return the wish in the words of the domain."""
        return NewHandoff(
            session_id=read_id(self.session_id),
            intent=self.intent,
            notes=self.notes,
            priority=self.priority,
            idempotency_key=self.idempotency_key,
        )


@strawberry.input(description="What to claim.")
class ClaimHandoffInput:
    """Input of claimHandoff."""

    handoff_id: strawberry.ID = strawberry.field(description="The handoff to take over.")


@strawberry.input(description="What to put back into the queue.")
class ReleaseHandoffInput:
    """Input of releaseHandoff."""

    handoff_id: strawberry.ID = strawberry.field(
        description="The handoff, claimed by you; for owners and admins, by anybody."
    )
    reason: str | None = strawberry.field(
        default=None, description="Why; stands in the timeline. At most 2,000 characters."
    )
    claimed_by_id: strawberry.ID | None = strawberry.field(
        default=None,
        description=(
            "From whom it is taken: the `claimedBy` that was shown to whoever releases it. Where somebody "
            "else has it by now, or nobody, the answer is HandoffNotClaimedByYou. Null for whoever has it; "
            "but an owner or admin who has claimed or released this handoff before takes it from nobody else "
            "whom they do not name here, so that a second click does no harm."
        ),
    )


@strawberry.input(description="What was seen.")
class AcknowledgeEscalationInput:
    """Input of acknowledgeEscalation."""

    handoff_id: strawberry.ID = strawberry.field(description="The handoff that was seen.")


@strawberry.input(description="What came of an assessment.")
class RateAssessmentInput:
    """Input of rateAssessment."""

    handoff_id: strawberry.ID = strawberry.field(description="The handoff that was assessed.")
    verdict: Verdict = strawberry.field(description="Whether the likely cause was the cause.")


@strawberry.input(description="Fields of the account's policy to be set.")
class UpdateAccountPolicyInput:
    """Input of updateAccountPolicy."""

    reminder_after: list[timedelta] | None = strawberry.field(
        default=UNSET,
        description=(
            "When responders are told again, each since the escalation came into the queue: ascending, at "
            "most 10, whole seconds, PT1S to P30D. Leave it out to keep what is stored; null or [] for none."
        ),
    )
    remind: ReminderAudience | None = strawberry.field(
        default=UNSET, description="Whom reminders tell. Left out or null, it stays."
    )
    claim_expires_after: timedelta | None = strawberry.field(
        default=UNSET,
        description=(
            "After this long without work by the one who claimed it, a handoff goes back into the queue. "
            "Whole seconds, PT1S to P30D. Leave it out to keep what is stored; null lets claims last."
        ),
    )

    def changes(self) -> dict[str, Any]:
        """Return what is to change, by field of the policy."""
        changes: dict[str, Any] = {}
        if self.reminder_after is not UNSET:
            changes["reminder_after"] = tuple(self.reminder_after or ())
        if self.remind is not UNSET and self.remind is not None:
            changes["remind"] = self.remind
        if self.claim_expires_after is not UNSET:
            changes["claim_expires_after"] = self.claim_expires_after
        return changes


@strawberry.input(description="How you want to be told. What is left out or null stays.")
class UpdateNotificationPreferencesInput:
    """Input of updateNotificationPreferences."""

    mute_push: bool | None = strawberry.field(
        default=None, description="No pushes of escalations: the mail goes at once instead."
    )
    mute_email: bool | None = strawberry.field(
        default=None,
        description="No mails, pushes only; but one if nobody could be told of what you escalated.",
    )
    quiet_reminders: bool | None = strawberry.field(default=None, description="No mails that remind.")

    def changes(self) -> dict[str, bool]:
        """Return what is to change, by column."""
        given = {
            "mute_push": self.mute_push,
            "mute_email": self.mute_email,
            "quiet_reminders": self.quiet_reminders,
        }
        return {name: value for name, value in given.items() if value is not None}


@strawberry.input(description="An API key to be made.")
class CreateApiKeyInput:
    """Input of createApiKey."""

    name: str = strawberry.field(description="What it is for; at most 200 characters.")
    scope: ApiKeyScope = strawberry.field(description="What it may be used for, at most.")
    user_id: strawberry.ID | None = strawberry.field(
        default=None, description="The user whom it signs in; null for you. An owner's needs an owner."
    )


@strawberry.input(description="An API key to be refused.")
class RevokeApiKeyInput:
    """Input of revokeApiKey."""

    key_id: strawberry.ID = strawberry.field(description="The key.")
