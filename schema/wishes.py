"""Which events a subscription wants. Equal wishes are asked once for all subscriptions that have them."""

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from db.enums import EventKind, HandoffIntent, Role
from db.events import EventRow
from db.users import UserRow
from notify.policy import is_in
from schema.enums import QueueChangeKind

_TELLS_OF_ESCALATION = {
    EventKind.HANDOFF_CREATED,
    EventKind.HANDOFF_RELEASED,
    EventKind.ESCALATION_REMINDED,
}
#: The events of `queueChanged`, and what each is called there.
QUEUE_CHANGES = {
    EventKind.HANDOFF_CREATED: QueueChangeKind.ADDED,
    EventKind.HANDOFF_ASSESSED: QueueChangeKind.ASSESSED,
    EventKind.HANDOFF_CLAIMED: QueueChangeKind.CLAIMED,
    EventKind.HANDOFF_RELEASED: QueueChangeKind.RELEASED,
    EventKind.HANDOFF_CLOSED: QueueChangeKind.CLOSED,
    EventKind.SESSION_UPDATED: QueueChangeKind.UPDATED,
    EventKind.MESSAGES_APPENDED: QueueChangeKind.UPDATED,
    EventKind.BRANCH_ADDED: QueueChangeKind.UPDATED,
    EventKind.BRANCH_UPDATED: QueueChangeKind.UPDATED,
}


@dataclass(frozen=True, slots=True)
class Escalations:
    """The escalations that the viewer is told of, which a mere viewer watches."""

    viewer_id: UUID
    role: Role
    is_responder: bool
    team: UUID | None

    @classmethod
    def of(cls, viewer: UserRow, team: UUID | None) -> Self:
        """Return what a viewer wants who follows a team, or with None the account."""
        return cls(viewer.id, viewer.role, viewer.is_responder, team)

    def __call__(self, event: EventRow) -> bool:
        """Tell whether an event is one of these."""
        if event.intent != HandoffIntent.ESCALATE or event.kind not in _TELLS_OF_ESCALATION:
            return False
        tells_viewer = event.except_id != self.viewer_id and is_in(event.audience, self.role)
        return (tells_viewer or not self.is_responder) and self.team in (None, event.team_id)


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of the queue, whoever watches it."""

    team: UUID | None

    @classmethod
    def of(cls, _viewer: UserRow, team: UUID | None) -> Self:
        """Return what anybody wants who follows a team, or with None the account."""
        return cls(team)

    def __call__(self, event: EventRow) -> bool:
        """Tell whether an event is one of these."""
        changed = event.kind in QUEUE_CHANGES and event.handoff_id is not None
        return changed and self.team in (None, event.team_id)
