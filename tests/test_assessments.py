"""An escalation is assessed after its commit, beside everything that matters more."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from assist import rules
from assist.assessing import Assessing
from assist.conversation import turns_of
from assist.port import AssessmentError, Case, Draft, Evidence
from assist.redaction import redact
from assist.rules import Rules
from db import sessions
from schema.context import utc_now
from server.loops import Loop
from tests.assessing import (
    DRAFT,
    SAID,
    Told,
    assess,
    assessed_api,
    assessment_of,
    change_assessment,
    escalate,
    make_assessing,
)
from tests.cast import Cast
from tests.client import Api
from tests.patience import PATIENCE
from tests.servers.smtp import SmtpServer
from tests.slow_functions import SlowFunction
from tests.sockets import eventually

NOTHING: dict[str, Any] = {
    "likelyCause": None,
    "confidence": None,
    "generatedBy": None,
    "generatedAt": None,
    "error": None,
    "verdict": None,
    "evidence": [],
    "suggestedSteps": [],
    "alreadyTried": [],
}


@pytest.fixture
async def assessed(database_url: str, cast: Cast, smtp: SmtpServer) -> AsyncIterator[Api]:
    """The application, which asks for assessments."""
    async with assessed_api(database_url, cast, smtp) as api:
        yield api


async def test_an_escalation_is_assessed_and_shows_what_each_statement_rests_on(assessed: Api) -> None:
    handoff_id = await escalate(assessed)
    before = await assessment_of(assessed, handoff_id)

    made = await assess(assessed, Told())

    shown = await assessment_of(assessed, handoff_id)
    cited = [{"messageIndex": 0, "branchId": None, "quote": "password was changed on Monday"}]
    assert (before, made) == ({"status": "PENDING", **NOTHING}, 1)
    assert datetime.fromisoformat(shown.pop("generatedAt")) <= utc_now()
    assert shown == {
        "status": "READY",
        "likelyCause": "The old password is cached.",
        "confidence": "MEDIUM",
        "generatedBy": "told/1",
        "error": None,
        "verdict": None,
        "evidence": cited,
        "suggestedSteps": [{"text": "Clear the Credential Manager", "evidence": cited}],
        "alreadyTried": [{"text": "Rebuilt the profile: no change", "evidence": cited}],
    }
    assert (await assessed.timeline(handoff_id))[-1] == (
        "HANDOFF_ASSESSED",
        None,
        "assessed it: The old password is cached. (MEDIUM)",
    )


async def test_what_does_not_stand_in_the_session_is_not_stored(assessed: Api) -> None:
    handoff_id = await escalate(assessed)
    invented = Evidence(quote="the firewall burned down", message_index=0)

    await assess(assessed, Told(replace(DRAFT, evidence=(invented,))))

    shown = await assessment_of(assessed, handoff_id)
    assert (shown["status"], shown["likelyCause"], shown["confidence"]) == ("READY", None, "LOW")
    assert (await assessed.timeline(handoff_id))[-1][2] == "assessed it: no likely cause (LOW)"


async def test_parking_asks_for_no_assessment(assessed: Api) -> None:
    session = await assessed.cast.start_session()
    parked = await assessed.create(assessed.cast.alice, session.id, intent="PARK")

    assert await assess(assessed, Told()) == 0

    shown = await assessment_of(assessed, parked["handoff"]["id"])
    assert shown == {"status": "NOT_REQUESTED", **NOTHING}


async def test_a_service_without_an_assessor_asks_for_none(api: Api) -> None:
    handoff_id = await escalate(api)

    assert await assess(api, Told()) == 0

    assert await assessment_of(api, handoff_id) == {"status": "NOT_REQUESTED", **NOTHING}


async def test_the_assessor_is_shown_the_session_as_it_is(assessed: Api) -> None:
    cast, assessor = assessed.cast, Told()
    handoff_id = await escalate(assessed, notes="Profile rebuilt twice")
    session_id = (await assessed.handoff(handoff_id))["session"]["id"]
    branch = {"sessionId": session_id, "label": "Profile", "status": "open", "statusReason": "not yet"}
    (await assessed.change(cast.alice, "addSessionBranch", **branch)).only()

    await assess(assessed, assessor)

    (case,) = assessor.cases
    (message,) = case.messages
    assert (case.problem, case.notes) == (
        "Outlook asks for the password again and again",
        "Profile rebuilt twice",
    )
    assert (message.index, message.role.value, message.content) == (0, "USER", SAID)
    assert [(one.label, one.status, one.status_reason, one.is_active) for one in case.branches] == [
        ("Profile", "open", "not yet", True)
    ]


async def test_an_assessor_that_fails_says_why_and_nothing_else_fails(assessed: Api) -> None:
    handoff_id = await escalate(assessed)

    await assess(assessed, Told(AssessmentError("the provider refused the key")))

    expected = NOTHING | {"status": "FAILED", "error": "the provider refused the key"}
    assert await assessment_of(assessed, handoff_id) == expected
    assert (await assessed.timeline(handoff_id))[-1] == (
        "HANDOFF_ASSESSED",
        None,
        "could not assess it: the provider refused the key",
    )
    assert (await assessed.claim(assessed.cast.bob, handoff_id))["__typename"] == "ClaimHandoffSuccess"


async def test_who_made_it_is_told_where_that_was_another_than_who_was_asked(assessed: Api) -> None:
    handoff_id = await escalate(assessed)

    await assess(assessed, Told(replace(DRAFT, made_by="rules/1 (llm/small: timed out)")))

    shown = await assessment_of(assessed, handoff_id)
    assert (shown["status"], shown["generatedBy"]) == ("READY", "rules/1 (llm/small: timed out)")


async def test_no_assessor_is_shown_a_secret(assessed: Api) -> None:
    assessor = Told()
    await escalate(assessed, said="Her password is Sommer2026!x on mail01", notes="pwd: Winter2025!y")

    await assess(assessed, assessor)

    (case,) = assessor.cases
    assert case.messages[0].content == "Her password is [password removed] on mail01"
    assert "Winter2025!y" not in (case.notes or "")


async def test_an_assessor_that_takes_too_long_is_given_up(assessed: Api) -> None:
    class Slow(Told):
        async def assess(self, case: Case) -> Draft:
            await asyncio.Event().wait()
            return await super().assess(case)

    handoff_id = await escalate(assessed)

    await make_assessing(assessed.cast.database, Slow(), longest_seconds=0.01).assess_batch()

    shown = await assessment_of(assessed, handoff_id)
    assert (shown["status"], shown["error"]) == ("FAILED", "told/1 took too long")


async def test_while_secrets_are_looked_for_everything_else_goes_on(assessed: Api) -> None:
    handoff_id = await escalate(assessed)
    looking = SlowFunction(redact)
    worker = Assessing(assessed.cast.database, lambda _: Told(), looking, utc_now)

    made = asyncio.create_task(worker.assess_batch())
    await looking.begun()
    meanwhile = await assessed.ask(assessed.cast.bob, "{ me { name } }")
    looking.end()

    assert meanwhile.only() == {"name": "Bob"}
    assert await made == 1
    assert (await assessment_of(assessed, handoff_id))["status"] == "READY"


async def test_while_rules_read_a_session_everything_else_goes_on(
    assessed: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    handoff_id = await escalate(assessed)
    reading = SlowFunction(turns_of)
    monkeypatch.setattr(rules, "turns_of", reading)

    made = asyncio.create_task(assess(assessed, Rules()))
    await reading.begun()
    meanwhile = await assessed.ask(assessed.cast.bob, "{ me { name } }")
    reading.end()

    assert meanwhile.only() == {"name": "Bob"}
    assert await made == 1
    assert (await assessment_of(assessed, handoff_id))["status"] == "READY"


async def test_of_many_branches_the_reasons_are_cut(assessed: Api) -> None:
    cast, told = assessed.cast, Told()
    session = await cast.start_session()
    async with cast.database.transaction(cast.account_id) as tx:
        for number in range(50):
            branch = {"label": f"{number}", "status": "open", "status_reason": "x" * 2_000}
            session, _ = await sessions.add_branch(tx, session, branch | {"parent_branch_id": None})
    await assessed.escalate(cast.alice, session.id)

    await assess(assessed, told)

    (case,) = told.cases
    assert [len(branch.status_reason or "") for branch in case.branches] == [1_000] * 50


async def test_a_fault_of_the_service_is_tried_again_until_it_is_too_late(assessed: Api) -> None:
    database, account_id = assessed.cast.database, assessed.cast.account_id
    handoff_id = await escalate(assessed)
    broken = Told(RuntimeError("a bug"))

    tried = [await assess(assessed, broken), await assess(assessed, broken)]
    waiting = await assessment_of(assessed, handoff_id)
    await change_assessment(database, account_id, due_at=utc_now(), deadline_at=utc_now())
    tried.append(await assess(assessed, broken))

    given_up = await assessment_of(assessed, handoff_id)
    assert tried == [1, 0, 1]
    assert waiting["status"] == "PENDING"
    assert (given_up["status"], given_up["error"]) == (
        "FAILED",
        "an error of the service; its log says more",
    )


async def test_a_fault_that_passes_leaves_no_trace(assessed: Api) -> None:
    handoff_id = await escalate(assessed)
    assessor = Told(RuntimeError("a bug"))
    await assess(assessed, assessor)
    assessor.says = DRAFT
    await change_assessment(assessed.cast.database, assessed.cast.account_id, due_at=utc_now())

    await assess(assessed, assessor)

    assert (await assessment_of(assessed, handoff_id))["status"] == "READY"


async def test_each_is_made_once_by_whichever_worker_comes_first(assessed: Api) -> None:
    assessor = Told()
    for _ in range(5):
        await escalate(assessed)

    made = await asyncio.gather(*(assess(assessed, assessor) for _ in range(4)))

    assert sum(made) == len(assessor.cases) == 5
    assert await assess(assessed, assessor) == 0


async def test_a_dead_worker_s_assessment_is_made_by_another_and_its_own_late_one_is_dropped(
    assessed: Api,
) -> None:
    class Late(Told):
        async def assess(self, case: Case) -> Draft:
            past = utc_now() - timedelta(seconds=1)
            await change_assessment(assessed.cast.database, assessed.cast.account_id, lease_until=past)
            await assess(assessed, Told())
            return replace(DRAFT, likely_cause="Too late.")

    handoff_id = await escalate(assessed)

    await assess(assessed, Late())

    assert (await assessment_of(assessed, handoff_id))["likelyCause"] == "The old password is cached."
    assessed_times = [kind for kind, _, _ in await assessed.timeline(handoff_id) if "ASSESSED" in kind]
    assert len(assessed_times) == 1


async def test_a_handoff_that_was_closed_first_needs_none(assessed: Api) -> None:
    assessor = Told()
    handoff_id = await escalate(assessed)
    session_id = (await assessed.handoff(handoff_id))["session"]["id"]
    (await assessed.change(assessed.cast.alice, "resolveSession", sessionId=session_id)).only()

    await assess(assessed, assessor)

    shown = await assessment_of(assessed, handoff_id)
    assert (shown["status"], shown["error"]) == ("FAILED", "the handoff was closed first")
    assert assessor.cases == []


async def test_a_claimed_handoff_is_assessed_since_its_claimer_reads_it(assessed: Api) -> None:
    handoff_id = await escalate(assessed)
    await assessed.claim(assessed.cast.bob, handoff_id)

    await assess(assessed, Told())

    assert (await assessment_of(assessed, handoff_id))["status"] == "READY"


async def test_a_running_loop_is_woken_and_stops_when_it_is_told(assessed: Api) -> None:
    loop = Loop("assessments", make_assessing(assessed.cast.database, Told()).assess_batch)
    loop.start()
    handoff_id = await escalate(assessed)
    loop.wake()

    async def is_ready() -> bool:
        return bool((await assessment_of(assessed, handoff_id))["status"] == "READY")

    await eventually(is_ready)
    await asyncio.wait_for(loop.end(), PATIENCE)
