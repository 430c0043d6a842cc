"""Who claimed says what came of the assessment."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from db.enums import EventKind
from db.session import new_id
from db.users import UserRow
from schema.context import utc_now
from tests.assessing import DRAFT, Told, assess, assessed_api, assessment_of, escalate
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

STATS = """
query ($from: DateTime!, $to: DateTime!) { escalationStats(from: $from, to: $to) { assessments {
  problemDomain generatedBy confidence made rated correct partly wrong
} } }
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


async def test_statistics_say_how_often_an_assessor_was_right(assessed: Api) -> None:
    cast = assessed.cast
    begun = utc_now()
    low = Told(replace(DRAFT, likely_cause=None))
    for verdict in ("CORRECT", "WRONG", "PARTLY", None):
        handoff_id = await claimed(assessed, cast.bob, domain="mail")
        if verdict:
            await rate(assessed, cast.bob, handoff_id, verdict)
    await claimed(assessed, cast.bob, assessor=low)
    window = {"from": begun.isoformat(), "to": (utc_now() + timedelta(minutes=1)).isoformat()}

    answers = [(await assessed.ask(user, STATS, **window)).only() for user in (cast.vera, cast.charlie)]

    mail = {"problemDomain": "mail", "confidence": "MEDIUM", "made": 4, "rated": 3}
    none = {"problemDomain": None, "confidence": "LOW", "made": 1, "rated": 0}
    assert answers == [
        {
            "assessments": [
                mail | {"generatedBy": "told/1", "correct": 1, "partly": 1, "wrong": 1},
                none | {"generatedBy": "told/1", "correct": 0, "partly": 0, "wrong": 0},
            ]
        },
        {"assessments": []},
    ]


async def claimed(api: Api, user: UserRow, *, domain: str | None = None, assessor: Told | None = None) -> str:
    """Let an escalation be assessed and claimed, and return the handoff's id."""
    handoff_id = await escalate(api)
    if domain is not None:
        session_id = (await api.handoff(handoff_id))["session"]["id"]
        given = {"sessionId": session_id, "problemDomain": domain}
        (await api.change(api.cast.alice, "updateSession", **given)).only()
    await assess(api, assessor or Told())
    assert (await api.claim(user, handoff_id))["__typename"] == "ClaimHandoffSuccess"
    return handoff_id


async def rate(api: Api, user: UserRow, handoff_id: str, verdict: str = "CORRECT") -> Answer:
    """Rate the assessment of a handoff."""
    return await api.ask(user, RATE, id=handoff_id, verdict=verdict)
