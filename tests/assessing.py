"""Assessors that say what a test wants, and what the API shows of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import update

from assist.assessing import Assessing
from assist.port import Assessor, Case, Draft, Evidence, Step
from assist.redaction import redact
from db.enums import ConfidenceTier
from db.models import assessments
from db.session import Database
from schema.context import utc_now
from tests.cast import Cast
from tests.client import Api, running_api
from tests.servers.smtp import SmtpServer

SAID = "Her password was changed on Monday, and the prompts began on Monday."
ASSESSMENT = """
query ($id: ID!) { handoff(id: $id) { assessment {
  status likelyCause confidence generatedBy generatedAt error verdict
  evidence { messageIndex branchId quote }
  suggestedSteps { text evidence { messageIndex branchId quote } }
  alreadyTried { text evidence { messageIndex branchId quote } }
} } }
"""
CITED = Evidence(quote="password was changed on Monday", message_index=0)
DRAFT = Draft(
    likely_cause="The old password is cached.",
    suggested_steps=(Step(text="Clear the Credential Manager", evidence=(CITED,)),),
    already_tried=(Step(text="Rebuilt the profile: no change", evidence=(CITED,)),),
    confidence=ConfidenceTier.MEDIUM,
    evidence=(CITED,),
)


class Told:
    """Says what it was told to, whatever the case is, and keeps the cases."""

    name = "told/1"

    def __init__(self, says: Draft | Exception = DRAFT) -> None:
        self.says = says
        self.cases: list[Case] = []

    async def assess(self, case: Case) -> Draft:
        """Say it."""
        self.cases.append(case)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@asynccontextmanager
async def assessed_api(
    database_url: str,
    cast: Cast,
    smtp: SmtpServer,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[Api]:
    """Run the application where escalations are assessed, by workers that the test runs."""
    url = f"smtp+plain://{smtp.host}:{smtp.port}"
    given = {"assessor": "rules"} | settings
    async with running_api(database_url, cast, smtp_url=url, **given) as api:
        yield api


def make_assessing(database: Database, assessor: Assessor, *, longest_seconds: float = 30) -> Assessing:
    """Make a worker's loop."""
    return Assessing(database, lambda _: assessor, redact, utc_now, longest_seconds=longest_seconds)


async def assess(api: Api, assessor: Assessor) -> int:
    """Make what is due, and return how many that were."""
    return await make_assessing(api.cast.database, assessor).assess_batch()


async def escalate(api: Api, *, said: str = SAID, **more: Any) -> str:  # noqa: ANN401
    """Let Alice escalate a session in which something was said, and return the handoff's id."""
    cast = api.cast
    session = await cast.start_session("Outlook asks for the password again and again", in_team=True)
    messages = [{"role": "USER", "content": said}]
    (
        await api.change(cast.alice, "appendSessionMessages", sessionId=str(session.id), messages=messages)
    ).only()
    return await api.escalate(cast.alice, session.id, **more)


async def assessment_of(api: Api, handoff_id: str) -> Any:  # noqa: ANN401
    """Return what a viewer sees of the assessment."""
    return (await api.ask(api.cast.vera, ASSESSMENT, id=handoff_id)).only()["assessment"]


async def change_assessment(database: Database, account_id: UUID, **values: object) -> None:
    """Set columns of the account's assessments behind the service's back."""
    async with database.transaction(account_id) as tx:
        await tx.execute(update(assessments).where(assessments.c.account_id == account_id).values(**values))
