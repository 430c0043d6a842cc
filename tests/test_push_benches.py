"""The benches of what is pushed run, and tell what they measure. How long it takes is not asked."""

import pytest

from tests.benches import run_bench

pytestmark = pytest.mark.timeout(300)  # longer than a measurement may take


def test_every_way_tells_every_dashboard() -> None:
    ways = "product,for each,uvicorn"
    lines = run_bench(
        "fanout", "--dashboards", "6", "--events", "2", "--turns", "1", "--frozen", "2", "--ways", ways
    ).splitlines()

    assert [line.split(" | ")[:2] for line in lines[1:]] == [
        ["product", "6"],
        ["for each", "6"],
        ["uvicorn", "6"],
        ["product, 2 frozen", "6"],
    ]
    assert all(len(line.split(" | ")) == len(lines[0].split(" | ")) for line in lines)


def test_every_escalation_reaches_the_other_node() -> None:
    said = run_bench("latency", "--rate", "20", "--seconds", "1", "--dashboards", "2", "--turns", "1")

    assert [line.partition(":")[0] for line in said.splitlines()] == ["from the request", "from the answer"]
