"""Handoff beside its peers. Run it with: python -m bench.peers --help."""

import time
from pathlib import Path

import click
from asyncpg import PostgresError

from bench.peers import engines, growth, mutations, reads, report
from bench.peers.laboratory import Effort, Laboratory, laboratory

_PARTS = ("reads", "mutations", "engines", "growth")


@click.command()
@click.option("--part", "parts", type=click.Choice(_PARTS), multiple=True, help="Not all, but these.")
@click.option("--turns", default=3, show_default=True, help="Of each way in each scenario.")
@click.option("--seconds", default=1.5, show_default=True, help="That count, in each turn.")
@click.option("--warm", default=0.4, show_default=True, help="Seconds before.")
@click.option("--connections", default=32, show_default=True, help="Each asks one thing at a time.")
@click.option("--changes", default=100.0, show_default=True, help="A second, in the account that changes.")
@click.option("--past", default=1_000_000, show_default=True, help="Handoffs of the large account.")
@click.option("--report", "folder", type=click.Path(path_type=Path), help="Where tables and drawings go.")
def main(
    parts: tuple[str, ...],
    turns: int,
    seconds: float,
    warm: float,
    connections: int,
    changes: float,
    past: int,
    folder: Path | None,
) -> None:
    """Measure Handoff beside its peers: the same tables, rows, writes and cores."""
    began = time.monotonic()
    with laboratory(Effort(turns, seconds, warm, connections)) as lab:
        try:
            for part in parts or _PARTS:
                _measure(lab, part, changes, past)
        finally:
            click.echo(f"\n{report.tables(lab)}\n\nIt took {time.monotonic() - began:.0f} s.")
            if folder is not None:
                report.write(lab, folder)


def _measure(lab: Laboratory, part: str, changes: float, past: int) -> None:
    """Measure a part; whatever ends it early is remarked upon, and the next begins."""
    try:
        match part:
            case "reads":
                reads.measure(lab, changes=changes)
            case "mutations":
                mutations.measure(lab)
            case "engines":
                engines.measure(lab)
            case _:
                growth.measure(lab, past=past)
    except (OSError, RuntimeError, AssertionError, PostgresError) as error:
        lab.remark(f"{part}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
