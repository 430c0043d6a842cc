"""What the statistics of a window cost does not grow with the escalations ever made."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bench.history import make, new_history, settle
from db.session import Database
from db.statistics import StatsDimension, Window
from resolvers.statistics import channel_stats, escalation_stats
from tests.plans import explaining

DAYS = 30
INDEXES = {
    "figures": {"ix_handoffs_escalated", "ix_events_of_claims", "pk_sessions"},
    "channels": {"ix_handoffs_escalated", "uq_deliveries_once"},
}


@pytest.mark.long
@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_statistics_look_into_indexes_for_what_is_in_the_window_alone(
    database_url: str, database: Database
) -> None:
    history = new_history(sessions=30_000, days=700)
    await make(database, history)
    await settle(database_url)

    for dimension in (None, *StatsDimension):
        figures, channels = await _plans(database, history.account_id, dimension)

        for plan, indexes in ((figures, INDEXES["figures"]), (channels, INDEXES["channels"])):
            assert {index for index in indexes if f"using {index} on" in plan} == indexes
            assert "Seq Scan" not in plan


async def _plans(database: Database, account_id: UUID, dimension: StatsDimension | None) -> list[str]:
    until = datetime.now(UTC) - timedelta(days=DAYS)
    window = Window(since=until - timedelta(days=DAYS), until=until)
    async with database.reading(account_id) as tx:
        planning, plans = explaining(tx)
        await escalation_stats(planning, window, dimension)
        await channel_stats(planning, window)
        return plans
