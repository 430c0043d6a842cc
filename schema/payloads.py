"""What mutations answer: a success, or the refusal as a type of its own."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from db.enums import HandoffState
from resolvers import errors
from resolvers.errors import Refusal
from schema.context import Info
from schema.types.api_keys import ApiKey
from schema.types.handoffs import Delivery, Handoff, Session, load_handoff
from schema.types.people import User, load_user
from schema.types.policies import AccountPolicy, NotificationPreferences
from schema.types.reach import Reach


@strawberry.interface(description="A refusal that the client must handle.")
class Problem:
    """A refusal."""

    message: str = strawberry.field(description="What is wrong and what can be done, for a person.")


@strawberry.type(description="No session of your account has this id.")
class SessionNotFound(Problem):
    """A refusal."""


@strawberry.type(description="The session is resolved; nothing changes it any more.")
class SessionResolved(Problem):
    """A refusal."""


@strawberry.type(description="The session waits in the queue already.")
class SessionAlreadyHandedOff(Problem):
    """A refusal."""

    handoff_id: strawberry.Private[UUID]

    @strawberry.field(description="The handoff that it waits with.")
    async def handoff(self, info: Info) -> Handoff:
        """Load the handoff."""
        return await load_handoff(info, self.handoff_id)


@strawberry.type(description="No handoff of your account has this id.")
class HandoffNotFound(Problem):
    """A refusal."""


@strawberry.type(description="The handoff is closed.")
class HandoffNotOpen(Problem):
    """A refusal."""

    state: HandoffState = strawberry.field(description="Where it stands.")


@strawberry.type(description="Somebody else claimed the handoff first.")
class HandoffAlreadyClaimed(Problem):
    """A refusal."""

    claimed_at: datetime = strawberry.field(description="Since when they have it.")
    claimed_by_id: strawberry.Private[UUID]

    @strawberry.field(description="Who has it.")
    async def claimed_by(self, info: Info) -> User:
        """Load the winner."""
        return await load_user(info, self.claimed_by_id)


@strawberry.type(description="There is no assessment to rate: none was asked for, or it is not ready.")
class AssessmentNotReady(Problem):
    """A refusal."""


@strawberry.type(
    description=(
        "Only who claimed a handoff can rate its assessment. They, owners and admins can release it; while "
        "nobody has claimed it, nobody can, and whoever names from whom it is taken only while they have it."
    )
)
class HandoffNotClaimedByYou(Problem):
    """A refusal."""


@strawberry.type(description="The session has no ticket in a connected PSA.")
class PsaNotConnected(Problem):
    """A refusal."""


@strawberry.type(description="The note is in the ticket, or a worker will put it there.")
class PushHandoffToPsaSuccess:
    """Success of pushHandoffToPsa."""

    delivery: Delivery = strawberry.field(
        description="The note's delivery: its state, attempts and last fault."
    )


@strawberry.type(description="The session was handed off.")
class CreateHandoffSuccess:
    """Success of createHandoff."""

    handoff: Handoff = strawberry.field(description="The handoff as it is now.")
    reach: Reach = strawberry.field(description="Whom it reached at the moment that it was made.")


@strawberry.type(description="The handoff is yours.")
class ClaimHandoffSuccess:
    """Success of claimHandoff."""

    handoff: Handoff = strawberry.field(description="The handoff as it is now.")


@strawberry.type(description="The handoff is back in the queue.")
class ReleaseHandoffSuccess:
    """Success of releaseHandoff."""

    handoff: Handoff = strawberry.field(description="The handoff as it is now.")


@strawberry.type(description="The escalation was seen.")
class AcknowledgeEscalationPayload:
    """Answer of acknowledgeEscalation."""

    handoff: Handoff = strawberry.field(description="The handoff as it is now.")


@strawberry.type(description="The verdict was recorded.")
class RateAssessmentSuccess:
    """Success of rateAssessment."""

    handoff: Handoff = strawberry.field(description="The handoff with its assessment.")


@strawberry.type(description="The policy was set.")
class UpdateAccountPolicyPayload:
    """Answer of updateAccountPolicy."""

    policy: AccountPolicy = strawberry.field(description="The policy as it is now.")


@strawberry.type(description="The preferences were set.")
class UpdateNotificationPreferencesPayload:
    """Answer of updateNotificationPreferences."""

    preferences: NotificationPreferences = strawberry.field(description="The preferences as they are now.")


@strawberry.type(description="The API key was made.")
class CreateApiKeyPayload:
    """Answer of createApiKey."""

    api_key: ApiKey = strawberry.field(description="The key.")
    token: str = strawberry.field(
        description=(
            "What the machine sends, as `Authorization: Bearer TOKEN` or in `connection_init`. It is shown "
            "this once and kept nowhere: store it now."
        )
    )


@strawberry.type(description="The API key is refused from now on.")
class RevokeApiKeyPayload:
    """Answer of revokeApiKey."""

    api_key: ApiKey = strawberry.field(description="The key.")


@strawberry.type(description="The session was started.")
class StartSessionPayload:
    """Answer of startSession."""

    session: Session = strawberry.field(description="The session.")


@strawberry.type(description="The session was changed.")
class SessionSuccess:
    """Success of every mutation that changes a session."""

    session: Session = strawberry.field(description="The session as it is now.")


CreateHandoffResult = Annotated[
    CreateHandoffSuccess | SessionNotFound | SessionAlreadyHandedOff | SessionResolved,
    strawberry.union("CreateHandoffResult", description="How createHandoff ended."),
]
ClaimHandoffResult = Annotated[
    ClaimHandoffSuccess | HandoffAlreadyClaimed | HandoffNotFound | HandoffNotOpen,
    strawberry.union("ClaimHandoffResult", description="How claimHandoff ended."),
]
ReleaseHandoffResult = Annotated[
    ReleaseHandoffSuccess | HandoffNotFound | HandoffNotClaimedByYou,
    strawberry.union("ReleaseHandoffResult", description="How releaseHandoff ended."),
]
RateAssessmentResult = Annotated[
    RateAssessmentSuccess | HandoffNotFound | HandoffNotClaimedByYou | AssessmentNotReady,
    strawberry.union("RateAssessmentResult", description="How rateAssessment ended."),
]
PushHandoffToPsaResult = Annotated[
    PushHandoffToPsaSuccess | HandoffNotFound | PsaNotConnected,
    strawberry.union("PushHandoffToPsaResult", description="How pushHandoffToPsa ended."),
]
SessionResult = Annotated[
    SessionSuccess | SessionNotFound | SessionResolved,
    strawberry.union("SessionResult", description="How the change of a session ended."),
]


def session_problem(refusal: Refusal) -> SessionNotFound | SessionResolved:
    """Show a refusal about a session as its type; one that has none is raised again as an error."""
    match refusal:
        case errors.SessionNotFound():
            return SessionNotFound(message=refusal.message)
        case errors.SessionResolved():
            return SessionResolved(message=refusal.message)
    raise refusal


def create_problem(refusal: Refusal) -> SessionNotFound | SessionAlreadyHandedOff | SessionResolved:
    """Show a refusal of createHandoff as its type; one that has none is raised again as an error."""
    if isinstance(refusal, errors.SessionAlreadyHandedOff):
        return SessionAlreadyHandedOff(message=refusal.message, handoff_id=refusal.handoff_id)
    return session_problem(refusal)


def claim_problem(refusal: Refusal) -> HandoffAlreadyClaimed | HandoffNotFound | HandoffNotOpen:
    """Show a refusal of claimHandoff as its type; one that has none is raised again as an error."""
    match refusal:
        case errors.HandoffAlreadyClaimed():
            return HandoffAlreadyClaimed(
                message=refusal.message, claimed_by_id=refusal.claimed_by_id, claimed_at=refusal.claimed_at
            )
        case errors.HandoffNotFound():
            return HandoffNotFound(message=refusal.message)
        case errors.HandoffNotOpen():
            return HandoffNotOpen(message=refusal.message, state=refusal.state)
    raise refusal


def push_problem(refusal: Refusal) -> HandoffNotFound | PsaNotConnected:
    """Show a refusal of pushHandoffToPsa as its type; one that has none is raised again as an error."""
    match refusal:
        case errors.HandoffNotFound():
            return HandoffNotFound(message=refusal.message)
        case errors.PsaNotConnected():
            return PsaNotConnected(message=refusal.message)
    raise refusal


def release_problem(refusal: Refusal) -> HandoffNotFound | HandoffNotClaimedByYou:
    """Show a refusal of releaseHandoff as its type; one that has none is raised again as an error."""
    match refusal:
        case errors.HandoffNotFound():
            return HandoffNotFound(message=refusal.message)
        case errors.HandoffNotClaimedByYou():
            return HandoffNotClaimedByYou(message=refusal.message)
    raise refusal


def rate_problem(refusal: Refusal) -> HandoffNotFound | HandoffNotClaimedByYou | AssessmentNotReady:
    """Show a refusal of rateAssessment as its type; one that has none is raised again as an error."""
    if isinstance(refusal, errors.AssessmentNotReady):
        return AssessmentNotReady(message=refusal.message)
    return release_problem(refusal)
