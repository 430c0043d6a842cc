"""TLS to PostgreSQL: asked for in the address with libpq's words, and checked as libpq would."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db import migrate
from db.errors import DATABASE_FAULTS
from db.session import Database, new_id
from notify.broadcast.wakeups import Wakeups
from tests.patience import PATIENCE
from tests.servers.certificates import make_certificate
from tests.servers.postgres import PostgresServer

WHAT_IS_SPOKEN = text("SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
ALL_THAT_IS_SPOKEN = text(
    "SELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
    " WHERE backend_type = 'client backend' AND client_addr IS NOT NULL"
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that speaks TLS to whoever wants it."""
    server = PostgresServer(tcp=True, tls=True)
    if not server.is_ours:
        pytest.skip("needs a PostgreSQL server with certificates of its own")
    try:
        server.start()
    except RuntimeError as error:
        server.close()
        if "not supported by this build" not in str(error):
            raise
        pytest.skip("this PostgreSQL was built without TLS")
    yield server
    server.close()


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The certificate of an authority that has nothing to do with the server."""
    certificate, _ = make_certificate(tmp_path)
    return certificate


@pytest.mark.parametrize(
    ("options", "is_encrypted"),
    [
        ("", True),
        ("sslmode=disable", False),
        ("sslmode=allow", False),
        ("sslmode=prefer", True),
        ("sslmode=require", True),
        ("ssl=require", True),
        ("sslmode=require&sslrootcert={own}", True),
        ("sslmode=verify-ca&sslrootcert={own}", True),
        ("sslmode=verify-full&sslrootcert={own}", True),
        ("sslmode=verify-full&sslrootcert={own}&connect_timeout=10&application_name=handoff", True),
    ],
)
async def test_a_mode_of_tls_is_that_of_libpq(
    options: str, is_encrypted: bool, server: PostgresServer
) -> None:
    assert await _spoken(server, options.format(own=server.certificate)) == (is_encrypted, None)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_server_whose_authority_is_another_is_refused(
    mode: str, server: PostgresServer, stranger: Path
) -> None:
    with pytest.raises(DATABASE_FAULTS, match="CERTIFICATE_VERIFY_FAILED"):
        await _spoken(server, f"sslmode={mode}&sslrootcert={stranger}")


@pytest.mark.parametrize(("mode", "is_refused"), [("verify-ca", False), ("verify-full", True)])
async def test_the_name_of_the_server_counts_where_everything_is_verified(
    mode: str, is_refused: bool, server: PostgresServer
) -> None:
    # Another address of the same machine, of which the certificate does not speak.
    options = f"sslmode={mode}&sslrootcert={server.certificate}"
    url = server.url("postgres").replace("127.0.0.1", "0.0.0.0")  # noqa: S104 (to connect to)

    if is_refused:
        with pytest.raises(DATABASE_FAULTS, match="certificate is not valid for"):
            await _spoken_at(f"{url}?{options}")
    else:
        assert await _spoken_at(f"{url}?{options}") == (True, None)


async def test_a_certificate_of_ones_own_is_shown(server: PostgresServer) -> None:
    key = server.certificate.with_name("key.pem")

    spoken = await _spoken(server, f"sslmode=require&sslcert={server.certificate}&sslkey={key}")

    assert spoken == (True, "/CN=localhost")


async def test_every_kind_of_connection_is_encrypted(server: PostgresServer) -> None:
    database = Database(_url(server, "sslmode=require"))
    async with database.owning() as tx:
        await migrate.upgrade(tx)
    account_id = new_id()
    kinds = (database.transaction(account_id), database.reading(account_id))
    for opened in (*kinds, database.system(), database.system_reading()):
        async with opened as tx:
            await tx.connection.execute(text("SELECT 1"))
    async with database.owning() as tx:
        count, all_encrypted = (await tx.connection.execute(ALL_THAT_IS_SPOKEN)).one()
    await database.dispose()

    assert (count, all_encrypted) == (5, True)


@pytest.mark.parametrize("is_known", [True, False])
async def test_the_broadcast_reads_the_same_options(
    is_known: bool, server: PostgresServer, stranger: Path
) -> None:
    authority = server.certificate if is_known else stranger
    options = f"sslmode=verify-full&sslrootcert={authority}&connect_timeout=10&application_name=handoff"
    wakeups = Wakeups(_url(server, options))
    await wakeups.start()

    if is_known:
        async with asyncio.timeout(PATIENCE):
            await wakeups._backend.wait_connected()
    else:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await wakeups._backend.wait_connected()
    await wakeups.stop()


def _url(server: PostgresServer, options: str) -> str:
    return f"{server.url('postgres')}?{options}"


async def _spoken(server: PostgresServer, options: str) -> tuple[bool, str | None]:
    return await _spoken_at(_url(server, options))


async def _spoken_at(url: str) -> tuple[bool, str | None]:
    """Return whether a connection is encrypted, and whom the client's certificate names."""
    database = Database(url)
    try:
        async with database.owning() as tx:
            encrypted, name = (await tx.connection.execute(WHAT_IS_SPOKEN)).one()
    finally:
        await database.dispose()
    return encrypted, name
