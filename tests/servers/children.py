"""Start, freeze and end child processes so that none outlives the test run."""

import contextlib
import ctypes
import functools
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1  # linux/prctl.h

# Linux sends the parent's death signal when the *thread* that forked ends (prctl(2), PR_SET_PDEATHSIG). A
# server started from a short-lived thread would die with it, so one thread that lives as long as the run
# starts them all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-starter")
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def spawn(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes] | int = subprocess.STDOUT,
    orphan_signal: signal.Signals = signal.SIGKILL,
    unprivileged: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command that ends when this process does.

    Args:
        command: Program and arguments.
        cwd: Its working folder.
        env: Its whole environment.
        stdout: Where it writes.
        stderr: Where it writes errors; with stdout unless given.
        orphan_signal: What it receives when this process dies, even by SIGKILL. Linux only.
        unprivileged: Run as nobody if this process is root.
    """
    drop = unprivileged and is_root()
    start: functools.partial[subprocess.Popen[bytes]] = functools.partial(
        subprocess.Popen,
        [str(word) for word in command],
        text=False,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        user="nobody" if drop else None,
        group=nobody().pw_gid if drop else None,
        extra_groups=[] if drop else None,
        start_new_session=True,  # Ctrl-C ends the tests first, and they end their servers
        preexec_fn=functools.partial(_die_with_parent, int(orphan_signal)) if _libc else None,
    )
    return _starter.submit(start).result()


def _die_with_parent(orphan_signal: int) -> None:
    assert _libc is not None
    _libc.prctl(PR_SET_PDEATHSIG, orphan_signal, 0, 0, 0)


def is_root() -> bool:
    """Whether this process may become another user."""
    return os.geteuid() == 0


def nobody() -> pwd.struct_passwd:
    """The account without rights; its group is nogroup or nobody, as the system has it."""
    return pwd.getpwnam("nobody")


def make_folder(prefix: str, *, unprivileged: bool = False) -> Path:
    """Make a temporary folder, owned by nobody if this process is root and `unprivileged` is asked.

    Such a folder lies in /tmp where the configured place is closed to other users.
    """
    if not (unprivileged and is_root()):
        return Path(tempfile.mkdtemp(prefix=prefix))
    place = Path(tempfile.gettempdir()).resolve()
    is_open = all(folder.stat().st_mode & 0o001 for folder in (place, *place.parents))
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place if is_open else "/tmp"))  # noqa: S108  # see above
    os.chown(folder, nobody().pw_uid, nobody().pw_gid)
    return folder


def end(process: subprocess.Popen[bytes], how: signal.Signals, timeout: float) -> int:
    """Send a signal, wait, and give the exit code; negative is the signal that ended it.

    A frozen process is woken first, since it could not act on the signal.

    Raises:
        TimeoutError: It was still alive after `timeout` seconds, and was then killed.
    """
    process.send_signal(how)
    process.send_signal(signal.SIGCONT)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        message = f"process {process.pid} did not end within {timeout} s of {how.name}"
        raise TimeoutError(message) from None


def signal_tree(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and its children, even those that lead process groups of their own."""
    _signal_all([process.pid, *children_of(process.pid)], number)


def kill_tree(process: subprocess.Popen[bytes], timeout: float) -> None:
    """Kill a process and its children, and wait until none of them runs.

    Raises:
        TimeoutError: One still ran after `timeout` seconds.
    """
    process.send_signal(signal.SIGSTOP)  # so that it starts no child while they are listed
    pids = {process.pid, *children_of(process.pid)}
    _signal_all(pids, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + timeout
    while pids & list_processes().keys():
        if time.monotonic() > deadline:
            message = f"children of process {process.pid} survived SIGKILL for {timeout} s"
            raise TimeoutError(message)
        time.sleep(0.005)


def _signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.kill(pid, number)


def children_of(pid: int) -> list[int]:
    """The children of a process."""
    return [child for child, parent in list_processes().items() if parent == pid]


def list_processes() -> dict[int, int]:
    """The parent of every process that has not ended; zombies have.

    Source: proc(5), /proc/pid/stat: after the command in parentheses come the state and the parent.
    """
    if Path("/proc/self/stat").exists():
        stats = [(path.parent.name, _read(path)) for path in Path("/proc").glob("[0-9]*/stat")]
        rows = [(pid, *stat.rpartition(")")[2].split()[:2]) for pid, stat in stats if stat]
    else:
        command = ["ps", "-A", "-o", "pid=,state=,ppid="]
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = [tuple(line.split()) for line in listing.splitlines()]
    return {int(pid): int(parent) for pid, state, parent in rows if not state.startswith("Z")}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it ended meanwhile
