"""What accounts leave behind with the time: handoffs that are closed, and what belongs to them."""

from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from bench.peers import filling
from bench.peers.rows import Account

_STATEMENTS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


async def remember(url: str, accounts: Sequence[Account], count: int) -> None:
    """Give each account so many, and let PostgreSQL know how many there are."""
    for account in accounts:
        given = {
            ":account": f"'{account.id}'::uuid",
            ":person": f"'{account.actor_id}'::uuid",
            ":count": str(count),
        }
        connection = await filling.connect(url)
        await connection.execute(reduce(lambda text, pair: text.replace(*pair), given.items(), _STATEMENTS))
        await connection.close()
    await filling.settle(url)
