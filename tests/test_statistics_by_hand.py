"""Whatever people do in whatever order: the statistics agree with whoever counts by hand."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from db.enums import HandoffIntent, HandoffPriority, Role
from db.models import deliveries
from db.session import Database, new_id
from db.statistics import Durations, EscalationFigures, StatsDimension, Window
from db.users import UserRow, by_ids
from resolvers import admin
from resolvers.errors import Refusal
from resolvers.statistics import channel_stats, escalation_stats, show_key
from tests.counting_escalations import Ledger, read
from tests.deliveries_by_chance import some_delivery
from tests.desk import NOON, Desk

QUICK = settings(
    max_examples=8,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
PEOPLE = ("ann", "ben", "cleo")
ACTIONS = ("start", "pass_on", "claim", "claim", "claim", "release", "expire", "remind", "resolve")
#: Pauses between steps, in microseconds: as short as can be stored, beside a second, and long.
PAUSES = st.sampled_from([1, 2, 499, 500, 999_500, 999_999, 1_000_000, 60_000_000]) | st.integers(1, 10**10)


@dataclass(frozen=True)
class Step:
    """Something that somebody tries."""

    action: str
    pause: int
    who: int
    which: int  #: of the sessions or handoffs so far
    intent: HandoffIntent
    priority: HandoffPriority
    domain: str | None
    in_team: bool


STEPS = st.lists(
    st.builds(
        Step,
        action=st.sampled_from(ACTIONS),
        pause=PAUSES,
        who=st.integers(0, len(PEOPLE) - 1),
        which=st.integers(0, 5),
        intent=st.sampled_from([HandoffIntent.ESCALATE, HandoffIntent.ESCALATE, HandoffIntent.PARK]),
        priority=st.sampled_from(HandoffPriority),
        domain=st.sampled_from(["network", "Network", "mail", None]),
        in_team=st.booleans(),
    ),
    min_size=20,
    max_size=40,
)


@dataclass
class Story:
    """People of an account at work."""

    desk: Desk
    people: list[UserRow]
    team_id: UUID
    now: datetime = NOON
    sessions: list[UUID] = field(default_factory=list)
    handoffs: list[UUID] = field(default_factory=list)
    instants: list[datetime] = field(default_factory=lambda: [NOON])

    async def live(self, step: Step) -> None:
        """Try a step; a refusal changes nothing."""
        self.now += timedelta(microseconds=step.pause)
        self.instants.append(self.now)
        with contextlib.suppress(Refusal):
            await self._do(step, self.people[step.who])

    async def _do(self, step: Step, user: UserRow) -> None:
        desk = self.desk
        if step.action == "start" or not self.sessions:
            team_id = self.team_id if step.in_team else None
            self.sessions.append(await desk.start(user, self.now, domain=step.domain, team_id=team_id))
            return
        session_id = self.sessions[-1 - step.which % len(self.sessions)]
        if step.action == "resolve":
            await desk.resolve(user, session_id, self.now)
        elif step.action == "pass_on" or not self.handoffs:
            handoff_id = await desk.pass_on(
                user, session_id, self.now, intent=step.intent, priority=step.priority
            )
            self.handoffs.append(handoff_id)
        else:
            await self._do_to(self.handoffs[-1 - step.which % len(self.handoffs)], step.action, user)

    async def _do_to(self, handoff_id: UUID, action: str, user: UserRow) -> None:
        desk = self.desk
        acts: dict[str, Callable[[], Any]] = {
            "claim": lambda: desk.claim(user, handoff_id, self.now),
            "release": lambda: desk.release(user, handoff_id, self.now),
            "expire": lambda: desk.let_expire(handoff_id, self.now),
            "remind": lambda: desk.remind(handoff_id, self.now),
        }
        await acts[action]()

    async def shuffle_deliveries(self, choose: random.Random) -> None:
        """Let every delivery be anything."""
        async with self.desk.database.transaction(self.desk.account_id) as tx:
            for id_ in (
                await tx.connection.execute(select(deliveries.c.id).where(tx.own(deliveries)))
            ).scalars():
                changed = {
                    name: value
                    for name, value in some_delivery(choose, self.now).items()
                    if name not in {"channel", "kind"}  # these are part of what must not occur twice
                }
                await tx.execute(update(deliveries).where(deliveries.c.id == id_).values(changed))


async def begin(database: Database) -> Story:
    """Make an account with a few people, and one team."""
    account_id, found = new_id(), []
    async with database.transaction(account_id) as tx:
        await admin.create_account(tx, str(account_id), now=NOON)
        for name in PEOPLE:
            email = f"{name}@{account_id}.example"
            found.append(await admin.add_user(tx, email=email, name=name, role=Role.ENGINEER, now=NOON))
        people = await by_ids(tx, found)
        team_id = await admin.create_team(tx, "Networks", found, now=NOON)
    return Story(Desk(database, account_id), [people[id_] for id_ in found], team_id)


def shown(figures: EscalationFigures) -> dict[str, Any]:
    """Return figures in the words of the API."""
    return {
        "escalated": figures.escalated,
        "claimed": figures.claimed,
        "timeToClaim": _shown_durations(figures.time_to_claim),
        "timeToResolve": _shown_durations(figures.time_to_resolve),
        "reminders": figures.reminders,
        "released": figures.released,
        "bouncedBack": figures.bounced_back,
    }


def _shown_durations(found: Durations) -> dict[str, Any]:
    return {
        "count": found.count,
        "medianSeconds": found.median_seconds,
        "p90Seconds": found.p90_seconds,
        "p99Seconds": found.p99_seconds,
    }


async def compare(story: Story, window: Window) -> None:
    """Compare all that can be asked about a window with what is counted by hand."""
    async with story.desk.database.reading(story.desk.account_id) as tx:
        ledger: Ledger = await read(tx)
        whole = await escalation_stats(tx, window, None)
        groups = {dimension: await escalation_stats(tx, window, dimension) for dimension in StatsDimension}
        told = await channel_stats(tx, window)

    assert whole.groups == []
    assert shown(whole.total) == ledger.count(ledger.in_window(window))
    for dimension, found in groups.items():
        assert found.total == whole.total
        assert [{"key": show_key(group.key)} | shown(group) for group in found.groups] == ledger.count_groups(
            window, dimension
        )
    assert [
        {
            "channel": each.channel.name,
            "sent": each.sent,
            "delivered": each.delivered,
            "failed": each.failed,
            "skipped": each.skipped,
            "medianSeconds": each.median_seconds,
            "p99Seconds": each.p99_seconds,
        }
        for each in told
    ] == ledger.count_channels(window)


def test_the_statistics_agree_with_whoever_counts_by_hand(database_url: str) -> None:
    database = Database(database_url)

    async def live(steps: list[Step], choose: random.Random, ends: list[int]) -> None:
        story = await begin(database)
        for step in steps:
            await story.live(step)
        await story.shuffle_deliveries(choose)
        first, last = sorted(story.instants[end % len(story.instants)] for end in ends)
        for window in (Window(since=NOON, until=story.now), Window(since=first, until=last)):
            if window.since < window.until:
                await compare(story, window)

    with asyncio.Runner() as runner:

        @QUICK
        @given(
            steps=STEPS,
            choose=st.randoms(use_true_random=False),
            ends=st.lists(st.integers(0, 50), min_size=2, max_size=2),
        )
        def tell(steps: list[Step], choose: random.Random, ends: list[int]) -> None:
            runner.run(live(steps, choose, ends))

        try:
            tell()
        finally:
            runner.run(database.dispose())
