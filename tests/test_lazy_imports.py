"""A command imports what it needs and no more: its help is there at once, and it starts soon.

What is imported is counted, not timed: a machine may be busy.
"""

import subprocess
import sys

import pytest

from tests.patience import PATIENCE

#: What takes long to import, or longer than the help itself.
HEAVY = {
    "asyncio",
    "strawberry",
    "graphql",
    "sqlalchemy",
    "pydantic",
    "starlette",
    "uvicorn",
    "alembic",
    "jinja2",
    "httpx",
}


@pytest.mark.parametrize(
    "arguments", ["--help", "token --help", "serve --help", "user add --help", "--version"]
)
def test_help_imports_nothing_heavy(arguments: str) -> None:
    assert HEAVY.isdisjoint(imported_by(*arguments.split()))


def test_the_schema_is_printed_without_what_serves_it() -> None:
    loaded = imported_by("schema")

    assert "strawberry" in loaded
    assert {"starlette", "uvicorn", "alembic", "aiosmtpd", "jinja2"}.isdisjoint(loaded)


def test_a_node_is_loaded_without_what_few_settings_need() -> None:
    loaded = set(run("import server.serving, server.app, server.worker").stderr.split())

    assert {"uvicorn", "strawberry", "asyncpg", "aiosmtplib"} <= loaded
    assert {"aiosmtpd", "dkim", "pydantic_ai", "openai", "anthropic"}.isdisjoint(loaded)


def imported_by(*arguments: str) -> set[str]:
    """Run a command that prints something, and return the top-level packages that it has imported."""
    ran = run("from server.cli import main\nmain(sys.argv[1:])", *arguments)
    assert ran.stdout
    return set(ran.stderr.split())


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own; at its end it names the top-level packages on standard error."""
    look = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", look + program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=2 * PATIENCE,
    )
