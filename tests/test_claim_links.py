"""The link in a mail shows the handoff to whoever opens it; its button claims, once, for the recipient."""

import asyncio
import re
from collections import Counter
from urllib.parse import urlsplit

import pytest

from db.enums import HandoffPriority
from tests.client import Api
from tests.link_pages import claim_path, has_button, link_of, path_of, words
from tests.mailing import outbox_of
from tests.servers.smtp import SmtpServer
from tests.writers import only_reading

PATIENCE = 5.0  #: seconds; who waits for a writer of SQLite would wait for ten
HOSTILE = "</p><script>alert('notes')</script>\n<img src=x onerror=\"alert(1)\"> {{ 7 * 7 }} & done"
CREATED = ("HANDOFF_CREATED", "Alice", "escalated the session")
CLAIMED = ("HANDOFF_CLAIMED", "Bob", "claimed it")


async def escalate(api: Api, **given: str) -> str:
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id, **given)


async def test_the_link_of_a_mail_claims_for_its_recipient(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    await outbox_of(api.node.settings, cast.database).send_batch()
    (mail,) = (mail for mail in smtp.mails if mail.recipients == (cast.bob.email,))
    links = set()
    for kind in ("plain", "html"):
        body = mail.message.get_body((kind,))
        assert body is not None
        links.update(re.findall(r"http://[^\s\"]+/claim/[^\s\"]+", body.get_content()))
    (link,) = links

    page = await api.http.post(urlsplit(link).path)

    assert page.status_code == 200
    assert "It is yours since" in words(page)
    assert not has_button(page)
    handoff = await api.handoff(handoff_id)
    assert (handoff["state"], handoff["claimedBy"]["name"]) == ("CLAIMED", "Bob")
    assert handoff["session"]["escalatedTo"]["name"] == "Bob"
    assert await api.timeline(handoff_id) == [CREATED, CLAIMED]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_opening_the_link_changes_nothing(api: Api, method: str) -> None:
    path = await claim_path(api, api.cast.bob, await escalate(api))
    before = await api.cast.all_rows()

    pages = [await api.http.request(method, path) for _ in range(2)]

    assert [page.status_code for page in pages] == [200, 200]
    assert has_button(pages[0]) == (method == "GET")
    assert await api.cast.all_rows() == before


async def test_opening_the_link_waits_for_nobody_who_writes(api: Api) -> None:
    bob = api.cast.bob
    handoff_id = await escalate(api)
    path = await claim_path(api, bob, handoff_id)
    async with asyncio.timeout(PATIENCE), only_reading(api.cast.database, "briefings"):
        offered = await api.http.get(path)
    claimed = await api.http.post(path)

    async with asyncio.timeout(PATIENCE), only_reading(api.cast.database, "briefings"):
        again = await api.http.get(path)

    assert (offered.status_code, has_button(offered)) == (200, True)
    assert "Briefing PROBLEM" in words(claimed)
    assert words(again) == words(claimed)


async def test_the_page_shows_what_the_handoff_is_about(api: Api) -> None:
    handoff_id = await escalate(api, notes="Rebooted twice", priority=HandoffPriority.URGENT.name)

    page = await api.http.get(await claim_path(api, api.cast.bob, handoff_id))

    text = words(page)
    for said in (
        "VPN drops every hour",
        "Rebooted twice",
        "URGENT",
        "Northwind",
        "by Alice",
        "Claim it as Bob",
    ):
        assert said in text
    assert "Nothing happens before you press the button." in text


async def test_what_somebody_typed_is_text_on_the_page(api: Api) -> None:
    session = await api.cast.start_session('"><script>alert("problem")</script>')
    handoff_id = await api.escalate(api.cast.alice, session.id, notes=HOSTILE)
    await api.cast.change(api.cast.alice, name="<b>Alice</b>")

    page = await api.http.get(await claim_path(api, api.cast.bob, handoff_id))

    assert "<script" not in page.text
    assert "<img" not in page.text
    assert "<b>" not in page.text
    assert "&lt;script&gt;alert(&#39;notes&#39;)&lt;/script&gt;" in page.text
    assert "{{ 7 * 7 }} &amp; done" in page.text


async def test_the_winners_second_click_finds_its_claim_and_writes_nothing(api: Api) -> None:
    handoff_id = await escalate(api)
    path = await claim_path(api, api.cast.bob, handoff_id)
    first = await api.http.post(path)
    before = await api.cast.all_rows()

    second = await api.http.post(path)

    assert (first.status_code, second.status_code) == (200, 200)
    assert words(second) == words(first)
    assert await api.cast.all_rows() == before


async def test_of_twenty_clicks_at_once_one_claims(api: Api) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    paths = [await claim_path(api, user, handoff_id) for user in (cast.bob, cast.olivia, cast.adam)]

    pages = await asyncio.gather(*(api.http.post(path) for path in paths * 6))

    assert Counter(page.status_code for page in pages) == {200: 6, 409: 12}
    kinds = [kind for kind, *_ in await api.timeline(handoff_id)]
    assert kinds == ["HANDOFF_CREATED", "HANDOFF_CLAIMED"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whoever_comes_late_learns_who_has_it_and_since_when(api: Api, method: str) -> None:
    handoff_id = await escalate(api)
    await api.http.post(await claim_path(api, api.cast.bob, handoff_id))
    before = await api.cast.all_rows()

    page = await api.http.request(method, await claim_path(api, api.cast.olivia, handoff_id))

    assert page.status_code == (200 if method == "GET" else 409)
    claimed_at = (await api.handoff(handoff_id))["claimedAt"]
    time = f"{claimed_at[11:19]} UTC"
    assert re.search(rf"Bob has it since \d+ \w+ \d{{4}}, {time}\.", words(page))
    assert not has_button(page)
    assert await api.cast.all_rows() == before


async def test_after_a_release_the_link_is_used_up(api: Api) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    path = await claim_path(api, cast.bob, handoff_id)
    await api.http.post(path)
    await api.release(cast.bob, handoff_id)
    before = await cast.all_rows()

    shown, refused = await api.http.get(path), await api.http.post(path)

    assert (shown.status_code, refused.status_code) == (200, 409)
    for page in (shown, refused):
        assert "It is open again, but this link was used already. Sign in to claim it" in words(page)
        assert f'href="http://127.0.0.1:8000/handoffs/{handoff_id}"' in page.text
        assert not has_button(page)
    assert await cast.all_rows() == before


async def test_the_link_of_a_later_round_claims_again(api: Api) -> None:
    cast = api.cast
    handoff_id = await escalate(api)
    await api.http.post(await claim_path(api, cast.bob, handoff_id))
    await api.release(cast.bob, handoff_id)
    link = await link_of(api, cast.olivia, handoff_id)

    page = await api.http.post(path_of(api, link))

    assert (page.status_code, (await api.handoff(handoff_id))["claimedBy"]["name"]) == (200, "Olivia")
