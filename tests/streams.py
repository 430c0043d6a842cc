"""A stream of escalations, and dashboards that follow it, by clients that do not give up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any
from uuid import UUID, uuid4

import httpx
from websockets.exceptions import WebSocketException

from tests.client import CREATE
from tests.http_clients import http_client
from tests.patience import PATIENCE
from tests.sockets import ESCALATIONS, Operation, SocketClosed, eventually, open_socket

PAUSE = 0.05  #: seconds until a client that was refused asks again
START = 'mutation { startSession(input: { problemSummary: "VPN drops every hour" }) { session { id } } }'


@dataclass
class Escalator:
    """A person's program that escalates one session after the other, at any node that answers."""

    addresses: Sequence[str]
    token: str
    made: list[UUID] = field(default_factory=list)  #: handoffs whose createHandoff answered success
    refused: int = 0  #: requests that were not answered, or only with errors

    async def run(self) -> None:
        """Escalate until cancelled. A request that fails is repeated, with the same idempotency key."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with http_client(headers=headers) as http:
            nodes = cycle(f"http://{address}/graphql" for address in self.addresses)
            while True:
                session_id = (await self._ask(http, nodes, START, {}))["session"]["id"]
                wanted = {"sessionId": session_id, "intent": "ESCALATE", "idempotencyKey": str(uuid4())}
                answer = await self._ask(http, nodes, CREATE, {"input": wanted})
                assert answer["__typename"] == "CreateHandoffSuccess", answer
                self.made.append(UUID(answer["handoff"]["id"]))

    async def until_made(self, more: int) -> None:
        """Wait until that many more escalations have succeeded."""
        wanted = len(self.made) + more

        async def are_made() -> bool:
            return len(self.made) >= wanted

        await eventually(are_made)

    async def until_refused(self, more: int) -> None:
        """Wait until that many more requests have failed."""
        wanted = self.refused + more

        async def are_refused() -> bool:
            return self.refused >= wanted

        await eventually(are_refused)

    async def _ask(
        self, http: httpx.AsyncClient, nodes: "cycle[str]", document: str, variables: dict[str, Any]
    ) -> Any:  # noqa: ANN401 (whatever the field holds)
        for node in nodes:
            with suppress(httpx.HTTPError):
                response = await http.post(node, json={"query": document, "variables": variables})
                body = response.json()
                if "errors" not in body:
                    (value,) = body["data"].values()
                    return value
            self.refused += 1
            await asyncio.sleep(PAUSE)
        raise AssertionError


@dataclass
class Dashboard:
    """A screen that follows the escalations, and resumes at the next node when its own is gone.

    It does no more than the clients that pages use: what ends on a socket that stays open fails the test.
    """

    addresses: Sequence[str]
    token: str
    cursor: str
    seen: list[UUID] = field(default_factory=list)  #: handoffs, in the order that they came
    connected: int = 0  #: how often it had to connect

    async def run(self) -> None:
        """Follow until cancelled."""
        for address in cycle(self.addresses):
            self.connected += 1
            with suppress(OSError, TimeoutError, WebSocketException, SocketClosed):
                async with open_socket(f"ws://{address}/graphql") as socket:
                    await socket.init(self.token)
                    await self._follow(await socket.subscribe(ESCALATIONS, after=self.cursor))
            await asyncio.sleep(PAUSE)

    async def until_seen(self, count: int, *, within: float = PATIENCE) -> None:
        """Wait until that many events have come."""

        async def are_seen() -> bool:
            return len(self.seen) >= count

        await eventually(are_seen, within=within)

    async def _follow(self, operation: Operation) -> None:
        """Take events until the socket closes."""
        while (message := await operation.arrived.get()) is not None:
            assert (message["type"], message["payload"].keys()) == ("next", {"data"}), message
            (event,) = message["payload"]["data"].values()
            assert event["missedBefore"] == 0
            self.cursor = event["cursor"]
            self.seen.append(UUID(event["handoff"]["id"]))


@asynccontextmanager
async def running(*clients: Escalator | Dashboard) -> AsyncIterator[None]:
    """Let clients work while the block runs; one that fails fails the test."""
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        yield
        failed = [task for task in tasks if task.done()]
        await asyncio.gather(*failed)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def turned(addresses: Sequence[str]) -> list[str]:
    """Return the addresses, the first one last."""
    return list(islice(cycle(addresses), 1, len(addresses) + 1))
