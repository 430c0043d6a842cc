"""The link in a reminder turns reminders off for its recipient, by a button or by their mail program."""

import re
from urllib.parse import urlsplit

import pytest

from db.enums import Role
from tests.client import Api
from tests.link_pages import claim_path, has_button, quiet_path, words
from tests.mailing import outbox_of, remind, set_policy
from tests.servers.smtp import SmtpServer

ONE_CLICK = {"List-Unsubscribe": "One-Click"}  # RFC 8058 section 3.1


async def is_quiet(api: Api, name: str) -> bool:
    document = "{ notificationPreferences { quietReminders } }"
    return bool((await api.ask(getattr(api.cast, name), document)).only()["quietReminders"])


async def test_the_header_of_a_reminder_turns_reminders_off(api: Api, smtp: SmtpServer) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M", "PT15M"])
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    await remind(api)
    outbox = outbox_of(api.node.settings, cast.database)
    await outbox.send_batch()
    (mail,) = (mail for mail in smtp.mails if mail.recipients == (cast.bob.email,))
    url = re.fullmatch(r"<(http://\S+/quiet/\S+)>", mail.message["List-Unsubscribe"])
    assert url is not None

    page = await api.http.post(urlsplit(url[1]).path, data=ONE_CLICK)

    assert page.status_code == 200
    assert (await is_quiet(api, "bob"), await is_quiet(api, "olivia")) == (True, False)
    await remind(api)
    assert [row for row in await api.deliveries(handoff_id) if row[0] == 2] == [
        (2, "Adam", "EMAIL", "PENDING", None),
        (2, "Bob", "EMAIL", "SKIPPED", "OPTED_OUT"),
        (2, "Olivia", "EMAIL", "PENDING", None),
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_opening_the_link_changes_nothing(api: Api, method: str) -> None:
    before = await api.cast.all_rows()

    page = await api.http.request(method, quiet_path(api, api.cast.bob))

    assert page.status_code == 200
    assert has_button(page) == (method == "GET")
    assert await api.cast.all_rows() == before


@pytest.mark.parametrize("body", [None, ONE_CLICK], ids=["button", "mail program"])
async def test_only_a_post_turns_reminders_off(api: Api, body: dict[str, str] | None) -> None:
    page = await api.http.post(quiet_path(api, api.cast.bob), data=body)

    assert page.status_code == 200
    assert words(page) == (
        "Reminders are off You get no more mails that remind of unclaimed escalations. Escalations "
        "themselves still reach you. You can turn them on again in your preferences."
    )
    assert not has_button(page)
    assert await is_quiet(api, "bob")


async def test_a_second_post_changes_nothing(api: Api) -> None:
    path = quiet_path(api, api.cast.bob)
    await api.http.post(path)
    before = await api.cast.all_rows()

    page = await api.http.post(path)

    assert page.status_code == 200
    assert await api.cast.all_rows() == before


async def test_it_takes_no_channel_that_is_left(api: Api) -> None:
    await api.cast.change(api.cast.bob, mute_push=True)

    page = await api.http.post(quiet_path(api, api.cast.bob))

    assert page.status_code == 200
    assert await is_quiet(api, "bob")


@pytest.mark.parametrize("change", [{"active": False}, {"role": Role.VIEWER}], ids=["inactive", "viewer"])
async def test_who_is_told_nothing_may_still_say_so(api: Api, change: dict[str, object]) -> None:
    path = quiet_path(api, api.cast.bob)
    await api.cast.change(api.cast.bob, **change)

    page = await api.http.post(path)

    assert page.status_code == (403 if "active" in change else 200)
    assert has_button(page) is False


@pytest.mark.parametrize("kind", ["expired", "claim link", "token of a session", "text"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_that_is_not_valid_changes_nothing(api: Api, kind: str, method: str) -> None:
    cast = api.cast
    handoff_id = await api.escalate(cast.alice, (await cast.start_session()).id)
    path = {
        "expired": quiet_path(api, cast.bob, days_ago=366),
        "claim link": (await claim_path(api, cast.bob, handoff_id)).replace("/claim/", "/quiet/"),
        "token of a session": f"/quiet/{api.token(cast.bob)}",
        "text": "/quiet/x",
    }[kind]
    before = await cast.all_rows()

    page = await api.http.request(method, path)

    assert page.status_code == (410 if kind == "expired" else 404)
    assert not has_button(page)
    assert await cast.all_rows() == before
