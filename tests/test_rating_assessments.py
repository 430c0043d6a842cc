"""Who claimed says what came of the assessment."""

from collections.abc import AsyncIterator

import pytest

from db.enums import EventKind
from db.session import new_id
from db.users import UserRow
from tests.assessing import Told, assess, assessed_api, assessment_of, escalate
from tests.cast import Cast
from tests.client import Answer, Api
from tests.servers.smtp import SmtpServer

RATE = """
mutation ($id: ID!, $verdict: Verdict!) { rateAssessment(input: { handoffId: $id, verdict: $verdict }) {
  __typename
  ... on Problem { message }
  ... on RateAssessmentSuccess { handoff { id assessment { verdict } } }
} }
"""


@pytest.fixture
async def assessed(database_url: str, cast: Cast, smtp: SmtpServer) -> AsyncIterator[Api]:
    """The application, which asks for assessments."""
    async with assessed_api(database_url, cast, smtp) as api:
        yield api


async def test_the_claimer_s_verdict_is_kept_and_may_change(assessed: Api) -> None:
    cast = assessed.cast
    handoff_id = await claimed(assessed, cast.bob)

    answers = [await rate(assessed, cast.bob, handoff_id, verdict) for verdict in ("WRONG", "CORRECT")]

    assert [answer.only() for answer in answers] == [
        {
            "__typename": "RateAssessmentSuccess",
            "handoff": {"id": handoff_id, "assessment": {"verdict": verdict}},
        }
        for verdict in ("WRONG", "CORRECT")
    ]
    assert (await assessed.timeline(handoff_id))[-2:] == [
        ("ASSESSMENT_RATED", "Bob", "found the assessment wrong"),
        ("ASSESSMENT_RATED", "Bob", "found the assessment correct"),
    ]


async def test_the_same_verdict_again_writes_nothing(assessed: Api) -> None:
    cast = assessed.cast
    handoff_id = await claimed(assessed, cast.bob)
    first = await rate(assessed, cast.bob, handoff_id)
    before = await cast.all_rows()

    assert await rate(assessed, cast.bob, handoff_id) == first

    assert await cast.all_rows() == before


async def test_a_verdict_can_be_given_after_the_session_was_resolved_with_its_cause(assessed: Api) -> None:
    cast = assessed.cast
    handoff_id = await claimed(assessed, cast.bob)
    session_id = (await assessed.handoff(handoff_id))["session"]["id"]
    given = {"sessionId": session_id, "actualCause": "The old password was cached"}
    (await assessed.change(cast.bob, "resolveSession", **given)).only()

    answer = await rate(assessed, cast.bob, handoff_id)

    assert answer.only()["handoff"]["assessment"] == {"verdict": "CORRECT"}
    read = await assessed.ask(
        cast.vera, "query ($id: ID!) { session(id: $id) { actualCause } }", id=session_id
    )
    assert read.only() == {"actualCause": "The old password was cached"}


async def test_only_who_claimed_has_a_say(assessed: Api) -> None:
    cast = assessed.cast
    handoff_id = await claimed(assessed, cast.bob)
    before = await cast.all_rows()

    answers = [await rate(assessed, user, handoff_id) for user in (cast.alice, cast.olivia)]

    assert [answer.only()["__typename"] for answer in answers] == ["HandoffNotClaimedByYou"] * 2
    assert (await rate(assessed, cast.vera, handoff_id)).codes == ["FORBIDDEN"]
    assert (await rate(assessed, cast.charlie, handoff_id)).only()["__typename"] == "HandoffNotFound"
    assert await cast.all_rows() == before


async def test_who_put_it_back_has_no_say_any_more(assessed: Api) -> None:
    handoff_id = await claimed(assessed, assessed.cast.bob)
    await assessed.release(assessed.cast.bob, handoff_id)

    answer = (await rate(assessed, assessed.cast.bob, handoff_id)).only()

    assert answer["__typename"] == "HandoffNotClaimedByYou"


async def test_what_is_not_ready_cannot_be_rated(assessed: Api) -> None:
    cast = assessed.cast
    pending = await escalate(assessed)
    await assessed.claim(cast.bob, pending)
    parked = await assessed.create(cast.alice, (await cast.start_session()).id, intent="PARK")
    await assessed.claim(cast.bob, parked["handoff"]["id"])

    answers = [await rate(assessed, cast.bob, id_) for id_ in (pending, parked["handoff"]["id"])]

    refusal = {
        "__typename": "AssessmentNotReady",
        "message": "There is no assessment of this handoff to rate.",
    }
    assert [answer.only() for answer in answers] == [refusal, refusal]
    assert (await assessment_of(assessed, pending))["verdict"] is None
    assert (await cast.newest_event()).kind == EventKind.HANDOFF_CLAIMED


async def test_an_unknown_handoff_is_not_found(assessed: Api) -> None:
    answer = (await rate(assessed, assessed.cast.bob, str(new_id()))).only()

    assert answer["__typename"] == "HandoffNotFound"


async def claimed(api: Api, user: UserRow) -> str:
    """Let an escalation be assessed and claimed, and return the handoff's id."""
    handoff_id = await escalate(api)
    await assess(api, Told())
    assert (await api.claim(user, handoff_id))["__typename"] == "ClaimHandoffSuccess"
    return handoff_id


async def rate(api: Api, user: UserRow, handoff_id: str, verdict: str = "CORRECT") -> Answer:
    """Rate the assessment of a handoff."""
    return await api.ask(user, RATE, id=handoff_id, verdict=verdict)
