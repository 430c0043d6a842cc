"""Assistants start sessions, tell how they go on, and finish them."""

from datetime import datetime
from uuid import UUID

import pytest

from db import sessions
from tests.client import Api

LONG_AGO = "2026-01-31T09:30:00+09:00"


async def test_a_session_is_started_with_all_that_is_given(api: Api) -> None:
    cast = api.cast

    answer = await api.change(
        cast.alice,
        "startSession",
        problemSummary="  Phones ring twice \n",
        problemDomain="voice",
        teamId=str(cast.team_id),
        confidenceTier="MEDIUM",
        psaTicketId="T-1",
        messages=[
            {"role": "USER", "content": "They ring twice.", "at": LONG_AGO},
            {"role": "ASSISTANT", "content": " Is the hunt group doubled? "},
        ],
    )

    session = answer.only()["session"]
    messages = [edge["node"] for edge in session.pop("messages")["edges"]]
    assert session == {
        "id": session["id"],
        "status": "ACTIVE",
        "stepCount": 0,
        "problemSummary": "Phones ring twice",
        "problemDomain": "voice",
        "confidenceTier": "MEDIUM",
        "psaTicketId": "T-1",
        "psaConnectionId": None,
        "handoffCount": 0,
        "resolvedAt": None,
        "branching": False,
        "owner": {"name": "Alice"},
        "team": {"name": "Networks"},
        "escalatedTo": None,
        "activeBranch": None,
        "branches": [],
    }
    assert [(m["index"], m["role"], m["content"]) for m in messages] == [
        (0, "USER", "They ring twice."),
        (1, "ASSISTANT", "Is the hunt group doubled?"),
    ]
    assert datetime.fromisoformat(messages[0]["at"]) == datetime.fromisoformat(LONG_AGO)
    assert await _told(api) == ("SESSION_STARTED", "started the session", session["id"])


async def test_a_session_needs_no_more_than_its_problem(api: Api) -> None:
    answer = await api.change(api.cast.bob, "startSession", problemSummary="No sound", problemDomain=" ")

    session = answer.only()["session"]
    assert (session["owner"], session["team"], session["problemDomain"]) == ({"name": "Bob"}, None, None)
    assert session["messages"] == {"totalCount": 0, "edges": []}


@pytest.mark.parametrize("who", ["adam", "olivia"])
async def test_an_admin_starts_a_session_for_somebody_else(api: Api, who: str) -> None:
    cast = api.cast

    answer = await api.change(
        getattr(cast, who), "startSession", problemSummary="No sound", ownerId=str(cast.bob.id)
    )

    assert answer.only()["session"]["owner"] == {"name": "Bob"}


async def test_an_engineer_may_name_themselves_as_the_owner(api: Api) -> None:
    bob = api.cast.bob

    answer = await api.change(bob, "startSession", problemSummary="No sound", ownerId=str(bob.id))

    assert answer.only()["session"]["owner"] == {"name": "Bob"}


async def test_an_update_changes_what_is_given_and_keeps_what_is_left_out(api: Api) -> None:
    session_id = await _filled_session(api)
    before = await api.session(session_id)

    answer = await api.change(
        api.cast.bob, "updateSession", sessionId=session_id, stepCount=3, problemDomain="dns"
    )

    expected = {**before, "stepCount": 3, "problemDomain": "dns"}
    assert answer.only() == {"__typename": "SessionSuccess", "session": expected}
    assert await api.session(session_id) == expected
    assert await _told(api) == ("SESSION_UPDATED", "changed problem domain, step count", session_id)


async def test_null_clears_what_may_be_missing(api: Api) -> None:
    session_id = await _filled_session(api)
    before = await api.session(session_id)
    cleared = dict.fromkeys(("problemSummary", "problemDomain", "confidenceTier", "psaTicketId"))

    answer = await api.change(
        api.cast.alice, "updateSession", sessionId=session_id, **cleared, activeBranchId=None
    )

    expected = {**before, **cleared, "activeBranch": None, "branching": False}
    assert answer.only() == {"__typename": "SessionSuccess", "session": expected}


async def test_an_update_of_nothing_writes_nothing(api: Api) -> None:
    session_id = await _filled_session(api)
    before = await api.session(session_id), await api.cast.last_event()

    answer = await api.change(api.cast.alice, "updateSession", sessionId=session_id)

    assert answer.only()["session"] == before[0]
    assert await api.cast.last_event() == before[1]


async def test_branches_are_added_in_order_and_the_first_is_active(api: Api) -> None:
    session_id = str((await api.cast.start_session()).id)
    first = await api.change(api.cast.alice, "addSessionBranch", sessionId=session_id, label=" Cable ")
    parent = first.only()["session"]["branches"][0]["id"]

    answer = await api.change(
        api.cast.bob,
        "addSessionBranch",
        sessionId=session_id,
        label="Plug",
        parentBranchId=parent,
        status="dead end",
        statusReason="It is new.",
    )

    session = answer.only()["session"]
    cable = {"label": "Cable", "status": "open", "statusReason": None, "order": 0, "parentBranch": None}
    plug = {
        "label": "Plug",
        "status": "dead end",
        "statusReason": "It is new.",
        "order": 1,
        "parentBranch": {"label": "Cable"},
    }
    assert [{k: v for k, v in branch.items() if k != "id"} for branch in session["branches"]] == [cable, plug]
    assert (session["branching"], session["activeBranch"]) == (True, {"id": parent, "label": "Cable"})
    assert session == await api.session(session_id)
    assert await _told(api) == ("BRANCH_ADDED", "added the branch “Plug”", session_id)


async def test_a_branch_added_after_the_active_one_was_cleared_becomes_active(api: Api) -> None:
    session_id = await _filled_session(api)
    (await api.change(api.cast.alice, "updateSession", sessionId=session_id, activeBranchId=None)).only()

    answer = await api.change(api.cast.bob, "addSessionBranch", sessionId=session_id, label="Plug")

    session = answer.only()["session"]
    assert [branch["label"] for branch in session["branches"]] == ["Modem", "Plug"]
    assert (session["branching"], session["activeBranch"]["label"]) == (True, "Plug")
    assert session == await api.session(session_id)


async def test_a_branch_is_updated_where_given_and_null_clears_its_reason(api: Api) -> None:
    session_id = await _filled_session(api)
    (branch,) = (await api.session(session_id))["branches"]

    renamed = await api.change(
        api.cast.bob, "updateSessionBranch", branchId=branch["id"], label="Router", status="fixed"
    )
    told = await _told(api)
    cleared = await api.change(api.cast.bob, "updateSessionBranch", branchId=branch["id"], statusReason=None)

    after = {**branch, "label": "Router", "status": "fixed"}
    assert renamed.only()["session"]["branches"] == [after]
    assert cleared.only()["session"]["branches"] == [{**after, "statusReason": None}]
    assert told == ("BRANCH_UPDATED", "updated the branch “Router”", session_id)


async def test_a_resolved_session_says_when_and_keeps_the_cause(api: Api) -> None:
    session_id = await _filled_session(api)

    answer = await api.change(api.cast.bob, "resolveSession", sessionId=session_id, actualCause=" A mouse. ")

    session = answer.only()["session"]
    assert (session["status"], session["resolvedAt"] is not None) == ("RESOLVED", True)
    async with api.cast.database.reading(api.cast.account_id) as tx:
        stored = (await sessions.by_ids(tx, [UUID(session_id)]))[UUID(session_id)]
    assert stored.actual_cause == "A mouse."
    assert await _told(api) == ("SESSION_RESOLVED", "resolved the session", session_id)


@pytest.mark.parametrize("intent", ["PARK", "ESCALATE"])
async def test_resolving_closes_the_handoff_and_skips_what_was_to_be_sent(api: Api, intent: str) -> None:
    cast = api.cast
    session = await cast.start_session()
    handoff_id = (await api.create(cast.alice, session.id, intent))["handoff"]["id"]

    (await api.change(cast.bob, "resolveSession", sessionId=str(session.id))).only()

    assert (await api.handoff(handoff_id))["state"] == "CLOSED"
    told = [] if intent == "PARK" else ["Adam", "Bob", "Olivia"]
    skipped = [(0, name, "EMAIL", "SKIPPED", "CLOSED") for name in told]
    assert await api.deliveries(handoff_id) == skipped
    closed = ("HANDOFF_CLOSED", "Bob", "closed it: the session was resolved")
    assert (await api.timeline(handoff_id))[1:] == [closed]


async def test_changes_of_a_waiting_session_stand_in_its_handoffs_timeline(api: Api) -> None:
    cast = api.cast
    session_id = str((await cast.start_session()).id)
    handoff_id = await api.escalate(cast.alice, session_id)

    (await api.change(cast.alice, "updateSession", sessionId=session_id, stepCount=1)).only()

    assert (await api.timeline(handoff_id))[1:] == [("SESSION_UPDATED", "Alice", "changed step count")]


async def _filled_session(api: Api) -> str:
    """Start a session of which every field is filled; return its id."""
    started = await api.change(
        api.cast.alice,
        "startSession",
        problemSummary="VPN drops",
        problemDomain="network",
        confidenceTier="LOW",
        psaTicketId="T-7",
    )
    session_id: str = started.only()["session"]["id"]
    branch = {"label": "Modem", "status": "open", "statusReason": "It blinks."}
    (await api.change(api.cast.alice, "addSessionBranch", sessionId=session_id, **branch)).only()
    return session_id


async def _told(api: Api) -> tuple[str, str, str]:
    event = await api.cast.newest_event()
    return event.kind.value, event.summary, str(event.session_id)
