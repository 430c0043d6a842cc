"""The files of SQLite are for their owner alone; what was there before stays as it was."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db import migrate
from db.session import Database


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    """A process that would make every file for everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def _modes(*paths: Path) -> list[str]:
    return [oct(stat.S_IMODE(path.stat().st_mode)) for path in paths]


async def _use(file: Path) -> list[str]:
    """Write to a database, and return the modes of its files meanwhile."""
    database = Database(f"sqlite:///{file}")
    async with database.owning() as tx:
        await migrate.upgrade(tx)
    async with database.system_reading() as tx:
        await tx.fetch_value(text("SELECT count(*) FROM events"))
    modes = _modes(file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm"))
    await database.dispose()
    return modes


async def test_a_database_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "var" / "handoff.db"

    modes = await _use(file)

    assert modes == ["0o600"] * 3
    assert _modes(file.parent) == ["0o700"]


async def test_a_folder_that_was_there_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir(mode=0o755)

    await _use(folder / "handoff.db")

    assert _modes(folder, folder / "handoff.db") == ["0o755", "0o600"]


async def test_a_file_that_was_there_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "handoff.db"
    file.touch(mode=0o640)

    assert await _use(file) == ["0o640"] * 3
