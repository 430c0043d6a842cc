"""Sends the mails that are due, and records what came of each.

1. Lease a batch of due deliveries, so that no other worker takes them.
2. As many at a time as connections are free: check a last time that each is wanted, and mark it SENDING.
3. Hand each mail in. No transaction is open and no lock is held meanwhile.
4. Record the answers at once, those that came together in one transaction. Only then does a connection take
   its next mail.

A worker that dies leaves its leases behind; when they end, another worker takes over. It may repeat the
mails that had been accepted and not yet recorded, one for each connection at most, with the same Message-ID.
So may a mail server that takes a mail and does not say so. Nothing else comes twice.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from db import system
from db.session import Database
from notify.mail_shift import BATCH, IN_DOUBT, LEASE, MailLinks, MailSettings, MailShift
from notify.mailers import Mailers
from notify.smtp import Mailer

__all__ = ["BATCH", "IN_DOUBT", "LEASE", "MailLinks", "MailSettings", "Outbox"]


class Outbox:
    """One worker's sending. Its mailers send side by side; any number of workers may run."""

    def __init__(
        self,
        database: Database,
        mailers: Sequence[Mailer],
        mail: MailSettings,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._mailers = Mailers(mailers)
        self._mail = mail
        self._now = now
        self._unfinished: set[UUID] = set()  #: leases under which something may wait that was not begun
        self._shift: MailShift | None = None
        self._stopping = False

    def stop(self) -> None:
        """Finish the mails that are being handed in, and begin no other."""
        self._stopping = True
        if self._shift is not None:
            self._shift.stop()

    async def rest(self) -> None:
        """Close the connections that nobody has used for a while."""
        await self._mailers.rest()

    async def close(self) -> None:
        """Close all connections."""
        await self._mailers.close()

    async def send_batch(self) -> int:
        """Lease what is due, batch after batch, and see each delivery through; return how many that were.

        None counts where one failed for a reason of ours, which is due again at once: whoever calls takes
        a breath, and does not fail with it without a pause.
        """
        for unfinished in list(self._unfinished):
            await self._give_back(unfinished)
        shift = self._shift = MailShift(self._database, self._mailers, self._mail, self._now)
        if self._stopping:
            shift.stop()
        self._unfinished.add(shift.lease)  # from now on: rows may be leased although no answer says so
        all_done = await shift.work()
        if not all_done:
            await self._give_back(shift.lease)
        self._unfinished.discard(shift.lease)
        return shift.leased if all_done else 0

    async def _give_back(self, lease: UUID) -> None:
        """End a lease for what was not begun under it: after an outage of the database it is due at once."""
        async with self._database.system() as tx:
            await system.give_back(tx, lease)
        self._unfinished.discard(lease)
