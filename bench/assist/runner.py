"""Runs an assessor over the sessions with known answers."""

from assist.port import Assessor
from bench.assist.scores import Score, score
from bench.assist.sessions import Session, load


async def run(assessor: Assessor, kept: str) -> list[tuple[Session, Score]]:
    """Return the score of each session of a set, one of `SETS`.

    Raises:
        AssessmentError: the assessor cannot assess one of them.
    """
    sessions = [session for session in load() if session.kept == kept]
    return [(session, score(session, await assessor.assess(session.case))) for session in sessions]
