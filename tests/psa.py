"""What tests of notes in tickets share: the three systems, connections to them, and a worker."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet
from sqlalchemy import select, update

from db import psa_notes
from db.deliveries import DeliveryRow
from db.enums import Channel, DeliveryStatus, PsaProvider, PsaStatus
from db.models import deliveries, psa_connections
from db.psa_connections import PsaConnectionRow
from db.session import Database, new_id
from notify.psa.addresses import AllowedHosts
from notify.psa.gateway import Gateway
from notify.psa.http import trusting
from notify.psa.outbox import NoteOutbox, NoteSettings
from notify.psa.port import Connector
from notify.psa.vault import Vault
from schema.context import utc_now
from server.process import make_gateway
from tests.cast import Cast
from tests.client import Api, running_api
from tests.servers import autotask, connectwise, halopsa
from tests.servers.autotask import AutotaskServer
from tests.servers.connectwise import ConnectWiseServer
from tests.servers.halopsa import HaloPsaServer
from tests.servers.psa import PsaServer

PSAS: dict[str, type[PsaServer]] = {
    "connectWise": ConnectWiseServer,
    "autotask": AutotaskServer,
    "haloPsa": HaloPsaServer,
}
PROVIDERS = {
    "connectWise": PsaProvider.CONNECTWISE,
    "autotask": PsaProvider.AUTOTASK,
    "haloPsa": PsaProvider.HALOPSA,
}
CONNECTION = """
  id provider name server settings { name value } status lastError checkedAt paused automatic createdAt
"""
CREATE = f"""
mutation ($input: CreatePsaConnectionInput!) {{ createPsaConnection(input: $input) {{
  psaConnection {{ {CONNECTION} }}
}} }}
"""
TEST = f"""
mutation ($id: ID!) {{ testPsaConnection(input: {{ connectionId: $id }}) {{
  works message psaConnection {{ {CONNECTION} }}
}} }}
"""
ROTATE = f"""
mutation ($input: RotatePsaCredentialsInput!) {{ rotatePsaCredentials(input: $input) {{
  psaConnection {{ {CONNECTION} }}
}} }}
"""
PUSH = """
mutation ($id: ID!) { pushHandoffToPsa(input: { handoffId: $id }) {
  __typename
  ... on Problem { message }
  ... on PushHandoffToPsaSuccess { delivery {
    id channel kind round status reason error attempts recipient { id } handoff { id psaNotePushed psaNoteId }
  } }
} }
"""


def credentials_of(psa: str) -> dict[str, str]:
    """Return the credentials that a system knows, as the API takes them."""
    known = {
        "connectWise": connectwise.CREDENTIALS,
        "autotask": autotask.CREDENTIALS,
        "haloPsa": halopsa.CREDENTIALS,
    }
    return dict(known[psa])


def input_of(psa: str, server: PsaServer) -> dict[str, Any]:
    """Return how to reach a system, as the API takes it."""
    more = {
        "connectWise": {"companyId": connectwise.COMPANY, "clientId": connectwise.CLIENT_ID},
        "autotask": {},
        "haloPsa": {"tenant": halopsa.TENANT},
    }
    return {"server": server.url, "credentials": credentials_of(psa), **more[psa]}


@asynccontextmanager
async def turn(
    psa: str,
    server: PsaServer,
    *,
    memory: dict[str, str] | None = None,
    allowed: str | None = None,
    base_url: str | None = None,
    request_seconds: float = 20,
    credentials: dict[str, str] | None = None,
    config: dict[str, str] | None = None,
) -> AsyncIterator[Connector]:
    """Begin a turn with a system, without a database."""
    gateway = Gateway(
        vault=Vault([Fernet.generate_key().decode()]),
        allowed=AllowedHosts([server.host if allowed is None else allowed]),
        tls=trusting(server.ca_file),
        now=utc_now,
        request_seconds=request_seconds,
    )
    known = {
        "connectWise": {"company_id": connectwise.COMPANY, "client_id": connectwise.CLIENT_ID},
        "autotask": {},
        "haloPsa": {
            "auth_server": f"{server.url}/auth",
            "tenant": halopsa.TENANT,
            "outcome_id": "7",
            "outcome_label": "Internal Note",
        },
    }
    row = PsaConnectionRow(
        account_id=new_id(),
        id=new_id(),
        provider=PROVIDERS[psa],
        name="PSA",
        base_url=base_url or server.url,
        config=known[psa] | (config or {}),
        status=PsaStatus.UNTESTED,
        last_error=None,
        checked_at=None,
        paused=False,
        automatic=False,
        created_at=utc_now(),
    )
    given = {_snake(name): value for name, value in (credentials or credentials_of(psa)).items()}
    async with gateway.open(row, gateway.seal(row, given), memory) as connector:
        yield connector


@contextmanager
def running_psa(psa: str, folder: Path) -> Iterator[PsaServer]:
    """Run a system."""
    with PSAS[psa](folder) as server:
        yield server


def halo_psa(tmp_path: Path) -> Iterator[PsaServer]:
    """Run a HaloPSA, whose protocol has the most steps: a module's fixture `server`, for `halo_desk` too."""
    with running_psa("haloPsa", tmp_path / "psa") as server:
        yield server


@dataclass(frozen=True)
class Desk:
    """The API with one PSA connected to it, and a worker for its notes."""

    api: Api
    psa: str
    server: PsaServer
    connection_id: str
    outbox: NoteOutbox

    @property
    def database(self) -> Database:
        """The test's database."""
        return self.api.cast.database

    async def escalate(self, ticket: str = "42", intent: str = "ESCALATE", **more: Any) -> str:  # noqa: ANN401
        """Hand off a session of Alice's that has a ticket; return the handoff's id."""
        session_id = await self.start_session(ticket)
        created = await self.api.create(self.api.cast.alice, session_id, intent, **more)
        return str(created["handoff"]["id"])

    async def start_session(self, ticket: str | None = "42") -> str:
        """Start a session of Alice's with a ticket; return its id."""
        started = await self.api.change(
            self.api.cast.alice,
            "startSession",
            problemSummary="VPN drops every hour",
            psaTicketId=ticket,
            psaConnectionId=self.connection_id,
        )
        return str(started.only()["session"]["id"])

    async def push(self, handoff_id: str) -> Any:  # noqa: ANN401
        """Ask for a handoff's note as Bob, and return what was answered."""
        return (await self.api.ask(self.api.cast.bob, PUSH, id=handoff_id)).only()

    async def pushed(self, ticket: str = "42", **more: Any) -> str:  # noqa: ANN401
        """Hand off a session and ask for its note; return the handoff's id."""
        handoff_id = await self.escalate(ticket, **more)
        assert (await self.push(handoff_id))["__typename"] == "PushHandoffToPsaSuccess"
        return handoff_id

    async def test_connection(self) -> Any:  # noqa: ANN401
        """Test the connection as Adam, and return what was answered."""
        return (await self.api.ask(self.api.cast.adam, TEST, id=self.connection_id)).only()

    async def note(self, handoff_id: str) -> DeliveryRow:
        """Return the delivery of a handoff's note."""
        async with self.database.reading(self.api.cast.account_id) as tx:
            row = await psa_notes.of_handoff(tx, UUID(handoff_id))
        assert row is not None
        return row

    async def connection(self) -> PsaConnectionRow:
        """Return the connection as it is stored."""
        return await stored_connection(self.database, self.connection_id)

    async def make_due(self) -> None:
        """Let as much time pass as the note, its connection and its leases wait for."""
        await make_notes_due(self.database)


@asynccontextmanager
async def connected(
    psa: str,
    server: PsaServer,
    database_url: str,
    cast: Cast,
    *,
    automatic: bool = False,
    has_passed: bool = True,
    request_seconds: float = 20,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[Desk]:
    """Run the API with one PSA connected to it, which has passed a test unless told otherwise."""
    reach = {"psa_allowed_hosts": [server.host], "psa_ca_file": server.ca_file}
    async with running_api(database_url, cast, **(reach | settings)) as api:
        wanted = {"name": "Tickets", "automatic": automatic, psa: input_of(psa, server)}
        made = (await api.ask(cast.adam, CREATE, input=wanted)).only()["psaConnection"]
        if has_passed:
            await pass_test(cast.database, made["id"])
        yield Desk(api, psa, server, made["id"], make_notes_worker(api, request_seconds=request_seconds))


async def halo_desk(server: PsaServer, database_url: str, cast: Cast) -> AsyncIterator[Desk]:
    """Run the API with that HaloPSA connected to it: a module's fixture `desk`."""
    async with connected("haloPsa", server, database_url, cast) as desk:
        yield desk


def make_notes_worker(api: Api, *, request_seconds: float = 20, redact: Any = None) -> NoteOutbox:  # noqa: ANN401
    """Make the loop for notes of another process with the settings of the API."""
    gateway = make_gateway(api.node.settings)
    assert gateway is not None
    notes = NoteSettings(
        link_of=lambda handoff_id: f"https://x.example/handoffs/{handoff_id}",
        redact=redact or (lambda text: text),
    )
    gateway = replace(gateway, request_seconds=request_seconds)
    return NoteOutbox(api.cast.database, gateway, notes, utc_now)


async def stored_connection(database: Database, connection_id: str) -> PsaConnectionRow:
    """Return a connection as it is stored."""
    statement = select(*(psa_connections.c[name] for name in PsaConnectionRow.__dataclass_fields__))
    async with database.system_reading() as tx:
        row = await tx.fetch_one(
            statement.where(psa_connections.c.id == UUID(connection_id)), PsaConnectionRow
        )
    assert row is not None
    return row


async def pass_test(database: Database, connection_id: str) -> None:
    """Let a connection have passed a test before, without asking its PSA."""
    async with database.system() as tx:
        own = update(psa_connections).where(psa_connections.c.id == UUID(connection_id))
        await tx.execute(own.values(passed_at=utc_now()))


async def make_notes_due(database: Database) -> None:
    """Let as much time pass as every note, connection and lease waits for."""
    past = utc_now() - timedelta(seconds=1)
    unfinished = deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING))
    note = update(deliveries).where(deliveries.c.channel == Channel.PSA_NOTE, unfinished)
    async with database.system() as tx:
        await tx.execute(note.values(due_at=past))
        await tx.execute(note.where(deliveries.c.lease_until.is_not(None)).values(lease_until=past))
        await tx.execute(update(psa_connections).values(not_before=None))
        held = update(psa_connections).where(psa_connections.c.lease_until.is_not(None))
        await tx.execute(held.values(lease_until=past))


def marker(handoff_id: str) -> str:
    """Return what the note of a handoff ends with."""
    return f"[handoff:{handoff_id}#0]"


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
