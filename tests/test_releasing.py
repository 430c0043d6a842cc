"""A claimer puts a handoff back: it is open again, and an escalation is told anew."""

import asyncio
from typing import Any

import pytest

from db.users import UserRow
from tests.client import RELEASE, Api

NOT_YOURS = {
    "__typename": "HandoffNotClaimedByYou",
    "message": "Only the one who claimed a handoff can release it, or an owner or admin.",
}
NOT_FOUND = {"__typename": "HandoffNotFound", "message": "No handoff of your account has this id."}


@pytest.mark.parametrize(("intent", "status"), [("PARK", "PAUSED"), ("ESCALATE", "ESCALATED")])
async def test_a_release_opens_the_handoff_and_sets_the_session_back(
    api: Api, intent: str, status: str
) -> None:
    handoff_id = await _claimed(api, api.cast.bob, intent)

    answer = await api.release(api.cast.bob, handoff_id)

    assert answer == {
        "__typename": "ReleaseHandoffSuccess",
        "handoff": {
            "id": handoff_id,
            "state": "OPEN",
            "claimedAt": None,
            "claimedBy": None,
            "session": {"status": status, "escalatedTo": None},
        },
    }
    assert (await api.handoff(handoff_id))["session"]["handoffCount"] == 1


async def test_a_released_handoff_stands_in_the_queue_again(api: Api) -> None:
    handoff_id = await _claimed(api, api.cast.bob)
    queue = "{ queue { totalCount edges { node { id state } } } }"
    assert (await api.ask(api.cast.vera, queue)).only() == {"totalCount": 0, "edges": []}

    await api.release(api.cast.bob, handoff_id)

    waiting = {"totalCount": 1, "edges": [{"node": {"id": handoff_id, "state": "OPEN"}}]}
    assert (await api.ask(api.cast.vera, queue)).only() == waiting


async def test_a_release_tells_every_responder_but_the_releaser_in_a_new_round(api: Api) -> None:
    handoff_id = await _claimed(api, api.cast.bob)

    await api.release(api.cast.bob, handoff_id)

    # Alice escalated it and is told now: it is Bob who knows. That he had it is not told her any more.
    assert await api.deliveries(handoff_id) == [
        (0, "Adam", "EMAIL", "SKIPPED", "CLAIMED"),
        (0, "Alice", "EMAIL", "SKIPPED", "RELEASED"),
        (0, "Bob", "EMAIL", "SKIPPED", "CLAIMED"),
        (0, "Olivia", "EMAIL", "SKIPPED", "CLAIMED"),
        *((1, name, "EMAIL", "PENDING", None) for name in ("Adam", "Alice", "Olivia")),
    ]


async def test_a_second_release_begins_a_third_round(api: Api) -> None:
    cast = api.cast
    handoff_id = await _claimed(api, cast.bob)
    await api.release(cast.bob, handoff_id)
    await api.claim(cast.alice, handoff_id)

    await api.release(cast.alice, handoff_id)

    assert [d for d in await api.deliveries(handoff_id) if d[0] > 0] == [
        *((1, name, "EMAIL", "SKIPPED", "CLAIMED") for name in ("Adam", "Alice", "Olivia")),
        *((2, name, "EMAIL", "PENDING", None) for name in ("Adam", "Bob", "Olivia")),
    ]


async def test_a_released_park_tells_no_one(api: Api) -> None:
    handoff_id = await _claimed(api, api.cast.bob, "PARK")

    await api.release(api.cast.bob, handoff_id)

    assert await api.deliveries(handoff_id) == []


@pytest.mark.parametrize(
    ("reason", "summary"),
    [
        ("  Called to an outage. ", "released it: Called to an outage."),
        (" ", "released it"),
        (None, "released it"),
    ],
)
async def test_the_timeline_says_who_released_it_and_why(api: Api, reason: str | None, summary: str) -> None:
    handoff_id = await _claimed(api, api.cast.bob)

    await api.release(api.cast.bob, handoff_id, reason)

    assert await api.timeline(handoff_id) == [
        ("HANDOFF_CREATED", "Alice", "escalated the session"),
        ("HANDOFF_CLAIMED", "Bob", "claimed it"),
        ("HANDOFF_RELEASED", "Bob", summary),
    ]


@pytest.mark.parametrize("reason", ["x" * 2_001, "NUL \x00 here"])
async def test_a_reason_that_cannot_be_stored_is_refused_and_releases_nothing(api: Api, reason: str) -> None:
    handoff_id = await _claimed(api, api.cast.bob)
    before = await _state(api, handoff_id)

    answer = await api.ask(api.cast.bob, RELEASE, id=handoff_id, reason=reason)

    assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"])
    assert await _state(api, handoff_id) == before


async def test_no_other_engineer_may_release(api: Api) -> None:
    cast = api.cast
    handoff_id = await _claimed(api, cast.bob)
    before = await _state(api, handoff_id)

    assert await api.release(cast.alice, handoff_id) == NOT_YOURS
    assert await _state(api, handoff_id) == before


@pytest.mark.parametrize("who", ["adam", "olivia"])
async def test_an_owner_or_admin_may_take_back_what_another_claimed(api: Api, who: str) -> None:
    cast = api.cast
    handoff_id = await _claimed(api, cast.bob)
    admin = {"adam": cast.adam, "olivia": cast.olivia}[who]

    answer = await api.release(admin, handoff_id, "Bob is on holiday")

    assert answer["handoff"]["state"] == "OPEN"
    summary = "took it back from Bob: Bob is on holiday"
    assert (await api.timeline(handoff_id))[-1] == ("HANDOFF_RELEASED", admin.name, summary)
    told = {name for round_, name, *_ in await api.deliveries(handoff_id) if round_ == 1}
    assert told == {"Adam", "Alice", "Bob", "Olivia"} - {admin.name}
    assert (await api.claim(cast.alice, handoff_id))["__typename"] == "ClaimHandoffSuccess"


async def test_what_nobody_has_claimed_is_not_an_admin_s_to_release(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    before = await _state(api, handoff_id)

    answer = await api.release(cast.adam, handoff_id)

    assert answer == {**NOT_YOURS, "message": "Nobody has claimed this handoff."}
    assert await _state(api, handoff_id) == before


async def test_an_admin_who_releases_their_own_claim_takes_it_from_nobody(api: Api) -> None:
    handoff_id = await _claimed(api, api.cast.adam)

    await api.release(api.cast.adam, handoff_id)

    assert (await api.timeline(handoff_id))[-1] == ("HANDOFF_RELEASED", "Adam", "released it")


async def test_an_admin_takes_it_from_nobody_but_whom_they_name(api: Api) -> None:
    cast = api.cast
    handoff_id = await _claimed(api, cast.bob)
    before = await _state(api, handoff_id)

    from_another = await api.release(cast.adam, handoff_id, of=cast.alice)
    from_themselves = await api.release(cast.adam, handoff_id, of=cast.adam)
    from_a_stranger = await api.release(cast.adam, handoff_id, of=cast.charlie)
    unchanged = await _state(api, handoff_id)
    from_bob = await api.release(cast.adam, handoff_id, of=cast.bob)

    refused = {**NOT_YOURS, "message": "Bob has this handoff now."}
    assert [from_another, from_themselves, from_a_stranger] == [refused] * 3
    assert unchanged == before
    assert from_bob["handoff"]["state"] == "OPEN"


async def test_an_admin_who_names_another_keeps_their_own_claim(api: Api) -> None:
    cast = api.cast
    handoff_id = await _claimed(api, cast.adam)
    before = await _state(api, handoff_id)

    answer = await api.release(cast.adam, handoff_id, of=cast.bob)

    assert answer == {**NOT_YOURS, "message": "Adam has this handoff now."}
    assert await _state(api, handoff_id) == before


async def test_an_id_that_cannot_be_read_names_nobody_who_has_it(api: Api) -> None:
    handoff_id = await _claimed(api, api.cast.bob)

    answer = await api.ask(api.cast.adam, RELEASE, id=handoff_id, **{"from": "no id at all"})

    assert answer.only()["message"] == "Bob has this handoff now."


async def test_an_engineer_releases_only_their_own_whomever_they_name(api: Api) -> None:
    cast = api.cast
    handoff_id = await _claimed(api, cast.bob)
    before = await _state(api, handoff_id)

    of_another = [
        await api.release(cast.alice, handoff_id, of=cast.bob),
        await api.release(cast.bob, handoff_id, of=cast.alice),
    ]
    unchanged = await _state(api, handoff_id)
    of_their_own = await api.release(cast.bob, handoff_id, of=cast.bob)

    assert of_another == [NOT_YOURS] * 2
    assert unchanged == before
    assert of_their_own["handoff"]["state"] == "OPEN"


@pytest.mark.parametrize("first", ["their own", "Bob's"])
async def test_an_admin_s_second_click_takes_it_from_nobody_who_claimed_in_between(
    api: Api, first: str
) -> None:
    cast = api.cast
    handoff_id = await _claimed(api, cast.adam if first == "their own" else cast.bob)
    await api.release(cast.adam, handoff_id)
    await api.claim(cast.alice, handoff_id)
    before = await _state(api, handoff_id)

    second = await api.release(cast.adam, handoff_id)
    unchanged = await _state(api, handoff_id)
    by_name = await api.release(cast.adam, handoff_id, of=cast.alice)

    message = "You have claimed or released this handoff before, and Alice has it now. "
    message += "Name them in claimedById to take it from them."
    assert second == {**NOT_YOURS, "message": message}
    assert unchanged == before
    assert by_name["handoff"]["state"] == "OPEN"


async def test_an_admin_s_click_on_a_claim_that_was_taken_from_them_takes_it_from_nobody(api: Api) -> None:
    cast = api.cast
    handoff_id = await _claimed(api, cast.adam)
    await api.release(cast.olivia, handoff_id, of=cast.adam)
    await api.claim(cast.alice, handoff_id)
    before = await _state(api, handoff_id)

    answer = await api.release(cast.adam, handoff_id)

    assert answer["__typename"] == "HandoffNotClaimedByYou"
    assert await _state(api, handoff_id) == before


async def test_who_claims_it_once_more_may_release_it_without_a_name(api: Api) -> None:
    cast = api.cast
    handoff_id = await _claimed(api, cast.adam)
    await api.release(cast.adam, handoff_id)
    await api.claim(cast.adam, handoff_id)

    assert (await api.release(cast.adam, handoff_id))["handoff"]["state"] == "OPEN"


@pytest.mark.parametrize("is_claimed", [True, False])
async def test_a_closed_handoff_is_not_an_admin_s_to_release(api: Api, is_claimed: bool) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    if is_claimed:
        await api.claim(cast.bob, handoff_id)
    session_id = (await api.handoff(handoff_id))["session"]["id"]
    (await api.change(cast.bob, "resolveSession", sessionId=session_id)).only()
    before = await _state(api, handoff_id)

    answer = await api.release(cast.adam, handoff_id)

    assert answer == {**NOT_YOURS, "message": "This handoff is closed."}
    assert await _state(api, handoff_id) == before


async def test_an_open_handoff_cannot_be_released_nor_released_twice(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    open_answer = await api.release(cast.alice, handoff_id)
    await api.claim(cast.bob, handoff_id)
    await api.release(cast.bob, handoff_id)
    before = await _state(api, handoff_id)

    second_answer = await api.release(cast.bob, handoff_id)

    assert (open_answer, second_answer) == (NOT_YOURS, NOT_YOURS)
    assert await _state(api, handoff_id) == before


async def test_a_closed_handoff_cannot_be_released(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    handoff_id = await api.escalate(cast.alice, session.id)
    await api.claim(cast.bob, handoff_id)
    (await api.change(cast.bob, "resolveSession", sessionId=str(session.id))).only()
    before = await _state(api, handoff_id)

    answer = await api.release(cast.bob, handoff_id)

    assert answer == {**NOT_YOURS, "message": "This handoff is closed."}
    assert await _state(api, handoff_id) == before


async def test_a_handoff_of_another_account_is_not_found(api: Api) -> None:
    handoff_id = await _claimed(api, api.cast.bob)
    before = await _state(api, handoff_id)

    assert await api.release(api.cast.charlie, handoff_id) == NOT_FOUND
    assert await _state(api, handoff_id) == before


@pytest.mark.parametrize("handoff_id", ["01890000-0000-7000-8000-000000000000", "no id at all"])
async def test_an_id_that_names_nothing_is_not_found(api: Api, handoff_id: str) -> None:
    assert await api.release(api.cast.bob, handoff_id) == NOT_FOUND


async def test_a_viewer_is_forbidden_to_release(api: Api) -> None:
    handoff_id = await _claimed(api, api.cast.bob)

    answer = await api.ask(api.cast.vera, RELEASE, id=handoff_id)

    assert (answer.data, answer.codes) == (None, ["FORBIDDEN"])
    assert (await api.handoff(handoff_id))["state"] == "CLAIMED"


async def test_a_released_handoff_can_be_claimed_by_another_and_by_the_releaser(api: Api) -> None:
    cast = api.cast
    handoff_id = await _claimed(api, cast.bob)
    await api.release(cast.bob, handoff_id)

    by_another = await api.claim(cast.olivia, handoff_id)
    await api.release(cast.olivia, handoff_id)
    by_the_first = await api.claim(cast.bob, handoff_id)

    assert by_another["handoff"]["claimedBy"] == {"id": str(cast.olivia.id)}
    assert by_the_first["handoff"]["claimedBy"] == {"id": str(cast.bob.id)}


async def test_of_a_double_click_on_release_one_begins_a_round(api: Api) -> None:
    handoff_id = await _claimed(api, api.cast.bob)

    answers = await asyncio.gather(*(api.release(api.cast.bob, handoff_id) for _ in range(5)))

    kinds = sorted(answer["__typename"] for answer in answers)
    assert kinds == ["HandoffNotClaimedByYou"] * 4 + ["ReleaseHandoffSuccess"]
    assert {round_ for round_, *_ in await api.deliveries(handoff_id)} == {0, 1}


async def _claimed(api: Api, claimer: UserRow, intent: str = "ESCALATE") -> str:
    """Have Alice hand a session off and the claimer claim it; return the handoff's id."""
    session = await api.cast.start_session()
    handoff_id: str = (await api.create(api.cast.alice, session.id, intent))["handoff"]["id"]
    assert (await api.claim(claimer, handoff_id))["__typename"] == "ClaimHandoffSuccess"
    return handoff_id


async def _state(api: Api, handoff_id: str) -> tuple[Any, int]:
    return await api.handoff(handoff_id), await api.cast.last_event()
