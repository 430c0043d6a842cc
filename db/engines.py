"""The connections of a process: which engine keeps how many, in which role, and how each is set up."""

import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from db.addresses import driver_arguments
from db.errors import is_read_only
from db.pooled import Pool, open_where_awaited
from db.row_security import AccountConnection, BoundConnection, begin_with_account
from db.sqlite_connections import FileConnection, WritingConnection, begin_writing

#: Seconds in which PostgreSQL must have let somebody in, unless its address says otherwise.
_CONNECT_SECONDS = 10
#: A server that vanishes without a word, as when its machine loses power, is noticed within half a minute. By
#: itself Linux waits a quarter of an hour until what was sent is taken, and two hours for an answer.
_SILENCE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
#: How long a connection is kept that leads to what can only be read. In a failover the address may lead to a
#: standby for a while: whoever reads is content with that, and would never learn of the new primary.
_READ_ONLY_SECONDS = 5.0
_TELL_OF_READING = ("in_hot_standby", "default_transaction_read_only")


def postgresql_writer(address: URL) -> Pool:
    """Make the pool of transactions of an account, which `db/row_security.py` begins and ends."""
    engine = _postgresql_engine(
        address,
        "handoff_app",
        AccountConnection,
        isolation_level="AUTOCOMMIT",
        pool_size=15,
        pool_use_lifo=True,  # PostgreSQL's process of the one used last has what it needs at hand
    )
    event.listen(engine.sync_engine, "begin", begin_with_account)
    return Pool(engine)


def postgresql_system_writer(address: URL) -> Pool:
    """Make the pool of transactions across accounts."""
    return Pool(_postgresql_engine(address, "handoff_worker", asyncpg.Connection, pool_size=15))


def postgresql_reader(address: URL, *, role: str) -> Pool:
    """Make a pool whose statements are transactions by themselves, for what only reads."""
    engine = _postgresql_engine(
        address,
        role,
        BoundConnection,
        isolation_level="AUTOCOMMIT",
        pool_size=10,
        pool_use_lifo=True,  # the one used last is the likeliest to show the account already
    )
    return Pool(engine)


def postgresql_owner(address: URL) -> AsyncEngine:
    """Make what opens a connection as the owner of the tables, each time anew."""
    address, arguments = driver_arguments(address)
    return create_async_engine(address, poolclass=NullPool, connect_args=arguments, hide_parameters=True)


def _postgresql_engine(
    address: URL,
    role: str,
    connection_class: type[asyncpg.Connection],
    **options: Any,  # noqa: ANN401 (SQLAlchemy's)
) -> AsyncEngine:
    """Make an engine whose connections take the role, which row-level security binds, for good."""
    address, arguments = driver_arguments(address)
    engine = create_async_engine(
        address,
        max_overflow=0,  # those beyond the size would be opened for one transaction each
        pool_timeout=10,
        # Compiling a statement to machine code takes longer than any statement here takes without.
        connect_args={"timeout": _CONNECT_SECONDS}
        | arguments
        | {"server_settings": {"role": role, "jit": "off"}, "connection_class": connection_class},
        hide_parameters=True,  # an error is logged; notes and addresses are not
        **options,
    )
    event.listen(engine.sync_engine, "do_connect", open_where_awaited)
    event.listen(engine.sync_engine, "connect", _bear_no_silence)
    event.listen(engine.sync_engine, "connect", _note_when)
    event.listen(engine.sync_engine, "checkout", _leave_what_is_no_use)
    event.listen(engine.sync_engine, "handle_error", _leave_who_only_reads)
    return engine


def _leave_who_only_reads(context: ExceptionContext) -> None:
    """Open connections anew that lead to what can only be read: SQLAlchemy's event `handle_error`."""
    if is_read_only(context.original_exception):
        context.is_disconnect = True


def _note_when(_: Any, entry: ConnectionPoolEntry) -> None:  # noqa: ANN401 (SQLAlchemy's own)
    """Note when a connection was opened: SQLAlchemy's event `connect`."""
    entry.info.update(opened_at=time.monotonic(), is_new=True)


def _leave_what_is_no_use(connection: Any, entry: ConnectionPoolEntry, _: Any) -> None:  # noqa: ANN401 (as above)
    """Open a connection anew that has ended while it was idle, or has led to a standby for a while.

    It is SQLAlchemy's event `checkout`, which takes two failures for a fault of ours. So one that ended as
    soon as it was opened is left to its user, who says that the database is away.

    Raises:
        DisconnectionError: it is to be opened anew.
    """
    if entry.info.pop("is_new", False):
        return
    driver: asyncpg.Connection = connection.driver_connection
    is_old = time.monotonic() - entry.info["opened_at"] > _READ_ONLY_SECONDS
    if driver.is_closed() or (is_old and _only_reads(driver)):
        raise DisconnectionError


def _only_reads(driver: asyncpg.Connection) -> bool:
    """Tell whether the server has said that nothing can be stored there.

    It does so by itself, at first and when that changes; a pooler before it may not. Source: PostgreSQL's
    manual, section 54.2.7 (asynchronous operations).
    """
    told = driver.get_settings()
    return "on" in (getattr(told, name, "off") for name in _TELL_OF_READING)


def _bear_no_silence(connection: Any, _: ConnectionPoolEntry) -> None:  # noqa: ANN401 (SQLAlchemy's own)
    """Let the system end the connection where the other end has vanished: SQLAlchemy's event `connect`."""
    # The driver has no public name for it (0.31).
    opened: socket.socket = connection.driver_connection._transport.get_extra_info("socket")
    if opened.family == socket.AF_UNIX:
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, setting in _SILENCE.items():
        if hasattr(socket, name):  # each system has some of them
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), setting)


def sqlite_pools(address: URL) -> tuple[Pool, Pool]:
    """Make one connection that writes and a few that read.

    SQLite has one writer at a time anyway. With one connection the writers wait in a fair queue here:
    with many, each busy-waits in the file, and the slowest waited six times longer (measured).
    """
    _check_file(Path(address.database or ""))
    writer = _sqlite_engine(address, WritingConnection, pool_size=1)
    event.listen(writer.sync_engine, "begin", begin_writing)
    # Neither waits BEGIN for another process, nor COMMIT for the disk: `db/sqlite_connections.py` does.
    _set_up_sqlite(writer.sync_engine, "busy_timeout=0", "wal_autocheckpoint=0")
    reader = _sqlite_engine(address, FileConnection, pool_size=4)
    event.listen(reader.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    _set_up_sqlite(reader.sync_engine)
    return Pool(writer), Pool(reader)


def _check_file(file: Path) -> None:
    """Make the folder of a database, for its owner alone; where the file is there, look whether it is one.

    Raises:
        ValueError: it cannot be used.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file.exists():
            with closing(sqlite3.connect(file, timeout=0)) as connection:
                connection.execute("PRAGMA schema_version")
    except OSError as error:
        raise ValueError(f"no database can be kept in {file.parent}: {error.strerror}") from None
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # another process recovers it just now
            raise ValueError(f"{file} cannot be used: {error}") from None


def _sqlite_engine(address: URL, factory: type[FileConnection], *, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        address,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=60,
        pool_reset_on_return=None,  # whoever begins ends it as well, and all else is one statement
        connect_args={"factory": factory},
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "do_connect", open_where_awaited)
    return engine


def _set_up_sqlite(engine: Engine, *more: str) -> None:
    """Take transactions out of the driver's hands and switch on what SQLite leaves off.

    The driver opens a transaction only at the first write: what was read before may have changed by
    then, and 470 of 500 concurrent updates were lost without an error (aiosqlite 0.22).
    """
    pragmas = ("busy_timeout=10000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", *more)

    def connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", connect)
