"""A small model of one account's handoffs and of what is told about them, for `test_delivery_model.py`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from db.enums import ASKING_KINDS, Channel, DeliveryKind, DeliveryStatus, HandoffState, SkipReason

GRACE = timedelta(seconds=30)
REMIND_AFTER = (timedelta(minutes=1), timedelta(minutes=10))
CLAIM_EXPIRES_AFTER = timedelta(hours=1)
UNSENT = (DeliveryStatus.PENDING, DeliveryStatus.SENDING)
HOPEFUL = (*UNSENT, DeliveryStatus.SENT, DeliveryStatus.DELIVERED)
WHY_ENDED = {
    HandoffState.OPEN: SkipReason.RELEASED,
    HandoffState.CLAIMED: SkipReason.CLAIMED,
    HandoffState.CLOSED: SkipReason.CLOSED,
}

#: Handoff, recipient, channel, kind, round: what there is at most one delivery for.
Key = tuple[UUID, UUID, Channel, DeliveryKind, int]


class Lease:
    """One batch of one worker."""


@dataclass(eq=False)
class Told:
    """A delivery as the model has it."""

    recipient: UUID
    channel: Channel
    kind: DeliveryKind
    round: int
    due_at: datetime
    created_at: datetime
    status: DeliveryStatus = DeliveryStatus.PENDING
    reason: SkipReason | None = None
    attempts: int = 0
    lease: Lease | None = None
    lease_until: datetime | None = None

    @property
    def is_mail(self) -> bool:
        """Whether a worker sends it."""
        return self.channel == Channel.EMAIL

    @property
    def is_unsent(self) -> bool:
        """Whether the end of its handoff skips it."""
        unconfirmed = self.channel == Channel.PUSH and self.status == DeliveryStatus.SENT
        return self.status == DeliveryStatus.PENDING or unconfirmed

    @property
    def is_hopeful(self) -> bool:
        """Whether its recipient knows, or may still be told."""
        return self.status in HOPEFUL or self.reason == SkipReason.PUSH_DELIVERED

    def end(self, status: DeliveryStatus, reason: SkipReason | None = None) -> None:
        """Reach an end."""
        self.status, self.reason = status, reason
        self.lease = self.lease_until = None

    def take(self, lease: Lease, *, until: datetime, now: datetime) -> bool:
        """Be leased, if it is due and free; return whether it was."""
        is_free = self.lease_until is None or self.lease_until < now
        if not (self.is_mail and self.status in UNSENT and self.due_at <= now and is_free):
            return False
        self.lease, self.lease_until = lease, until
        return True


@dataclass(eq=False)
class Escalation:
    """A handoff as the model has it."""

    id: UUID
    session_id: UUID
    by: UUID
    opened_at: datetime
    next_reminder_at: datetime | None
    state: HandoffState = HandoffState.OPEN
    claimer: UUID | None = None
    claim_expires_at: datetime | None = None
    round: int = 0
    seen: set[tuple[UUID, int]] = field(default_factory=set)  #: who acknowledged which round
    told: list[Told] = field(default_factory=list)

    def begin_round(
        self, kind: DeliveryKind, people: Iterable[UUID], online: set[UUID], *, now: datetime
    ) -> None:
        """Tell people; what is still to be sent to them over the same channel is superseded."""
        for recipient in people:
            is_online = recipient in online
            if is_online:
                self._tell(Told(recipient, Channel.PUSH, kind, self.round, now, now))
            due_at = now + GRACE if is_online else now
            self._tell(Told(recipient, Channel.EMAIL, kind, self.round, due_at, now))

    def _tell(self, new: Told) -> None:
        for old in self.told:
            if old.is_unsent and (old.recipient, old.channel) == (new.recipient, new.channel):
                old.end(DeliveryStatus.SKIPPED, SkipReason.SUPERSEDED)
        self.told.append(new)

    def mail_escalator(self, kind: DeliveryKind, *, now: datetime) -> bool:
        """Tell the one who escalated, once a round; return whether it was the first time."""
        if any((told.kind, told.round) == (kind, self.round) for told in self.told):
            return False
        self.told.append(Told(self.by, Channel.EMAIL, kind, self.round, now, now))
        return True

    def skip_unsent(self, reason: SkipReason) -> None:
        """Skip what is still to be sent or confirmed."""
        for told in self.told:
            if told.is_unsent:
                told.end(DeliveryStatus.SKIPPED, reason)

    def is_unreached(self) -> bool:
        """Whether it waits, and nobody was or may still be told."""
        asked = any(told.kind in ASKING_KINDS and told.is_hopeful for told in self.told)
        return self.state == HandoffState.OPEN and not asked

    def claim(self, user: UUID, *, now: datetime) -> None:
        """Give it to somebody."""
        self.state, self.claimer = HandoffState.CLAIMED, user
        self.claim_expires_at = now + CLAIM_EXPIRES_AFTER
        self.skip_unsent(SkipReason.CLAIMED)
        if user != self.by:
            self.mail_escalator(DeliveryKind.CLAIMED, now=now)

    def reopen(self, *, now: datetime) -> None:
        """Put it back into the queue."""
        self.state, self.claimer, self.claim_expires_at = HandoffState.OPEN, None, None
        self.round, self.opened_at = self.round + 1, now
        self.next_reminder_at = next_reminder(now, after=now)
        self.skip_unsent(SkipReason.RELEASED)

    def close(self) -> None:
        """End it."""
        self.state = HandoffState.CLOSED
        self.skip_unsent(SkipReason.CLOSED)

    def confirm(self, recipient: UUID, round_: int) -> None:
        """Take a receipt of what a round tells somebody; beside a mail that was not sent there is a push."""
        for mail in [told for told in self.told if (told.recipient, told.round) == (recipient, round_)]:
            if mail.is_mail and mail.kind in ASKING_KINDS:
                if mail.status == DeliveryStatus.PENDING:
                    mail.end(DeliveryStatus.SKIPPED, SkipReason.PUSH_DELIVERED)
                if mail.status != DeliveryStatus.SENT and not self._pushes(recipient, round_):
                    push = Told(recipient, Channel.PUSH, mail.kind, round_, mail.due_at, mail.created_at)
                    self.told.append(push)
        for push in self._pushes(recipient, round_):
            if push.is_unsent or (
                push.status == DeliveryStatus.FAILED and self._is_spared(recipient, round_)
            ):
                push.attempts = max(push.attempts, 1)
                push.end(DeliveryStatus.DELIVERED)

    def _is_spared(self, recipient: UUID, round_: int) -> bool:
        mails = [told for told in self.told if (told.recipient, told.round) == (recipient, round_)]
        return any(told.is_mail and told.reason == SkipReason.PUSH_DELIVERED for told in mails)

    def write_push(self, recipient: UUID, round_: int) -> None:
        """Write a push to a socket."""
        for told in self._pushes(recipient, round_):
            if told.status == DeliveryStatus.PENDING:
                told.status, told.attempts = DeliveryStatus.SENT, told.attempts + 1

    def fail_push(self, mail: Told) -> None:
        """Give up the push that a mail stands in for."""
        for told in self._pushes(mail.recipient, mail.round):
            if told.is_unsent:
                told.end(DeliveryStatus.FAILED)

    def why_not(self, mail: Told, *, is_active: bool) -> SkipReason | None:
        """Return why a mail is not wanted any more; None where it is."""
        if not is_active:
            return SkipReason.RECIPIENT_INACTIVE
        tells_of = HandoffState.CLAIMED if mail.kind == DeliveryKind.CLAIMED else HandoffState.OPEN
        if self.state != tells_of:
            return WHY_ENDED[self.state]
        mails = [told for told in self.told if told.is_mail]
        if any(told.recipient == mail.recipient and told.round > mail.round for told in mails):
            return SkipReason.SUPERSEDED
        pushes = self._pushes(mail.recipient, mail.round) if mail.kind in ASKING_KINDS else []
        delivered = any(told.status == DeliveryStatus.DELIVERED for told in pushes)
        return SkipReason.PUSH_DELIVERED if delivered else None

    def _pushes(self, recipient: UUID, round_: int) -> list[Told]:
        mine = [told for told in self.told if (told.recipient, told.round) == (recipient, round_)]
        return [told for told in mine if told.channel == Channel.PUSH]


def next_reminder(opened_at: datetime, *, after: datetime) -> datetime | None:
    """Return when a handoff opened then is reminded of next."""
    return next((opened_at + wait for wait in REMIND_AFTER if opened_at + wait > after), None)
