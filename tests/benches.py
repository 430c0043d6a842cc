"""The measurements of `bench/`, run as people run them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.servers.processes import COVERAGE_VARIABLES

ROOT = Path(__file__).parent.parent
_SECONDS = 280  #: up to eight servers start, and npm may have to install two of them


def run_bench(name: str, *options: str) -> str:
    """Run a measurement to its end and return what it printed.

    Coverage is not measured in it: what it starts is covered by other tests, and would take twice as long.
    """
    env = {name: value for name, value in os.environ.items() if name not in COVERAGE_VARIABLES}
    command = [sys.executable, "-m", f"bench.{name}", *options]
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=_SECONDS)
    assert run.returncode == 0, run.stderr
    return run.stdout
