"""The links in mails, signed for tests, and what a reader sees of the pages behind them."""

import re
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from db.users import UserRow
from schema.context import utc_now
from server.links import ClaimLink
from server.process import make_links
from tests.client import Api
from tests.mailing import mails_of


async def link_of(api: Api, user: UserRow, handoff_id: str) -> ClaimLink:
    """Return what stands in the link of the mail to the user."""
    mails = await mails_of(api.cast.database, user.account_id, handoff_id)
    return ClaimLink(user.account_id, user.id, UUID(handoff_id), mails[user.id].id)


def path_of(api: Api, link: ClaimLink, *, days_ago: int = 0) -> str:
    """Return the path of a claim link that was signed some days ago."""
    now = utc_now() - timedelta(days=days_ago)
    return urlsplit(make_links(api.node.settings).claim(link, now=now)).path


async def claim_path(api: Api, user: UserRow, handoff_id: str) -> str:
    """Return the path of the link in the mail to the user."""
    return path_of(api, await link_of(api, user, handoff_id))


def quiet_path(api: Api, user: UserRow, *, days_ago: int = 0) -> str:
    """Return the path of a link, signed some days ago, that turns the user's reminders off."""
    now = utc_now() - timedelta(days=days_ago)
    return urlsplit(make_links(api.node.settings).quiet(user.account_id, user.id, now=now)).path


def words(page: httpx.Response) -> str:
    """Return what a reader sees of a page."""
    text = re.sub(r"<style>.*?</style>|<title>.*?</title>|<[^>]*>", " ", page.text, flags=re.DOTALL)
    return re.sub(r"\s+([.,])", r"\1", " ".join(text.split()))


def has_button(page: httpx.Response) -> bool:
    """Tell whether the page offers to act."""
    return "<form" in page.text
