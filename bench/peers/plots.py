"""A drawing of each scenario, in SVG: bars from the quickest down, with the spread of the turns."""

import re
import statistics
from pathlib import Path
from xml.sax.saxutils import escape

from bench.peers.laboratory import Laboratory, Result
from bench.peers.ways import LIMIT

_ROW, _LEFT, _WIDTH, _RIGHT, _TOP = 26, 230, 380, 110, 34
_OURS, _THEIRS = "#2563eb", "#94a3b8"


def draw(lab: Laboratory, folder: Path) -> None:
    """Write a file for each scenario; the load's own limit would dwarf all else."""
    shown = [result for result in lab.results if result.way != LIMIT.name]
    for scenario in dict.fromkeys(result.scenario for result in shown):
        path = folder / f"{re.sub('[^a-z0-9]+', '-', scenario.lower()).strip('-')}.svg"
        path.write_text(bars(scenario, [r for r in shown if r.scenario == scenario]), encoding="utf-8")


def bars(title: str, results: list[Result]) -> str:
    """Return the drawing of one scenario."""
    rates = {result.way: sorted(sample.rate for sample in result.samples.values()) for result in results}
    most = max(each[-1] for each in rates.values())
    ranked = sorted(rates.items(), key=lambda pair: -statistics.median(pair[1]))
    height = _TOP + _ROW * len(ranked) + 8
    width = _LEFT + _WIDTH + _RIGHT
    rows = "".join(_row(place, way, each, most) for place, (way, each) in enumerate(ranked))
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
        'font-family="system-ui, sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text x="8" y="20" font-weight="600">{escape(title)}: requests a second</text>{rows}</svg>\n'
    )


def _row(place: int, way: str, rates: list[float], most: float) -> str:
    y, middle = _TOP + place * _ROW, statistics.median(rates)
    colour = _OURS if way.startswith("Handoff") else _THEIRS
    low, high, end = (_LEFT + rate / most * _WIDTH for rate in (rates[0], rates[-1], middle))
    return (
        f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(way)}</text>'
        f'<rect x="{_LEFT}" y="{y + 3}" width="{end - _LEFT:.1f}" height="16" fill="{colour}"/>'
        f'<path d="M{low:.1f} {y + 11}H{high:.1f}" stroke="#0f172a"/>'
        f'<text x="{max(high, end) + 6:.1f}" y="{y + 15}">{middle:,.0f}</text>'
    )
