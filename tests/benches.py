"""The measurements of `bench/`, run as people run them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_SECONDS = 280  #: up to eight servers start, and npm may have to install two of them


def run_bench(name: str, *options: str) -> str:
    """Run a measurement to its end and return what it printed."""
    command = [sys.executable, "-m", f"bench.{name}", *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS)
    assert run.returncode == 0, run.stderr
    return run.stdout
