"""The fast event loop and the fast parser are what a started process really uses."""

import sys

import pytest

from tests.client import SECRET
from tests.servers.processes import HandoffProcess, free_port
from tests.template import Template

pytestmark = [
    pytest.mark.measured_processes,
    pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not there"),
]


@pytest.fixture
def env(sqlite_template: Template) -> dict[str, str]:
    """Settings with a migrated database."""
    return {"HANDOFF_SECRET": SECRET, "HANDOFF_DATABASE_URL": f"sqlite:///{sqlite_template.empty}"}


def test_the_server_turns_uvloop_and_parses_with_httptools(env: dict[str, str]) -> None:
    env["HANDOFF_PORT"] = str(free_port())

    with HandoffProcess("serve", env=env, ready_line="server.serving serving") as server:
        (line,) = [line for line in server.stderr.splitlines() if "server.serving serving" in line]

    fields = dict(field.split("=") for field in line.split() if "=" in field)
    assert fields["loop"] == "'uvloop'"
    assert fields["http"] == "'uvicorn.protocols.http.httptools_impl'"


def test_the_worker_turns_uvloop(env: dict[str, str]) -> None:
    with HandoffProcess("worker", env=env, ready_line="worker started") as worker:
        (line,) = [line for line in worker.stderr.splitlines() if "worker started" in line]

    assert line.endswith("worker started loop='uvloop'")
