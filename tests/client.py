"""Clients of the API: one that asks over HTTP, in process, and the documents that tests share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from db.users import UserRow
from server.app import make_app
from server.auth import Tokens
from server.process import Node
from server.settings import Settings
from tests.cast import Cast

SECRET = "a secret for tests, long enough to sign with"

CREATE = """
mutation ($input: CreateHandoffInput!) { createHandoff(input: $input) {
  __typename
  ... on Problem { message }
  ... on SessionAlreadyHandedOff { handoff { id } }
  ... on CreateHandoffSuccess {
    reach { online email unreachable }
    handoff { id intent priority state notes createdAt handedOffBy { id } session { id status handoffCount } }
  }
} }
"""
CLAIM = """
mutation ($id: ID!) { claimHandoff(input: { handoffId: $id }) {
  __typename
  ... on Problem { message }
  ... on HandoffAlreadyClaimed { claimedAt claimedBy { id name } }
  ... on HandoffNotOpen { state }
  ... on ClaimHandoffSuccess {
    handoff { id state claimedAt claimedBy { id } session { status escalatedTo { id } } }
  }
} }
"""
RELEASE = """
mutation ($id: ID!, $reason: String, $from: ID) {
  releaseHandoff(input: { handoffId: $id, reason: $reason, claimedById: $from }) {
    __typename
    ... on Problem { message }
    ... on ReleaseHandoffSuccess {
      handoff { id state claimedAt claimedBy { id } session { status escalatedTo { id } } }
    }
  }
}
"""
HANDOFF = """
query ($id: ID!) { handoff(id: $id) {
  id intent priority state notes createdAt claimedAt
  claimedBy { id name } handedOffBy { id name } sourceBranch { id label }
  snapshot {
    problemSummary problemDomain status stepCount confidenceTier activeBranchId
    branches { id label status statusReason parentBranchId }
  }
  session { id status handoffCount escalatedTo { id name } escalationPackage }
  deliveries(first: 100) {
    edges { node { round channel kind status reason dueAt recipient { id name } } }
  }
  timeline { sequence kind summary actor { name } }
} }
"""
SESSION_FIELDS = """
  id status stepCount problemSummary problemDomain confidenceTier psaTicketId psaConnectionId handoffCount
  resolvedAt
  branching owner { name } team { name } escalatedTo { name } activeBranch { id label }
  branches { id label status statusReason order parentBranch { label } }
  messages(first: 100) { totalCount edges { node { index role content at } } }
"""
SESSION_RESULT = (
    f"__typename ... on Problem {{ message }} ... on SessionSuccess {{ session {{ {SESSION_FIELDS} }} }}"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered: data and errors, both to be looked at."""

    data: dict[str, Any] | None
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def codes(self) -> list[str]:
        """The code of each error."""
        return [error["extensions"]["code"] for error in self.errors]

    def refusal(self) -> tuple[str, str]:
        """Return code and message of the one refusal that this answer is."""
        assert set((self.data or {}).values()) <= {None}
        (error,) = self.errors
        return error["extensions"]["code"], error["message"]

    def only(self) -> Any:  # noqa: ANN401 (whatever the field holds)
        """Return the value of the one root field, of an answer without errors."""
        assert not self.errors
        assert self.data is not None
        (value,) = self.data.values()
        return value


@dataclass(frozen=True, slots=True)
class Api:
    """The API of one node."""

    node: Node
    http: httpx.AsyncClient
    cast: Cast

    def token(self, user: UserRow, *, valid_for: timedelta = timedelta(hours=1)) -> str:
        """Sign a token for the user."""
        return Tokens(SECRET).sign(user.id, valid_for=valid_for)

    async def ask(self, user: UserRow | None, document: str, **variables: Any) -> Answer:  # noqa: ANN401
        """Ask as the user, None for nobody."""
        token = None if user is None else self.token(user)
        return await self.ask_with(token, document, **variables)

    async def ask_with(self, token: str | None, document: str, **variables: Any) -> Answer:  # noqa: ANN401
        """Ask with a token that need not be good, None for none."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        body = {"query": document, "variables": variables}
        response = await self.http.post("/graphql", json=body, headers=headers)
        assert response.status_code == 200, response.text
        payload = response.json()
        return Answer(payload.get("data"), payload.get("errors", []))

    async def create(self, user: UserRow, session_id: object, intent: str = "ESCALATE", **more: Any) -> Any:  # noqa: ANN401
        """Hand a session off and return what createHandoff answered."""
        wanted = {"sessionId": str(session_id), "intent": intent, **more}
        return (await self.ask(user, CREATE, input=wanted)).only()

    async def escalate(self, user: UserRow, session_id: object, **more: Any) -> str:  # noqa: ANN401
        """Escalate a session and return the handoff's id."""
        answer = await self.create(user, session_id, **more)
        assert answer["__typename"] == "CreateHandoffSuccess"
        return str(answer["handoff"]["id"])

    async def claim(self, user: UserRow, handoff_id: str) -> Any:  # noqa: ANN401
        """Claim a handoff and return what claimHandoff answered."""
        return (await self.ask(user, CLAIM, id=handoff_id)).only()

    async def release(
        self, user: UserRow, handoff_id: str, reason: str | None = None, *, of: UserRow | None = None
    ) -> Any:  # noqa: ANN401
        """Release a handoff, of somebody's or whoever's, and return what releaseHandoff answered."""
        taken_from = None if of is None else str(of.id)
        given = {"id": handoff_id, "reason": reason, "from": taken_from}
        return (await self.ask(user, RELEASE, **given)).only()

    async def session(self, session_id: object) -> Any:  # noqa: ANN401
        """Return all that a viewer may see of a session."""
        document = f"query ($id: ID!) {{ session(id: $id) {{ {SESSION_FIELDS} }} }}"
        return (await self.ask(self.cast.vera, document, id=str(session_id))).only()

    async def change(self, user: UserRow | None, mutation: str, **given: Any) -> Answer:  # noqa: ANN401
        """Send one of the mutations that take sessions in, like `updateSession`, with the given input."""
        kind = mutation[0].upper() + mutation[1:]
        result = f"session {{ {SESSION_FIELDS} }}" if mutation == "startSession" else SESSION_RESULT
        document = f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) {{ {result} }} }}"
        return await self.ask(user, document, input=given)

    async def handoff(self, handoff_id: str) -> Any:  # noqa: ANN401
        """Return all that a viewer may see of a handoff."""
        return (await self.ask(self.cast.vera, HANDOFF, id=handoff_id)).only()

    async def timeline(self, handoff_id: str) -> list[tuple[str, str | None, str]]:
        """Return the kind, the actor's name and the summary of each entry of a handoff's timeline."""
        entries = (await self.handoff(handoff_id))["timeline"]
        return [
            (entry["kind"], entry["actor"] and entry["actor"]["name"], entry["summary"]) for entry in entries
        ]

    async def deliveries(self, handoff_id: str) -> list[tuple[int, str, str, str, str | None]]:
        """Return round, recipient, channel, status and reason of each delivery of a handoff, sorted."""
        edges = (await self.handoff(handoff_id))["deliveries"]["edges"]
        nodes = [edge["node"] for edge in edges]
        nobody = {"name": ""}  # whom a note in a ticket tells
        return sorted(
            (
                node["round"],
                (node["recipient"] or nobody)["name"],
                node["channel"],
                node["status"],
                node["reason"],
            )
            for node in nodes
        )


@asynccontextmanager
async def running_api(database_url: str, cast: Cast, **settings: Any) -> AsyncIterator[Api]:  # noqa: ANN401
    """Run the application in this process, reached without a socket. No worker unless asked for."""
    node = Node(make_settings(database_url, **settings))
    app = make_app(node)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://handoff.test") as http,
    ):
        yield Api(node, http, cast)


class GivenSettings(Settings):
    """Settings in which the environment has no say, nor takes the time to be read."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing but what is given."""
        return (init_settings,)


def make_settings(database_url: str, **settings: Any) -> Settings:  # noqa: ANN401
    """Make settings for a test."""
    given: dict[str, Any] = {"mutation_limit": "10000/second", "assessor": "off"} | {
        "worker": "off",
        "demo": True,
        "mail_from": "Handoff <handoff@msp.example>",
    }
    given |= {"secret": SecretStr(SECRET), "database_url": SecretStr(database_url)} | settings
    for name in ("smtp_url", "broadcast_url"):
        if isinstance(given.get(name), str):
            given[name] = SecretStr(given[name])
    return GivenSettings(**given)
