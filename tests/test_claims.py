"""Exactly one of any number who try gets a handoff."""

import asyncio
from collections import Counter

import pytest

from tests.cast import deactivate
from tests.client import CLAIM, Api


async def test_of_twenty_concurrent_claims_one_wins_and_nineteen_are_told_who(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    crowd = [cast.bob, cast.olivia, cast.adam, cast.alice] * 5

    answers = await asyncio.gather(*(api.claim(user, handoff_id) for user in crowd))

    winners = {a["handoff"]["claimedBy"]["id"] for a in answers if a["__typename"] == "ClaimHandoffSuccess"}
    losers = [a for a in answers if a["__typename"] == "HandoffAlreadyClaimed"]
    assert len(winners) == 1
    assert {loser["claimedBy"]["id"] for loser in losers} == winners
    # The winner clicked five times: each click succeeds, and only the first one writes.
    assert Counter(a["__typename"] for a in answers) == {
        "ClaimHandoffSuccess": 5,
        "HandoffAlreadyClaimed": 15,
    }
    kinds = [kind for kind, *_ in await api.timeline(handoff_id)]
    assert kinds == ["HANDOFF_CREATED", "HANDOFF_CLAIMED"]


@pytest.mark.parametrize("intent", ["PARK", "ESCALATE"])
async def test_a_claim_makes_the_session_active_and_says_who_has_it(api: Api, intent: str) -> None:
    cast = api.cast
    handoff = (await api.create(cast.alice, (await cast.start_session()).id, intent))["handoff"]

    answer = await api.claim(cast.bob, handoff["id"])

    assert answer == {
        "__typename": "ClaimHandoffSuccess",
        "handoff": {
            "id": handoff["id"],
            "state": "CLAIMED",
            "claimedAt": answer["handoff"]["claimedAt"],
            "claimedBy": {"id": str(cast.bob.id)},
            "session": {"status": "ACTIVE", "escalatedTo": {"id": str(cast.bob.id)}},
        },
    }
    assert answer["handoff"]["claimedAt"] >= handoff["createdAt"]
    assert (await api.timeline(handoff["id"]))[1:] == [("HANDOFF_CLAIMED", "Bob", "claimed it")]


@pytest.mark.parametrize("intent", ["PARK", "ESCALATE"])
async def test_whoever_handed_it_off_may_claim_it(api: Api, intent: str) -> None:
    cast = api.cast
    handoff_id = (await api.create(cast.alice, (await cast.start_session()).id, intent))["handoff"]["id"]

    answer = await api.claim(cast.alice, handoff_id)

    assert answer["__typename"] == "ClaimHandoffSuccess"
    assert answer["handoff"]["claimedBy"] == {"id": str(cast.alice.id)}


async def test_a_second_claim_is_refused_and_names_the_winner_and_the_time(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    won = await api.claim(cast.bob, handoff_id)
    before = await api.handoff(handoff_id), await cast.last_event()

    answer = await api.claim(cast.olivia, handoff_id)

    assert answer == {
        "__typename": "HandoffAlreadyClaimed",
        "message": "Somebody else claimed this handoff first.",
        "claimedAt": won["handoff"]["claimedAt"],
        "claimedBy": {"id": str(cast.bob.id), "name": "Bob"},
    }
    assert (await api.handoff(handoff_id), await cast.last_event()) == before


async def test_the_winners_repeated_claim_succeeds_and_writes_nothing(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    won = await api.claim(cast.bob, handoff_id)
    before = await api.handoff(handoff_id), await cast.last_event()

    answer = await api.claim(cast.bob, handoff_id)

    assert answer == won
    assert (await api.handoff(handoff_id), await cast.last_event()) == before


async def test_a_claim_skips_what_was_still_to_be_sent_and_says_why(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    other = await api.escalate(cast.alice, (await cast.start_session()).id)

    await api.claim(cast.bob, handoff_id)

    told = ("Adam", "Bob", "Olivia")
    skipped = [(0, name, "EMAIL", "SKIPPED", "CLAIMED") for name in told]
    to_the_escalator = (0, "Alice", "EMAIL", "PENDING", None)  # that Bob has it
    assert await api.deliveries(handoff_id) == sorted([*skipped, to_the_escalator])
    assert await api.deliveries(other) == [(0, name, "EMAIL", "PENDING", None) for name in told]


async def test_a_viewer_is_forbidden_to_claim_and_writes_nothing(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    before = await api.handoff(handoff_id), await cast.last_event()

    answer = await api.ask(cast.vera, CLAIM, id=handoff_id)

    assert answer.data is None
    assert [error["message"] for error in answer.errors] == ["Engineer or admin access required"]
    assert answer.codes == ["FORBIDDEN"]
    assert (await api.handoff(handoff_id), await cast.last_event()) == before


@pytest.mark.parametrize("handoff_id", ["01890000-0000-7000-8000-000000000000", "no id at all", ""])
async def test_a_viewer_learns_nothing_about_a_handoff_from_a_claim(api: Api, handoff_id: str) -> None:
    answer = await api.ask(api.cast.vera, CLAIM, id=handoff_id)

    assert (answer.data, answer.codes) == (None, ["FORBIDDEN"])


@pytest.mark.parametrize("who", ["ina", "nobody"])
async def test_who_cannot_sign_in_cannot_claim(api: Api, who: str) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)

    answer = await api.ask(cast.ina if who == "ina" else None, CLAIM, id=handoff_id)

    assert (answer.data, answer.codes) == (None, ["UNAUTHENTICATED"])
    assert (await api.handoff(handoff_id))["state"] == "OPEN"


async def test_a_deactivation_counts_at_the_next_claim(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    async with cast.database.transaction(cast.account_id) as tx:
        await deactivate(tx, cast.bob)

    answer = await api.ask(cast.bob, CLAIM, id=handoff_id)

    assert (answer.data, answer.codes) == (None, ["UNAUTHENTICATED"])


async def test_a_handoff_of_another_account_is_not_found_and_left_alone(api: Api) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    before = await api.handoff(handoff_id), await cast.last_event()

    answer = await api.claim(cast.charlie, handoff_id)

    assert answer == {
        "__typename": "HandoffNotFound",
        "message": "No handoff of your account has this id.",
    }
    assert (await api.handoff(handoff_id), await cast.last_event()) == before


@pytest.mark.parametrize("handoff_id", ["01890000-0000-7000-8000-000000000000", "no id at all", "", "\x00"])
async def test_an_id_that_names_nothing_is_not_found(api: Api, handoff_id: str) -> None:
    answer = await api.claim(api.cast.bob, handoff_id)

    assert answer["__typename"] == "HandoffNotFound"


async def test_the_id_of_a_session_is_no_handoff(api: Api) -> None:
    session = await api.cast.start_session()
    await api.escalate(api.cast.alice, session.id)

    answer = await api.claim(api.cast.bob, str(session.id))

    assert answer["__typename"] == "HandoffNotFound"


@pytest.mark.parametrize("claimed_before", [True, False])
async def test_a_closed_handoff_is_not_open_and_says_where_it_stands(api: Api, claimed_before: bool) -> None:
    cast = api.cast
    session = await cast.start_session()
    handoff_id = await api.escalate(cast.alice, session.id)
    if claimed_before:
        await api.claim(cast.bob, handoff_id)
    (await api.change(cast.alice, "resolveSession", sessionId=str(session.id))).only()
    before = await api.handoff(handoff_id), await cast.last_event()

    answers = [await api.claim(user, handoff_id) for user in (cast.bob, cast.olivia)]

    refusal = {
        "__typename": "HandoffNotOpen",
        "message": "This handoff is closed: its session was resolved or handed off again.",
        "state": "CLOSED",
    }
    assert answers == [refusal, refusal]
    assert (await api.handoff(handoff_id), await cast.last_event()) == before


async def test_a_claim_and_a_resolution_at_once_leave_nothing_open(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    handoff_id = await api.escalate(cast.alice, session.id)

    claimed, resolved = await asyncio.gather(
        api.claim(cast.bob, handoff_id),
        api.change(cast.alice, "resolveSession", sessionId=str(session.id)),
    )

    assert claimed["__typename"] in {"ClaimHandoffSuccess", "HandoffNotOpen"}
    assert resolved.only()["session"]["status"] == "RESOLVED"
    assert (await api.handoff(handoff_id))["state"] == "CLOSED"
