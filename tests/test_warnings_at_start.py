"""What a start warns of and does not refuse: names that are no settings, and mails that reach nobody."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.client import SECRET
from tests.servers.processes import HandoffProcess, free_port
from tests.template import Template

FILES = "mails become files, which reach nobody: set HANDOFF_SMTP_URL folder="
STARTED = {"serve": " serving ", "worker": "worker started"}


@contextmanager
def _started(command: str, template: Template, **settings: str) -> Iterator[str]:
    """Start the service and yield what it said until it was there."""
    env = {
        "HANDOFF_SECRET": SECRET,
        "HANDOFF_DATABASE_URL": f"sqlite:///{template.empty}",
        "HANDOFF_PORT": str(free_port()),
        **{f"HANDOFF_{name.upper()}": value for name, value in settings.items()},
    }
    with HandoffProcess(command, env=env, ready_line=STARTED[command]) as process:
        yield process.stderr


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_mails_that_become_files_are_told_of_once(command: str, sqlite_template: Template) -> None:
    with _started(command, sqlite_template) as said:
        assert said.count(f"WARNING server.mailing {FILES}'var/mail'") == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"mail_folder": "var/mail"},
        {"smtp_url": "smtp+plain://127.0.0.1:1"},
        {"demo": "1"},
    ],
)
def test_mails_are_not_told_of_where_somebody_wants_it_so(
    settings: dict[str, str], sqlite_template: Template
) -> None:
    with _started("serve", sqlite_template, **settings) as said:
        assert "WARNING" not in said


def test_a_name_that_is_no_setting_is_told_of_and_the_start_goes_on(sqlite_template: Template) -> None:
    with _started("serve", sqlite_template, smtp_ulr="smtp://u:hunter2@mail.example") as said:
        named = "unknown setting setting='HANDOFF_SMTP_ULR' nearest='HANDOFF_SMTP_URL'"
        assert said.count(f"WARNING server.cli.running {named}") == 1
        assert "hunter2" not in said
