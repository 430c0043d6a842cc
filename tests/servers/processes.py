"""Handoff itself as a process, started as an operator would start it."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.patience import PATIENCE
from tests.servers import children

#: Below what Linux, macOS and the BSDs give to whoever connects or asks for any port.
PORTS = range(20_000, 32_000)
BLOCK = 200

#: What coverage.py sets in the tests' environment to measure child processes too.
COVERAGE_VARIABLES = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE", "COVERAGE_CORE")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that nobody else is given before it is used.

    One of those that the system gives away may be the end of somebody's connection by the time a server is
    started, and one chosen by chance may be another process's choice, too.
    """
    while True:
        port = next(_OWN_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _ports_of_a_block() -> Iterator[int]:
    """Go round a block of ports that is this process's own: it holds the first as long as it lives."""
    blocks = [range(first, first + BLOCK) for first in PORTS[::BLOCK]]
    start = secrets.randbelow(len(blocks))  # not by `random`, which Hypothesis seeds alike in every process
    for block in blocks[start:] + blocks[:start]:
        with suppress(OSError), socket.create_server(("127.0.0.1", block[0])):
            yield from cycle(block[1:])
    message = f"every block of ports from {PORTS.start} to {PORTS.stop} is held"
    raise RuntimeError(message)


_OWN_PORTS = _ports_of_a_block()


class HandoffProcess:
    """One run of the `handoff` command in an empty folder, knowing only the environment it is given."""

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        ready_url: str | None = None,
        ready_line: str | None = None,
        start_seconds: float = 2 * PATIENCE,
    ) -> None:
        """Describe the process; nothing runs before `start`.

        Args:
            arguments: The command and its options, such as "serve".
            env: Its HANDOFF_ settings, and whatever else it is to see.
            ready_url: It has started when this answers 200.
            ready_line: It has started when a line of its standard output or error holds this.
            start_seconds: How long it may take for that.
        """
        self.arguments = arguments
        self.folder = children.make_folder("handoff-process-")
        self.env = _clean_environment(self.folder) | dict(env or {})
        self._ready_url = ready_url
        self._ready_line = ready_line
        self._start_seconds = start_seconds
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
    def pid(self) -> int:
        """The number of the running process."""
        return self._running().pid

    @property
    def stdout(self) -> str:
        """What it wrote to standard output, all runs together."""
        return _text(self.folder / "stdout")

    @property
    def stderr(self) -> str:
        """What it wrote to standard error, all runs together."""
        return _text(self.folder / "stderr")

    def start(self) -> None:
        """Start, and wait until ready if a sign of that was given; may be repeated after `stop` or `kill`.

        Raises:
            RuntimeError: It ended by itself or was not ready in time; the message holds its output.
        """
        if self._process is not None:
            return
        seen = len(self.stdout), len(self.stderr)
        command = [sys.executable, "-m", "server.cli", *self.arguments]
        with (self.folder / "stdout").open("ab") as out, (self.folder / "stderr").open("ab") as err:
            self._process = children.spawn(
                command, cwd=self.folder / "work", env=self.env, stdout=out, stderr=err.fileno()
            )
        deadline = time.monotonic() + self._start_seconds
        while True:
            has_ended = self._process.poll() is not None  # asked first: its last words may be the line
            if self._is_ready(*seen):
                return
            if has_ended or time.monotonic() > deadline:
                self.kill()
                message = f"handoff {' '.join(self.arguments)} did not start:\n{self.stdout}\n{self.stderr}"
                raise RuntimeError(message)
            time.sleep(0.02)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the same folder to its end, as in a second terminal."""
        return subprocess.run(
            [sys.executable, "-m", "server.cli", *arguments],
            cwd=self.folder / "work",
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )

    def wait(self, timeout: float) -> int:
        """Wait for its own end and give the exit code."""
        process = self._running()
        code = process.wait(timeout)
        self._process = None
        return code

    def stop(self) -> int:
        """Ask it to end by SIGTERM and give the exit code: 0, or -15 if it re-raised the signal at its end.

        Raises:
            TimeoutError: It was still running after that time, and was then killed.
        """
        process = self._running()
        self._process = None
        return children.end(process, signal.SIGTERM, PATIENCE)

    def kill(self) -> None:
        """End it by SIGKILL, as an out-of-memory killer would."""
        process = self._running()
        self._process = None
        children.end(process, signal.SIGKILL, PATIENCE)

    def pause(self) -> None:
        """Freeze it, as a stalled machine would be."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it if it still runs and remove its folder."""
        try:
            if self._process is not None:
                self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            message = f"handoff {' '.join(self.arguments)} is not running"
            raise RuntimeError(message)
        return self._process

    def _is_ready(self, seen_out: int, seen_err: int) -> bool:
        if self._ready_line is not None:
            new = self.stdout[seen_out:], self.stderr[seen_err:]
            return any(self._ready_line in text for text in new)
        return self._ready_url is None or _answers(self._ready_url)


def _clean_environment(folder: Path) -> dict[str, str]:
    """What every program needs, and what coverage.py needs to measure it."""
    home = folder / "home"
    home.mkdir()
    (folder / "work").mkdir()
    measured = {name: os.environ[name] for name in COVERAGE_VARIABLES if name in os.environ}
    if "COVERAGE_FILE" in measured:
        measured["COVERAGE_FILE"] = str(Path(measured["COVERAGE_FILE"]).absolute())
    own = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "PYTHONUNBUFFERED": "1"}
    return own | {"LANG": "C.UTF-8"} | measured


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  # the tests' own address
            ok: bool = response.status == 200
            return ok
    except (urllib.error.URLError, OSError):
        return False


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
