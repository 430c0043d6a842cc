"""What an account wants to happen to an escalation that nobody claims, or a claim that nobody works on."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from db.enums import ReminderAudience
from db.models import account_policies
from db.prepared import Ask, fetch, own
from db.session import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPolicy:
    """An account's policy. The defaults remind nobody and let claims last."""

    reminder_after: tuple[timedelta, ...] = ()  #: since the handoff came into the queue, ascending
    remind: ReminderAudience = ReminderAudience.EVERYONE
    claim_expires_after: timedelta | None = None  #: without a sign of work by the claimer

    def reminder_at(self, opened_at: datetime, *, after: datetime) -> datetime | None:
        """Return the first time later than `after` to remind of a handoff opened then; None: never."""
        times = (opened_at + wait for wait in self.reminder_after)
        return next((time for time in times if time > after), None)

    def claim_expires_at(self, now: datetime) -> datetime | None:
        """Return when a claim on which somebody worked last now expires; None: never."""
        return None if self.claim_expires_after is None else now + self.claim_expires_after


async def read(tx: Transaction) -> AccountPolicy:
    """Return the account's policy, the default where it has set none."""
    return next(iter(await fetch(tx, ask())), AccountPolicy())


def ask() -> Ask[AccountPolicy]:
    """Ask for the account's policy, which has no row where it has set none."""
    return Ask(_POLICY, _policy, {})


async def store(tx: Transaction, policy: AccountPolicy) -> None:
    """Set the account's policy."""
    expires = policy.claim_expires_after
    values = {
        "reminder_after": [int(after.total_seconds()) for after in policy.reminder_after],
        "remind": policy.remind,
        "claim_expires_after": None if expires is None else int(expires.total_seconds()),
    }
    insert = postgresql.insert if tx.is_postgresql else sqlite.insert
    statement = insert(account_policies).values(account_id=tx.account_id, **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=["account_id"], set_=values))


def _policy(reminder_after: list[int], remind: ReminderAudience, expires: int | None) -> AccountPolicy:
    return AccountPolicy(
        reminder_after=tuple(timedelta(seconds=seconds) for seconds in reminder_after),
        remind=remind,
        claim_expires_after=None if expires is None else timedelta(seconds=expires),
    )


_columns = account_policies.c
_POLICY = select(_columns.reminder_after, _columns.remind, _columns.claim_expires_after).where(
    own(account_policies)
)
