"""The modules that are shipped, as the laws look at them."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("schema", "resolvers", "notify", "assist", "db", "server")


def modules() -> Iterator[Path]:
    """Yield every module that is shipped, but the migrations: they are written once and stay."""
    for package in PACKAGES:
        yield from (file for file in (ROOT / package).rglob("*.py") if "migrations" not in file.parts)


def tree_of(file: Path) -> ast.Module:
    """Parse a module."""
    return ast.parse(file.read_text(encoding="utf-8"))


def name_of(file: Path) -> str:
    """Return a file's path inside the repository."""
    return file.relative_to(ROOT).as_posix()
