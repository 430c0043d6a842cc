"""A command imports what it needs and no more: its help is there at once, and it starts soon.

What is imported is counted, not timed: a machine may be busy.
"""

import subprocess
import sys

import pytest

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


def imported_by(*arguments: str) -> set[str]:
    """Run a command in a process of its own and return the top-level packages that it has imported."""
    look = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr))\n"
        "from server.cli import main\n"
        "main(sys.argv[1:])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", look, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout
    return set(ran.stderr.split())
