"""The same bytes to every socket, by uvicorn alone: no GraphQL, no rights, no database. For bench.fanout."""

import asyncio
import os

import orjson
import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

FRAME = os.environ["FRAME"]
_sends: set[ASGISendCallable] = set()
_tasks: set[asyncio.Task[None]] = set()


async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Follow, or with a POST tell all who do."""
    if scope["type"] == "websocket":
        await _follow(receive, send)
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}", "more_body": False})
        task = asyncio.create_task(_tell())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)


async def _follow(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws", "headers": []})
    while (message := await receive())["type"] == "websocket.receive":
        if orjson.loads(message.get("text") or "{}")["type"] == "connection_init":
            await send({"type": "websocket.send", "bytes": None, "text": '{"type":"connection_ack"}'})
        else:
            _sends.add(send)
    _sends.discard(send)


async def _tell() -> None:
    for send in list(_sends):
        await send({"type": "websocket.send", "bytes": None, "text": FRAME})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(os.environ["PORT"]),
        lifespan="off",
        access_log=False,
        log_level="error",
        ws_per_message_deflate=False,
    )
