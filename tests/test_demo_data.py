"""The demo data: what an engineer meets at the first look must hold together and read as real."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import server.demo
from db import figures, queue, sessions, system
from db.enums import ConfidenceTier, HandoffIntent, HandoffState, MessageRole, SessionStatus
from db.pages import Page
from db.queue import QueueFilter, QueueOrder
from db.session import Database
from db.sessions import SessionRow
from server.demo import create_demo

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
STORIES: list[dict[str, Any]] = json.loads(
    (Path(server.demo.__file__).parent / "demo_sessions.json").read_text()
)
OWNERS = {"owner@demo.test", "admin@demo.test", "engineer@demo.test", "senior@demo.test"}
ON_PAPER = re.compile(r"lorem|ipsum|todo|tbd|foo\b|xxx", re.IGNORECASE)


each_story = pytest.mark.parametrize("story", STORIES, ids=[story["psa_ticket_id"] for story in STORIES])


@each_story
def test_a_story_is_one_that_the_service_could_have_taken_in(story: dict[str, Any]) -> None:
    keys = [branch["key"] for branch in story["branches"]]

    assert story["owner"] in OWNERS
    assert story["confidence_tier"] is None or ConfidenceTier(story["confidence_tier"])
    assert SessionStatus(story["status"]) in {SessionStatus.ACTIVE, SessionStatus.RESOLVED}
    assert all(MessageRole(message["role"]) for message in story["messages"])
    assert len(keys) == len(set(keys))
    for position, branch in enumerate(story["branches"]):
        assert branch["parent"] is None or branch["parent"] in keys[:position]
    assert story["active_branch"] in (keys or [None])
    assert ("actual_cause" in story) == (story["status"] == "RESOLVED")


@each_story
def test_a_story_is_told_in_order_and_ends_before_now(story: dict[str, Any]) -> None:
    minutes = [message["minute"] for message in story["messages"]]

    assert minutes == sorted(minutes)
    assert minutes[0] == 0
    assert minutes[-1] <= story["minutes_ago"]
    if story["handoff"] is not None:
        assert minutes[-1] <= story["minutes_ago"] - story["handoff"]["minutes_ago"]


@each_story
def test_a_story_reads_as_real(story: dict[str, Any]) -> None:
    said = [message["content"] for message in story["messages"]]

    assert 40 <= len(story["problem_summary"]) <= 200
    assert story["step_count"] > 0
    assert len(said) >= 6
    assert len(set(said)) == len(said)
    assert {"USER", "ASSISTANT"} <= {message["role"] for message in story["messages"]}
    assert all(branch["status_reason"] for branch in story["branches"])
    assert not ON_PAPER.search(json.dumps(story))


def test_the_stories_show_each_kind_of_session_once_at_least() -> None:
    assert {story["status"] for story in STORIES} == {"ACTIVE", "RESOLVED"}
    assert {story["in_team"] for story in STORIES} == {True, False}
    assert {bool(story["branches"]) for story in STORIES} == {True, False}
    assert {story["handoff"] is None for story in STORIES} == {True, False}
    assert len({story["problem_domain"] for story in STORIES}) >= 5
    assert len({story["psa_ticket_id"] for story in STORIES}) == len(STORIES)


async def test_every_story_is_stored_as_it_is_told(database: Database) -> None:
    await create_demo(database, now=NOW)

    stored = {session.psa_ticket_id: session for session in await _stored(database)}
    assert len(stored) == len(STORIES)
    for story in STORIES:
        session = stored[story["psa_ticket_id"]]
        assert session.problem_summary == story["problem_summary"]
        assert session.problem_domain == story["problem_domain"]
        assert session.step_count == story["step_count"]
        assert session.message_count == len(story["messages"])
        assert session.branch_count == len(story["branches"])
        assert (session.active_branch_id is None) == (story["active_branch"] is None)
        assert (session.team_id is not None) == story["in_team"]
        assert session.created_at == NOW - timedelta(minutes=story["minutes_ago"])
        assert session.status == (
            SessionStatus.PAUSED if story["handoff"] else SessionStatus(story["status"])
        )


async def test_the_queue_holds_what_was_parked_and_no_mail_is_due(database: Database) -> None:
    await create_demo(database, now=NOW)

    account_id = await _account(database)
    async with database.reading(account_id) as tx:
        waiting = await queue.page(tx, QueueFilter(), QueueOrder.NEWEST_FIRST, Page(first=100))
    async with database.system_reading() as tx:
        assert (await figures.backlog(tx, now=NOW)).due == 0
    parked = [story for story in STORIES if story["handoff"]]
    assert [handoff.notes for handoff in waiting] == [story["handoff"]["notes"] for story in parked]
    assert {(handoff.intent, handoff.state) for handoff in waiting} == {
        (HandoffIntent.PARK, HandoffState.OPEN)
    }


async def test_the_demo_is_created_once(database: Database) -> None:
    assert await create_demo(database, now=NOW) is True
    before = await _stored(database)

    assert await create_demo(database, now=NOW + timedelta(days=1)) is False

    assert await _stored(database) == before


async def _account(database: Database) -> UUID:
    async with database.system_reading() as tx:
        account_id = await system.find_account(tx, "Demo")
    assert account_id is not None
    return account_id


async def _stored(database: Database) -> list[SessionRow]:
    async with database.reading(await _account(database)) as tx:
        return await sessions.page(tx, Page(first=100), status=None)
