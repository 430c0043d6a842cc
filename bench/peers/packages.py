"""What peers need from npm, installed on demand into node_modules beside them, which git ignores."""

import fcntl
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent
_COMMAND = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
_PATIENCE = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Package:
    """A folder with a package.json and its lock."""

    folder: Path

    def install(self) -> None:
        """Install what the lock names, unless that was done.

        Raises:
            RuntimeError: npm is missing, or failed; the message holds what it said.
        """
        wanted = self.folder / "package-lock.json"
        with wanted.open() as lock:
            fcntl.flock(
                lock, fcntl.LOCK_EX
            )  # two runs side by side would each remove what the other installs
            done = self.folder / "node_modules" / ".package-lock.json"
            if not done.exists() or done.stat().st_mtime < wanted.stat().st_mtime:
                self._install()

    def _install(self) -> None:
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise RuntimeError("node and npm are needed for it")
        ran = subprocess.run(  # noqa: S603 (a fixed command)
            _COMMAND, cwd=self.folder, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
        if ran.returncode != 0:
            raise RuntimeError(f"npm ci failed:\n{ran.stderr[-2000:]}")


GRAPHQL = Package(_FOLDER / "node")
POSTGRAPHILE = Package(_FOLDER / "postgraphile")
