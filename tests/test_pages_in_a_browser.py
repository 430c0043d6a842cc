"""The pages that people open, in a real browser: by keyboard, on a small phone, with nothing refused."""

import re
from collections.abc import AsyncIterator

import pytest

from tests.cast import Cast
from tests.link_pages import claim_path, quiet_path
from tests.live import Live, running_server
from tests.servers.browser import Page, browsing
from tests.servers.smtp import SmtpServer

LONG = "https://vpn.example.com/" + "a-path-that-has-no-place-to-break/" * 4
LINK = re.compile(r"http://127\.0\.0\.1:8000(/login/\S+)")
#: How far the words of a page's heading end from its right edge.
LEFT_ON_THE_RIGHT = """(() => {
  const heading = document.querySelector("main h1:not(noscript *)"), words = document.createRange();
  words.selectNodeContents(heading);
  return heading.getBoundingClientRect().right - words.getBoundingClientRect().right;
})()"""
#: How much of a page lies beyond the right edge of the window.
HIDDEN_WIDTH = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A tab of a browser, in which no page does what its policy forbids."""
    async with browsing() as page:
        yield page
        assert page.complaints == []


@pytest.fixture
async def live(database_url: str, cast: Cast, smtp: SmtpServer) -> AsyncIterator[Live]:
    """The application on a real server, which mails links to sign in."""
    async with running_server(database_url, cast, smtp_url=f"smtp+plain://{smtp.host}:{smtp.port}") as live:
        yield live


async def test_by_keyboard_alone_one_signs_in_at_a_handoff_and_claims_it(
    live: Live, smtp: SmtpServer, page: Page
) -> None:
    handoff_id = await live.escalate_new()
    await page.open(f"{live.http.base_url}/handoffs/{handoff_id}")
    await page.until("Sign in to see this handoff")

    await page.press("Tab")
    await page.type(live.cast.bob.email)
    await page.press("Enter")
    await page.until("a link to sign in is on its way")
    (mail,) = await smtp.arrival(1)
    link = LINK.search(next(iter(mail.message.iter_parts())).get_content())
    assert link is not None
    await page.open(f"{live.http.base_url}{link[1]}")
    await page.until("Nothing happens before you press the button.")
    await page.press("Tab", "Enter")
    await page.until("Nobody has it yet.")
    await page.press("Tab", "Enter")

    assert "It is yours since" in await page.until("FIRST THING TO DO")
    assert (await live.handoff(handoff_id))["claimedBy"]["name"] == "Bob"


async def test_the_button_of_a_mail_s_link_claims(live: Live, page: Page) -> None:
    handoff_id = await live.escalate_new()
    await page.open(f"{live.http.base_url}{await claim_path(live, live.cast.bob, handoff_id)}")
    await page.until("Claim it as Bob")

    await page.press("Tab", "Enter")

    await page.until("It is yours since")
    await page.say("Page.reload")
    await page.until("It is yours since")


async def test_no_page_is_wider_than_a_small_phone(live: Live, page: Page) -> None:
    cast, base = live.cast, live.http.base_url
    session = await cast.start_session(LONG)
    handoff_id = await live.escalate(cast.alice, session.id, notes=LONG)
    paths = {
        "/login": "Sign in to Handoff",
        "/login/spent": "Ask for a new one",
        "/claim/nothing": "This link is not valid",
        quiet_path(live, cast.bob): "Stop reminders",
        await claim_path(live, cast.bob, handoff_id): "Claim it as Bob",
    }

    for path, text in paths.items():
        await page.open(f"{base}{path}")
        await page.until(text)
        assert await page.value(HIDDEN_WIDTH) == 0, path
    await page.value(f"sessionStorage.setItem('token', '{live.token(cast.bob)}')")
    await page.open(f"{base}/handoffs/{handoff_id}")
    await page.until("Claim it")
    assert await page.value(HIDDEN_WIDTH) == 0


async def test_what_is_written_from_right_to_left_is_read_so(live: Live, page: Page) -> None:
    cast = live.cast
    session = await cast.start_session("VPN: \u0644\u0627 \u064a\u0639\u0645\u0644")
    arabic = await cast.start_session("\u0644\u0627 \u064a\u0639\u0645\u0644 VPN!")
    left, right = [
        await claim_path(live, cast.bob, await live.escalate(cast.alice, each.id))
        for each in (session, arabic)
    ]

    await page.open(f"{live.http.base_url}{left}")
    await page.until("Claim it as Bob")
    assert await page.value(LEFT_ON_THE_RIGHT) > 1
    await page.open(f"{live.http.base_url}{right}")
    await page.until("VPN!")
    assert abs(await page.value(LEFT_ON_THE_RIGHT)) < 1


async def test_whoever_is_signed_in_to_another_account_may_sign_in_anew(live: Live, page: Page) -> None:
    handoff_id = await live.escalate_new()
    await page.open(f"{live.http.base_url}/handoffs/{handoff_id}")
    await page.until("Sign in to see this handoff")

    await page.value(f"sessionStorage.setItem('token', '{live.token(live.cast.charlie)}')")
    await page.say("Page.reload")

    seen = await page.until("No handoff of your account has this id.")
    assert "Sign in to see this handoff" in seen


async def test_a_viewer_reads_a_handoff_and_is_shown_no_button(live: Live, page: Page) -> None:
    handoff_id = await live.escalate_new()
    await page.open(f"{live.http.base_url}/login")
    await page.until("Sign in to Handoff")
    await page.value(f"sessionStorage.setItem('token', '{live.token(live.cast.vera)}')")

    await page.open(f"{live.http.base_url}/handoffs/{handoff_id}")

    seen = await page.until("Nobody has it yet. To claim it takes an engineer or admin.")
    assert "Claim it" not in seen


async def test_what_is_no_answer_of_the_service_is_told_in_words(live: Live, page: Page) -> None:
    handoff_id = await live.escalate_new()
    await page.open(f"{live.http.base_url}/login")
    await page.until("Sign in to Handoff")
    await page.value(f"sessionStorage.setItem('token', '{live.token(live.cast.bob)}')")
    await page.open(f"{live.http.base_url}/handoffs/{handoff_id}")
    await page.until("Nobody has it yet.")

    await page.say("Network.enable")
    await page.say("Network.setBlockedURLs", urls=["*/graphql"])
    await page.press("Tab", "Enter")

    await page.until("The service cannot be reached. Try again.")
