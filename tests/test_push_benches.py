"""The benches of what is pushed run, and tell what they measure. How long it takes is not asked."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_way_tells_every_dashboard() -> None:
    ways = "product,for each,uvicorn"
    lines = run(
        "fanout", "--dashboards", "6", "--events", "2", "--turns", "1", "--frozen", "2", "--ways", ways
    )

    assert [line.split(" | ")[:2] for line in lines[1:]] == [
        ["product", "6"],
        ["for each", "6"],
        ["uvicorn", "6"],
        ["product, 2 frozen", "6"],
    ]
    assert all(len(line.split(" | ")) == len(lines[0].split(" | ")) for line in lines)


def test_every_escalation_reaches_the_other_node() -> None:
    lines = run("latency", "--rate", "20", "--seconds", "1", "--dashboards", "2", "--turns", "1")

    assert [line.partition(":")[0] for line in lines] == ["from the request", "from the answer"]


def run(bench: str, *options: str) -> list[str]:
    """Run a bench to its end and return what it says."""
    command = [sys.executable, "-m", f"bench.{bench}", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()
