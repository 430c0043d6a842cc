"""`handoff audit` prints who was refused what, and deletes what is too old."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import audit_log
from db.audit_log import Refused
from db.session import Database
from schema.context import utc_now
from tests.cast import Cast
from tests.terminal import SECRET, Terminal

pytestmark = pytest.mark.usefixtures("bare_machine")
NOW = utc_now()


@pytest.fixture
async def terminal(database_url: str, cast: Cast) -> Terminal:
    """A terminal, beside three refusals of the account, one of another, and one of nobody."""
    who = [
        (cast.account_id, cast.vera.id, "claimHandoff"),
        (cast.account_id, cast.alice.id, "createHandoff"),
        (cast.account_id, cast.vera.id, "releaseHandoff"),
        (cast.other_account_id, cast.charlie.id, "claimHandoff"),
        (None, None, "startSession"),
    ]
    refused = [
        Refused(
            account_id=account_id,
            user_id=user_id,
            at=NOW - timedelta(days=10 * (3 - n)),
            address="203.0.113.7",
            operation=operation,
            outcome="FORBIDDEN",
        )
        for n, (account_id, user_id, operation) in enumerate(who)
    ]
    async with cast.database.system() as tx:
        await audit_log.add(tx, refused)
    await cast.database.dispose()
    return Terminal(secret=SECRET, database_url=database_url)


def refusals(terminal: Terminal, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in terminal.ask("audit", *options).splitlines()]


def test_the_refusals_of_an_account_are_printed_oldest_first(terminal: Terminal, cast: Cast) -> None:
    found = refusals(terminal, "--account", "Northwind")

    assert [each["operation"] for each in found] == ["claimHandoff", "createHandoff", "releaseHandoff"]
    (first, _, _) = found
    assert first.pop("id")
    assert first == {
        "at": (NOW - timedelta(days=30)).isoformat().replace("+00:00", "Z"),
        "operation": "claimHandoff",
        "outcome": "FORBIDDEN",
        "address": "203.0.113.7",
        "user_id": str(cast.vera.id),
        "email": cast.vera.email,
    }


def test_only_those_since_a_time_are_printed_where_one_is_given(terminal: Terminal) -> None:
    since = (NOW - timedelta(days=15)).isoformat()

    assert [each["operation"] for each in refusals(terminal, "--account", "Northwind", "--since", since)] == [
        "releaseHandoff"
    ]


def test_those_of_nobody_are_printed_without_an_account(terminal: Terminal) -> None:
    assert [(each["operation"], each["user_id"], each["email"]) for each in refusals(terminal)] == [
        ("startSession", None, None)
    ]


def test_an_unknown_account_is_refused_with_a_sentence(terminal: Terminal) -> None:
    assert terminal.refused("audit", "--account", "Nowhere").startswith('No account is named "Nowhere".')


def test_more_refusals_than_a_page_are_all_printed_once(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "_PAGE", 1)

    found = refusals(terminal, "--account", "Northwind")

    assert len({each["id"] for each in found}) == len(found) == 3


def test_what_is_too_old_is_deleted_and_the_rest_is_kept_as_before(
    terminal: Terminal, database_url: str, engine: str
) -> None:
    before = (NOW - timedelta(days=15)).isoformat()

    pruned = [terminal.ask("audit", "prune", "--before", before) for _ in range(2)]

    assert pruned == ["Deleted 2 refusals.\n", "Deleted 0 refusals.\n"]
    assert [each["operation"] for each in refusals(terminal, "--account", "Northwind")] == ["releaseHandoff"]
    refused = "refusals are never changed" if engine == "sqlite" else "permission denied for table audit_log"
    with pytest.raises(DBAPIError, match=refused):
        asyncio.run(delete_all(database_url))


async def delete_all(database_url: str) -> None:
    """Delete every refusal, as the service."""
    database = Database(database_url)
    try:
        async with database.system() as tx:
            await tx.connection.execute(text("DELETE FROM audit_log"))
    finally:
        await database.dispose()
