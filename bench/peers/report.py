"""What is printed and kept: a table for each scenario, in Markdown."""
# ruff: noqa: RUF001 (a range has an en dash, a ratio a multiplication sign)

import math
import statistics
from collections.abc import Callable
from pathlib import Path

from bench.peers import growth, machine, plots
from bench.peers.engines import POSTGRESQL
from bench.peers.laboratory import Laboratory, Result
from bench.peers.load import Sample
from bench.peers.ways import MERCURIUS, STRAWBERRY

#: The others are compared with these, where they were measured.
_BASES = (MERCURIUS, STRAWBERRY, POSTGRESQL, growth.way(growth.SMALL))
_COLUMNS = ("", "requests/s, median (min–max)", "p50 ms", "p99 ms", "CPU ms/request")


def tables(lab: Laboratory) -> str:
    """Return a table for each scenario, notes, and what could not be measured."""
    scenarios = dict.fromkeys(result.scenario for result in lab.results)
    parts = [table(scenario, [r for r in lab.results if r.scenario == scenario]) for scenario in scenarios]
    for head, lines in (("Notes", lab.notes), ("Not measured", lab.remarks)):
        if lines:
            parts.append("\n".join([f"{head}:\n", *(f"- {line}" for line in lines)]))
    return "\n\n".join(parts)


def table(scenario: str, results: list[Result]) -> str:
    """Return the table of one scenario, the quickest way first."""
    by_rate = sorted(results, key=lambda result: -_median(result, lambda sample: sample.rate))
    bases = [result for name in _BASES for result in results if result.way == name]
    head = [*_COLUMNS, *(f"× {base.way}" for base in bases)]
    rows = [head, ["---"] * len(head), *(_row(result, bases) for result in by_rate)]
    return "\n".join([f"**{scenario}**\n", *(f"| {' | '.join(row)} |" for row in rows)])


def ratio(result: Result, other: Result) -> float:
    """Return how many times as much one did, in the middle of the turns that both did; else NaN."""
    both = result.samples.keys() & other.samples.keys()
    ratios = [result.samples[turn].rate / other.samples[turn].rate for turn in both]
    return statistics.median(ratios) if ratios else math.nan


def _row(result: Result, bases: list[Result]) -> list[str]:
    rates = [sample.rate for sample in result.samples.values()]
    return [
        result.way,
        f"{statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
        f"{_median(result, lambda sample: sample.middle_ms):.1f}",
        f"{_median(result, lambda sample: sample.slow_ms):.1f}",
        f"{_median(result, lambda sample: sample.cpu_ms):.2f}",
        *(f"{ratio(result, base):.2f}" for base in bases),
    ]


def _median(result: Result, value: Callable[[Sample], float]) -> float:
    return statistics.median(value(sample) for sample in result.samples.values())


def write(lab: Laboratory, folder: Path) -> None:
    """Write tables, drawings and what it was measured on to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = "\n".join(f"- {name}: {fact}" for name, fact in machine.facts().items())
    effort = (
        f"{lab.effort.turns} turns of {lab.effort.seconds:g} s each, {lab.effort.connections} connections. "
        "A ratio is the median of those of the turns."
    )
    (folder / "peers.md").write_text(f"{facts}\n\n{effort}\n\n{tables(lab)}\n", encoding="utf-8")
    plots.draw(lab, folder)
