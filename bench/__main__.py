"""All measurements, one after the other, each to its end whatever became of the others: python -m bench."""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import click

#: What is measured, with what keeps it to minutes. One that this checkout lacks is passed over.
_BENCHES: dict[str, list[str]] = {
    "peers": [],
    "fanout": [],
    "latency": [],
    "writes": [],
    "mails": [],
    "statistics": ["--sessions", "20000", "--days", "400", "--runs", "5"],
    "assist": [],
}


@click.command()
@click.option(
    "--report",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("var/bench"),
    show_default=True,
    help="Where tables and drawings go.",
)
def main(folder: Path) -> None:
    """Measure everything; what each prints is kept in the folder, too."""
    folder.mkdir(parents=True, exist_ok=True)
    failed = [name for name in _BENCHES if not _run(name, folder)]
    if failed:
        raise click.ClickException(f"These failed: {', '.join(failed)}. See {folder}.")


def _run(name: str, folder: Path) -> bool:
    if importlib.util.find_spec(f"bench.{name}") is None:
        return True
    options = [*_BENCHES[name], *(["--report", str(folder)] if name == "peers" else [])]
    click.secho(f"python -m bench.{name} {' '.join(options)}", bold=True)
    began = time.monotonic()
    command = [sys.executable, "-m", f"bench.{name}", *options]
    with (
        (folder / f"{name}.txt").open("w", encoding="utf-8") as kept,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,  # noqa: S603
    ):
        assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
        for line in process.stdout:
            click.echo(line, nl=False)
            kept.write(line)
    click.echo(f"{time.monotonic() - began:.0f} s\n")
    return process.returncode == 0


if __name__ == "__main__":
    main()
