"""The inputs of mutations and queries."""

from datetime import datetime, timedelta
from typing import Any

import strawberry
from strawberry import UNSET

from db.enums import (
    ApiKeyScope,
    ConfidenceTier,
    HandoffIntent,
    HandoffPriority,
    MessageRole,
    ReminderAudience,
    Verdict,
)
from db.handoffs import QueueFilter as StoredFilter
from resolvers.inputs import MAX_LABEL, clean_text
from resolvers.new_handoffs import NewHandoff
from resolvers.sessions import NewBranch, NewMessage, NewSession
from schema.ids import read_id, read_optional_id

_KEEPS = "Leave it out to keep what is stored; null clears it."


@strawberry.input(description="Which part of the queue. What is left out or null does not narrow it.")
class QueueFilter:
    """A filter of the queue."""

    team_id: strawberry.ID | None = strawberry.field(default=None, description="Only sessions of this team.")
    intent: HandoffIntent | None = strawberry.field(
        default=None, description="Only parked, or only escalated."
    )
    priority: HandoffPriority | None = strawberry.field(default=None, description="Only this priority.")
    problem_domain: str | None = strawberry.field(
        default=None, description="Only sessions whose domain is this now."
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
            "Made up by the client, unique per user for 24 hours: a retried request with the same key and "
            "input gets the handoff that the first one made. At most 200 characters."
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

    handoff_id: strawberry.ID = strawberry.field(description="The handoff, claimed by you.")
    reason: str | None = strawberry.field(
        default=None, description="Why; stands in the timeline. At most 2,000 characters."
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
        default=UNSET, description="Whom reminders tell. Leave it out to keep what is stored."
    )
    claim_expires_after: timedelta | None = strawberry.field(
        default=UNSET,
        description=(
            "After this long without work by the one who claimed it, a handoff goes back into the queue. "
            "Leave it out to keep what is stored; null lets claims last."
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


@strawberry.input(description="A message of a session.")
class SessionMessageInput:
    """A message."""

    role: MessageRole = strawberry.field(description="Who said it.")
    content: str = strawberry.field(description="What was said; at most 100,000 characters.")
    at: datetime | None = strawberry.field(default=None, description="When, with a time zone; null for now.")

    def new(self) -> NewMessage:
        """Return the message in the words of the domain."""
        return NewMessage(role=self.role, content=self.content, at=self.at)


@strawberry.input(description="A session to be started.")
class StartSessionInput:
    """Input of startSession."""

    problem_summary: str = strawberry.field(
        description="The problem in one sentence; at most 500 characters."
    )
    problem_domain: str | None = strawberry.field(
        default=None, description="The field, like `network`; at most 200 characters."
    )
    team_id: strawberry.ID | None = strawberry.field(default=None, description="The team that it belongs to.")
    owner_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Whose session it is, for admins: a user who can sign in. Null for the caller's own.",
    )
    confidence_tier: ConfidenceTier | None = strawberry.field(
        default=None, description="How sure the diagnosis is."
    )
    psa_ticket_id: str | None = strawberry.field(
        default=None, description="Its ticket in the PSA; at most 200 characters."
    )
    psa_connection_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The PSA connection that leads to the ticket. Unknown or foreign: NOT_FOUND.",
    )
    messages: list[SessionMessageInput] | None = strawberry.field(
        default=None, description="What was said so far, in order; at most 500."
    )

    def new(self) -> NewSession:
        """Return the session in the words of the domain."""
        return NewSession(
            problem_summary=self.problem_summary,
            problem_domain=self.problem_domain,
            team_id=read_optional_id(self.team_id),
            owner_id=read_optional_id(self.owner_id),
            confidence_tier=self.confidence_tier,
            psa_ticket_id=self.psa_ticket_id,
            psa_connection_id=read_optional_id(self.psa_connection_id),
            messages=[message.new() for message in self.messages or ()],
        )


@strawberry.input(description="Fields of a session to be set.")
class UpdateSessionInput:
    """Input of updateSession."""

    session_id: strawberry.ID = strawberry.field(description="The session.")
    problem_summary: str | None = strawberry.field(
        default=UNSET, description=f"The problem in one sentence. {_KEEPS}"
    )
    problem_domain: str | None = strawberry.field(default=UNSET, description=f"The field. {_KEEPS}")
    step_count: int | None = strawberry.field(
        default=UNSET, description="How many steps were taken. Leave it out to keep what is stored."
    )
    confidence_tier: ConfidenceTier | None = strawberry.field(
        default=UNSET, description=f"How sure the diagnosis is. {_KEEPS}"
    )
    active_branch_id: strawberry.ID | None = strawberry.field(
        default=UNSET,
        description="The branch of this session that is worked on. Left out, it stays; null ends branching.",
    )
    psa_ticket_id: str | None = strawberry.field(
        default=UNSET, description=f"Its ticket in the PSA. {_KEEPS}"
    )
    psa_connection_id: strawberry.ID | None = strawberry.field(
        default=UNSET,
        description=f"The PSA connection that leads to the ticket. Unknown or foreign: NOT_FOUND. {_KEEPS}",
    )

    def changes(self) -> dict[str, Any]:
        """Return what is to change, by column."""
        given = {
            "problem_summary": self.problem_summary,
            "problem_domain": self.problem_domain,
            "step_count": self.step_count,
            "confidence_tier": self.confidence_tier,
            "active_branch_id": self.active_branch_id,
            "psa_ticket_id": self.psa_ticket_id,
            "psa_connection_id": self.psa_connection_id,
        }
        changes: dict[str, Any] = _without_unset(given)
        for column in ("active_branch_id", "psa_connection_id"):
            if column in changes:
                changes[column] = read_optional_id(changes[column])
        return changes


@strawberry.input(description="Messages to be added to a session.")
class AppendSessionMessagesInput:
    """Input of appendSessionMessages."""

    session_id: strawberry.ID = strawberry.field(description="The session.")
    messages: list[SessionMessageInput] = strawberry.field(description="The messages, in order; 1 to 500.")


@strawberry.input(description="A line of investigation to be added to a session.")
class AddSessionBranchInput:
    """Input of addSessionBranch."""

    session_id: strawberry.ID = strawberry.field(description="The session.")
    label: str = strawberry.field(description="What is investigated; at most 200 characters.")
    parent_branch_id: strawberry.ID | None = strawberry.field(
        default=None, description="The branch of the same session that it grows from."
    )
    status: str | None = strawberry.field(default=None, description="Where it stands; null for `open`.")
    status_reason: str | None = strawberry.field(
        default=None, description="Why it stands there; at most 2,000 characters."
    )

    def new(self) -> NewBranch:
        """Return the branch in the words of the domain."""
        return NewBranch(
            label=self.label,
            status=self.status,
            status_reason=self.status_reason,
            parent_branch_id=read_optional_id(self.parent_branch_id),
        )


@strawberry.input(description="Fields of a branch to be set.")
class UpdateSessionBranchInput:
    """Input of updateSessionBranch."""

    branch_id: strawberry.ID = strawberry.field(description="The branch.")
    label: str | None = strawberry.field(
        default=UNSET, description="What is investigated. Leave it out to keep what is stored."
    )
    status: str | None = strawberry.field(
        default=UNSET, description="Where it stands. Leave it out to keep what is stored."
    )
    status_reason: str | None = strawberry.field(default=UNSET, description=f"Why it stands there. {_KEEPS}")

    def changes(self) -> dict[str, Any]:
        """Return what is to change, by column."""
        given = {"label": self.label, "status": self.status, "status_reason": self.status_reason}
        return _without_unset(given)


@strawberry.input(description="A session to be finished.")
class ResolveSessionInput:
    """Input of resolveSession."""

    session_id: strawberry.ID = strawberry.field(description="The session.")
    actual_cause: str | None = strawberry.field(
        default=None, description="What it was in the end; at most 2,000 characters."
    )


def _without_unset(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not UNSET}
