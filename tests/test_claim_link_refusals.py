"""A link in a mail is good for one person, one purpose and some days, and asks again what they may do."""

import pytest

from db.enums import Role
from schema.context import utc_now
from server.links import ClaimLink
from tests.client import CLAIM, Api
from tests.link_pages import claim_path, has_button, link_of, path_of, quiet_path, words


async def escalate(api: Api, **given: str) -> str:
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id, **given)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("kind", ["claim", "quiet", "invalid"])
async def test_no_cache_keeps_a_page_and_no_site_learns_its_address(api: Api, kind: str, method: str) -> None:
    handoff_id = await escalate(api)
    paths = {
        "claim": await claim_path(api, api.cast.bob, handoff_id),
        "quiet": quiet_path(api, api.cast.bob),
        "invalid": "/claim/nothing",
    }

    page = await api.http.request(method, paths[kind])

    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    )
    assert page.headers["content-type"] == "text/html; charset=utf-8"


async def test_whoever_is_a_viewer_by_now_cannot_claim(api: Api) -> None:
    handoff_id = await escalate(api)
    path = await claim_path(api, api.cast.bob, handoff_id)
    await api.cast.change(api.cast.bob, role=Role.VIEWER)
    before = await api.cast.all_rows()

    shown, refused = await api.http.get(path), await api.http.post(path)

    assert (shown.status_code, refused.status_code) == (200, 403)
    for page in (shown, refused):
        assert "You cannot claim it. Engineer or admin access required." in words(page)
        assert not has_button(page)
    assert await api.cast.all_rows() == before


@pytest.mark.parametrize(
    "change", [{"active": False}, {"deleted_at": utc_now()}], ids=["inactive", "deleted"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whoever_may_not_sign_in_any_more_sees_nothing(
    api: Api, change: dict[str, object], method: str
) -> None:
    path = await claim_path(api, api.cast.bob, await escalate(api, notes="the admin password is hunter2"))
    await api.cast.change(api.cast.bob, **change)
    before = await api.cast.all_rows()

    page = await api.http.request(method, path)

    assert page.status_code == 403
    assert words(page) == (
        "This is not possible This user cannot sign in any more. Ask an admin of the account."
    )
    assert await api.cast.all_rows() == before


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_closed_handoff_is_shown_as_closed(api: Api, method: str) -> None:
    cast = api.cast
    session = await cast.start_session()
    handoff_id = await api.escalate(cast.alice, session.id)
    path = await claim_path(api, cast.bob, handoff_id)
    assert not (await api.change(cast.alice, "resolveSession", sessionId=str(session.id))).errors
    before = await cast.all_rows()

    page = await api.http.request(method, path)

    assert page.status_code == (200 if method == "GET" else 409)
    assert "It is closed. The session was resolved or handed off again." in words(page)
    assert not has_button(page)
    assert await cast.all_rows() == before


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "kind", ["expired", "tampered", "unsigned", "quiet link", "token of a session", "text"]
)
async def test_a_link_that_is_not_valid_shows_nothing_and_does_nothing(
    api: Api, kind: str, method: str
) -> None:
    cast = api.cast
    handoff_id = await escalate(api, notes="the admin password is hunter2")
    link = await link_of(api, cast.bob, handoff_id)
    head, body, signature = path_of(api, link).split(".")
    _, other_body, _ = path_of(api, await link_of(api, cast.olivia, handoff_id)).split(".")
    path = {
        "expired": path_of(api, link, days_ago=4),
        "tampered": f"{head}.{other_body}.{signature}",
        "unsigned": f"{head}.{body}.",
        "quiet link": quiet_path(api, cast.bob).replace("/quiet/", "/claim/"),
        "token of a session": f"/claim/{api.token(cast.bob)}",
        "text": "/claim/%C3%BC%00..",
    }[kind]
    before = await cast.all_rows()

    page = await api.http.request(method, path)

    if kind == "expired":
        assert page.status_code == 410
        assert words(page) == (
            "This link has expired Links in mails are valid for a few days. "
            "Sign in to see what became of the handoff. Open the handoff"
        )
        assert f'href="/handoffs/{handoff_id}"' in page.text
    else:
        assert page.status_code == 404
        assert words(page) == "This link is not valid Open the whole link from the mail, or sign in. Sign in"
        assert 'href="/login"' in page.text
    assert await cast.all_rows() == before


async def test_a_link_is_no_token_of_the_api(api: Api) -> None:
    handoff_id = await escalate(api)
    path = await claim_path(api, api.cast.bob, handoff_id)

    answer = await api.ask_with(path.removeprefix("/claim/"), CLAIM, id=handoff_id)

    assert (answer.data, answer.codes) == (None, ["UNAUTHENTICATED"])


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("which", ["other account's person", "other account"])
async def test_a_link_reaches_only_its_own_account(api: Api, method: str, which: str) -> None:
    cast = api.cast
    own = await link_of(api, cast.bob, await escalate(api))
    recipient_id = cast.charlie.id if which == "other account's person" else own.recipient_id
    account_id = own.account_id if which == "other account's person" else cast.other_account_id
    before = await cast.all_rows()

    path = path_of(api, ClaimLink(account_id, recipient_id, own.handoff_id, own.delivery_id))
    page = await api.http.request(method, path)

    assert page.status_code == 403
    assert "VPN" not in page.text
    assert await cast.all_rows() == before


async def test_a_handoff_of_another_account_is_not_found(api: Api) -> None:
    cast = api.cast
    own = await link_of(api, cast.bob, await escalate(api))
    link = ClaimLink(cast.other_account_id, cast.charlie.id, own.handoff_id, own.delivery_id)

    pages = [await api.http.request(method, path_of(api, link)) for method in ("GET", "POST")]

    assert [page.status_code for page in pages] == [403, 403]
    assert {words(page) for page in pages} == {"This is not possible No handoff of your account has this id."}
