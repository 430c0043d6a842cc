"""What the statistics say of escalations: what counts, from when to when, and in which group."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text

from db.enums import HandoffIntent, HandoffPriority
from schema.context import utc_now
from tests.client import Answer, Api
from tests.desk import NOON, Desk
from tests.mailing import change_deliveries, make_outbox
from tests.servers.smtp import SmtpServer
from tests.sockets import eventually

FIGURES = """
  key escalated claimed reminders released bouncedBack
  timeToClaim { count medianSeconds p90Seconds p99Seconds }
  timeToResolve { count medianSeconds p90Seconds p99Seconds }
"""
STATISTICS = f"""query ($from: DateTime!, $to: DateTime!, $groupBy: StatsDimension) {{
  escalationStats(from: $from, to: $to, groupBy: $groupBy) {{
    total {{ {FIGURES} }}
    groups {{ {FIGURES} }}
    channels {{ channel sent delivered failed skipped medianSeconds p99Seconds }}
  }}
}}"""
NEVER = {"count": 0, "medianSeconds": None, "p90Seconds": None, "p99Seconds": None}
NOTHING = {
    "key": None,
    "escalated": 0,
    "claimed": 0,
    "reminders": 0,
    "released": 0,
    "bouncedBack": 0,
    "timeToClaim": NEVER,
    "timeToResolve": NEVER,
}
SILENT = {"sent": 0, "delivered": 0, "failed": 0, "skipped": 0, "medianSeconds": None, "p99Seconds": None}
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def once(seconds: float) -> dict[str, Any]:
    """Return the durations of one that took this long."""
    return {"count": 1, "medianSeconds": seconds, "p90Seconds": seconds, "p99Seconds": seconds}


async def ask(api: Api, since: datetime, until: datetime, **given: Any) -> Answer:  # noqa: ANN401
    """Ask as a viewer."""
    return await api.ask(
        api.cast.vera, STATISTICS, **{"from": since.isoformat(), "to": until.isoformat(), **given}
    )


async def total(api: Api, since: datetime = NOON, until: datetime = NOON + HOUR) -> Any:  # noqa: ANN401
    return (await ask(api, since, until)).only()["total"]


async def sizes(api: Api, dimension: str) -> list[tuple[str | None, int]]:
    """Return the key and the size of each group."""
    found = (await ask(api, NOON, NOON + HOUR, groupBy=dimension)).only()
    return [(group["key"], group["escalated"]) for group in found["groups"]]


@pytest.fixture
def desk(api: Api) -> Desk:
    """The desk of the account."""
    return Desk(api.cast.database, api.cast.account_id)


async def test_without_escalations_everything_is_zero_and_no_time_is_known(api: Api, desk: Desk) -> None:
    session_id = await desk.start(api.cast.alice)
    await desk.pass_on(api.cast.alice, session_id, intent=HandoffIntent.PARK)

    found = await ask(api, NOON, NOON + HOUR, groupBy="TEAM")

    channels = [{"channel": channel} | SILENT for channel in ("PUSH", "EMAIL", "PSA_NOTE")]
    assert found.only() == {"total": NOTHING, "groups": [], "channels": channels}


async def test_the_first_claim_and_the_resolution_are_timed_from_the_escalation_on(
    api: Api, desk: Desk
) -> None:
    handoff_id = await desk.escalate(api.cast.alice)
    session_id = await desk.claim(api.cast.bob, handoff_id, NOON + timedelta(seconds=61, microseconds=1))
    await desk.resolve(api.cast.bob, session_id, NOON + 2 * HOUR)

    assert await total(api) == NOTHING | {
        "escalated": 1,
        "claimed": 1,
        "timeToClaim": once(61.000001),
        "timeToResolve": once(7200.0),
    }


async def test_what_is_neither_claimed_nor_resolved_has_no_time_yet(api: Api, desk: Desk) -> None:
    await desk.escalate(api.cast.alice)

    assert await total(api) == NOTHING | {"escalated": 1}


async def test_a_window_holds_its_first_instant_and_not_its_last(api: Api, desk: Desk) -> None:
    await desk.escalate(api.cast.alice, NOON)
    microsecond = timedelta(microseconds=1)

    windows = [
        (NOON, NOON + microsecond),
        (NOON - HOUR, NOON + microsecond),
        (NOON - HOUR, NOON),
        (NOON + microsecond, NOON + HOUR),
    ]

    assert [(await total(api, *window))["escalated"] for window in windows] == [1, 1, 0, 0]


@pytest.mark.parametrize("hours", [-11, 5.75, 14])
async def test_a_window_in_another_zone_is_the_same_window(api: Api, desk: Desk, hours: float) -> None:
    await desk.escalate(api.cast.alice, NOON)
    there = NOON.astimezone(timezone(timedelta(hours=hours)))

    found = [await total(api, there, there + SECOND), await total(api, there - SECOND, there)]

    assert found == [NOTHING | {"escalated": 1}, NOTHING]


async def test_what_happened_after_the_window_counts_for_what_was_made_in_it(api: Api, desk: Desk) -> None:
    handoff_id = await desk.escalate(api.cast.alice)
    await desk.claim(api.cast.bob, handoff_id, NOON + 3 * HOUR)

    in_it, after_it = await total(api), await total(api, NOON + 2 * HOUR, NOON + 4 * HOUR)

    assert in_it == NOTHING | {"escalated": 1, "claimed": 1, "timeToClaim": once(10_800.0)}
    assert after_it == NOTHING


async def test_a_claim_that_was_released_still_counts_and_the_second_does_not_change_its_time(
    api: Api, desk: Desk
) -> None:
    handoff_id = await desk.escalate(api.cast.alice)
    await desk.claim(api.cast.bob, handoff_id, NOON + MINUTE)
    await desk.release(api.cast.bob, handoff_id, NOON + 2 * MINUTE)

    waiting = await total(api)
    await desk.claim(api.cast.olivia, handoff_id, NOON + 30 * MINUTE)
    claimed_again = await total(api)

    released = NOTHING | {"escalated": 1, "claimed": 1, "released": 1, "timeToClaim": once(60.0)}
    assert (waiting, claimed_again) == (released, released)


async def test_a_claim_that_expired_counts_as_claimed_and_as_released(api: Api, desk: Desk) -> None:
    handoff_id = await desk.escalate(api.cast.alice)
    await desk.claim(api.cast.bob, handoff_id, NOON + MINUTE)

    assert await desk.let_expire(handoff_id, NOON + HOUR)

    assert await total(api) == NOTHING | {
        "escalated": 1,
        "claimed": 1,
        "released": 1,
        "timeToClaim": once(60.0),
    }


async def test_every_round_of_reminding_counts_also_before_and_after_a_release(api: Api, desk: Desk) -> None:
    handoff_id = await desk.escalate(api.cast.alice)
    await desk.remind(handoff_id, NOON + MINUTE)
    await desk.remind(handoff_id, NOON + 2 * MINUTE)
    await desk.claim(api.cast.bob, handoff_id, NOON + 3 * MINUTE)
    await desk.release(api.cast.bob, handoff_id, NOON + 4 * MINUTE)
    await desk.remind(handoff_id, NOON + 5 * MINUTE)

    found = await total(api)

    assert (found["reminders"], found["released"], found["timeToClaim"]) == (3, 1, once(180.0))


@pytest.mark.parametrize("intent", HandoffIntent)
async def test_an_escalation_that_is_handed_off_again_after_its_claim_bounced_back(
    api: Api, desk: Desk, intent: HandoffIntent
) -> None:
    cast = api.cast
    session_id = await desk.claim(cast.bob, await desk.escalate(cast.alice), NOON + MINUTE)

    await desk.pass_on(cast.bob, session_id, NOON + 2 * HOUR, intent=intent)

    bounced = {"escalated": 1, "claimed": 1, "bouncedBack": 1, "timeToClaim": once(60.0)}
    assert await total(api) == NOTHING | bounced
    escalated_again = int(intent == HandoffIntent.ESCALATE)
    assert (await total(api, NOON + HOUR, NOON + 3 * HOUR))["escalated"] == escalated_again
    assert (await total(api, NOON + HOUR, NOON + 3 * HOUR))["bouncedBack"] == 0


async def test_an_escalation_that_ends_with_its_session_did_not_bounce_back(api: Api, desk: Desk) -> None:
    cast = api.cast
    first_id = await desk.escalate(cast.alice)
    session_id = await desk.claim(cast.bob, first_id, NOON + MINUTE)
    second_id = await desk.pass_on(cast.bob, session_id, NOON + 2 * MINUTE)
    await desk.claim(cast.olivia, second_id, NOON + 3 * MINUTE)
    await desk.resolve(cast.olivia, session_id, NOON + 10 * MINUTE)

    found = await total(api)

    # Both took until the session was resolved: the first one's wait was not over when it bounced.
    assert (found["escalated"], found["bouncedBack"]) == (2, 1)
    assert found["timeToResolve"] == {
        "count": 2,
        "medianSeconds": 480.0,
        "p90Seconds": 600.0,
        "p99Seconds": 600.0,
    }


async def test_what_is_resolved_without_a_claim_is_resolved_and_not_claimed(api: Api, desk: Desk) -> None:
    session_id = await desk.start(api.cast.alice)
    await desk.pass_on(api.cast.alice, session_id)
    await desk.resolve(api.cast.alice, session_id, NOON + MINUTE)

    assert await total(api) == NOTHING | {"escalated": 1, "timeToResolve": once(60.0)}


async def test_where_another_node_s_clock_is_behind_a_claim_took_no_time(api: Api, desk: Desk) -> None:
    handoff_id = await desk.escalate(api.cast.alice)
    await desk.claim(api.cast.bob, handoff_id, NOON - SECOND)

    assert (await total(api))["timeToClaim"] == once(0.0)


async def test_percentiles_are_times_that_were_measured(api: Api, desk: Desk) -> None:
    for minutes in range(1, 12):
        handoff_id = await desk.escalate(api.cast.alice)
        await desk.claim(api.cast.bob, handoff_id, NOON + minutes * MINUTE)

    assert (await total(api))["timeToClaim"] == {
        "count": 11,
        "medianSeconds": 360.0,
        "p90Seconds": 600.0,
        "p99Seconds": 660.0,
    }


async def test_groups_are_told_apart_by_what_was_when_the_escalation_was_made(api: Api, desk: Desk) -> None:
    cast = api.cast
    network = [await desk.start(cast.alice, domain="network", team_id=cast.team_id) for _ in range(2)]
    for session_id in network:
        await desk.pass_on(cast.alice, session_id, priority=HandoffPriority.URGENT)
    await api.change(cast.alice, "updateSession", sessionId=str(network[0]), problemDomain="mail")
    await desk.escalate(cast.bob)

    found = {
        dimension: await sizes(api, dimension) for dimension in ("DOMAIN", "TEAM", "PRIORITY", "ENGINEER")
    }

    assert found == {
        "DOMAIN": [("network", 2), (None, 1)],
        "TEAM": [(str(cast.team_id), 2), (None, 1)],
        "PRIORITY": [("URGENT", 2), ("NORMAL", 1)],
        "ENGINEER": [(str(cast.alice.id), 2), (str(cast.bob.id), 1)],
    }


async def test_who_claimed_first_has_the_escalation_whoever_claims_it_later(api: Api, desk: Desk) -> None:
    cast = api.cast
    handoff_ids = [await desk.escalate(cast.alice) for _ in range(3)]
    for handoff_id in handoff_ids[:2]:
        await desk.claim(cast.bob, handoff_id, NOON + MINUTE)
    await desk.release(cast.bob, handoff_ids[0], NOON + 2 * MINUTE)
    await desk.claim(cast.olivia, handoff_ids[0], NOON + 3 * MINUTE)

    assert await sizes(api, "CLAIMER") == [(str(cast.bob.id), 2), (None, 1)]


async def test_each_group_has_its_own_figures_and_the_total_has_all(api: Api, desk: Desk) -> None:
    cast = api.cast
    slow, quick, other = [await desk.escalate(user) for user in (cast.alice, cast.alice, cast.bob)]
    for handoff_id, minutes in ((slow, 9), (quick, 1), (other, 5)):
        await desk.claim(cast.olivia, handoff_id, NOON + minutes * MINUTE)

    found = (await ask(api, NOON, NOON + HOUR, groupBy="ENGINEER")).only()

    two = {"count": 2, "medianSeconds": 60.0, "p90Seconds": 540.0, "p99Seconds": 540.0}
    all_ = {"count": 3, "medianSeconds": 300.0, "p90Seconds": 540.0, "p99Seconds": 540.0}
    alice = NOTHING | {"key": str(cast.alice.id), "escalated": 2, "claimed": 2, "timeToClaim": two}
    bob = NOTHING | {"key": str(cast.bob.id), "escalated": 1, "claimed": 1, "timeToClaim": once(300.0)}
    assert found["total"] == NOTHING | {"escalated": 3, "claimed": 3, "timeToClaim": all_}
    assert found["groups"] == [alice, bob]


async def test_groups_of_one_size_stand_in_the_order_of_their_keys(api: Api, desk: Desk) -> None:
    for domain in ("vpn", "Über", "mail", None, "Mail"):
        await desk.escalate(api.cast.alice, domain=domain)

    assert await sizes(api, "DOMAIN") == [("Mail", 1), ("mail", 1), ("vpn", 1), ("Über", 1), (None, 1)]


async def test_each_channel_tells_where_its_deliveries_stand_and_how_late_they_were(
    api: Api, desk: Desk, smtp: SmtpServer
) -> None:
    cast = api.cast
    smtp.refuse(cast.adam.email, 550, "no such user")
    await desk.escalate(cast.alice, utc_now())
    await make_outbox(cast.database, smtp).send_batch()
    await change_deliveries(
        cast.database, cast.account_id, first_due_at=NOON, sent_at=NOON + timedelta(seconds=1.5)
    )

    now = utc_now()
    found = (await ask(api, now - HOUR, now + HOUR)).only()["channels"]

    assert found == [
        {"channel": "PUSH"} | SILENT,
        {"channel": "EMAIL"} | SILENT | {"sent": 2, "failed": 1, "medianSeconds": 1.5, "p99Seconds": 1.5},
        {"channel": "PSA_NOTE"} | SILENT,
    ]


async def test_deliveries_of_what_was_parked_or_made_outside_the_window_do_not_count(
    api: Api, desk: Desk
) -> None:
    await desk.escalate(api.cast.alice, NOON - HOUR)

    found = (await ask(api, NOON, NOON + HOUR)).only()["channels"]

    assert found == [{"channel": channel} | SILENT for channel in ("PUSH", "EMAIL", "PSA_NOTE")]


async def test_nothing_of_another_account_counts(api: Api, desk: Desk) -> None:
    cast = api.cast
    theirs = Desk(cast.database, cast.other_account_id)
    handoff_id = await theirs.escalate(cast.charlie, domain="Charlie's")
    await theirs.claim(cast.charlie, handoff_id, NOON + MINUTE)

    found = (await ask(api, NOON, NOON + HOUR, groupBy="DOMAIN")).only()

    assert (found["total"], found["groups"]) == (NOTHING, [])


@pytest.mark.parametrize(
    ("since", "until", "reason"),
    [
        (NOON, NOON, "to must be later than from."),
        (NOON, NOON - SECOND, "to must be later than from."),
        (
            NOON,
            NOON + timedelta(days=400, microseconds=1),
            "from and to lie more than 400 days apart. Ask for less at a time.",
        ),
        (NOON.replace(tzinfo=None), NOON, "from needs a time zone, like 2026-01-31T09:30:00Z."),
        (NOON, NOON.replace(tzinfo=None), "to needs a time zone, like 2026-01-31T09:30:00Z."),
        (
            datetime.max.replace(tzinfo=timezone(-HOUR)),
            NOON,
            "from lies before all time that can be stored.",
        ),
    ],
)
async def test_a_window_that_cannot_be_counted_is_refused_with_the_reason(
    api: Api, since: datetime, until: datetime, reason: str
) -> None:
    answer = await ask(api, since, until)

    assert answer.refusal() == ("BAD_USER_INPUT", reason)


async def test_the_longest_window_and_one_at_the_ends_of_time_are_counted(api: Api) -> None:
    day_one = datetime.min.replace(tzinfo=UTC)

    found = [
        await total(api, NOON, NOON + timedelta(days=400)),
        await total(api, day_one, day_one + HOUR),
        await total(api, datetime.max.replace(tzinfo=UTC) - HOUR, datetime.max.replace(tzinfo=UTC)),
    ]

    assert found == [NOTHING] * 3


async def test_only_so_many_groups_are_shown_and_the_total_holds_them_all(
    api: Api, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolvers.statistics.MOST_GROUPS", 2)
    for domain in ("vpn", "mail", "vpn", "dns"):
        await desk.escalate(api.cast.alice, domain=domain)

    assert await sizes(api, "DOMAIN") == [("vpn", 2), ("dns", 1)]
    assert (await total(api))["escalated"] == 4


async def test_a_user_of_no_role_but_viewer_may_read_them_and_nobody_unknown(api: Api) -> None:
    given = {"from": NOON.isoformat(), "to": (NOON + HOUR).isoformat()}

    found = [await api.ask(user, STATISTICS, **given) for user in (api.cast.vera, api.cast.alice)]
    nobody = await api.ask(None, STATISTICS, **given)

    assert [answer.errors for answer in found] == [[], []]
    assert nobody.refusal() == ("UNAUTHENTICATED", "Sign in: send a valid token.")


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_statistics_that_take_long_leave_connections_to_everybody_else(api: Api, desk: Desk) -> None:
    await desk.start(api.cast.alice)
    async with asyncio.TaskGroup() as tasks, api.cast.database.owning() as tx:
        await tx.execute(text("LOCK TABLE handoffs IN ACCESS EXCLUSIVE MODE"))
        asked = [tasks.create_task(ask(api, NOON, NOON + HOUR)) for _ in range(30)]
        await eventually(lambda: are_waiting(api, 2))

        meanwhile = await api.ask(api.cast.bob, "{ sessions { edges { node { status } } } }")

    assert meanwhile.only() == {"edges": [{"node": {"status": "ACTIVE"}}]}
    assert [answer.result().only()["total"] for answer in asked] == [NOTHING] * 30


async def are_waiting(api: Api, count: int) -> bool:
    """Tell whether as many statements wait for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with api.cast.database.owning() as tx:
        return bool(await tx.fetch_value(waiting) == count)
