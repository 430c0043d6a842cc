"""Connections to ticketing systems are managed by owners and admins, and their credentials never come out."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import select, update

from db.enums import DeliveryStatus, EventKind, PsaStatus, Role
from db.models import psa_connections
from db.session import new_id
from notify.psa.vault import CredentialsUnreadable, Vault
from server.process import make_gateway
from server.settings import SettingsError
from tests.cast import Cast
from tests.client import SECRET, Api, make_settings, running_api
from tests.psa import (
    CONNECTION,
    CREATE,
    PSAS,
    ROTATE,
    TEST,
    Desk,
    connected,
    credentials_of,
    halo_desk,
    halo_psa,
    make_notes_worker,
    running_psa,
)
from tests.servers.psa import PsaServer, answered
from tests.terminal import Terminal

LIST = f"""
query ($first: Int! = 20, $after: String) {{ psaConnections(first: $first, after: $after) {{
  totalCount pageInfo {{ hasNextPage endCursor }} edges {{ node {{ {CONNECTION} }} }}
}} }}
"""
DELETE = "mutation ($id: ID!) { deletePsaConnection(input: { connectionId: $id }) { deletedId } }"
AUTOMATIC = """
mutation ($id: ID!, $on: Boolean!) { setPsaAutomatic(input: { connectionId: $id, automatic: $on }) {
  psaConnection { automatic }
} }
"""
NOT_FOUND = ("NOT_FOUND", "No PSA connection of your account has this id.")
HALO = {
    "server": "https://halo.example",
    "credentials": {"clientId": "halo-client", "clientSecret": "halo-secret"},
}
NOWHERE = "sqlite:///nowhere.db"  # not opened
SECRETS = ("cw-private-key", "at-secret", "halo-secret", "other-secret")


server = pytest.fixture(halo_psa)
desk = pytest.fixture(halo_desk)


def paused(verb: str) -> str:
    """Return the mutation that pauses, or resumes, a connection."""
    return f"""mutation ($id: ID!) {{ {verb}PsaConnection(input: {{ connectionId: $id }}) {{
      psaConnection {{ paused }}
    }} }}"""


@pytest.mark.parametrize("psa", PSAS)
async def test_a_connection_is_made_tested_and_listed_without_its_credentials(
    psa: str, tmp_path: Path, database_url: str, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with running_psa(psa, tmp_path / "psa") as server:
        async with connected(psa, server, database_url, cast) as desk:
            made = await cast.newest_event()
            tested = (await desk.api.ask(cast.olivia, TEST, id=desk.connection_id)).only()
            listed = (await desk.api.ask(cast.adam, LIST)).only()
            stored = str(await cast.all_rows())

    (node,) = [edge["node"] for edge in listed["edges"]]
    assert tested["works"] is True
    assert tested["message"].startswith("Signed in")
    assert tested["psaConnection"] == node
    assert (node["name"], node["server"], node["status"], node["lastError"]) == (
        "Tickets",
        server.url,
        "WORKING",
        None,
    )
    assert (node["paused"], node["automatic"], listed["totalCount"]) == (False, False, 1)
    assert (made.kind, made.actor_id) == (EventKind.PSA_CONNECTION_CREATED, cast.adam.id)
    assert made.summary == f"connected “Tickets” ({node['provider']})"
    shown = json.dumps([tested, listed]) + stored + caplog.text
    assert [secret for secret in SECRETS if secret in shown] == []


async def test_a_test_that_fails_says_why_and_is_kept(desk: Desk, server: PsaServer) -> None:
    server.misbehave(answered("POST", "/auth/token", 400, {"error": "invalid_client"}))

    tested = (await desk.api.ask(desk.api.cast.adam, TEST, id=desk.connection_id)).only()

    connection = await desk.connection()
    assert (tested["works"], tested["message"]) == (False, "The PSA answered 400: invalid_client")
    assert (connection.status, connection.last_error) == (PsaStatus.FAILING, tested["message"])
    assert connection.checked_at is not None


async def test_a_private_address_is_not_tested(database_url: str, cast: Cast, server: PsaServer) -> None:
    async with connected("haloPsa", server, database_url, cast, psa_allowed_hosts=[]) as desk:
        tested = (await desk.api.ask(cast.adam, TEST, id=desk.connection_id)).only()

    refused = "localhost is in a private network. The operator of this service can allow it by name."
    assert (tested["works"], tested["message"]) == (False, refused)
    assert server.asked == []


async def test_replaced_credentials_are_used_for_what_waits(desk: Desk, server: PsaServer) -> None:
    handoff_id, cast = await desk.pushed(), desk.api.cast
    server.misbehave(answered("POST", "/auth/token", 503, Retry_After="3600"))
    wrong = {"clientId": "halo-client", "clientSecret": "other-secret"}

    await desk.outbox.send_due()
    for given in (wrong, credentials_of("haloPsa")):
        wanted = {"connectionId": desk.connection_id, "haloPsa": given}
        changed = (await desk.api.ask(cast.adam, ROTATE, input=wanted)).only()["psaConnection"]
        assert (changed["status"], changed["lastError"]) == ("UNTESTED", None)
    event = await cast.newest_event()
    waiting = await desk.note(handoff_id)
    await desk.make_due()
    await desk.outbox.send_due()

    assert (event.kind, event.actor_id) == (EventKind.PSA_CONNECTION_CHANGED, cast.adam.id)
    assert event.summary == "replaced the credentials of “Tickets”"
    assert waiting.status == DeliveryStatus.PENDING
    assert (await desk.note(handoff_id)).status == DeliveryStatus.SENT


async def test_a_paused_connection_sends_nothing_until_it_is_resumed(desk: Desk, server: PsaServer) -> None:
    handoff_id, cast = await desk.pushed(), desk.api.cast
    before = await cast.last_event()

    stopped = [await desk.api.ask(cast.adam, paused("pause"), id=desk.connection_id) for _ in range(2)]
    events = await cast.last_event()
    while_paused = await desk.outbox.send_due()
    resumed = await desk.api.ask(cast.adam, paused("resume"), id=desk.connection_id)
    after = await desk.outbox.send_due()

    assert [answer.only()["psaConnection"]["paused"] for answer in (*stopped, resumed)] == [True, True, False]
    assert events == before + 1
    assert (while_paused, after) == (0, 1)
    assert (await desk.note(handoff_id)).status == DeliveryStatus.SENT


async def test_a_connection_is_made_automatic_and_manual_again(desk: Desk) -> None:
    cast = desk.api.cast

    answers = [
        (await desk.api.ask(cast.adam, AUTOMATIC, id=desk.connection_id, on=on)).only()
        for on in (True, False)
    ]

    assert [answer["psaConnection"]["automatic"] for answer in answers] == [True, False]
    assert (await cast.newest_event()).summary == "made manual “Tickets”"


async def test_a_connection_that_nothing_uses_is_deleted_with_its_credentials(desk: Desk) -> None:
    cast = desk.api.cast

    deleted = (await desk.api.ask(cast.adam, DELETE, id=desk.connection_id)).only()
    again = await desk.api.ask(cast.adam, DELETE, id=desk.connection_id)

    assert deleted == {"deletedId": desk.connection_id}
    assert again.refusal() == NOT_FOUND
    assert (await cast.all_rows())["psa_connections"] == []
    assert (await cast.newest_event()).kind == EventKind.PSA_CONNECTION_DELETED


async def test_a_connection_that_a_session_uses_is_not_deleted(desk: Desk) -> None:
    await desk.start_session()

    refused = await desk.api.ask(desk.api.cast.adam, DELETE, id=desk.connection_id)

    message = "“Tickets” is used by sessions or notes. Pause it instead, or replace its credentials."
    assert refused.refusal() == ("BAD_USER_INPUT", message)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Give exactly one of connectWise, autotask and haloPsa."),
        (
            {"haloPsa": HALO, "autotask": {"credentials": credentials_of("autotask")}},
            "Give exactly one of connectWise, autotask and haloPsa.",
        ),
        ({"haloPsa": HALO, "name": " "}, "name must not be empty."),
        ({"haloPsa": HALO | {"server": "http://halo.example"}}, "server must begin with https://."),
        (
            {"haloPsa": HALO | {"authServer": "https://u:p@halo.example"}},
            "authServer must be https://host or https://host/path, without a user.",
        ),
        ({"haloPsa": HALO | {"outcomeLabel": ""}}, "outcomeLabel must not be empty."),
        (
            {"haloPsa": HALO | {"credentials": {"clientId": "x", "clientSecret": "a\nb"}}},
            "clientSecret holds a character that cannot be sent.",
        ),
        (
            {"autotask": {"credentials": credentials_of("autotask"), "publishLabel": "All Autotask Users"}},
            "publishLabel must be the label of internal users alone: notes are never for customers.",
        ),
    ],
)
async def test_a_connection_that_cannot_be_is_refused(api: Api, given: dict[str, Any], message: str) -> None:
    before = await api.cast.all_rows()

    answer = await api.ask(api.cast.adam, CREATE, input={"name": "Tickets"} | given)

    assert answer.refusal() == ("BAD_USER_INPUT", message)
    assert await api.cast.all_rows() == before


async def test_a_name_is_given_once_in_an_account(desk: Desk) -> None:
    answer = await desk.api.ask(desk.api.cast.adam, CREATE, input={"name": "Tickets", "haloPsa": HALO})

    assert answer.refusal() == ("BAD_USER_INPUT", "There is a PSA connection named Tickets already.")


async def test_a_connection_takes_no_credentials_of_another_provider(desk: Desk) -> None:
    wanted = {"connectionId": desk.connection_id, "connectWise": credentials_of("connectWise")}

    answer = await desk.api.ask(desk.api.cast.adam, ROTATE, input=wanted)

    message = "The connection is one to HALOPSA: give its credentials."
    assert answer.refusal() == ("BAD_USER_INPUT", message)


async def test_a_stranger_s_connection_is_not_there(desk: Desk) -> None:
    cast = desk.api.cast
    charlie = await cast.change(cast.charlie, role=Role.OWNER)
    before = await cast.all_rows()
    ids = (desk.connection_id, str(uuid4()))
    wanted = {"haloPsa": credentials_of("haloPsa")}

    answers = [
        [await desk.api.ask(charlie, document, id=id_) for id_ in ids]
        for document in (TEST, DELETE, paused("pause"), paused("resume"))
    ]
    rotated = [await desk.api.ask(charlie, ROTATE, input=wanted | {"connectionId": id_}) for id_ in ids]
    started = [
        await desk.api.change(charlie, "startSession", problemSummary="VPN", psaConnectionId=id_)
        for id_ in ids
    ]

    assert {answer.refusal() for pair in (*answers, rotated, started) for answer in pair} == {NOT_FOUND}
    assert (await desk.api.ask(charlie, LIST)).only()["edges"] == []
    assert await cast.all_rows() == before


async def test_only_owners_and_admins_manage_connections(desk: Desk) -> None:
    cast, before = desk.api.cast, await desk.api.cast.all_rows()

    answers = [
        await desk.api.ask(user, document, **variables)
        for user in (cast.alice, cast.vera)
        for document, variables in (
            (CREATE, {"input": {"name": "Mine", "haloPsa": HALO}}),
            (TEST, {"id": desk.connection_id}),
            (DELETE, {"id": desk.connection_id}),
            (LIST, {}),
        )
    ]

    assert {answer.refusal() for answer in answers} == {("FORBIDDEN", "Admin access required")}
    assert await cast.all_rows() == before


async def test_a_session_leads_to_its_ticket_and_can_be_led_elsewhere(desk: Desk) -> None:
    cast, session_id = desk.api.cast, await desk.start_session()

    before = (await desk.api.session(session_id))["psaConnectionId"]
    cleared = await desk.api.change(cast.alice, "updateSession", sessionId=session_id, psaConnectionId=None)
    foreign = await desk.api.change(
        cast.alice, "updateSession", sessionId=session_id, psaConnectionId=str(uuid4())
    )

    assert before == desk.connection_id
    assert cleared.only()["session"]["psaConnectionId"] is None
    assert foreign.refusal() == NOT_FOUND


async def test_without_a_key_nothing_is_connected(database_url: str, cast: Cast) -> None:
    async with running_api(database_url, cast, demo=False) as api:
        answer = await api.ask(cast.adam, CREATE, input={"name": "Tickets", "haloPsa": HALO})

    assert answer.refusal() == (
        "BAD_USER_INPUT",
        "This service has no key to encrypt credentials with. Its operator sets HANDOFF_ENCRYPTION_KEYS.",
    )


async def test_credentials_whose_key_is_gone_stop_the_connection_and_lose_no_note(
    desk: Desk, database_url: str, server: PsaServer
) -> None:
    handoff_id, cast = await desk.pushed(), desk.api.cast
    other_key = SecretStr(Fernet.generate_key().decode())
    async with running_api(database_url, cast, demo=False, encryption_keys=other_key) as api:
        tried = await make_notes_worker(api).send_due()
        tested = (await api.ask(cast.adam, TEST, id=desk.connection_id)).only()

    message = "The credentials cannot be decrypted: the service lacks their key. Enter them again."
    assert (tried, server.asked) == (0, [])
    assert (tested["works"], tested["message"]) == (False, message)
    assert (await desk.note(handoff_id)).status == DeliveryStatus.PENDING


@pytest.mark.parametrize("changed", ["base_url", "config", "id"])
async def test_credentials_go_only_where_they_were_given_for(
    desk: Desk, server: PsaServer, changed: str
) -> None:
    cast, elsewhere = desk.api.cast, HALO | {"server": server.url}
    other = (await desk.api.ask(cast.adam, CREATE, input={"name": "Other", "haloPsa": elsewhere})).only()
    async with desk.database.system() as tx:
        columns = psa_connections.c
        (row,) = (
            await tx.connection.execute(
                select(columns.config, columns.credentials).where(columns.name == "Tickets")
            )
        ).all()
        values = {
            "base_url": {"base_url": f"{server.url}/elsewhere"},
            "config": {"config": row.config | {"auth_server": f"{server.url}/elsewhere"}},
            "id": {"credentials": row.credentials},
        }[changed]
        name = "Other" if changed == "id" else "Tickets"
        await tx.execute(update(psa_connections).where(columns.name == name).values(**values))
    id_ = other["psaConnection"]["id"] if changed == "id" else desk.connection_id

    tested = (await desk.api.ask(cast.adam, TEST, id=id_)).only()

    assert tested["works"] is False
    assert "cannot be decrypted" in tested["message"]
    assert server.asked == []


async def test_keys_are_changed_without_anybody_entering_credentials_again(
    database_url: str, cast: Cast, server: PsaServer, bare_machine: None
) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    async with connected(
        "haloPsa", server, database_url, cast, demo=False, encryption_keys=SecretStr(old)
    ) as desk:
        terminal = Terminal(secret=SECRET, database_url=database_url, encryption_keys=f"{new}, {old}")
        said = await asyncio.to_thread(terminal.ask, "psa", "rotate-keys")
        stranger = Terminal(secret=SECRET, database_url=database_url, encryption_keys=old)
        refused = await asyncio.to_thread(stranger.refused, "psa", "rotate-keys")
    settings = {"psa_allowed_hosts": [server.host], "psa_ca_file": server.ca_file}
    async with running_api(database_url, cast, demo=False, encryption_keys=SecretStr(new), **settings) as api:
        tested = (await api.ask(cast.adam, TEST, id=desk.connection_id)).only()

    assert said == "Renewed the credentials of 1 PSA connection.\n"
    assert refused == f"Renewed 0. No key opens the credentials of {desk.connection_id}."
    assert tested["works"] is True


def test_a_sealed_text_opens_for_its_connection_and_address_alone() -> None:
    vault, connection_id = Vault([Fernet.generate_key().decode()]), new_id()
    sealed = vault.seal(connection_id, "https://psa.example", {"secret": "s3cret"})

    assert vault.open(connection_id, "https://psa.example", sealed) == {"secret": "s3cret"}
    assert "s3cret" not in sealed
    for other_id, goes_to, text in (
        (new_id(), "https://psa.example", sealed),
        (connection_id, "https://elsewhere.example", sealed),
        (connection_id, "https://psa.example", sealed[:-4] + "AAA="),
        (connection_id, "https://psa.example", ""),
    ):
        with pytest.raises(CredentialsUnreadable):
            vault.open(other_id, goes_to, text)


def test_nothing_that_holds_credentials_shows_them() -> None:
    key = Fernet.generate_key().decode()
    settings = make_settings(NOWHERE, encryption_keys=SecretStr(key))

    shown = f"{settings!r} {make_gateway(settings)!r}"

    assert key not in shown


@pytest.mark.parametrize("keys", ["short", "x" * 44, "ä", f"{'A' * 43}=,short"])
def test_a_key_that_cannot_be_used_ends_the_start_with_a_sentence(keys: str) -> None:
    settings = make_settings(NOWHERE, encryption_keys=SecretStr(keys))

    with pytest.raises(SettingsError) as refused:
        make_gateway(settings)

    assert str(refused.value) == (
        "HANDOFF_ENCRYPTION_KEYS: each key must be 32 random bytes in base64url. "
        "Make one with: openssl rand -base64 32 | tr +/ -_"
    )


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_cannot_be_read_end_the_start_with_a_sentence(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(SettingsError, match="HANDOFF_PSA_CA_FILE: no certificates in PEM"):
        make_gateway(make_settings(NOWHERE, psa_ca_file=file))


async def test_connections_are_listed_newest_first_page_by_page(api: Api) -> None:
    for name in ("first", "second", "third"):
        (await api.ask(api.cast.adam, CREATE, input={"name": name, "haloPsa": HALO})).only()

    page = (await api.ask(api.cast.adam, LIST, first=2)).only()
    rest = (await api.ask(api.cast.adam, LIST, first=2, after=page["pageInfo"]["endCursor"])).only()

    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (3, True)
    assert [edge["node"]["name"] for edge in page["edges"]] == ["third", "second"]
    assert [edge["node"]["name"] for edge in rest["edges"]] == ["first"]


async def test_what_a_connection_takes_is_shown(api: Api) -> None:
    made = await api.ask(api.cast.adam, CREATE, input={"name": "Tickets", "haloPsa": HALO | {"tenant": "n"}})

    node = made.only()["psaConnection"]
    assert {setting["name"]: setting["value"] for setting in node["settings"]} == {
        "authServer": "https://halo.example/auth",
        "outcomeId": "7",
        "outcomeLabel": "Internal Note",
        "tenant": "n",
    }
