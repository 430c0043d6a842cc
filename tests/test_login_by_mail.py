"""Signing in by a link in a mail: it tells nobody who has an account, and each link signs in once."""

import asyncio
import operator
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from html import unescape
from pathlib import Path

import httpx
import jwt
import pytest

from db.users import UserRow
from resolvers import logins
from server.login_mails import LoginMails
from tests.cast import Cast
from tests.client import Api, running_api
from tests.servers.provider import AUDIENCE, ISSUER
from tests.servers.smtp import ReceivedMail, SmtpServer, Trouble

ME = "{ me { name } }"
ASKED = {
    "message": "If somebody has this address, a link to sign in is on its way. It is valid for 10 minutes."
}
SPENT = "This link was used already, or has expired. Ask for a new one."
JSON = {"Accept": "application/json"}
LINK = re.compile(r"http://127\.0\.0\.1:8000(/login/[A-Za-z0-9_-]{43})")


async def test_the_mailed_link_shows_a_button_and_the_button_signs_in_once(
    api: Api, smtp: SmtpServer
) -> None:
    asked = await ask(api, "alice@northwind.example")
    (mail,) = await smtp.arrival(1)
    path = link_in(mail)

    shown = [await api.http.get(path) for _ in range(2)]
    exchanged = await api.http.post(path, headers=JSON)
    again = await api.http.post(path, headers=JSON)
    shown_again = await api.http.get(path)

    assert (asked.status_code, asked.json()) == (202, ASKED)
    assert [page.status_code for page in shown] == [200, 200]
    assert '<form method="post"><button>Sign in</button></form>' in shown[0].text
    assert exchanged.status_code == 200
    assert (await api.ask_with(exchanged.json()["token"], ME)).only() == {"name": "Alice"}
    assert (again.status_code, again.json()["errors"][0]["message"]) == (410, SPENT)
    assert again.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
    assert (shown_again.status_code, SPENT in shown_again.text) == (410, True)
    for answer in (*shown, exchanged, again, shown_again):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_the_mail_says_what_it_is_as_text_and_html(api: Api, smtp: SmtpServer) -> None:
    await api.cast.change(api.cast.alice, name='Alice <b>"Al"</b>\u202e')

    await ask(api, " Alice@Northwind.example ")
    (mail,) = await smtp.arrival(1)

    text, page = [part.get_content().replace("\r\n", "\n") for part in mail.message.iter_parts()]
    path = link_in(mail)
    assert mail.recipients == ("alice@northwind.example",)
    assert mail.message["Subject"] == "Sign in to Handoff"
    assert mail.message["From"] == "Handoff <handoff@msp.example>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert text.startswith('Sign in to Handoff as Alice <b>"Al"</b>:\nhttp://127.0.0.1:8000' + path)
    assert "to sign in to Northwind with your address" in " ".join(text.split())
    assert f'href="http://127.0.0.1:8000{path}"' in page
    assert "<b>" not in page
    assert 'Alice <b>"Al"</b>' in unescape(page)


async def test_a_browser_is_shown_the_token(api: Api) -> None:
    secret = await make_link(api.cast, api.cast.bob)

    page = await api.http.post(f"/login/{secret}", headers={"Accept": "text/html"})

    match = re.search(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", page.text)
    assert (page.status_code, match is not None) == (200, True)
    assert match is not None
    assert "Signed in as Bob" in page.text
    assert (await api.ask_with(match[0], ME)).only() == {"name": "Bob"}


async def test_the_token_is_short_lived_and_says_when_it_ends(database_url: str, cast: Cast) -> None:
    async with running_api(database_url, cast, login_hours=0.5) as api:
        answer = await api.http.post(f"/login/{await make_link(cast, cast.bob)}", headers=JSON)

    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    assert claims["sub"] == str(cast.bob.id)
    assert timedelta(seconds=claims["exp"] - claims["iat"]) <= timedelta(minutes=30)
    told = datetime.fromisoformat(answer.json()["expiresAt"])
    assert abs(told - datetime.fromtimestamp(claims["exp"], UTC)) <= timedelta(seconds=1)


async def test_the_answer_is_the_same_whoever_has_the_address(api: Api, smtp: SmtpServer) -> None:
    emails = ["nobody@northwind.example", "ina@northwind.example", "alice@northwind.example", "no address"]

    answers = [await ask(api, email) for email in emails]
    await mails_of(api).idle()

    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert {tuple(answer.headers.items()) for answer in answers} == {tuple(answers[0].headers.items())}
    assert [mail.recipients for mail in smtp.mails] == [("alice@northwind.example",)]


async def test_the_answer_waits_for_no_mail_server(api: Api, smtp: SmtpServer) -> None:
    smtp.misbehave(Trouble.HANG_AT_CONNECT)

    answer = await ask(api, "alice@northwind.example")
    await smtp.trouble_met()

    assert answer.status_code == 202
    assert smtp.mails == []
    smtp.behave()


async def test_a_mail_server_that_refuses_stops_no_other_login(api: Api, smtp: SmtpServer) -> None:
    smtp.refuse("alice@northwind.example", 550, "no such user")

    await ask(api, "alice@northwind.example")
    await ask(api, "bob@northwind.example")
    await mails_of(api).idle()

    assert [mail.recipients for mail in smtp.mails] == [("bob@northwind.example",)]


async def test_one_network_address_asks_for_a_few_links_only(
    database_url: str, cast: Cast, smtp: SmtpServer
) -> None:
    async with running_api(
        database_url, cast, smtp_url=f"smtp+plain://{smtp.host}:{smtp.port}", stranger_limit="2/hour"
    ) as api:
        answers = [
            await ask(api, f"{name}@northwind.example") for name in ("alice", "nobody", "bob", "nobody")
        ]
        await mails_of(api).idle()

    assert [answer.status_code for answer in answers] == [202, 202, 429, 429]
    wait = answers[2].headers["retry-after"]
    assert 0 < int(wait) <= 3600
    assert answers[2].json() == {
        "errors": [
            {"message": f"Too many at once. Try again in {wait} s.", "extensions": {"code": "RATE_LIMITED"}}
        ]
    }
    assert [mail.recipients for mail in smtp.mails] == [("alice@northwind.example",)]


async def test_an_address_gets_one_mail_a_minute(api: Api, smtp: SmtpServer) -> None:
    now = datetime.now(UTC)
    counts = []

    for seconds in (0, 1, 59, 60, 61):
        mails_of(api)._now = partial(operator.add, now, timedelta(seconds=seconds))
        for _ in range(3):
            await ask(api, "alice@northwind.example")
        await mails_of(api).idle()
        counts.append(len(smtp.mails))
    await ask(api, "bob@northwind.example")
    await mails_of(api).idle()

    assert counts == [1, 1, 1, 2, 2]
    assert len(smtp.mails) == 3


async def test_a_flood_of_addresses_is_dropped_and_answered_alike(api: Api, smtp: SmtpServer) -> None:
    mails = mails_of(api)
    full = [f"nobody.{number}@northwind.example" for number in range(1000)]

    for email in full:
        mails.ask(email)
    answer = await ask(api, "alice@northwind.example")
    for email in full:
        mails.ask(email)
    await mails.idle()
    await ask(api, "bob@northwind.example")
    await mails.idle()

    assert (answer.status_code, answer.json()) == (202, ASKED)
    assert smtp.mails[-1].recipients == ("bob@northwind.example",)


async def test_a_link_that_has_expired_or_never_was_signs_nobody_in(api: Api) -> None:
    old = await make_link(api.cast, api.cast.alice, age=timedelta(minutes=10))
    fresh = await make_link(api.cast, api.cast.bob, age=timedelta(minutes=9))
    paths = {f"/login/{secret}" for secret in (old, fresh[:-1], "x" * 43, "é", "%00", "x" * 5000)}

    answers = [
        (await api.http.request(method, path, headers=JSON)).status_code
        for path in paths
        for method in ("GET", "POST")
    ]

    assert set(answers) == {410}
    assert (await api.http.post(f"/login/{fresh}", headers=JSON)).status_code == 200


async def test_a_user_deactivated_meanwhile_is_not_signed_in(api: Api) -> None:
    secret = await make_link(api.cast, api.cast.alice)
    await api.cast.change(api.cast.alice, active=False)

    answer = await api.http.post(f"/login/{secret}", headers=JSON)

    assert answer.status_code == 403
    assert answer.json()["errors"][0]["message"] == (
        "This user cannot sign in any more. Ask an admin of the account."
    )


async def test_two_who_press_the_button_at_once_are_not_both_signed_in(api: Api) -> None:
    path = f"/login/{await make_link(api.cast, api.cast.alice)}"

    answers = await _at_once(api, path, 8)

    assert sorted(answers) == [200] + [410] * 7


async def test_nothing_that_is_kept_signs_in(api: Api) -> None:
    secret = await make_link(api.cast, api.cast.alice)

    assert secret not in str(await api.cast.all_rows())


async def test_links_that_have_expired_are_forgotten(api: Api) -> None:
    alice = api.cast.alice
    await make_link(api.cast, alice, age=timedelta(minutes=12))
    await make_link(api.cast, alice, age=timedelta(minutes=5))
    await make_link(api.cast, alice)

    assert len((await api.cast.all_rows())["login_links"]) == 2


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/x-www-form-urlencoded", b"email=alice@northwind.example", 415),
        ("text/plain", b'{"email": "alice@northwind.example"}', 415),
        ("application/json", b"no JSON", 400),
        ("application/json", b"[" * 100_000, 400),
        ("application/json", b'["alice@northwind.example"]', 400),
        ("application/json", b"{}", 400),
        ("application/json", b'{"email": 1}', 400),
        ("application/json", b'{"email": " "}', 400),
        ("application/json", b'{"email": "a\\u0000@northwind.example"}', 400),
        ("application/json", b'{"email": "\\ud800@northwind.example"}', 400),
        ("application/json", b'{"email": "' + b"a" * 300 + b'@northwind.example"}', 400),
        ("application/json; charset=utf-8", b'{"email": "alice@northwind.example"}', 202),
    ],
)
async def test_only_an_address_as_json_is_taken(
    api: Api, content_type: str, body: bytes, status: int
) -> None:
    answer = await api.http.post("/login", content=body, headers={"Content-Type": content_type})

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/json")


async def test_where_an_identity_provider_signs_people_in_there_is_no_login_by_mail(
    database_url: str, cast: Cast, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    file.touch()
    settings = {"jwks": str(file), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}

    async with running_api(database_url, cast, **settings) as api:
        answers = [
            await ask(api, "alice@northwind.example"),
            await api.http.post(f"/login/{await make_link(cast, cast.alice)}"),
        ]

    assert [answer.status_code for answer in answers] == [405, 404]


async def ask(api: Api, email: str) -> httpx.Response:
    """Ask for a link."""
    return await api.http.post("/login", json={"email": email})


async def make_link(cast: Cast, user: UserRow, *, age: timedelta = timedelta(0)) -> str:
    """Make a link that is so old, and return its secret."""
    async with cast.database.transaction(user.account_id) as tx:
        secret = await logins.make_link(tx, user, now=datetime.now(UTC) - age)
    assert secret is not None
    return secret


def link_in(mail: ReceivedMail) -> str:
    """Return the path of the link in the text of a mail."""
    text = next(iter(mail.message.iter_parts())).get_content()
    match = LINK.search(text)
    assert match is not None
    return match[1]


def mails_of(api: Api) -> LoginMails:
    """Return what sends the mails of the application."""
    mails = api.node.login_mails
    assert mails is not None
    return mails


async def _at_once(api: Api, path: str, count: int) -> list[int]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(api.http.post(path, headers=JSON)) for _ in range(count)]
    return [task.result().status_code for task in tasks]
