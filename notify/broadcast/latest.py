"""Wake-ups that wait for one reader, coalesced: a flood or a late reader costs one entry per account."""

import asyncio
import uuid
from collections import OrderedDict
from dataclasses import dataclass

from notify.broadcast.inbox import COMPARE_EVERYTHING

GREATEST_SEQUENCE = 2**63 - 1  #: What the database's bigint holds.


@dataclass(frozen=True)
class Wakeup:
    """News of one account, or a gap after which every account is to be compared with the database."""

    account_id: uuid.UUID | None  #: None: compare everything.
    sequence: int  #: The account's newest event that is known of; 0 without an account.

    def message(self) -> str:
        """Give the text that travels, `account:sequence`."""
        return f"{self.account_id}:{self.sequence}"

    @classmethod
    def from_message(cls, message: str) -> "Wakeup":
        """Read a text that arrived.

        Raises:
            ValueError: It is neither `account:sequence` nor COMPARE_EVERYTHING.
        """
        if message == COMPARE_EVERYTHING:
            return EVERYTHING
        account, _, digits = message.partition(":")
        if not (digits.isascii() and digits.isdecimal()):
            raise ValueError("the sequence is not a number")
        sequence = int(digits)
        if not 0 < sequence <= GREATEST_SEQUENCE:
            raise ValueError("the sequence is out of range")
        return cls(uuid.UUID(account), sequence)


EVERYTHING = Wakeup(None, 0)


class Latest:
    """The highest sequence of each account, in the order in which the accounts came, for one reader."""

    def __init__(self) -> None:
        # Not a dict: taking the first entry of a dict again and again scans all that were taken before.
        self._sequences: OrderedDict[uuid.UUID | None, int] = OrderedDict()
        self._changed = asyncio.Event()
        self._finished = False

    def __len__(self) -> int:
        return len(self._sequences)

    def add(self, wakeup: Wakeup) -> None:
        """Add a wake-up, unless nothing more is accepted."""
        if not self._finished:
            known = self._sequences.get(wakeup.account_id, 0)
            self._sequences[wakeup.account_id] = max(known, wakeup.sequence)
            self._changed.set()

    async def take(self) -> Wakeup | None:
        """Wait for a wake-up; None when there will be no more."""
        while not self._sequences:
            if self._finished:
                return None
            self._changed.clear()
            await self._changed.wait()
        return Wakeup(*self._sequences.popitem(last=False))

    def finish(self) -> None:
        """Accept no more; what waits may still be taken."""
        self._finished = True
        self._changed.set()

    def abandon(self) -> None:
        """Accept no more, and forget what waits."""
        self._sequences.clear()
        self.finish()
