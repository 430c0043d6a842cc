"""Each connector against a system that behaves as the vendor's does: a note is internal, or there is none."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notify.psa.faults import NoteVisible, PsaAmbiguous, PsaFault, PsaRefused, PsaUnavailable
from tests.psa import PSAS, running_psa, turn
from tests.servers.autotask import AutotaskServer
from tests.servers.connectwise import ConnectWiseServer
from tests.servers.halopsa import HaloPsaServer
from tests.servers.psa import PsaServer, answered, dropped, hanging, said

MARKER = "[handoff:0198c0de-7a11-7e57-8000-000000000000#0]"
TEXT = f'The modem says "no carrier" <&>.\nTried twice.\n\n{MARKER}'
#: The request that makes a note, as each system is asked.
ADD = {"connectWise": "/notes", "autotask": "/Notes", "haloPsa": "/api/actions"}
KEPT: dict[str, dict[str, Any]] = {
    "connectWise": {
        "text": TEXT,
        "ticketId": 42,
        "internalAnalysisFlag": True,
        "detailDescriptionFlag": False,
        "resolutionFlag": False,
        "processNotifications": False,
        "externalFlag": False,
    },
    "autotask": {"ticketID": 42, "title": "Handoff", "description": TEXT, "noteType": 3, "publish": 2},
    "haloPsa": {
        "ticket_id": 42,
        "outcome_id": 7,
        "hiddenfromuser": True,
        "sendemail": False,
        "note_html": TEXT.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("\n", "<br>"),
    },
}


@pytest.fixture(params=PSAS)
def psa(request: pytest.FixtureRequest) -> str:
    """The name of the system that the test runs against."""
    return str(request.param)


@pytest.fixture
def server(psa: str, tmp_path: Path) -> Iterator[PsaServer]:
    """The system."""
    with running_psa(psa, tmp_path) as server:
        yield server


@pytest.fixture
def connectwise(tmp_path: Path) -> Iterator[ConnectWiseServer]:
    with ConnectWiseServer(tmp_path) as server:
        yield server


@pytest.fixture
def autotask(tmp_path: Path) -> Iterator[AutotaskServer]:
    with AutotaskServer(tmp_path) as server:
        yield server


@pytest.fixture
def halopsa(tmp_path: Path) -> Iterator[HaloPsaServer]:
    with HaloPsaServer(tmp_path) as server:
        yield server


async def test_a_note_is_internal_and_is_found_again_by_its_marker(psa: str, server: PsaServer) -> None:
    async with turn(psa, server) as connector:
        before = await connector.find_note("42", MARKER)
        note_id = await connector.add_note("42", TEXT)
        found = await connector.find_note("42", MARKER)
        elsewhere = await connector.find_note("43", MARKER)

    (kept,) = server.notes
    assert {name: kept[name] for name in KEPT[psa]} == KEPT[psa]
    assert (before, found, elsewhere) == (None, note_id, None)
    assert note_id == str(kept["id"])


async def test_a_test_of_a_connection_changes_nothing(psa: str, server: PsaServer) -> None:
    async with turn(psa, server) as connector:
        message = await connector.check()

    assert message.startswith("Signed in")
    assert server.notes == []
    assert {asked.method for asked in server.asked if not asked.path.endswith("/token")} == {"GET"}


async def test_wrong_credentials_are_refused_for_good_and_not_repeated_in_the_error(
    psa: str, server: PsaServer
) -> None:
    wrong = {
        "connectWise": {"publicKey": "pub", "privateKey": "leaked-key"},
        "autotask": {"userName": "api@northwind.example", "secret": "leaked-key", "integrationCode": "T"},
        "haloPsa": {"clientId": "halo-client", "clientSecret": "leaked-key"},
    }[psa]
    async with turn(psa, server, credentials=wrong) as connector:
        with pytest.raises(PsaRefused) as refused:
            await connector.add_note("42", TEXT)

    assert refused.value.code in (400, 401)
    assert "leaked-key" not in refused.value.text
    assert server.notes == []


async def test_a_secret_that_a_system_repeats_is_struck_out(psa: str, server: PsaServer) -> None:
    secret = {"connectWise": "cw-private-key", "autotask": "at-secret", "haloPsa": "halo-secret"}[psa]
    server.misbehave(answered("POST", ADD[psa], 400, {"message": f"bad key {secret} given"}))

    async with turn(psa, server) as connector:
        with pytest.raises(PsaRefused) as refused:
            await connector.add_note("42", TEXT)

    assert refused.value.text == "The PSA answered 400: bad key *** given"


async def test_a_ticket_that_is_not_there_is_refused_for_good(psa: str, server: PsaServer) -> None:
    async with turn(psa, server) as connector:
        with pytest.raises(PsaRefused) as refused:
            await connector.add_note("4711", TEXT)

    assert refused.value.code == 404


@pytest.mark.parametrize("ticket", ["T20261121.0001", "../42", "42/notes", "-1", "٤٢", ""])
async def test_a_ticket_id_that_is_no_number_is_refused_before_anything_is_asked(
    psa: str, server: PsaServer, ticket: str
) -> None:
    async with turn(psa, server) as connector:
        for ask in (connector.add_note, connector.find_note):
            with pytest.raises(PsaRefused):
                await ask(ticket, TEXT)

    assert server.asked == []


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_connection_that_breaks_before_the_answer_leaves_it_open_whether_there_is_a_note(
    psa: str, server: PsaServer, carried_out: bool
) -> None:
    server.misbehave(dropped("POST", ADD[psa], carry_out=carried_out))

    async with turn(psa, server) as connector:
        with pytest.raises(PsaAmbiguous):
            await connector.add_note("42", TEXT)
        found = await connector.find_note("42", MARKER)

    assert (found is not None) == carried_out


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_fault_of_the_server_leaves_it_open_whether_there_is_a_note(
    psa: str, server: PsaServer, status: int
) -> None:
    server.misbehave(answered("POST", ADD[psa], status, carry_out=True, Retry_After="7"))

    async with turn(psa, server) as connector:
        with pytest.raises(PsaAmbiguous) as fault:
            await connector.add_note("42", TEXT)

    assert (fault.value.code, fault.value.retry_after) == (status, 7.0)
    assert len(server.notes) == 1


async def test_an_answer_that_takes_too_long_leaves_it_open_whether_there_is_a_note(
    psa: str, server: PsaServer
) -> None:
    server.misbehave(hanging("POST", ADD[psa], carry_out=True))

    async with turn(psa, server, request_seconds=2) as connector:
        with pytest.raises(PsaAmbiguous, match="did not answer within 2 seconds"):
            await connector.add_note("42", TEXT)


@pytest.mark.parametrize("answer", [b"<html>Welcome</html>", b"[]", b'{"id": null}', b"\xff", b""])
async def test_a_success_that_names_no_note_leaves_it_open_whether_there_is_one(
    psa: str, server: PsaServer, answer: bytes
) -> None:
    server.misbehave(said("POST", ADD[psa], answer, carry_out=True))

    async with turn(psa, server) as connector:
        with pytest.raises(PsaAmbiguous):
            await connector.add_note("42", TEXT)
        assert await connector.find_note("42", MARKER) is not None


@pytest.mark.parametrize("answer", [b"<html>Welcome</html>", b"null", b'{"items": 1, "actions": 1}', b"7"])
async def test_a_list_of_notes_that_cannot_be_read_does_not_pass_for_an_empty_one(
    psa: str, server: PsaServer, answer: bytes
) -> None:
    listed = {"connectWise": "/notes", "autotask": "/query", "haloPsa": "/api/actions"}[psa]
    server.misbehave(said("GET", listed, answer))

    async with turn(psa, server) as connector:
        with pytest.raises(PsaUnavailable):
            await connector.find_note("42", MARKER)


async def test_a_system_that_is_busy_says_how_long(psa: str, server: PsaServer) -> None:
    server.misbehave(answered("POST", ADD[psa], 429, Retry_After="90"))

    async with turn(psa, server) as connector:
        with pytest.raises(PsaUnavailable) as busy:
            await connector.add_note("42", TEXT)

    assert not isinstance(busy.value, PsaAmbiguous)
    assert (busy.value.code, busy.value.retry_after) == (429, 90.0)


async def test_a_note_beyond_the_first_page_is_found(autotask: AutotaskServer) -> None:
    async with turn("autotask", autotask) as connector:
        for number in range(7):
            await connector.add_note("42", f"Earlier note {number}")
        note_id = await connector.add_note("42", TEXT)

        assert await connector.find_note("42", MARKER) == note_id
        assert await connector.find_note("42", "[handoff:another#0]") is None

    assert autotask.times_asked("GET", "/TicketNotes/query") == 6


async def test_a_next_page_elsewhere_is_not_followed(autotask: AutotaskServer) -> None:
    page = {"items": [], "pageDetails": {"nextPageUrl": "https://elsewhere.example/page"}}
    autotask.misbehave(answered("GET", "/query", 200, page))

    async with turn("autotask", autotask) as connector:
        with pytest.raises(PsaRefused, match="next page that lies elsewhere"):
            await connector.find_note("42", MARKER)


async def test_a_tenant_that_was_moved_to_another_zone_is_found_there(autotask: AutotaskServer) -> None:
    memory: dict[str, str] = {}
    async with turn("autotask", autotask, memory=memory) as connector:
        await connector.check()
    autotask.zone = "zone9"

    async with turn("autotask", autotask, memory=memory) as connector:
        await connector.add_note("42", TEXT)

    assert len(autotask.notes) == 1
    assert memory["zone"].endswith("/zone9/v1.0")


async def test_a_zone_in_another_domain_gets_no_credentials(autotask: AutotaskServer) -> None:
    autotask.zone_host = f"https://127.0.0.1:{autotask.port}"

    async with turn("autotask", autotask, allowed="127.0.0.1") as connector:
        with pytest.raises(PsaFault):
            await connector.check()
    async with turn("autotask", autotask) as connector:
        with pytest.raises(PsaRefused, match="zone that lies in another domain"):
            await connector.check()

    assert {asked.path for asked in autotask.asked} == {"/v1.0/zoneInformation"}


@pytest.mark.parametrize(
    ("labels", "chosen"),
    [
        ({"1": "All Autotask Users", "2": "Everybody"}, None),
        ({"1": "All Autotask Users", "4": "Internal & Co-Managed"}, "Internal & Co-Managed"),
        ({"1": "All Internal Users", "2": "Internal Only"}, "All Internal Users"),
        ({"1": "Internal Only", "2": "Internal Only"}, None),
        ({"1": "All Autotask Users", "2": "Internal Only"}, "Intern"),
        ({}, None),
    ],
)
async def test_a_note_is_refused_unless_a_label_says_that_it_is_internal(
    autotask: AutotaskServer, labels: dict[str, str], chosen: str | None
) -> None:
    autotask.publish = labels
    config = {} if chosen is None else {"publish_label": chosen}

    async with turn("autotask", autotask, config=config) as connector:
        with pytest.raises(PsaRefused) as refused:
            await connector.add_note("42", TEXT)

    assert autotask.notes == []
    assert refused.value.code is None


async def test_the_label_that_the_admin_chose_is_used_whatever_its_number(autotask: AutotaskServer) -> None:
    autotask.publish = {"2": "Alle", "9": "Nur intern"}

    async with turn("autotask", autotask, config={"publish_label": "nur Intern"}) as connector:
        message = await connector.check()
        await connector.add_note("42", TEXT)

    assert message == "Signed in. Notes are published to “Nur intern”, with the type “Task Notes”."
    assert autotask.notes[0]["publish"] == 9


async def test_an_autotask_note_that_was_stored_otherwise_raises_the_alarm(autotask: AutotaskServer) -> None:
    autotask.stores_publish = 1

    async with turn("autotask", autotask) as connector:
        with pytest.raises(NoteVisible):
            await connector.add_note("42", TEXT)
        with pytest.raises(NoteVisible):
            await connector.find_note("42", MARKER)


async def test_a_halopsa_token_that_expired_is_renewed_once(halopsa: HaloPsaServer) -> None:
    memory: dict[str, str] = {}
    async with turn("haloPsa", halopsa, memory=memory) as connector:
        await connector.check()
    halopsa.expire_token()

    async with turn("haloPsa", halopsa, memory=memory) as connector:
        await connector.add_note("42", TEXT)

    assert len(halopsa.notes) == 1
    assert halopsa.times_asked("POST", "/auth/token") == 2


async def test_a_halopsa_that_refuses_the_new_token_too_is_not_asked_for_ever(halopsa: HaloPsaServer) -> None:
    halopsa.misbehave(*[answered("GET", "/api/outcome/7", 401)] * 3)

    async with turn("haloPsa", halopsa) as connector:
        with pytest.raises(PsaRefused) as refused:
            await connector.add_note("42", TEXT)

    assert refused.value.code == 401
    assert halopsa.times_asked("POST", "/auth/token") == 2


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ({1: "Email User"}, "The PSA answered 404: Not found"),
        ({7: "Email User"}, "The outcome 7 is not “Internal Note” but “Email User”."),
    ],
)
async def test_a_halopsa_note_is_refused_unless_its_outcome_is_the_one_that_was_meant(
    halopsa: HaloPsaServer, outcomes: dict[int, str], message: str
) -> None:
    halopsa.outcomes = outcomes

    async with turn("haloPsa", halopsa) as connector:
        with pytest.raises(PsaRefused) as refused:
            await connector.add_note("42", TEXT)

    assert refused.value.text == message
    assert halopsa.notes == []


async def test_a_halopsa_note_that_is_not_hidden_raises_the_alarm(halopsa: HaloPsaServer) -> None:
    halopsa.ignores_hidden = True

    async with turn("haloPsa", halopsa) as connector:
        with pytest.raises(NoteVisible):
            await connector.add_note("42", TEXT)
        with pytest.raises(NoteVisible):
            await connector.find_note("42", MARKER)


async def test_a_halopsa_that_does_not_show_all_actions_is_not_believed(halopsa: HaloPsaServer) -> None:
    halopsa.misbehave(answered("GET", "/api/actions", 200, {"record_count": 2, "actions": [{"id": 1}]}))

    async with turn("haloPsa", halopsa) as connector:
        with pytest.raises(PsaRefused, match="more actions than HaloPSA shows"):
            await connector.find_note("42", MARKER)


async def test_a_connectwise_api_that_moved_with_an_update_is_found(connectwise: ConnectWiseServer) -> None:
    memory: dict[str, str] = {}
    async with turn("connectWise", connectwise, memory=memory) as connector:
        await connector.check()
    connectwise.codebase = "v2026_2/"

    async with turn("connectWise", connectwise, memory=memory) as connector:
        await connector.add_note("42", TEXT)

    assert len(connectwise.notes) == 1
    assert memory["api"] == f"{connectwise.url}/v2026_2/apis/3.0"


async def test_connectwise_notes_are_found_where_only_all_notes_lists_them(
    connectwise: ConnectWiseServer,
) -> None:
    connectwise.shows_notes = "allNotes"

    async with turn("connectWise", connectwise) as connector:
        note_id = await connector.add_note("42", TEXT)

        assert await connector.find_note("42", MARKER) == note_id


async def test_a_connectwise_note_is_read_back_where_the_answer_does_not_tell_its_flags(
    connectwise: ConnectWiseServer,
) -> None:
    connectwise.tells_flags = False

    async with turn("connectWise", connectwise) as connector:
        note_id = await connector.add_note("42", TEXT)
        connectwise.ignores_flags = True
        with pytest.raises(NoteVisible):
            await connector.add_note("43", TEXT)

    assert connectwise.times_asked("GET", f"/notes/{note_id}") == 1


async def test_a_connectwise_note_in_the_discussion_raises_the_alarm(connectwise: ConnectWiseServer) -> None:
    connectwise.ignores_flags = True

    async with turn("connectWise", connectwise) as connector:
        with pytest.raises(NoteVisible):
            await connector.add_note("42", TEXT)
        with pytest.raises(NoteVisible):
            await connector.find_note("42", MARKER)


async def test_a_record_in_use_may_pass_later(connectwise: ConnectWiseServer) -> None:
    connectwise.misbehave(answered("POST", "/notes", 409, {"message": "Record is in use"}))

    async with turn("connectWise", connectwise) as connector:
        with pytest.raises(PsaUnavailable) as fault:
            await connector.add_note("42", TEXT)

    assert not isinstance(fault.value, PsaAmbiguous)


async def test_a_note_that_cannot_be_read_back_raises_the_alarm(
    connectwise: ConnectWiseServer, tmp_path: Path
) -> None:
    connectwise.tells_flags = False
    with AutotaskServer(tmp_path / "autotask") as autotask, HaloPsaServer(tmp_path / "halopsa") as halopsa:
        for psa, server, note in (
            ("connectWise", connectwise, "/notes/5000"),
            ("autotask", autotask, "/TicketNotes/29000"),
            ("haloPsa", halopsa, "/api/actions/300"),
        ):
            server.misbehave(answered("GET", note, 403))
            async with turn(psa, server) as connector:
                with pytest.raises(NoteVisible, match="cannot be read back"):
                    await connector.add_note("42", TEXT)


async def test_a_turn_that_is_cancelled_ends_at_once(psa: str, server: PsaServer) -> None:
    server.misbehave(hanging("POST", ADD[psa], carry_out=False))

    async with turn(psa, server) as connector:
        adding = asyncio.create_task(connector.add_note("42", TEXT))
        assert await asyncio.to_thread(server.trouble_met)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
