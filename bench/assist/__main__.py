"""Print how good assessments are: `python -m bench.assist --assessor rules`."""

import asyncio
import importlib

import click

from assist.port import Assessor
from assist.rules import Rules
from bench.assist.runner import run
from bench.assist.scores import RATIOS, Score
from bench.assist.sessions import SETS


@click.command()
@click.option(
    "--assessor", default="rules", help="`rules`, or MODULE:NAME of a class or function that makes one."
)
@click.option("--set", "kept", type=click.Choice([*SETS, "all"]), default="all", help="Which sessions.")
@click.option("--remarks/--no-remarks", default=True, help="Say of each session what was wrong.")
def main(assessor: str, kept: str, remarks: bool) -> None:
    """Let an assessor assess the sessions with known answers, and print what it got right."""
    chosen = _assessor(assessor)
    click.echo(f"{chosen.name}\n")
    for name in SETS if kept == "all" else (kept,):
        total = Score()
        for session, counts in asyncio.run(run(chosen, name)):
            total.add(counts)
            click.echo(f"{session.name:32} {_line(counts)}")
            for remark in counts.remarks if remarks else ():
                click.echo(f"    {remark}")
        click.echo(f"\n{name}:")
        for ratio in RATIOS:
            click.echo(f"  {ratio.replace('_', ' '):24} {getattr(total, ratio)}")
        click.echo()


def _assessor(name: str) -> Assessor:
    if name == "rules":
        return Rules()
    module, _, attribute = name.partition(":")
    made: Assessor = getattr(importlib.import_module(module), attribute)()
    return made


def _line(counts: Score) -> str:
    cause = (
        "cause right"
        if counts.cause_recall.right
        else "cause wrong"
        if counts.cause_precision.of
        else "no cause"
    )
    tried = f"tried {counts.tried_recall.right}/{counts.tried_recall.of}"
    return f"{cause:12} {tried:10} traps avoided {counts.traps_avoided.right}/{counts.traps_avoided.of}"


if __name__ == "__main__":
    main()
