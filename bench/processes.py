"""Processes that are measured: pinned to a core, with what they cost."""

import os
import resource
from pathlib import Path

#: The server has one core, and all else the other: clients, database.
SERVER_CORE, OTHER_CORE = 0, 1
_FILES = 20_000  #: sockets and what else a process has open


def prepare() -> None:
    """Let this process and all that it starts open many files, on the other core."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, most), most))
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {OTHER_CORE})


def pin(pid: int, core: int = SERVER_CORE) -> None:
    """Give every thread of a process one core."""
    if (os.cpu_count() or 1) > 1:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


def cpu_seconds(pid: int) -> float:
    """Return how long the threads of a process have run."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def memory(pid: int) -> float:
    """Return the resident memory of a process in KB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise LookupError(pid)
