"""`handoff import`: sessions from JSON Lines, each once, and a word on each line that cannot be taken."""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import events, session_messages, sessions
from db.enums import EventKind, MessageRole, SessionStatus
from db.pages import Page
from db.session import Database
from resolvers import imports, transcripts
from resolvers.errors import BadInput, Forbidden
from resolvers.imports import AlreadyIn
from resolvers.transcripts import Transcript
from server import importing
from tests.cast import Cast
from tests.desk import NOON, Desk
from tests.terminal import SECRET, Terminal

CHAT = {
    "messages": [{"role": "user", "content": "The VPN drops."}, {"role": "assistant", "content": "When?"}]
}
ROLES = "'system', 'developer', 'user', 'assistant', 'tool' or 'function'"
LONGER = "a" * 100_001

pytestmark = pytest.mark.usefixtures("bare_machine")


@dataclass(frozen=True)
class Importer:
    """A terminal, the cast, and what the account has."""

    cast: Cast
    terminal: Terminal

    def write(self, *lines: object) -> None:
        """Write the file, a line each; texts as they are."""
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        Path("sessions.jsonl").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")

    def run(self, *options: str, account: str = "Northwind", owner: str = "alice@northwind.example") -> str:
        """Import the file, all of whose lines are good, and return the sentence."""
        return self.terminal.ask("import", "sessions.jsonl", "--account", account, "--owner", owner, *options)

    def stored(self, account_id: UUID | None = None) -> list[dict[str, Any]]:
        """Return the account's sessions as an export shows them, oldest first."""
        out = self.terminal.ask("export", "--account", str(account_id or self.cast.account_id))
        records = [json.loads(line) for line in out.splitlines()]
        return [record for record in records if record["type"] == "session"]


@pytest.fixture
async def importer(database_url: str, cast: Cast) -> Importer:
    """An account without sessions."""
    return Importer(cast, Terminal(secret=SECRET, database_url=database_url))


def read(record: object) -> Transcript:
    """Read a record that holds a session."""
    transcript = transcripts.read(record, now=datetime.now(UTC))
    assert transcript is not None
    return transcript


def said(*messages: dict[str, Any]) -> list[tuple[str, str]]:
    """Return who says what in a chat."""
    return [(role.value, text) for role, text, _ in read({"messages": list(messages)}).messages]


def test_a_chat_becomes_a_session_of_the_owner(importer: Importer) -> None:
    importer.write(CHAT | {"problem_domain": "network", "created_at": "2026-01-31T13:00:00+01:00"})

    out = importer.run()

    (session,) = importer.stored()
    shown = ("owner_id", "status", "problem_summary", "problem_domain", "created_at", "handoff_count")
    assert out == "Imported 1 session; 0 in already, 0 records of other kinds, 0 bad lines.\n"
    assert [session[name] for name in shown] == [
        str(importer.cast.alice.id),
        "ACTIVE",
        "The VPN drops.",
        "network",
        "2026-01-31T12:00:00Z",
        0,
    ]
    assert [(message["role"], message["content"]) for message in session["messages"]] == [
        ("USER", "The VPN drops."),
        ("ASSISTANT", "When?"),
    ]


def test_every_role_has_its_speaker() -> None:
    roles = ["system", "developer", "user", "assistant", "tool", "function"]

    assert said(*({"role": role, "content": role} for role in roles)) == [
        ("SYSTEM", "system"),
        ("SYSTEM", "developer"),
        ("USER", "user"),
        ("ASSISTANT", "assistant"),
        ("SYSTEM", "tool"),
        ("SYSTEM", "function"),
    ]


def test_content_in_parts_is_read_as_text_and_what_is_no_text_is_named() -> None:
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "refusal", "refusal": "I cannot."},
    ]

    assert said({"role": "user", "content": parts}) == [("USER", "Look:\n[image_url]\nI cannot.")]


def test_calls_of_tools_are_kept_beside_a_null_content() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "ping", "arguments": '{"host": "gw"}'}}
    custom = {"id": "2", "type": "custom", "custom": {"name": "shell", "input": "ls"}}

    found = said(
        {"role": "assistant", "content": None, "tool_calls": [call, custom]},
        {"role": "tool", "tool_call_id": "1", "content": "timeout"},
        {"role": "assistant", "function_call": {"name": "trace", "arguments": "{}"}},
    )

    assert found == [
        ("ASSISTANT", 'calls ping({"host": "gw"})\ncalls shell'),
        ("SYSTEM", "timeout"),
        ("ASSISTANT", "calls trace({})"),
    ]


def test_messages_without_text_are_left_out() -> None:
    contents: list[object] = [None, "", " \n", []]
    silent = [{"role": "assistant", "content": content} for content in contents]

    assert said(*silent, {"role": "user", "content": "Hello"}) == [("USER", "Hello")]


@pytest.mark.parametrize(
    ("messages", "summary"),
    [
        ([("system", "Be kind."), ("user", " VPN drops \nsince Monday")], "VPN drops"),
        ([("assistant", "How can I help?")], "How can I help?"),
        ([("user", "a" * 501)], "a" * 499 + "…"),
        ([("user", "a" * 500)], "a" * 500),
        ([("user", "\u200b\nVPN drops"), ("assistant", "\u2060")], "VPN drops"),
    ],
)
def test_the_problem_is_the_first_line_of_the_engineer(messages: list[tuple[str, str]], summary: str) -> None:
    chat = {"messages": [{"role": role, "content": text} for role, text in messages]}

    assert read(chat).problem_summary == summary
    assert read(chat | {"problem_summary": "Given"}).problem_summary == "Given"


def test_the_same_chat_is_known_again_however_it_is_written() -> None:
    first, second = json.loads('{"messages": [{"role":"user","content":"Ü"}], "x": 1}'), None
    second = json.loads('{"x":1,"messages":[{"content":"\\u00dc","role":"user"}]}')

    assert read(first).source == read(second).source
    assert read(first | {"x": 2}).source != read(first).source


async def _work_in_the_other_account(cast: Cast) -> None:
    desk = Desk(cast.database, cast.other_account_id)
    session_id = await desk.start(cast.charlie, NOON, domain="mail")
    async with cast.database.transaction(cast.other_account_id) as tx:
        session = await sessions.lock(tx, session_id)
        assert session is not None
        said = [(MessageRole.USER, "Queue is full", NOON), (MessageRole.SYSTEM, "df: 100 %", NOON)]
        session = await session_messages.append(tx, session, said)
        session, parent = await sessions.add_branch(tx, session, _branch("Disk", None))
        _, child = await sessions.add_branch(tx, session, _branch("Logs", parent.id))
        await sessions.change(tx, session_id, {"active_branch_id": child.id, "step_count": 3})
    await desk.claim(cast.charlie, await desk.pass_on(cast.charlie, session_id, NOON), NOON)
    await desk.resolve(cast.charlie, session_id, NOON + timedelta(hours=1))
    await desk.escalate(cast.charlie, NOON + timedelta(hours=2))


def _branch(label: str, parent_id: UUID | None) -> dict[str, Any]:
    return {"label": label, "status": "open", "status_reason": None, "parent_branch_id": parent_id}


@pytest.fixture
async def exported(importer: Importer) -> Importer:
    """The same, beside a file with the export of another account's sessions."""
    await _work_in_the_other_account(importer.cast)
    return importer


def test_an_export_of_another_account_moves_its_sessions(exported: Importer) -> None:
    exported.terminal.ask("export", "--account", "Fabrikam", "--output", "sessions.jsonl")

    out = exported.run()

    theirs, ours = exported.stored(exported.cast.other_account_id), exported.stored()
    kept = ("problem_summary", "problem_domain", "step_count", "created_at", "resolved_at", "messages")
    assert out.startswith("Imported 2 sessions; 0 in already, ")
    assert [[s[name] for name in kept] for s in ours] == [[s[name] for name in kept] for s in theirs]
    assert [session["status"] for session in theirs] == ["RESOLVED", "ESCALATED"]
    assert [session["status"] for session in ours] == ["RESOLVED", "ACTIVE"]
    assert {session["id"] for session in ours}.isdisjoint(session["id"] for session in theirs)
    disk, logs = ours[0]["branches"]
    assert (disk["label"], logs["label"], logs["parent_branch_id"]) == ("Disk", "Logs", disk["id"])
    assert ours[0]["active_branch_id"] == logs["id"]
    assert [session["handoff_count"] for session in ours] == [0, 0]


def test_what_is_in_is_passed_over(exported: Importer) -> None:
    exported.terminal.ask("export", "--account", "Fabrikam", "--output", "sessions.jsonl")
    own = exported.run(account="Fabrikam", owner="charlie@fabrikam.example")
    first, second = exported.run(), exported.run()

    assert own.startswith("Imported 0 sessions; 2 in already, ")
    assert first.startswith("Imported 2 sessions; 0 in already, ")
    assert second.startswith("Imported 0 sessions; 2 in already, ")
    assert (len(exported.stored()), len(exported.stored(exported.cast.other_account_id))) == (2, 2)


def test_an_import_that_was_interrupted_goes_on_where_it_was(importer: Importer) -> None:
    chats = [{"messages": [{"role": "user", "content": str(number)}]} for number in range(5)]
    importer.write(*chats[:3])
    importer.run()
    importer.write(*chats)

    out = importer.run()

    assert out == "Imported 2 sessions; 3 in already, 0 records of other kinds, 0 bad lines.\n"
    assert sorted(session["problem_summary"] for session in importer.stored()) == list("01234")


def test_each_account_imports_for_itself(importer: Importer) -> None:
    importer.write(CHAT)

    ours, theirs = importer.run(), importer.run(account="Fabrikam", owner="charlie@fabrikam.example")

    assert ours == theirs == "Imported 1 session; 0 in already, 0 records of other kinds, 0 bad lines.\n"
    assert len(importer.stored()) == len(importer.stored(importer.cast.other_account_id)) == 1


def test_a_team_is_found_by_its_name(importer: Importer) -> None:
    record = {"type": "session", "status": "ACTIVE", "created_at": NOON.isoformat()}
    importer.write(
        record | {"id": str(uuid4()), "team": "Networks"}, record | {"id": str(uuid4()), "team": "Other"}
    )

    importer.run()

    assert {session["team"] for session in importer.stored()} == {"Networks", None}


def test_empty_lines_and_a_byte_order_mark_mean_nothing(importer: Importer) -> None:
    Path("sessions.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(CHAT).encode() + b"\r\n\r\n  \n")

    assert importer.run() == "Imported 1 session; 0 in already, 0 records of other kinds, 0 bad lines.\n"


def test_a_bad_line_is_told_with_its_number_and_the_rest_goes_on(importer: Importer) -> None:
    other = {"messages": [{"role": "user", "content": "Mail"}]}
    importer.write(CHAT, "{", other, {"messages": [{"role": "boss", "content": "Hi"}]})

    result = importer.terminal.run(
        "import", "sessions.jsonl", "--account", "Northwind", "--owner", "alice@northwind.example"
    )

    assert result.exit_code == 1
    assert result.stdout == "Imported 2 sessions; 0 in already, 0 records of other kinds, 2 bad lines.\n"
    assert result.stderr.splitlines() == [
        "sessions.jsonl:2: it is no JSON: unexpected end of data, column 1.",
        f"sessions.jsonl:4: messages.0.role: input should be {ROLES}.",
    ]
    assert len(importer.stored()) == 2


SESSION = {
    "type": "session",
    "id": str(UUID(int=1)),
    "status": "ACTIVE",
    "created_at": "2026-01-31T12:00:00Z",
}
BRANCH = {"id": str(UUID(int=2)), "label": "Disk", "status": "open"}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "it is no JSON object."),
        ({}, 'it is neither a record of an export nor a chat with "messages".'),
        ({"type": "invoice"}, 'it is neither a record of an export nor a chat with "messages".'),
        ({"messages": []}, "messages: list should have at least 1 item after validation, not 0."),
        ({"messages": [{"role": "user", "content": ""}]}, "messages hold no text."),
        (
            {"messages": [{"role": "user", "content": 7}]},
            "messages.0.content.str: input should be a valid string.",
        ),
        (
            {"messages": [{"role": "user", "content": LONGER}]},
            "content has 100001 characters; at most 100000 are kept.",
        ),
        (
            {"messages": [{"role": "user", "content": "a\0"}]},
            "content holds a character that is not text (NUL or half a surrogate pair).",
        ),
        (
            CHAT | {"created_at": "2026-01-31T12:00:00"},
            "created_at: input should have timezone info.",
        ),
        (CHAT | {"created_at": "2999-01-31T12:00:00Z"}, "created_at lies in the future."),
        (
            SESSION | {"id": "x"},
            "id: input should be a valid UUID, invalid character: found `x` at 0.",
        ),
        (SESSION | {"status": "RESOLVED"}, "status and resolved_at do not agree."),
        (SESSION | {"step_count": -1}, "stepCount must be between 0 and 1000000."),
        (
            SESSION | {"active_branch_id": str(UUID(int=3))},
            "active_branch_id is not a branch of this session.",
        ),
        (
            SESSION | {"branches": [BRANCH | {"parent_branch_id": str(UUID(int=3))}]},
            "parent_branch_id is not a branch that stands before.",
        ),
        (SESSION | {"branches": [BRANCH, BRANCH]}, "two branches have one id."),
        (SESSION | {"branches": [BRANCH] * 201}, "branches holds 201; a session has at most 200."),
        (
            SESSION | {"problem_summary": "a" * 501},
            "problem_summary has 501 characters; at most 500 are kept.",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_place(record: object, reason: str) -> None:
    with pytest.raises(BadInput) as refusal:
        transcripts.read(record, now=datetime.now(UTC))

    assert str(refusal.value) == reason


def test_what_is_nested_without_end_is_refused() -> None:
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]

    with pytest.raises(BadInput, match=r"it is nested too deeply\."):
        read(CHAT | {"x": deep})


def test_a_line_that_is_too_long_is_passed_over(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LONGEST_LINE", 200)
    importer.write({"messages": [{"role": "user", "content": "a" * 1_000}]}, CHAT)

    result = importer.terminal.run(
        "import", "sessions.jsonl", "--account", "Northwind", "--owner", "alice@northwind.example"
    )

    assert result.stderr == "sessions.jsonl:1: it is longer than 200 bytes.\n"
    assert result.stdout == "Imported 1 session; 0 in already, 0 records of other kinds, 1 bad line.\n"


def test_a_dry_run_checks_every_line_and_stores_nothing(importer: Importer) -> None:
    importer.write(CHAT, CHAT, {"type": "team", "id": str(uuid4()), "name": "Networks"})

    out = importer.run("--dry-run")

    assert out == "Would import 1 session; 1 in already, 1 record of other kinds, 0 bad lines.\n"
    assert importer.stored() == []
    assert importer.run() == "Imported 1 session; 1 in already, 1 record of other kinds, 0 bad lines.\n"


NO_OWNER = "Sessions belong to active owners, admins and engineers, and {} is none of them."


@pytest.mark.parametrize(
    ("owner", "sentence"),
    [
        ("charlie@fabrikam.example", "No user of Northwind has the address charlie@fabrikam.example."),
        ("no@where.example", "No user has the address no@where.example."),
        ("vera@northwind.example", NO_OWNER.format("vera@northwind.example")),
        ("ina@northwind.example", NO_OWNER.format("ina@northwind.example")),
    ],
)
def test_the_owner_is_a_responder_of_the_account(importer: Importer, owner: str, sentence: str) -> None:
    importer.write(CHAT)

    refusal = importer.terminal.refused(
        "import", "sessions.jsonl", "--account", "Northwind", "--owner", owner
    )

    assert refusal == sentence
    assert importer.stored() == []


async def test_each_import_is_an_event_and_what_is_in_leaves_none(database: Database, cast: Cast) -> None:
    before = await cast.last_event()
    async with database.transaction(cast.account_id) as tx:
        session = await imports.store(tx, cast.alice, read(CHAT), now=NOON)
    with pytest.raises(AlreadyIn):
        async with database.transaction(cast.account_id) as tx:
            await imports.store(tx, cast.alice, read(CHAT), now=NOON)

    async with database.reading(cast.account_id) as tx:
        (event,) = await events.after(tx, before, limit=10)
    assert (event.kind, event.session_id, event.actor_id, event.summary) == (
        EventKind.SESSION_STARTED,
        session.id,
        None,
        "imported the session",
    )


async def test_of_two_imports_at_once_one_stores_the_session(database: Database, cast: Cast) -> None:
    async def store() -> bool:
        try:
            async with database.transaction(cast.account_id) as tx:
                await imports.store(tx, cast.alice, read(CHAT), now=NOON)
        except AlreadyIn:
            return False
        return True

    stored = await asyncio.gather(*(store() for _ in range(5)))

    async with database.reading(cast.account_id) as tx:
        found = await sessions.page(tx, Page(10), status=None)
    assert sorted(stored) == [False] * 4 + [True]
    assert [(session.status, session.message_count) for session in found] == [(SessionStatus.ACTIVE, 2)]


async def test_a_viewer_can_own_nothing_that_is_imported(database: Database, cast: Cast) -> None:
    with pytest.raises(Forbidden):
        async with database.transaction(cast.account_id) as tx:
            await imports.store(tx, cast.vera, read(CHAT), now=NOON)
