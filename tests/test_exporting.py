"""`handoff export`: the records, their order, and the file that is there only when it is whole."""

import json
import os
import re
import stat
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from db.enums import MessageRole, Role
from db.exports import Span
from db.models import deliveries, events
from db.session import Database
from resolvers import branches, exports, sessions
from resolvers.branches import NewBranch
from resolvers.sessions import NewMessage
from schema.context import utc_now
from tests.cast import Cast
from tests.desk import NOON, Desk
from tests.terminal import SECRET, Terminal

ROOT = Path(__file__).parent.parent
HOUR = timedelta(hours=1)
KINDS = ["export", "team", "user", "session", "handoff", "event", "delivery", "attempt", "end"]

pytestmark = pytest.mark.usefixtures("bare_machine")


@dataclass(frozen=True)
class Story:
    """Work of two accounts, and a terminal beside it."""

    cast: Cast
    terminal: Terminal
    session_id: UUID  #: of Alice's account: escalated, claimed, resolved
    handoff_id: UUID
    later_id: UUID  #: escalated an hour later, and waiting
    theirs: UUID  #: a handoff of the other account

    def export(self, *options: str) -> list[dict[str, Any]]:
        """Export Alice's account to standard output."""
        out = self.terminal.ask("export", "--account", "Northwind", *options)
        return [json.loads(line) for line in out.splitlines()]

    def of(self, kind: str, *options: str) -> list[dict[str, Any]]:
        """Return the records of a type."""
        return [record for record in self.export(*options) if record["type"] == kind]


@pytest.fixture
async def story(database_url: str, database: Database, cast: Cast) -> Story:
    """An escalation that went its way, one that waits, and one of another account."""
    desk, theirs = (Desk(database, id_) for id_ in (cast.account_id, cast.other_account_id))
    session_id = await desk.start(cast.alice, NOON, domain="network", team_id=cast.team_id)
    said = [NewMessage(role=MessageRole.USER, content="Über VPN: “drops”", at=NOON)]
    async with database.transaction(cast.account_id) as tx:
        await sessions.append_messages(tx, cast.alice, session_id, said, now=NOON)
        await branches.add(tx, cast.alice, session_id, NewBranch(label="DNS"), now=NOON)
    handoff_id = await desk.pass_on(cast.alice, session_id, NOON)
    await desk.claim(cast.bob, handoff_id, NOON + timedelta(minutes=1))
    await desk.resolve(cast.bob, session_id, NOON + 3 * HOUR)
    later_id = await desk.escalate(cast.bob, NOON + HOUR)
    foreign = await theirs.escalate(cast.charlie, NOON)
    terminal = Terminal(secret=SECRET, database_url=database_url)
    return Story(cast, terminal, session_id, handoff_id, later_id, foreign)


def test_an_export_begins_with_whose_it_is_and_ends_with_how_much(story: Story) -> None:
    records = story.export()

    kinds = [record["type"] for record in records]
    counted = Counter(kinds[1:-1])
    assert list(dict.fromkeys(kinds)) == [kind for kind in KINDS if kind in kinds]
    assert records[-1] == {"type": "end", "records": {kind: counted[kind] for kind in KINDS[1:-1]}}
    head = records[0]
    assert UUID(head.pop("account_id")) == story.cast.account_id
    assert head.pop("exported_at").endswith("Z")
    assert head.pop("event_sequence") > 0
    assert head == {"type": "export", "format": 1, "account": "Northwind", "since": None, "until": None}


def test_a_session_holds_its_messages_and_branches(story: Story) -> None:
    session = story.of("session")[0]

    (branch,) = session.pop("branches")
    branch_id = branch.pop("id")
    assert branch == {
        "label": "DNS",
        "status": "open",
        "status_reason": None,
        "parent_branch_id": None,
        "order": 0,
    }
    assert session == {
        "type": "session",
        "id": str(story.session_id),
        "team_id": str(story.cast.team_id),
        "team": "Networks",
        "owner_id": str(story.cast.alice.id),
        "status": "RESOLVED",
        "problem_summary": "Stuck",
        "problem_domain": "network",
        "step_count": 0,
        "confidence_tier": None,
        "active_branch_id": branch_id,
        "message_count": 1,
        "branch_count": 1,
        "handoff_count": 1,
        "escalated_to_id": str(story.cast.bob.id),
        "psa_ticket_id": None,
        "psa_connection_id": None,
        "actual_cause": None,
        "created_at": "2026-01-31T12:00:00Z",
        "resolved_at": "2026-01-31T15:00:00Z",
        "messages": [
            {"index": 0, "role": "USER", "content": "Über VPN: “drops”", "at": "2026-01-31T12:00:00Z"}
        ],
    }


def test_a_handoff_has_its_timeline_and_its_deliveries(story: Story) -> None:
    cast, id_ = story.cast, str(story.handoff_id)
    names = {str(user.id): user.name for user in (cast.alice, cast.bob, cast.olivia, cast.adam)}

    handoff = story.of("handoff")[0]
    timeline = [record for record in story.of("event") if record["handoff_id"] == id_]
    told = [record for record in story.of("delivery") if record["handoff_id"] == id_]

    shown = ("id", "intent", "priority", "state", "created_at", "claimed_at", "closed_at")
    assert [handoff[name] for name in shown] == [
        id_,
        "ESCALATE",
        "NORMAL",
        "CLOSED",
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:01:00Z",
        "2026-01-31T15:00:00Z",
    ]
    assert handoff["snapshot"]["problem_domain"] == "network"
    assert [(entry["kind"], names[entry["actor_id"]], entry["summary"]) for entry in timeline] == [
        ("HANDOFF_CREATED", "Alice", "escalated the session"),
        ("HANDOFF_CLAIMED", "Bob", "claimed it"),
        ("HANDOFF_CLOSED", "Bob", "closed it: the session was resolved"),
    ]
    assert sorted((names[d["recipient_id"]], d["kind"], d["status"], d["reason"]) for d in told) == [
        ("Adam", "ESCALATION", "SKIPPED", "CLAIMED"),
        ("Alice", "CLAIMED", "SKIPPED", "CLOSED"),
        ("Bob", "ESCALATION", "SKIPPED", "CLAIMED"),
        ("Olivia", "ESCALATION", "SKIPPED", "CLAIMED"),
    ]


def test_nothing_of_another_account_and_no_secret_is_exported(story: Story) -> None:
    out = story.terminal.ask("export", "--account", "Northwind")

    assert str(story.theirs) not in out
    assert "fabrikam" not in out.lower()
    assert "hash" not in out


def test_an_account_is_named_by_its_name_or_by_its_id(story: Story) -> None:
    by_id = story.terminal.ask("export", "--account", str(story.cast.account_id))

    whole = [json.loads(line) for line in by_id.splitlines()]
    assert whole[1:] == story.export()[1:]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ["first", "later"]),
        (("--since", "2026-01-31T12:00:00.000001Z"), ["later"]),
        (("--since", "2026-01-31T13:00:00+01:00", "--until", "2026-01-31T13:00:00Z"), ["first"]),
        (("--until", "2026-01-31"), []),
        (("--since", "2026-01-31", "--until", "2026-02-01"), ["first", "later"]),
    ],
)
def test_a_span_takes_the_handoffs_made_in_it_with_all_that_belongs_to_them(
    story: Story, options: tuple[str, ...], expected: list[str]
) -> None:
    names = {str(story.handoff_id): "first", str(story.later_id): "later"}
    records = story.export(*options)

    handoffs = [names[record["id"]] for record in records if record["type"] == "handoff"]
    belonging = {
        kind: {names[record["handoff_id"]] for record in records if record["type"] == kind}
        for kind in ("event", "delivery")
    }
    session_ids = {record["id"] for record in records if record["type"] == "session"}
    assert handoffs == expected
    assert belonging == {"event": set(expected), "delivery": set(expected)}
    assert {record["session_id"] for record in records if record["type"] == "handoff"} == session_ids


def test_pages_leave_nothing_out_and_repeat_nothing(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = story.export()
    monkeypatch.setattr("db.exports.PAGE", 2)
    monkeypatch.setattr("resolvers.exports._MESSAGES", 0)

    in_pages = story.export()

    assert in_pages[1:] == whole[1:]


async def test_an_export_shows_one_instant_whatever_happens_meanwhile(
    story: Story, database: Database, cast: Cast
) -> None:
    desk = Desk(database, cast.account_id)
    async with database.snapshot(cast.account_id) as tx:
        reading = exports.records(tx, Span(), now=utc_now())
        head = await anext(reading)
        await desk.claim(cast.olivia, story.later_id, NOON + 2 * HOUR)
        await desk.escalate(cast.alice, NOON + 2 * HOUR)
        rest = [record async for record in reading]

    handoffs = [record for record in rest if record["type"] == "handoff"]
    assert [(record["id"], record["state"]) for record in handoffs] == [
        (story.handoff_id, "CLOSED"),
        (story.later_id, "OPEN"),
    ]
    assert max(r["sequence"] for r in rest if r["type"] == "event") == head["event_sequence"]


async def test_every_event_and_delivery_of_a_handoff_is_counted(
    story: Story, database: Database, cast: Cast
) -> None:
    async with database.snapshot(cast.account_id) as tx:
        records = [record async for record in exports.records(tx, Span(), now=utc_now())]
        own_events = select(func.count()).where(tx.own(events), events.c.handoff_id.is_not(None))
        stored = {
            "event": await tx.fetch_value(own_events),
            "delivery": await tx.fetch_value(select(func.count()).where(tx.own(deliveries))),
        }

    assert {kind: records[-1]["records"][kind] for kind in stored} == stored


def test_a_file_is_there_when_it_is_whole_and_for_its_owner_alone(story: Story) -> None:
    file = Path("northwind.jsonl")
    file.write_text("of yesterday")

    out = story.terminal.ask("export", "--account", "Northwind", "--output", str(file))

    lines = file.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines][1:] == story.export()[1:]
    assert re.fullmatch(
        r"Exported 1 team, 6 users, 2 sessions, 2 handoffs, \d+ events, \d+ deliveries to northwind.jsonl.\n",
        out,
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in Path().glob("northwind*")] == ["northwind.jsonl"]


def test_an_export_that_fails_leaves_the_file_as_it_was(story: Story) -> None:
    file = Path("northwind.jsonl")
    file.write_text("of yesterday")
    story.terminal.take_tables_away()

    refusal = story.terminal.refused("export", "--account", "Northwind", "--output", str(file))

    assert refusal.startswith("the database cannot be used: ")
    assert file.read_text() == "of yesterday"
    assert [path.name for path in Path().glob("northwind*")] == ["northwind.jsonl"]


def test_a_file_that_cannot_be_written_is_told_in_a_sentence(story: Story) -> None:
    whole = ("export", "--account", "Northwind", "--output")

    os.mkfifo("pipe")

    nowhere = story.terminal.refused(*whole, "no/such/folder.jsonl")
    pipe = story.terminal.refused(*whole, "pipe")

    assert nowhere == "no/such/folder.jsonl.part cannot be written: No such file or directory."
    assert pipe == "pipe is no file that could be replaced."
    assert Path("pipe").is_fifo()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--since", "yesterday"], "'yesterday' is no time like 2026-01-31 or 2026-01-31T09:30:00+01:00."),
        (["--since", "2026-01-31T09:30"], "'2026-01-31T09:30' needs a time zone, like 2026-01-31T09:30:00Z."),
        (["--since", "2026-01-31", "--until", "2026-01-31"], "until must be later than since."),
    ],
)
def test_times_that_cannot_be_used_are_wrong_usage(options: list[str], sentence: str) -> None:
    result = Terminal(secret=SECRET).run("export", "--account", "Northwind", *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in " ".join(result.stderr.split())


def test_an_account_that_is_not_there_is_refused(story: Story) -> None:
    for account in ("Nobody", "0198c0de-7a11-7e57-8000-000000000000"):
        refusal = story.terminal.refused("export", "--account", account)

        assert refusal.startswith(f'No account is named "{account}".')


def test_every_field_of_every_record_is_documented(story: Story) -> None:
    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")

    missing = {
        (record["type"], name)
        for record in story.export()
        for name in record
        if not re.search(rf"`{name}`", text)
    }

    assert missing == set()


def test_the_cast_s_roles_are_those_of_the_records(story: Story) -> None:
    roles = {record["email"]: (record["role"], record["active"]) for record in story.of("user")}

    assert roles["olivia@northwind.example"] == (Role.OWNER.value, True)
    assert roles["ina@northwind.example"] == (Role.ENGINEER.value, False)
    assert len(roles) == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
@pytest.mark.parametrize("engine", ["sqlite"])
def test_standard_output_that_is_full_or_not_read_ends_with_a_sentence(story: Story) -> None:
    env = os.environ | story.terminal.env
    command = [sys.executable, "-m", "server.cli", "export", "--account", "Northwind"]
    reading, writing = os.pipe()
    os.close(reading)

    with Path("/dev/full").open("wb") as full, os.fdopen(writing, "wb") as unread:
        ends = [
            subprocess.run(command, cwd=ROOT, env=env, stdout=stream, stderr=subprocess.PIPE, text=True)
            for stream in (full, unread)
        ]

    assert [(end.returncode, end.stderr) for end in ends] == [
        (1, "handoff: Standard output cannot be written: No space left on device.\n"),
        (1, "handoff: Standard output is not read any more; what was written is not whole.\n"),
    ]
