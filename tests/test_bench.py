"""Every measurement runs once, tiny: what is compared answers and writes the same. No figure is looked at."""

import pytest

from bench.peers.ways import HANDOFF, READING_PEERS, WRITING_PEERS
from tests.benches import run_bench
from tests.npm import need_node

TINY = ["--turns", "1", "--seconds", "0.3", "--warm", "0.1", "--connections", "4", "--past", "2000"]

pytestmark = pytest.mark.timeout(300)  # longer than a measurement may take


def ways_in(report: str) -> list[set[str]]:
    """Return the ways in each table of a report."""
    tables = report.split("\n\n**")[1:]
    return [
        {row.split(" | ")[0].removeprefix("| ") for row in table.splitlines() if row.startswith("| ")}
        - {"", "---"}
        for table in tables
    ]


def test_all_peers_answer_the_queue_as_handoff_does() -> None:
    need_node("the peers in JavaScript")

    report = run_bench("peers", "--part", "reads", *TINY)

    named = {way.name for way in [HANDOFF, *READING_PEERS]}
    assert "Not measured" not in report
    assert [named <= ways for ways in ways_in(report)] == [True] * 4, report


def test_all_peers_write_what_handoff_writes() -> None:
    need_node("the peers in JavaScript")

    report = run_bench("peers", "--part", "mutations", *TINY)

    named = {way.name for way in [HANDOFF, *WRITING_PEERS]}
    assert "Not measured" not in report
    assert [named <= ways for ways in ways_in(report)] == [True] * 4, report


def test_both_engines_are_compared() -> None:
    report = run_bench("peers", "--part", "engines", *TINY)

    assert "Not measured" not in report
    assert ways_in(report) == [{"Handoff, PostgreSQL", "Handoff, SQLite"}] * 3


def test_a_small_account_is_compared_with_a_large_one() -> None:
    report = run_bench("peers", "--part", "growth", *TINY)

    assert "Not measured" not in report
    assert ways_in(report) == [{"1,000 handoffs", "2,000 handoffs"}] * 2


def test_statistics_are_measured() -> None:
    report = run_bench("statistics", "--sessions", "500", "--days", "400", "--runs", "1")

    assert "365 days, by TEAM" in report
