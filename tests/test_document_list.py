"""With a manifest (HANDOFF_DOCUMENTS) only the documents on it are answered, by hash or by text."""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from db.enums import HandoffIntent
from resolvers import handing_off
from resolvers.new_handoffs import NewHandoff
from schema.context import utc_now
from server.process import Node
from server.settings import SettingsError
from tests.cast import Cast
from tests.client import make_settings
from tests.live import Live, running_server
from tests.servers.processes import free_port
from tests.sockets import QUEUE_CHANGES
from tests.terminal import SECRET, Terminal

ME = "query Me { me { name } }"
PAGE = "edges { node { content } }"
MESSAGES = f"messages(first: $n) {{ {PAGE} }}"
PAGES = f"query ($n: Int!) {{ sessions(first: $n) {{ edges {{ node {{ {MESSAGES} }} }} }} }}"
HASHES = {text: hashlib.sha256(text.encode()).hexdigest() for text in (ME, PAGES, QUEUE_CHANGES)}
NOT_LISTED = "This server answers only the documents on its list."
INTROSPECTION = "{ __schema { queryType { name } } }"


@pytest.fixture
async def listing(database_url: str, cast: Cast, tmp_path: Path) -> AsyncIterator[Live]:
    """A server with a manifest."""
    manifest = tmp_path / "persisted-documents.json"
    manifest.write_text(json.dumps({hash_: text for text, hash_ in HASHES.items()}))
    async with running_server(database_url, cast, documents=manifest) as live:
        yield live


def persisted(hash_: object) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_}}}


#: Requests for what is not on the list.
STRANGE: list[dict[str, Any]] = [
    {"query": "{ me { name } }"},
    {"query": f"{ME} "},
    {"query": INTROSPECTION},
    {"query": "{ me {"},
    {"query": "{ me { id } }"} | persisted(HASHES[ME]),
    {"query": HASHES[ME]},
    {"query": ""} | persisted("0" * 64),
    {"query": ""} | persisted(HASHES[ME].upper()),
    {"query": ""} | persisted([HASHES[ME]]),
    {"query": "", "extensions": {"persistedQuery": HASHES[ME]}},
    {"query": ""},
]


@pytest.mark.parametrize(
    "asked", [{"query": ME}, persisted(HASHES[ME]), {"query": ""} | persisted(HASHES[ME])]
)
async def test_a_listed_document_is_answered_by_its_text_and_by_its_hash(
    listing: Live, asked: dict[str, Any]
) -> None:
    answer = await post(listing, asked)

    assert answer == {"data": {"me": {"name": "Alice"}}}


@pytest.mark.parametrize("asked", [{"query": ME}, {"query": ""} | persisted(HASHES[ME])])
async def test_a_listed_document_is_answered_over_a_socket_too(listing: Live, asked: dict[str, Any]) -> None:
    async with listing.dashboard(listing.cast.alice) as socket:
        operation = await socket.ask(asked)

        assert await operation.next_event() == {"name": "Alice"}


async def test_a_subscription_is_begun_by_its_hash_where_it_can_run(listing: Live) -> None:
    asked = {"query": "", "variables": {"after": await listing.cursor()}} | persisted(HASHES[QUEUE_CHANGES])

    refused = await post(listing, asked)
    async with listing.dashboard(listing.cast.alice) as socket:
        changes = await socket.ask(asked)
        await escalate(listing.cast)

        assert (await changes.next_event())["kind"] == "ADDED"
    (error,) = refused["errors"]
    assert error["message"].startswith("Subscribe over a WebSocket")


async def test_anything_else_is_refused_on_both_transports(listing: Live) -> None:
    async with listing.dashboard(listing.cast.alice) as socket:
        for asked in STRANGE:
            over_http = await post(listing, asked)
            message = await (await socket.ask(asked)).next_message()

            assert over_http.get("data") is None
            codes = [error["extensions"]["code"] for error in over_http["errors"]]
            assert (message["type"], codes) == ("error", ["BAD_USER_INPUT"])
            assert [error["extensions"]["code"] for error in message["payload"]] == codes


async def test_the_limits_hold_for_listed_documents_too(listing: Live) -> None:
    answer = await post(listing, persisted(HASHES[PAGES]) | {"variables": {"n": 100}})

    said = "The document asks too much: cost 270301, allowed 25000."
    assert [error["message"] for error in answer["errors"]] == [said]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "the file cannot be read: No such file or directory."),
        (b"", "the file holds no manifest: a JSON object of documents by hash."),
        (b"{ me { name } }", "the file holds no manifest: a JSON object of documents by hash."),
        (b'["{ me { name } }"]', "the file holds no manifest: a JSON object of documents by hash."),
        (b'{"a": 1}', "the file holds no manifest: a JSON object of documents by hash."),
        (b'{"a": "\xff"}', "the file holds no manifest: a JSON object of documents by hash."),
    ],
)
@pytest.mark.usefixtures("bare_machine")
def test_with_a_manifest_that_cannot_be_read_the_service_does_not_start(
    content: bytes | None, sentence: str, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.json"
    if content is not None:
        manifest.write_bytes(content)

    settings = {"secret": SECRET, "documents": str(manifest), "port": str(free_port())}
    words = Terminal(**settings).refused("serve")

    assert words == f"HANDOFF_DOCUMENTS: {sentence}"


async def test_a_folder_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^HANDOFF_DOCUMENTS: the file cannot be read: Is a directory\."):
        Node(make_settings("sqlite:///nowhere.db", documents=tmp_path))


async def test_an_empty_manifest_answers_nothing(database_url: str, cast: Cast, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    async with running_server(database_url, cast, documents=tmp_path / "manifest.json") as live:
        answer = await post(live, {"query": ME})

    assert [error["message"] for error in answer["errors"]] == [NOT_LISTED]


async def escalate(cast: Cast) -> None:
    """Hand off a new session of Alice's behind the API, whose list has no mutation."""
    session = await cast.start_session()
    new = NewHandoff(session_id=session.id, intent=HandoffIntent.ESCALATE)
    async with cast.database.transaction(cast.account_id) as tx:
        await handing_off.create(tx, cast.alice, new, now=utc_now(), grace=timedelta(0))


async def post(live: Live, body: dict[str, Any]) -> Any:  # noqa: ANN401 (whatever is answered)
    headers = {"Authorization": f"Bearer {live.token(live.cast.alice)}"}
    return (await live.http.post("/graphql", json=body, headers=headers)).json()
