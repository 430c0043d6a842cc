"""The session as it stood at the moment of handoff, and the package of it that an older queue reads."""

from typing import Any
from uuid import UUID

import pytest

from db import sessions
from tests.cast import Cast
from tests.client import Api


async def test_the_snapshot_of_a_session_that_is_not_branching_holds_no_branches(api: Api) -> None:
    session_id = await _session_with_fields(api)

    handoff = await api.handoff(await api.escalate(api.cast.alice, session_id))

    assert handoff["snapshot"] == {
        "problemSummary": "Printer prints in Greek",
        "problemDomain": "printing",
        "status": "ACTIVE",
        "stepCount": 7,
        "confidenceTier": "LOW",
        "activeBranchId": None,
        "branches": [],
    }
    assert handoff["sourceBranch"] is None


async def test_the_snapshot_of_a_branching_session_holds_the_branch_map(api: Api) -> None:
    session_id = await _session_with_fields(api)
    driver, font = await _two_branches(api, session_id)

    handoff = await api.handoff(await api.escalate(api.cast.alice, session_id))

    assert handoff["snapshot"]["branches"] == [
        {"id": driver, "label": "Driver", "status": "open", "statusReason": None, "parentBranchId": None},
        {"id": font, "label": "Font", "status": "dead end", "statusReason": "same", "parentBranchId": driver},
    ]
    assert handoff["snapshot"]["activeBranchId"] == driver
    assert handoff["sourceBranch"] == {"id": driver, "label": "Driver"}


async def test_a_session_that_stopped_branching_hands_off_no_branch(api: Api) -> None:
    session_id = await _session_with_fields(api)
    await _two_branches(api, session_id)
    (await api.change(api.cast.alice, "updateSession", sessionId=session_id, activeBranchId=None)).only()

    handoff = await api.handoff(await api.escalate(api.cast.alice, session_id))

    assert (handoff["snapshot"]["branches"], handoff["snapshot"]["activeBranchId"]) == ([], None)
    assert handoff["sourceBranch"] is None


async def test_the_snapshot_never_changes_afterwards(api: Api) -> None:
    session_id = await _session_with_fields(api)
    driver, font = await _two_branches(api, session_id)
    handoff_id = await api.escalate(api.cast.alice, session_id)
    before = (await api.handoff(handoff_id))["snapshot"]

    changes: list[tuple[str, dict[str, Any]]] = [
        ("updateSession", {"sessionId": session_id, "problemSummary": "Other", "problemDomain": None}),
        ("updateSession", {"sessionId": session_id, "stepCount": 99, "confidenceTier": "HIGH"}),
        ("updateSession", {"sessionId": session_id, "activeBranchId": font}),
        ("updateSessionBranch", {"branchId": driver, "label": "Other", "status": "fixed"}),
        ("addSessionBranch", {"sessionId": session_id, "label": "Third"}),
        ("resolveSession", {"sessionId": session_id}),
    ]
    for mutation, given in changes:
        changed = (await api.change(api.cast.bob, mutation, **given)).only()
        assert changed["__typename"] == "SessionSuccess"

    assert (await api.handoff(handoff_id))["snapshot"] == before


@pytest.mark.parametrize(("intent", "word"), [("PARK", "park"), ("ESCALATE", "escalate")])
async def test_the_escalation_package_has_exactly_the_keys_that_the_older_queue_reads(
    api: Api, intent: str, word: str
) -> None:
    session_id = await _session_with_fields(api)
    driver, font = await _two_branches(api, session_id)
    handoff_id = (await api.create(api.cast.alice, session_id, intent, notes="Ask Bo."))["handoff"]["id"]

    served = (await api.handoff(handoff_id))["session"]["escalationPackage"]

    branch_map = [
        {"id": driver, "label": "Driver", "status": "open", "status_reason": None, "parent_branch_id": None},
        {
            "id": font,
            "label": "Font",
            "status": "dead end",
            "status_reason": "same",
            "parent_branch_id": driver,
        },
    ]
    assert served == {
        "snapshot": {
            "problem_summary": "Printer prints in Greek",
            "problem_domain": "printing",
            "status": "ACTIVE",
            "step_count": 7,
            "confidence_tier": "LOW",
            "branch_map": branch_map,
            "active_branch_id": driver,
        },
        "intent": word,
        "engineer_notes": "Ask Bo.",
        "handoff_id": handoff_id,
    }
    assert await _stored_package(api.cast, session_id) == served


async def test_the_escalation_package_is_null_before_the_first_handoff_and_deprecated(api: Api) -> None:
    session = await api.cast.start_session()
    document = """query ($id: ID!) {
      session(id: $id) { escalationPackage }
      __type(name: "Session") { fields(includeDeprecated: true) { name deprecationReason } }
    }"""

    answer = await api.ask(api.cast.vera, document, id=str(session.id))

    assert answer.errors == []
    assert answer.data is not None
    reasons = {field["name"]: field["deprecationReason"] for field in answer.data["__type"]["fields"]}
    assert answer.data["session"] == {"escalationPackage": None}
    assert reasons["escalationPackage"] == "Read snapshot, notes and id from the handoff."


async def _session_with_fields(api: Api) -> str:
    started = await api.change(
        api.cast.alice,
        "startSession",
        problemSummary="Printer prints in Greek",
        problemDomain="printing",
        confidenceTier="LOW",
    )
    session_id = str(started.only()["session"]["id"])
    (await api.change(api.cast.alice, "updateSession", sessionId=session_id, stepCount=7)).only()
    return session_id


async def _two_branches(api: Api, session_id: str) -> tuple[str, str]:
    """Add a branch and a child of it; the first stays the active one."""
    first = (
        await api.change(api.cast.alice, "addSessionBranch", sessionId=session_id, label="Driver")
    ).only()
    driver = first["session"]["branches"][0]["id"]
    child = {"label": "Font", "parentBranchId": driver, "status": "dead end", "statusReason": "same"}
    second = (await api.change(api.cast.alice, "addSessionBranch", sessionId=session_id, **child)).only()
    return driver, second["session"]["branches"][1]["id"]


async def _stored_package(cast: Cast, session_id: str) -> object:
    async with cast.database.reading(cast.account_id) as tx:
        return (await sessions.by_ids(tx, [UUID(session_id)]))[UUID(session_id)].escalation_package
