"""A real browser without a window, spoken to by the DevTools protocol."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.patience import PATIENCE
from tests.servers import children

NAMES = ("chromium", "chromium-browser", "google-chrome")
_KEYS = {"Tab": (9, ""), "Enter": (13, "\r")}


class NavigatedError(Exception):
    """The page went to another address before it answered."""


class Page:
    """One tab. What a person would see as a fault of the page is in `complaints`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = count(1)
        self.complaints: list[str] = []  #: errors of scripts, and what the Content-Security-Policy refused

    async def read(self) -> None:
        """Take in what the browser says, until it is gone."""
        async for text in self._socket:
            message = json.loads(text)
            if future := self._answers.pop(message.get("id"), None):
                future.set_result(message)
            elif message.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(message["params"]["exceptionDetails"]))
            elif (
                message.get("method") == "Log.entryAdded"
                and message["params"]["entry"]["source"] == "security"
            ):
                self.complaints.append(message["params"]["entry"]["text"])

    async def say(self, method: str, **params: object) -> dict[str, Any]:
        """Give the browser an order of the protocol, and return its result."""
        number = next(self._numbers)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(PATIENCE):
            answer = await future
        if answer.get("error", {}).get("message") == "Inspected target navigated or closed":
            raise NavigatedError
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, address: str) -> None:
        """Go to an address."""
        await self.say("Page.navigate", url=address)

    async def value(self, expression: str) -> Any:  # noqa: ANN401  # whatever JavaScript gives
        """Return what an expression of JavaScript gives on the page."""
        result = await self.say("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    async def until(self, text: str) -> str:
        """Wait until a reader sees a text on the page, and return all that they see."""
        deadline, seen = time.monotonic() + PATIENCE, ""
        while True:
            with suppress(NavigatedError):
                seen = str(await self.value("document.querySelector('main')?.innerText"))
            if text in seen:
                return seen
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(0.02)

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            code, text = _KEYS[key]
            for kind in ("keyDown", "keyUp"):
                await self.say(
                    "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, text=text
                )

    async def type(self, text: str) -> None:
        """Type a text where the cursor is."""
        await self.say("Input.insertText", text=text)


@asynccontextmanager
async def browsing(*, width: int = 320, height: int = 640) -> AsyncIterator[Page]:
    """Open a tab as wide as a small phone; skip where there is no browser."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    folder = children.make_folder("browser-")
    options = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}", "--no-first-run"]
    options += ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    options += ["--no-sandbox"] if children.is_root() else []
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = children.spawn([program, *options, "about:blank"], cwd=folder, env=env, stdout=log)
    try:
        async with connect(await _tab(folder), max_size=None) as socket:
            page = Page(socket)
            reading = asyncio.create_task(page.read())
            for domain in ("Page", "Runtime", "Log"):
                await page.say(f"{domain}.enable")
            await page.say(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=False,
            )
            yield page
        await reading
    finally:
        children.kill_tree(process, PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)


async def _tab(folder: Path) -> str:
    """Return the address of the socket of the browser's first tab, once it has begun."""
    async with asyncio.timeout(2 * PATIENCE), httpx.AsyncClient() as http:
        while True:
            with suppress(FileNotFoundError, ValueError, StopIteration, httpx.TransportError):
                port = int((folder / "DevToolsActivePort").read_text().partition("\n")[0])
                tabs = (await http.get(f"http://127.0.0.1:{port}/json/list")).json()
                return next(str(tab["webSocketDebuggerUrl"]) for tab in tabs if tab["type"] == "page")
            await asyncio.sleep(0.05)
