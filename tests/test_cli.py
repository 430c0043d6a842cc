"""The command line: what each command prints, on which stream, and with which exit code."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import click
import pytest

from db import migrate
from db.enums import Role
from schema.build import print_schema
from server.auth import Tokens
from server.cli import main
from tests.servers.postgres import PostgresServer
from tests.servers.processes import free_port
from tests.terminal import SECRET, Terminal

NO_DATABASE = 'that the server runs, and that "handoff migrate" was run. HANDOFF_LOG_LEVEL=debug shows more.'
NOTHING_CHANGED = (
    "Nothing was changed. Check HANDOFF_DATABASE_URL, that the server runs, and that its user owns the "
    "tables. HANDOFF_LOG_LEVEL=debug shows more."
)

pytestmark = pytest.mark.usefixtures("bare_machine")


@pytest.fixture
def terminal(database_url: str) -> Terminal:
    """A terminal whose database is migrated and empty."""
    return Terminal(secret=SECRET, database_url=database_url)


@pytest.fixture
def staffed(terminal: Terminal) -> Terminal:
    """A terminal whose database holds the account Northwind IT with the engineer Bo."""
    terminal.ask("account", "add", "Northwind IT")
    terminal.ask("user", "add", "Bo@Northwind.example", "--account", "Northwind IT", "--name", "Bo Berg")
    return terminal


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("command", list(_commands(main)), ids=" ".join)
def test_every_command_shows_an_example_or_the_next_step(command: tuple[str, ...]) -> None:
    text = Terminal().ask(*command, "--help")

    usage, _, rest = text.partition("\n")
    assert usage.startswith(" ".join(["Usage: handoff", *command]))
    assert re.search(r"handoff [a-z]+", rest)
    assert Terminal().ask(*command, "-h") == text


def test_a_token_stands_alone_on_standard_output_and_names_the_user(staffed: Terminal) -> None:
    out = staffed.ask("token", " BO@northwind.example ")

    identity = Tokens(SECRET).read(out.removesuffix("\n"))
    bo = staffed.find_user("bo@northwind.example")
    assert len(out.split()) == 1
    assert identity.user_id == bo.id


def test_a_token_is_valid_as_long_as_it_was_set_to_be(staffed: Terminal) -> None:
    staffed.env["HANDOFF_TOKEN_HOURS"] = "1000"

    identity = Tokens(SECRET).read(staffed.ask("token", "bo@northwind.example").strip())

    left = identity.expires_at - datetime.now(UTC)
    assert timedelta(hours=999) < left <= timedelta(hours=1000)


def test_an_account_and_its_people_are_added_and_listed(terminal: Terminal) -> None:
    account_id = UUID(terminal.ask("account", "add", "Northwind IT").strip())
    whole = ("--account", "Northwind IT", "--name")
    bo_id = UUID(terminal.ask("user", "add", "bo@northwind.example", *whole, "Bo Berg").strip())
    terminal.ask("user", "add", "Ann@northwind.example", *whole, "Ann", "--role", "viewer")

    listed = terminal.ask("user", "list", "--account", "Northwind IT")

    assert listed == (
        "ann@northwind.example\tVIEWER\tactive\tAnn\nbo@northwind.example\tENGINEER\tactive\tBo Berg\n"
    )
    bo = terminal.find_user("bo@northwind.example")
    assert (bo.id, bo.account_id, bo.role, bo.active) == (bo_id, account_id, Role.ENGINEER, True)


def test_accounts_are_listed_by_name(terminal: Terminal) -> None:
    assert terminal.ask("account", "list") == ""
    south = terminal.ask("account", "add", "Southwind").strip()
    north = terminal.ask("account", "add", "Nordwind Süd").strip()

    assert terminal.ask("account", "list") == f"{north}\tNordwind Süd\n{south}\tSouthwind\n"


@pytest.mark.parametrize("gone", ["deactivate", "remove"])
def test_who_is_added_again_after_they_left_can_be_brought_back(staffed: Terminal, gone: str) -> None:
    whole = ("--account", "Northwind IT", "--name")
    staffed.ask("user", gone, "bo@northwind.example")

    refusal = staffed.refused("user", "add", "Bo@northwind.example", *whole, "Bo Berg")
    told, command = refusal.split(" The command: handoff ")
    staffed.ask(*command.split())

    assert told == (
        "There is a user with the address bo@northwind.example already, who left: make them active again."
    )
    assert staffed.find_user("bo@northwind.example").may_sign_in


def test_a_team_is_added_with_its_members(staffed: Terminal) -> None:
    whole = ("--account", "Northwind IT")
    staffed.ask("user", "add", "ann@northwind.example", *whole, "--name", "Ann")
    members = ["--member", "bo@northwind.example", "--member", " Ann@northwind.example", "--member"]

    out = staffed.ask("team", "add", "Networks", *whole, *members, "ANN@northwind.example")

    UUID(out.removesuffix("\n"))
    assert staffed.members_of("Networks") == ["ann@northwind.example", "bo@northwind.example"]


def test_a_team_needs_no_members(staffed: Terminal) -> None:
    UUID(staffed.ask("team", "add", "Networks", "--account", "Northwind IT").strip())

    assert staffed.members_of("Networks") == []


def test_a_team_takes_no_member_of_another_account_and_is_not_made_then(staffed: Terminal) -> None:
    staffed.ask("account", "add", "Fabrikam")
    staffed.ask("user", "add", "charlie@fabrikam.example", "--account", "Fabrikam", "--name", "Charlie")
    whole = ("team", "add", "Networks", "--account", "Northwind IT")

    refusal = staffed.refused(
        *whole, "--member", "bo@northwind.example", "--member", "charlie@fabrikam.example"
    )

    assert refusal == "No user of Northwind IT has the address charlie@fabrikam.example."
    staffed.ask(*whole)  # the name is free


def test_a_team_s_name_is_taken_once_in_an_account(staffed: Terminal) -> None:
    staffed.ask("account", "add", "Fabrikam")
    staffed.ask("team", "add", "Networks", "--account", "Northwind IT", "--member", "bo@northwind.example")

    refusal = staffed.refused("team", "add", "Networks", "--account", "Northwind IT")

    assert refusal == "There is a team named Networks already."
    assert staffed.members_of("Networks") == ["bo@northwind.example"]
    UUID(staffed.ask("team", "add", "Networks", "--account", "Fabrikam").strip())


def test_a_deactivated_user_is_shown_as_such_and_gets_no_token(staffed: Terminal) -> None:
    assert staffed.ask("user", "deactivate", "bo@northwind.example") == "Deactivated bo@northwind.example.\n"

    refusal = staffed.refused("token", "bo@northwind.example")

    assert refusal == "bo@northwind.example is deactivated and cannot sign in."
    listed = staffed.ask("user", "list", "--account", "Northwind IT")
    assert listed == "bo@northwind.example\tENGINEER\tinactive\tBo Berg\n"


def test_to_deactivate_twice_says_so(staffed: Terminal) -> None:
    staffed.ask("user", "deactivate", "bo@northwind.example")

    again = staffed.ask("user", "deactivate", "bo@northwind.example")

    assert again == "bo@northwind.example was inactive already.\n"


def test_a_user_is_changed_and_may_be_found_by_the_new_address(staffed: Terminal) -> None:
    wanted = ("--name", "Bo B.", "--email", "Bo.Berg@northwind.example", "--role", "admin")

    said = staffed.ask("user", "set", " BO@northwind.example", *wanted)
    again = staffed.ask("user", "set", "bo.berg@northwind.example", *wanted)

    assert said == "Changed bo@northwind.example.\n"
    assert again == "bo.berg@northwind.example is so already.\n"
    listed = staffed.ask("user", "list", "--account", "Northwind IT")
    assert listed == "bo.berg@northwind.example\tADMIN\tactive\tBo B.\n"


def test_who_was_deactivated_is_activated_again(staffed: Terminal) -> None:
    staffed.ask("user", "deactivate", "bo@northwind.example")

    said = [staffed.ask("user", "activate", "bo@northwind.example") for _ in range(2)]

    assert said == ["Activated bo@northwind.example.\n", "bo@northwind.example was active already.\n"]
    staffed.ask("token", "bo@northwind.example")


def test_who_was_removed_is_in_no_list_and_may_come_back(staffed: Terminal) -> None:
    said = [staffed.ask("user", "remove", "bo@northwind.example") for _ in range(2)]

    assert said == ["Removed bo@northwind.example.\n", "bo@northwind.example was removed already.\n"]
    assert staffed.ask("user", "list", "--account", "Northwind IT") == ""
    assert staffed.refused("token", "bo@northwind.example").endswith("cannot sign in.")
    assert staffed.ask("user", "activate", "bo@northwind.example") == "Activated bo@northwind.example.\n"
    staffed.ask("token", "bo@northwind.example")


@pytest.mark.parametrize(
    "arguments", [["deactivate"], ["remove"], ["set", "--role", "admin"]], ids=["deactivate", "remove", "set"]
)
def test_the_only_active_owner_stays_one(staffed: Terminal, arguments: list[str]) -> None:
    staffed.ask("user", "set", "bo@northwind.example", "--role", "owner")
    command, *options = arguments
    refusal = staffed.refused("user", command, "bo@northwind.example", *options)

    whole = ("--account", "Northwind IT", "--name", "Ann", "--role", "owner")
    staffed.ask("user", "add", "ann@northwind.example", *whole)
    staffed.ask("user", command, "bo@northwind.example", *options)

    assert refusal == "This is the account's only active owner. Make somebody else an owner first."


def test_teams_are_listed_with_their_ids_and_renamed(staffed: Terminal) -> None:
    whole = ("--account", "Northwind IT")
    networks = staffed.ask("team", "add", "Networks", *whole, "--member", "bo@northwind.example").strip()
    desk = staffed.ask("team", "add", "Desk", *whole).strip()

    said = staffed.ask("team", "rename", "Networks", " Networking", *whole)

    assert said == "Renamed Networks to Networking.\n"
    assert staffed.ask("team", "list", *whole) == f"{desk}\t0\tDesk\n{networks}\t1\tNetworking\n"
    assert staffed.refused("team", "rename", "Desk", "Networking", *whole) == (
        "There is a team named Networking already."
    )
    assert staffed.refused("team", "rename", "Networks", "x", *whole) == (
        "Northwind IT has no team named Networks."
    )


def test_the_members_of_a_team_are_listed_added_and_taken_out(staffed: Terminal) -> None:
    whole = ("--account", "Northwind IT")
    staffed.ask("user", "add", "ann@northwind.example", *whole, "--name", "Ann", "--role", "viewer")
    staffed.ask("team", "add", "Networks", *whole, "--member", "bo@northwind.example")
    bo = "bo@northwind.example\tENGINEER\tactive\tBo Berg\n"

    for _ in range(2):
        added = staffed.ask("team", "add-member", "Networks", " Ann@northwind.example", *whole)

        assert added == "ann@northwind.example is in Networks.\n"
        members = staffed.ask("team", "members", "Networks", *whole)
        assert members == f"ann@northwind.example\tVIEWER\tactive\tAnn\n{bo}"

    for _ in range(2):
        taken = staffed.ask("team", "remove-member", "Networks", "ann@northwind.example", *whole)

        assert taken == "ann@northwind.example is not in Networks.\n"
        assert staffed.ask("team", "members", "Networks", *whole) == bo


@pytest.mark.parametrize("command", ["add-member", "remove-member"])
def test_only_who_is_of_the_account_may_be_a_member_and_only_of_its_teams(
    staffed: Terminal, command: str
) -> None:
    staffed.ask("account", "add", "Fabrikam")
    staffed.ask("team", "add", "Desk", "--account", "Fabrikam")
    staffed.ask("user", "add", "charlie@fabrikam.example", "--account", "Fabrikam", "--name", "Charlie")
    staffed.ask("team", "add", "Networks", "--account", "Northwind IT")
    whole = ("--account", "Northwind IT")

    foreign_team = staffed.refused("team", command, "Desk", "bo@northwind.example", *whole)
    foreign_user = staffed.refused("team", command, "Networks", "charlie@fabrikam.example", *whole)

    assert foreign_team == "Northwind IT has no team named Desk."
    assert foreign_user == "No user of Northwind IT has the address charlie@fabrikam.example."


NO_ACCOUNT = (
    'No account is named "Nobody". "handoff account list" shows those that there are; '
    'to create it: handoff account add "Nobody"'
)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["token", "no@where.example"], "No user has the address no@where.example."),
        (["user", "deactivate", "no@where.example"], "No user has the address no@where.example."),
        (["user", "activate", "no@where.example"], "No user has the address no@where.example."),
        (["user", "remove", "no@where.example"], "No user has the address no@where.example."),
        (
            ["user", "set", "bo@northwind.example", "--email", "bo"],
            "email must be an address like bo@example.com.",
        ),
        (
            ["user", "list", "--account", "Nobody"],
            NO_ACCOUNT,
        ),
        (
            ["user", "add", "al@b.example", "--account", "Nobody", "--name", "Al"],
            NO_ACCOUNT,
        ),
        (
            ["team", "add", "Networks", "--account", "Nobody"],
            NO_ACCOUNT,
        ),
        (["team", "add", " ", "--account", "Northwind IT"], "name must not be empty."),
        (["account", "add", "Northwind IT"], "There is an account named Northwind IT already."),
        (["account", "add", " "], "name must not be empty."),
        (["account", "add", "a" * 201], "name has 201 characters; at most 200 are kept."),
        (
            ["user", "add", "BO@northwind.example", "--account", "Northwind IT", "--name", "Al"],
            "There is a user with the address bo@northwind.example already.",
        ),
        (
            ["user", "add", "al", "--account", "Northwind IT", "--name", "Al"],
            "email must be an address like bo@example.com.",
        ),
        (
            ["user", "add", "al@b.example", "--account", "Northwind IT", "--name", ""],
            "name must not be empty.",
        ),
    ],
)
def test_a_refusal_is_one_sentence_and_changes_nothing(
    staffed: Terminal, arguments: list[str], sentence: str
) -> None:
    assert staffed.refused(*arguments) == sentence

    listed = staffed.ask("user", "list", "--account", "Northwind IT")
    assert listed == "bo@northwind.example\tENGINEER\tactive\tBo Berg\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["user", "add", "a@b.example", "--account", "A", "--name", "A", "--role", "boss"],
            "'boss' is not one of",
        ),
        (["user", "add", "a@b.example", "--account", "A"], "Missing option '--name'"),
        (["team", "add", "Networks"], "Missing option '--account'"),
        (["user", "set", "a@b.example"], "Nothing to change. Give --name, --email or --role."),
        (["token"], "Missing argument 'EMAIL'"),
        (["tokens"], "No such command 'tokens'"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_how_to_get_help(arguments: list[str], sentence: str) -> None:
    result = Terminal(secret=SECRET).run(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert "--help' for help." in result.stderr


def test_without_a_secret_no_command_runs() -> None:
    refusal = Terminal().refused("token", "bo@northwind.example")

    assert refusal.startswith("HANDOFF_SECRET must be set to at least 32 random bytes")


def test_a_database_that_is_away_is_told_without_its_password() -> None:
    url = f"postgresql://handoff:hunter2@127.0.0.1:{free_port()}/handoff"

    refusal = Terminal(secret=SECRET, database_url=url).refused("migrate")

    assert refusal.startswith(
        "the database cannot be used: ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', "
    )
    assert refusal.endswith(NOTHING_CHANGED)
    assert "hunter2" not in refusal


@pytest.mark.parametrize("command", [("migrate",), ("account", "add", "X"), ("token", "x@y.z")])
def test_a_database_that_is_not_there_is_told_in_a_sentence(
    command: tuple[str, ...], postgres: PostgresServer
) -> None:
    refusal = Terminal(secret=SECRET, database_url=postgres.url("absent")).refused(*command)

    assert refusal.startswith(
        'the database cannot be used: InvalidCatalogNameError: database "absent" does not exist. '
    )


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/x", "hunter2", ""])
def test_a_database_that_the_service_does_not_run_on_is_refused(url: str) -> None:
    refusal = Terminal(secret=SECRET, database_url=url).refused("migrate")

    assert refusal.startswith("HANDOFF_DATABASE_URL: ")
    assert "postgresql://" in refusal
    assert "hunter2" not in refusal


@pytest.mark.parametrize("command", ["migrate", "serve", "worker"])
def test_a_file_that_is_no_database_is_refused(command: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("The VPN drops after an hour.\n" * 100)

    def refusal(file: str) -> str:
        return Terminal(secret=SECRET, database_url=f"sqlite:///{tmp_path}/{file}").refused(command)

    assert [refusal(file) for file in ("", "notes.txt", "notes.txt/handoff.db")] == [
        f"HANDOFF_DATABASE_URL: {tmp_path} cannot be used: unable to open database file",
        f"HANDOFF_DATABASE_URL: {tmp_path}/notes.txt cannot be used: file is not a database",
        f"HANDOFF_DATABASE_URL: no database can be kept in {tmp_path}/notes.txt: File exists",
    ]


def test_a_database_without_tables_is_told_to_be_migrated(terminal: Terminal) -> None:
    terminal.take_tables_away()

    refusal = terminal.refused("token", "bo@northwind.example")

    assert re.match(
        "the database cannot be used: "
        r"(OperationalError: no such table: users|UndefinedTableError: relation \"users\" does not exist)\. ",
        refusal,
    )
    assert refusal.endswith(NO_DATABASE)


def test_a_disk_that_takes_no_more_is_told_in_the_words_of_the_driver() -> None:
    # A file that may not grow: whoever makes disks full has to be root.
    with_limit = 'ulimit -f 8; exec "$0" -m server.cli migrate'
    env = {"HANDOFF_SECRET": SECRET, "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}

    done = subprocess.run(
        ["/bin/sh", "-c", with_limit, sys.executable], env=env, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("handoff: the database cannot be used: OperationalError: disk I/O error. ")


def test_to_migrate_makes_the_tables_and_may_be_repeated(terminal: Terminal) -> None:
    terminal.take_tables_away()

    first, second = terminal.ask("migrate"), terminal.ask("migrate")

    newest = migrate.newest_revision()
    assert (first, second) == (f"Migrated from nothing to {newest}.\n", f"The database is at {newest}.\n")
    UUID(terminal.ask("account", "add", "Northwind IT").strip())


def test_a_migration_that_fails_amid_the_others_changes_nothing_and_says_so(terminal: Terminal) -> None:
    terminal.have_in_the_way("psa_connections")  # which migration 0009 makes

    refusal = terminal.refused("migrate")

    assert re.search('OperationalError: table "?psa_connections"? already|"psa_connections" already', refusal)
    assert refusal.endswith(NOTHING_CHANGED)
    assert terminal.tables() == ["psa_connections"]


def test_a_newer_database_is_left_as_it_is(staffed: Terminal) -> None:
    staffed.pretend_to_be_migrated_to("9999")

    out = staffed.ask("migrate")

    assert out == "The database is at 9999, which is newer than this version of Handoff.\n"
    assert staffed.ask("user", "list", "--account", "Northwind IT").count("\n") == 1


def test_the_default_database_is_a_file_that_migrate_creates() -> None:
    terminal = Terminal(secret=SECRET)

    terminal.ask("migrate")

    assert Path("var/handoff.db").is_file()
    assert terminal.refused("token", "no@where.example") == "No user has the address no@where.example."


def test_the_schema_is_printed_without_any_setting() -> None:
    out = Terminal().ask("schema")

    assert out == print_schema()
    assert "type Query {" in out


def test_a_file_in_the_working_directory_is_read_where_the_environment_is_silent(staffed: Terminal) -> None:
    lines = [f"{name}={value}\n" for name, value in staffed.env.items()]
    Path(".env").write_text("".join(lines))

    out = Terminal().ask("token", "bo@northwind.example")

    assert Tokens(SECRET).read(out.strip()).user_id == staffed.find_user("bo@northwind.example").id


def test_the_environment_wins_over_the_file(staffed: Terminal) -> None:
    Path(".env").write_text("HANDOFF_SECRET=of the file, which must not be taken\nHANDOFF_PORT=no port\n")
    staffed.env["HANDOFF_PORT"] = "8123"

    out = staffed.ask("token", "bo@northwind.example")

    assert Tokens(SECRET).read(out.strip()).user_id == staffed.find_user("bo@northwind.example").id
