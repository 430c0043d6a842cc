"""Print how good assessments are: `python -m bench.assist --assessor rules`."""

import asyncio
import importlib
from collections.abc import Iterable

import click

from assist.port import Assessor
from assist.redaction import redact
from assist.rules import Rules
from bench.assist.runner import run
from bench.assist.scores import RATIOS, Score
from bench.assist.sessions import SETS, Session
from server.assessors import make_llm_assessor
from server.settings import Settings


@click.command()
@click.option(
    "--assessor",
    default="rules",
    help="`rules`; `llm`, the model of the HANDOFF_LLM_ settings; or MODULE:NAME of what makes one.",
)
@click.option("--set", "kept", type=click.Choice([*SETS, "all"]), default="all", help="Which sessions.")
@click.option("--remarks/--no-remarks", default=True, help="Say of each session what was wrong.")
def main(assessor: str, kept: str, remarks: bool) -> None:
    """Let an assessor assess the sessions with known answers, and print what it got right."""
    chosen = _assessor(assessor)
    click.echo(f"{chosen.name}\n")
    for name, scores in asyncio.run(_scores(chosen, SETS if kept == "all" else [kept])).items():
        total = Score()
        for session, counts in scores:
            total.add(counts)
            click.echo(f"{session.name:32} {_line(counts)}")
            for remark in counts.remarks if remarks else ():
                click.echo(f"    {remark}")
        click.echo(f"\n{name}:")
        for ratio in RATIOS:
            click.echo(f"  {ratio.replace('_', ' '):24} {getattr(total, ratio)}")
        click.echo()


async def _scores(assessor: Assessor, names: Iterable[str]) -> dict[str, list[tuple[Session, Score]]]:
    """Run an assessor over sets, all in one loop: it may hold connections."""
    return {name: await run(assessor, name) for name in names}


def _assessor(name: str) -> Assessor:
    if name == "rules":
        return Rules()
    if name == "llm":
        return make_llm_assessor(Settings.load(), redact=redact)
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
