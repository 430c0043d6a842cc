"""The mails of an escalation wait a little for its assessment, and never longer."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from assist.port import AssessmentError
from schema.context import utc_now
from tests.assessing import SAID, Told, assess, assessed_api, change_assessment, escalate
from tests.cast import Cast
from tests.client import Api
from tests.mailing import make_outbox
from tests.servers.smtp import ReceivedMail, SmtpServer


@pytest.fixture
async def assessed(database_url: str, cast: Cast, smtp: SmtpServer) -> AsyncIterator[Api]:
    """The application, which asks for assessments, for which mails wait."""
    async with assessed_api(database_url, cast, smtp, assessment_wait=60) as api:
        yield api


async def test_mails_wait_for_the_assessment_and_hold_it(assessed: Api, smtp: SmtpServer) -> None:
    outbox = make_outbox(assessed.cast.database, smtp)
    await escalate(assessed)

    before = await outbox.send_batch()
    await assess(assessed, Told())
    after = await outbox.send_batch()

    assert (before, after, len(smtp.mails)) == (0, 3, 3)
    for words in words_of(smtp.mails[0]):
        assert "The old password is cached." in words
        assert "1. Clear the Credential Manager" in words
        assert "Rebuilt the profile: no change" in words
        assert "Confidence: medium. By told/1, not by a person." in words
        assert "What was tried" not in words  # but for branches, of which there are none


async def test_mails_go_without_it_when_the_wait_is_over(assessed: Api, smtp: SmtpServer) -> None:
    cast = assessed.cast
    await escalate(assessed)
    await change_assessment(cast.database, cast.account_id, mails_wait_until=utc_now() - timedelta(seconds=1))

    sent = await make_outbox(cast.database, smtp).send_batch()

    assert (sent, len(smtp.mails)) == (3, 3)
    assert "Likely cause" not in words_of(smtp.mails[0])[0]


async def test_mails_do_not_wait_for_one_that_failed(assessed: Api, smtp: SmtpServer) -> None:
    await escalate(assessed)
    await assess(assessed, Told(AssessmentError("no provider")))

    assert await make_outbox(assessed.cast.database, smtp).send_batch() == 3


async def test_who_escalated_is_told_of_the_claim_at_once(assessed: Api, smtp: SmtpServer) -> None:
    handoff_id = await escalate(assessed)
    await assessed.claim(assessed.cast.bob, handoff_id)

    await make_outbox(assessed.cast.database, smtp).send_batch()

    (mail,) = smtp.mails
    assert mail.recipients == (assessed.cast.alice.email,)
    assert "Claimed by Bob" in mail.message["Subject"]


async def test_secrets_leave_in_no_mail(database_url: str, cast: Cast, smtp: SmtpServer) -> None:
    secret = "Sommer2026!x"
    async with assessed_api(database_url, cast, smtp, assessor="off") as api:
        await escalate(api, said=SAID, notes=f"Her password is {secret}, the host is mail01")

        await make_outbox(cast.database, smtp).send_batch()

    for words in words_of(smtp.mails[0]):
        assert secret not in words
        assert "[password removed]" in words
        assert "mail01" in words


def words_of(mail: ReceivedMail) -> list[str]:
    """Return the words of the text and of the page, each in one line."""
    found = []
    for kind in ("plain", "html"):
        body = mail.message.get_body((kind,))
        assert body is not None
        found.append(" ".join(body.get_content().split()))
    return found
