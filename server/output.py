"""Where a command writes much: a file that is there only when it is whole, or standard output."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from resolvers.errors import BadInput


class Output:
    """Something to write to, whose faults are told in a sentence."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name

    def write(self, line: bytes) -> None:
        """Write.

        Raises:
            BadInput: it cannot be written to, or nobody reads it any more.
        """
        with _explained(self._name):
            self._stream.write(line)

    def finish(self) -> None:
        """Let what was written reach the disk, or whoever reads.

        Raises:
            BadInput: as `write`.
        """
        with _explained(self._name):
            self._stream.flush()
            with contextlib.suppress(OSError):  # a pipe or a terminal has no disk
                os.fsync(self._stream.fileno())


@contextlib.contextmanager
def writing(file: Path | None, standard_output: BinaryIO) -> Iterator[Output]:
    """Open FILE.part for writing, and make it FILE when the block ends; standard output where there is none.

    Where the block fails FILE is as it was before, and FILE.part is removed. Only its owner may read it.

    Raises:
        BadInput: it cannot be written.
    """
    if file is None:
        output = Output(standard_output, "Standard output")
        yield output
        output.finish()
        return
    if file.exists() and not file.is_file():
        raise BadInput(f"{file} is no file that could be replaced.")  # a device would be gone
    part = file.with_name(f"{file.name}.part")
    with _explained(str(part)):
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            output = Output(stream, str(part))
            yield output
            output.finish()
        with _explained(str(file)):
            part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # What is still buffered would fail once more, with a traceback, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BadInput(f"{name} is not read any more; what was written is not whole.") from None
    except OSError as error:
        raise BadInput(f"{name} cannot be written: {error.strerror}.") from None
