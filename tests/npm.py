"""The JavaScript programs of tests/e2e: clients as dashboards have them, and the audits of a package."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

E2E = Path(__file__).parent / "e2e"
PATIENCE = 90.0  #: seconds that an installation or a program may take


@dataclass(frozen=True, slots=True)
class Npm:
    """A folder with the programs and the packages that they need."""

    folder: Path

    def run(self, program: str, env: dict[str, str]) -> list[dict[str, Any]]:
        """Run a program to its end and return what it printed, a JSON object a line."""
        whole = {"PATH": os.environ["PATH"]} | env
        run = subprocess.run(
            ["node", program], cwd=self.folder, env=whole, capture_output=True, text=True, timeout=PATIENCE
        )
        assert (run.returncode, run.stderr) == (0, ""), run.stdout
        return [json.loads(line) for line in run.stdout.splitlines()]


def install(folder: Path) -> Npm:
    """Copy the programs to a folder and install what they need; without node, skip, but never in CI."""
    need_node("the programs of tests/e2e")
    shutil.copytree(E2E, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert installed.returncode == 0, installed.stderr
    return Npm(folder)


def need_node(what_for: str) -> None:
    """Skip where node or npm is missing, but never in CI."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        message = f"node and npm are needed for {what_for}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
