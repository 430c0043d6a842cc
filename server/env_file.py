"""The file `.env` in the working directory, as far as the service writes to it."""

import os
from pathlib import Path

NAME = ".env"


def append(line: str) -> None:
    """Add a line, behind the end of the last one; a new file is for its owner alone.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(NAME)
    is_cut = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(f"\n{line}" if is_cut else line)
