"""An account's admins decide when an unclaimed escalation is told again, and it counts at once."""

from datetime import timedelta
from typing import Any

import pytest

from tests.client import Api
from tests.mailing import SET_POLICY, do_what_is_due, handoff_row, remind, set_policy

POLICY = "{ accountPolicy { reminderAfter remind claimExpiresAfter } }"
NOTHING: dict[str, Any] = {"reminderAfter": [], "remind": "EVERYONE", "claimExpiresAfter": None}
SET = {"reminderAfter": ["PT5M"], "remind": "OWNERS_AND_ADMINS", "claimExpiresAfter": "PT1H"}
ELEVEN = [f"PT{minutes}M" for minutes in range(1, 12)]
NOT_ISO = "A duration is written as ISO 8601 has it, like PT5M or P1DT12H, without months and years."
NOT_IN_RANGE = "reminderAfter and claimExpiresAfter must be between PT1S and P30D, and of whole seconds."


async def policy_of(api: Api) -> Any:  # noqa: ANN401
    return (await api.ask(api.cast.vera, POLICY)).only()


async def test_without_a_policy_nobody_is_reminded_and_claims_last(api: Api) -> None:
    assert await policy_of(api) == NOTHING


async def test_durations_are_read_and_shown_as_iso_8601(api: Api) -> None:
    written = {"reminderAfter": ["PT300S", "PT90M", "P1W"], "claimExpiresAfter": "P1DT36H"}

    answered = await set_policy(api, **written)

    assert answered == {
        "reminderAfter": ["PT5M", "PT1H30M", "P7D"],
        "remind": "EVERYONE",
        "claimExpiresAfter": "P2DT12H",
    }
    assert await policy_of(api) == answered


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"remind": None}, {}),
        ({"remind": "EVERYONE"}, {"remind": "EVERYONE"}),
        ({"reminderAfter": None}, {"reminderAfter": []}),
        ({"reminderAfter": []}, {"reminderAfter": []}),
        ({"claimExpiresAfter": None}, {"claimExpiresAfter": None}),
        ({"claimExpiresAfter": "PT1S"}, {"claimExpiresAfter": "PT1S"}),
        ({"reminderAfter": ["PT1S", "P30D"]}, {"reminderAfter": ["PT1S", "P30D"]}),
    ],
)
async def test_what_is_left_out_stays(api: Api, given: dict[str, Any], changed: dict[str, Any]) -> None:
    await set_policy(api, **SET)

    answered = await set_policy(api, **given)

    assert answered == SET | changed
    assert await policy_of(api) == SET | changed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reminderAfter": ELEVEN}, "reminderAfter holds 11 times; at most 10 are kept."),
        ({"reminderAfter": ["PT15M", "PT5M"]}, "reminderAfter must ascend, like [PT5M, PT15M]."),
        ({"reminderAfter": ["PT5M", "PT300S"]}, "reminderAfter must ascend, like [PT5M, PT15M]."),
        ({"reminderAfter": ["PT0S", "PT5M"]}, NOT_IN_RANGE),
        ({"reminderAfter": ["PT5M", "P30DT1S"]}, NOT_IN_RANGE),
        ({"reminderAfter": ["PT1.2S", "PT1.8S"]}, NOT_IN_RANGE),
        ({"claimExpiresAfter": "PT0.5S"}, NOT_IN_RANGE),
        ({"claimExpiresAfter": "P31D"}, NOT_IN_RANGE),
        ({"claimExpiresAfter": "PT60.5S"}, NOT_IN_RANGE),
        ({"claimExpiresAfter": "-PT5M"}, NOT_ISO),
        ({"claimExpiresAfter": "P1M"}, NOT_ISO),  # by which PT1M was meant
        ({"claimExpiresAfter": "P0Y1DT5M"}, NOT_ISO),
        ({"claimExpiresAfter": "5 minutes"}, NOT_ISO),
        ({"claimExpiresAfter": "00:05:00"}, NOT_ISO),
        ({"claimExpiresAfter": 300}, NOT_ISO),
        ({"claimExpiresAfter": "P99999999999D"}, NOT_ISO),
        ({"reminderAfter": ["PT5M", ""]}, NOT_ISO),
    ],
)
async def test_a_policy_that_cannot_be_kept_is_refused_with_its_reason(
    api: Api, given: dict[str, Any], message: str
) -> None:
    await set_policy(api, **SET)
    before = await api.cast.all_rows()

    answer = await api.ask(api.cast.olivia, SET_POLICY, input=given)

    assert answer.data is None
    assert [error["message"] for error in answer.errors] == [message]
    assert answer.codes == ["BAD_USER_INPUT"]
    assert await api.cast.all_rows() == before


@pytest.mark.parametrize("name", ["bob", "vera"])
async def test_only_admins_set_the_policy(api: Api, name: str) -> None:
    before = await api.cast.all_rows()

    answer = await api.ask(getattr(api.cast, name), SET_POLICY, input=SET)

    assert answer.data is None
    assert [error["message"] for error in answer.errors] == ["Admin access required"]
    assert answer.codes == ["FORBIDDEN"]
    assert await api.cast.all_rows() == before


async def test_a_policy_is_its_accounts_own(api: Api) -> None:
    await set_policy(api, **SET)

    assert (await api.ask(api.cast.charlie, POLICY)).only() == NOTHING


async def test_a_new_policy_counts_for_what_waits_already(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    parked = await api.create(cast.alice, (await cast.start_session()).id, "PARK")

    await set_policy(api, reminderAfter=["PT5M", "PT15M"])

    row = await handoff_row(api, handoff_id)
    assert row.next_reminder_at == row.opened_at + timedelta(minutes=5)
    assert (await handoff_row(api, parked["handoff"]["id"])).next_reminder_at is None
    assert await remind(api) == 1


async def test_a_policy_without_times_ends_the_reminders_of_what_waits(api: Api) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)

    await set_policy(api, reminderAfter=None)

    assert (await handoff_row(api, handoff_id)).next_reminder_at is None
    assert await remind(api) == 0


async def test_a_policy_with_other_times_reminds_of_what_was_reminded_of(api: Api) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT1S", "PT2S"])
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    assert [await remind(api), await remind(api)] == [1, 1]

    await set_policy(api, reminderAfter=["PT1S", "PT1H"])

    row = await handoff_row(api, handoff_id)
    assert row.next_reminder_at == row.opened_at + timedelta(hours=1)
    assert [await do_what_is_due(api), await remind(api)] == [0, 1]
