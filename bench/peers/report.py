"""What is printed: a table for each scenario, in Markdown."""
# ruff: noqa: RUF001 (a range has an en dash, a ratio a multiplication sign)

import statistics
from collections.abc import Callable

from bench.peers.laboratory import Laboratory, Result
from bench.peers.load import Sample
from bench.peers.ways import MERCURIUS, STRAWBERRY

_HEAD = (
    "| | requests/s, median (min–max) | p50 ms | p99 ms | CPU ms/request | × mercurius | × Strawberry |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


def tables(lab: Laboratory) -> str:
    """Return a table for each scenario, and what could not be measured."""
    scenarios = dict.fromkeys(result.scenario for result in lab.results)
    parts = [table(scenario, [r for r in lab.results if r.scenario == scenario]) for scenario in scenarios]
    remarks = [f"- {remark}" for remark in lab.remarks]
    return "\n\n".join([*parts, *(["Not measured:\n" + "\n".join(remarks)] if remarks else [])])


def table(scenario: str, results: list[Result]) -> str:
    """Return the table of one scenario, the quickest way first."""
    by_rate = sorted(results, key=lambda result: -_median(result, lambda sample: sample.rate))
    return "\n".join([f"**{scenario}**\n", _HEAD, *(_row(result, results) for result in by_rate)])


def ratio(result: Result, other: Result) -> float:
    """Return how many times as much one did, in the middle of the turns, each beside the other's."""
    pairs = zip(result.samples, other.samples, strict=False)
    return statistics.median(mine.rate / theirs.rate for mine, theirs in pairs)


def _row(result: Result, results: list[Result]) -> str:
    rates = [sample.rate for sample in result.samples]
    cells = [
        result.way,
        f"{statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
        f"{_median(result, lambda sample: sample.middle_ms):.1f}",
        f"{_median(result, lambda sample: sample.slow_ms):.1f}",
        f"{_median(result, lambda sample: sample.cpu_ms):.2f}",
        *(_beside(result, results, name) for name in (MERCURIUS, STRAWBERRY)),
    ]
    return f"| {' | '.join(cells)} |"


def _beside(result: Result, results: list[Result], name: str) -> str:
    other = next((each for each in results if each.way == name), None)
    return "–" if other is None else f"{ratio(result, other):.2f}"


def _median(result: Result, value: Callable[[Sample], float]) -> float:
    return statistics.median(value(sample) for sample in result.samples)
