"""Whoever opens the service in a browser is told how to sign in, and comes back to where they were."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.cast import Cast
from tests.client import Api, running_api
from tests.link_pages import words
from tests.servers.provider import AUDIENCE, ISSUER
from tests.servers.smtp import SmtpServer

HANDOFF_ID = UUID("01a22c74-0eba-762d-9777-5e443974e37f")
LINK = re.compile(r"http://127\.0\.0\.1:8000(/login/\S+)")
NO_LINKS = "No links to sign in are mailed here"


async def get(api: Api, path: str) -> httpx.Response:
    """Open a page as a browser does."""
    return await api.http.get(path, headers={"Accept": "text/html"}, follow_redirects=True)


async def mailed_link(api: Api, smtp: SmtpServer, **more: object) -> str:
    """Ask for a link as Alice, as the pages do, and return its path."""
    asked = await api.http.post("/login", json={"email": api.cast.alice.email, **more})
    assert asked.status_code == 202
    (mail,) = await smtp.arrival(1)
    text = next(iter(mail.message.iter_parts())).get_content()
    match = LINK.search(text)
    assert match is not None
    return match[1]


@pytest.mark.parametrize(("demo", "there"), [(True, "/graphql"), (False, "/login")])
async def test_the_front_door_leads_to_a_page(database_url: str, cast: Cast, demo: bool, there: str) -> None:
    async with running_api(database_url, cast, demo=demo) as api:
        page = await get(api, "/")

    assert (page.status_code, page.url.path) == (200, there)
    assert page.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/login", f"/handoffs/{HANDOFF_ID}"])
async def test_a_page_asks_for_the_address_and_loads_nothing_from_elsewhere(api: Api, path: str) -> None:
    page = await get(api, path)

    assert page.status_code == 200
    assert 'id="by-mail"' in page.text
    assert 'type="email"' in page.text
    assert NO_LINKS not in page.text
    assert re.findall(r"""(?:src|href)=["']""", page.text) == []
    assert re.search("<noscript>.*needs JavaScript", page.text)
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("rest", [str(HANDOFF_ID)[:20], f"{HANDOFF_ID})"])
async def test_a_broken_link_to_a_handoff_is_answered_with_what_to_do(api: Api, rest: str) -> None:
    page = await get(api, f"/handoffs/{rest}")

    assert page.status_code == 404
    assert "This link is not valid" in page.text
    assert "Open the whole link from the mail, or sign in." in page.text
    assert 'href="/login"' in page.text
    assert (await get(api, f"/handoffs/{HANDOFF_ID}/")).url.path == f"/handoffs/{HANDOFF_ID}"


async def test_of_all_scripts_only_its_own_runs_on_a_page(api: Api, smtp: SmtpServer) -> None:
    asking = await get(api, "/login")
    signed_in = await api.http.post(await mailed_link(api, smtp))
    of_a_handoff = await get(api, f"/handoffs/{HANDOFF_ID}")

    for page in (asking, signed_in, of_a_handoff):
        (script,) = re.findall(r"<script>(.*?)</script>", page.text, flags=re.DOTALL)
        digest = b64encode(sha256(script.encode()).digest()).decode()
        policy = page.headers["content-security-policy"].split("; ")
        assert f"script-src 'sha256-{digest}'" in policy
        assert "default-src 'none'" in policy
        assert page.headers["cache-control"] == "no-store"


async def test_a_link_that_was_asked_for_at_a_handoff_leads_back_to_it_signed_in(
    api: Api, smtp: SmtpServer
) -> None:
    path = await mailed_link(api, smtp, handoffId=str(HANDOFF_ID))
    shown = await get(api, path)

    page = await api.http.post(path)  # as the form does, which names no other address

    assert '<form method="post">' in shown.text
    assert f'<a id="handoff" href="/handoffs/{HANDOFF_ID}">' in page.text
    token = re.search(r'id="token">([^<]+)<', page.text)
    assert token is not None
    assert (await api.ask_with(token[1], "{ me { name } }")).only() == {"name": "Alice"}
    # Where the page of a handoff looks for it.
    assert 'sessionStorage.setItem("token", document.getElementById("token")' in page.text
    assert 'sessionStorage.getItem("token")' in (await get(api, f"/handoffs/{HANDOFF_ID}")).text
    assert "location.replace(handoff.href)" in page.text


@pytest.mark.parametrize(
    ("query", "there"), [("", "/login"), (f"?handoff={HANDOFF_ID}", f"/handoffs/{HANDOFF_ID}")]
)
async def test_a_link_that_was_used_leads_on(api: Api, smtp: SmtpServer, query: str, there: str) -> None:
    path = f"{(await mailed_link(api, smtp))}{query}"
    await api.http.post(path)

    pages = [await get(api, path), await api.http.post(path)]

    for page in pages:
        assert page.status_code == 410
        assert f'href="{there}"' in page.text


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", 7, ""]
)
async def test_a_link_leads_nowhere_but_to_a_handoff(api: Api, smtp: SmtpServer, elsewhere: object) -> None:
    path = await mailed_link(api, smtp, handoffId=elsewhere)

    page = await api.http.post(path, params={"handoff": str(elsewhere)})

    assert "?" not in path
    assert page.status_code == 200
    assert "<a " not in page.text


async def test_where_an_identity_provider_signs_people_in_the_pages_say_so(
    database_url: str, cast: Cast, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    file.touch()
    settings = {"jwks": str(file), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}

    async with running_api(database_url, cast, **settings) as api:
        pages = [await get(api, path) for path in ("/login", f"/handoffs/{HANDOFF_ID}")]

    for page in pages:
        assert page.status_code == 200
        assert NO_LINKS in words(page)
        assert "by-mail" not in re.sub(r"<script>.*</script>", "", page.text, flags=re.DOTALL)
