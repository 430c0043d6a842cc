"""A small model of sessions and their handoffs: what the service has to agree with after every step."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from db.enums import (
    ADMIN_ROLES,
    DeliveryKind,
    DeliveryStatus,
    HandoffIntent,
    HandoffState,
    SessionStatus,
    SkipReason,
)
from db.users import UserRow
from resolvers import errors
from resolvers.errors import Refusal

#: The refusal that is expected, None for success.
Outcome = type[Refusal] | None
PENDING = (DeliveryStatus.PENDING, None)
#: What a session's status is while its handoff is open.
WAITS_AS = {HandoffIntent.PARK: SessionStatus.PAUSED, HandoffIntent.ESCALATE: SessionStatus.ESCALATED}


@dataclass(eq=False)
class Case:
    """A session as the model has it."""

    id: UUID
    status: SessionStatus = SessionStatus.ACTIVE
    escalated_to: UUID | None = None
    handoffs: list["Passed"] = field(default_factory=list)

    @property
    def unfinished(self) -> "Passed | None":
        """Its open or claimed handoff."""
        found = [passed for passed in self.handoffs if passed.state != HandoffState.CLOSED]
        assert len(found) <= 1
        return found[0] if found else None

    def refusal_of_handoff(self, user: UserRow) -> Outcome:
        """Return how handing it off is refused."""
        if not user.is_responder:
            return errors.Forbidden
        if self.status == SessionStatus.RESOLVED:
            return errors.SessionResolved
        waits = self.unfinished is not None and self.unfinished.state == HandoffState.OPEN
        return errors.SessionAlreadyHandedOff if waits else None

    def refusal_of_resolution(self, user: UserRow) -> Outcome:
        """Return how resolving it is refused."""
        if not user.is_responder:
            return errors.Forbidden
        return errors.SessionResolved if self.status == SessionStatus.RESOLVED else None


@dataclass(eq=False)
class Passed:
    """A handoff as the model has it."""

    id: UUID
    case: Case
    intent: HandoffIntent
    by: UUID
    state: HandoffState = HandoffState.OPEN
    claimer: UUID | None = None
    round: int = 0
    #: By round, kind and recipient.
    told: dict[tuple[int, DeliveryKind, UUID], tuple[DeliveryStatus, SkipReason | None]] = field(
        default_factory=dict
    )

    def skip(self, reason: SkipReason) -> None:
        """Skip what is still to be sent."""
        skipped = (DeliveryStatus.SKIPPED, reason)
        self.told = {key: skipped if status == PENDING else status for key, status in self.told.items()}

    def refusal_of_claim(self, user: UserRow) -> Outcome:
        """Return how a claim that comes now, after whatever won, is refused."""
        if not user.is_responder:
            return errors.Forbidden
        if self.state == HandoffState.CLOSED:
            return errors.HandoffNotOpen
        return None if self.claimer == user.id else errors.HandoffAlreadyClaimed

    def refusal_of_release(self, user: UserRow) -> Outcome:
        """Return how a release is refused."""
        if not user.is_responder:
            return errors.Forbidden
        may = self.claimer == user.id or user.role in ADMIN_ROLES
        holds = self.state == HandoffState.CLAIMED and may
        return None if holds else errors.HandoffNotClaimedByYou

    def tell(self, people: Iterable[UserRow], *, except_for: UUID) -> None:
        """Begin a round."""
        if self.intent == HandoffIntent.ESCALATE:
            told = [user.id for user in people if user.is_responder and user.id != except_for]
            self.told |= {(self.round, DeliveryKind.ESCALATION, user_id): PENDING for user_id in told}

    def claim(self, winner: UUID) -> None:
        """Give it to the winner, and tell whoever escalated it, unless it is themselves."""
        self.state, self.claimer = HandoffState.CLAIMED, winner
        self.case.status, self.case.escalated_to = SessionStatus.ACTIVE, winner
        self.skip(SkipReason.CLAIMED)
        if self.intent == HandoffIntent.ESCALATE and winner != self.by:
            self.told[self.round, DeliveryKind.CLAIMED, self.by] = PENDING

    def reopen(self, people: Iterable[UserRow], *, releaser: UUID) -> None:
        """Put it back into the queue, and begin a round that does not tell the releaser."""
        self.state, self.claimer, self.round = HandoffState.OPEN, None, self.round + 1
        self.case.status, self.case.escalated_to = WAITS_AS[self.intent], None
        self.skip(SkipReason.RELEASED)
        self.tell(people, except_for=releaser)
