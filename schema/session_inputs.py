"""The inputs by which sessions are taken in."""

from datetime import datetime
from typing import Any

import strawberry
from strawberry import UNSET

from db.enums import (
    ConfidenceTier,
    MessageRole,
)
from resolvers.branches import NewBranch
from resolvers.sessions import NewMessage, NewSession
from schema.ids import read_optional_id

_IDEMPOTENCY_KEY = (
    "Made up by the client, unique per user for 24 hours, whichever mutation it is sent with: a retried "
    "request with the same key and input {what}, with another input BAD_USER_INPUT. At most 200 characters."
)
_GETS_SESSION = "gets the session as it is now, also where it was resolved meanwhile"
_KEEPS = "Leave it out to keep what is stored; null clears it."
_STAYS = "Leave it out to keep what is stored; null is BAD_USER_INPUT."


@strawberry.input(description="A message of a session.")
class SessionMessageInput:
    """A message."""

    role: MessageRole = strawberry.field(description="Who said it.")
    content: str = strawberry.field(description="What was said; at most 100,000 characters.")
    at: datetime | None = strawberry.field(
        default=None, description="When, with a time zone, from 1970 to now; null for now."
    )

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
        description=(
            "Whose session it is: an active owner, admin or engineer of the account. For admins, and for API "
            "keys of scope INGEST whoever their user is. Null for the caller's own."
        ),
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
    idempotency_key: str | None = strawberry.field(
        default=None,
        description=_IDEMPOTENCY_KEY.format(what="gets the session that the first one started, as it is now"),
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
        default=UNSET, description=f"The problem in one sentence; at most 500 characters. {_KEEPS}"
    )
    problem_domain: str | None = strawberry.field(
        default=UNSET, description=f"The field; at most 200 characters. {_KEEPS}"
    )
    step_count: int | None = strawberry.field(
        default=UNSET,
        description=f"How many steps were taken: 0 to 1,000,000. {_STAYS}",
    )
    confidence_tier: ConfidenceTier | None = strawberry.field(
        default=UNSET, description=f"How sure the diagnosis is. {_KEEPS}"
    )
    active_branch_id: strawberry.ID | None = strawberry.field(
        default=UNSET,
        description="The branch of this session that is worked on. Left out, it stays; null ends branching.",
    )
    psa_ticket_id: str | None = strawberry.field(
        default=UNSET, description=f"Its ticket in the PSA; at most 200 characters. {_KEEPS}"
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
    idempotency_key: str | None = strawberry.field(
        default=None,
        description=_IDEMPOTENCY_KEY.format(what=f"adds nothing and {_GETS_SESSION}"),
    )


@strawberry.input(description="A line of investigation to be added to a session.")
class AddSessionBranchInput:
    """Input of addSessionBranch."""

    session_id: strawberry.ID = strawberry.field(description="The session.")
    label: str = strawberry.field(description="What is investigated; at most 200 characters.")
    parent_branch_id: strawberry.ID | None = strawberry.field(
        default=None, description="The branch of the same session that it grows from."
    )
    status: str | None = strawberry.field(
        default=None,
        description="Where it stands, in your own words; at most 200 characters; null for `open`.",
    )
    status_reason: str | None = strawberry.field(
        default=None, description="Why it stands there; at most 2,000 characters."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description=_IDEMPOTENCY_KEY.format(what=f"adds nothing and {_GETS_SESSION}"),
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
        default=UNSET,
        description=f"What is investigated; at most 200 characters. {_STAYS}",
    )
    status: str | None = strawberry.field(
        default=UNSET,
        description=f"Where it stands; at most 200 characters. {_STAYS}",
    )
    status_reason: str | None = strawberry.field(
        default=UNSET, description=f"Why it stands there; at most 2,000 characters. {_KEEPS}"
    )

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
