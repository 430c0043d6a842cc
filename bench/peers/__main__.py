"""Handoff beside its peers. Run it with: python -m bench.peers --help."""

import time

import click

from bench.peers import mutations, reads, report
from bench.peers.laboratory import Effort, laboratory


@click.command()
@click.option("--turns", default=3, show_default=True, help="Of each way in each scenario.")
@click.option("--seconds", default=2.0, show_default=True, help="That count, in each turn.")
@click.option("--warm", default=0.5, show_default=True, help="Seconds before.")
@click.option("--connections", default=32, show_default=True, help="Each asks one thing at a time.")
@click.option("--changes", default=100.0, show_default=True, help="A second, in the account that changes.")
@click.option("--parts", default="reads,mutations", show_default=True, help="What is measured.")
def main(parts: str, turns: int, seconds: float, warm: float, connections: int, changes: float) -> None:
    """Measure Handoff beside its peers."""
    began = time.monotonic()
    with laboratory(Effort(turns, seconds, warm, connections)) as lab:
        if "reads" in parts:
            reads.measure(lab, changes=changes)
        if "mutations" in parts:
            mutations.measure(lab)
        click.echo(report.tables(lab))
    click.echo(f"It took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
