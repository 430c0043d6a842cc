"""Which core a process runs on, and how long it has run. Both need Linux; elsewhere nothing is pinned."""

import contextlib
import os
import sys
from pathlib import Path

SERVER_CORE = 0
LOAD_CORE = 1


def pin(core: int, pid: int = 0) -> None:
    """Keep a process, by default this one, with its threads on a core, if there is more than one."""
    if sys.platform != "linux" or (os.cpu_count() or 1) <= core or (os.cpu_count() or 1) < 2:
        return
    for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # a thread that has ended meanwhile
            os.sched_setaffinity(int(task.name), {core})


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed, with its threads; 0 where /proc does not tell.

    Source: proc(5), /proc/pid/stat: fields 14 and 15 are the time in user and in kernel mode, in ticks.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
