"""`handoff import`: sessions from JSON Lines, a transaction for each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from db.session import Database
from db.users import UserRow
from resolvers import imports, transcripts
from resolvers.errors import BadInput
from resolvers.imports import AlreadyIn
from resolvers.transcripts import Transcript
from schema.context import utc_now

#: The longest line that is read, in bytes: it is held in memory as a whole.
LONGEST_LINE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of an import while it runs."""

    advance: Callable[[int], None]  #: so many bytes more are done
    complain: Callable[[int, str], None]  #: the line with this number cannot be taken, and why


@dataclass(slots=True)
class Tally:
    """What became of the lines of a file."""

    imported: int = 0
    known: int = 0  #: in already
    others: int = 0  #: records of an export that are no sessions
    bad: int = 0

    def sentence(self, *, dry_run: bool) -> str:
        """Return all of it for a person."""
        done = "Would import" if dry_run else "Imported"
        return (
            f"{done} {_many(self.imported, 'session')}; {self.known} in already, "
            f"{_many(self.others, 'record')} of other kinds, {_many(self.bad, 'bad line')}."
        )


async def import_sessions(
    database: Database, owner: UserRow, file: BinaryIO, listener: Listener, *, dry_run: bool
) -> Tally:
    """Store the sessions of a file as the owner's; with `dry_run`, only read and check them.

    Raises:
        BadInput: the owner may not have sessions.
    """
    if not owner.is_responder:
        raise BadInput(
            f"Sessions belong to active owners, admins and engineers, and {owner.email} is none of them."
        )
    tally, seen = Tally(), set[str]()
    for number, line, length in _lines(file):
        try:
            transcript = _read(line)
        except BadInput as refusal:
            tally.bad += 1
            listener.complain(number, str(refusal))
        else:
            if transcript is None:
                tally.others += 1
            elif await _take(database, owner, transcript, seen if dry_run else None):
                tally.imported += 1
            else:
                tally.known += 1
        listener.advance(length)
    return tally


async def _take(database: Database, owner: UserRow, transcript: Transcript, seen: set[str] | None) -> bool:
    """Store a session; False where it is in already. `seen`: only check, and remember what was checked."""
    if seen is not None:
        async with database.reading(owner.account_id) as tx:
            is_new = transcript.source not in seen and not await imports.is_in(tx, transcript)
        seen.add(transcript.source)
        return is_new
    try:
        async with database.transaction(owner.account_id) as tx:
            await imports.store(tx, owner, transcript, now=utc_now())
    except AlreadyIn:
        return False
    return True


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None, int]]:
    """Yield number, text and length of each line that is not empty; None for the text of one too long."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        length, is_whole = len(line), len(line) <= LONGEST_LINE
        while not is_whole and not line.endswith(b"\n") and (line := file.readline(LONGEST_LINE)):
            length += len(line)
        if not is_whole or line.strip():
            yield number, line.removeprefix(b"\xef\xbb\xbf") if is_whole else None, length


def _read(line: bytes | None) -> Transcript | None:
    """Return the session of a line, None where it holds none.

    Raises:
        BadInput: it cannot be read.
    """
    if line is None:
        raise BadInput(f"it is longer than {LONGEST_LINE:,} bytes.")
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"it is no JSON: {error.msg}, column {error.colno}.") from None
    return transcripts.read(record, now=utc_now())


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
