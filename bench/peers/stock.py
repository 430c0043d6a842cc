"""Sessions to be escalated, or handoffs to be claimed: each can be used once."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.peers import filling
from bench.peers.rows import Account, Escalation, Rows


@dataclass(slots=True)
class Stock:
    """What there is, in the order of its use: account after account."""

    url: str
    accounts: Sequence[Account]
    rows: Callable[[Sequence[Escalation]], Rows]  #: to be stored for them
    _unused: list[Escalation] = field(default_factory=list)

    def top_up(self, count: int) -> Sequence[Escalation]:
        """Make more until there are so many, and return them."""
        missing = count - len(self._unused)
        if missing > 0:
            new = [Escalation(self.accounts[number % len(self.accounts)]) for number in range(missing)]
            asyncio.run(self._store(new))
            self._unused += new
        return self._unused[:count]

    def use(self, count: int) -> list[Escalation]:
        """Take the first ones away."""
        used, self._unused = self._unused[:count], self._unused[count:]
        return used

    async def _store(self, new: Sequence[Escalation]) -> None:
        await filling.fill(self.url, self.rows(new))
        await filling.settle(self.url)
