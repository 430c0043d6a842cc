"""What the tests' own ticketing systems share: HTTPS, a record of what was asked, and troubles to order."""

import json
import socket
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.patience import PATIENCE
from tests.servers.certificates import make_certificate


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401
        """Return what was sent."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """Return the form that was sent."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None  #: instead of the document


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What goes wrong with one request."""

    method: str
    path: str  #: how its path ends
    carry_out: bool = False  #: whether the request is carried out all the same
    reply: Reply | None = None  #: what is answered instead; None: the connection is dropped
    hang: bool = False  #: whether nothing is answered until the server stops or is told to go on


class PsaServer(ABC):
    """A ticketing system on a port of 127.0.0.1, in threads of its own. Tickets 1 to 99 exist."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file, self._tls = make_certificate(folder)
        self.asked: list[Asked] = []
        self.notes: list[dict[str, Any]] = []  #: of all tickets, as the system stores them
        self._troubles: deque[Trouble] = deque()
        self._met = Event()
        self._go_on = Event()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def __enter__(self) -> Self:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        server.socket = self._tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = server.server_port
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self._server = server
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._go_on.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def url(self) -> str:
        """Where it is, for who may reach 127.0.0.1."""
        return f"https://localhost:{self.port}"

    @property
    def host(self) -> str:
        """Its name among the hosts that are allowed."""
        return f"localhost:{self.port}"

    def misbehave(self, *troubles: Trouble) -> None:
        """Order troubles; each meets one request, in this order."""
        self._troubles.extend(troubles)

    def trouble_met(self) -> bool:
        """Wait until a request hangs; return whether one does."""
        return self._met.wait(PATIENCE)

    def go_on(self) -> None:
        """Answer what hangs."""
        self._go_on.set()

    def times_asked(self, method: str, path: str) -> int:
        """Count the requests whose path ends so."""
        return sum(asked.method == method and asked.path.endswith(path) for asked in self.asked)

    @abstractmethod
    def answer(self, asked: Asked) -> Reply:
        """Carry out a request."""

    def respond(self, asked: Asked) -> Reply | None:
        """Carry out a request, or meet the next trouble; None drops the connection."""
        self.asked.append(asked)
        trouble = self._troubles[0] if self._troubles else None
        if trouble is None or trouble.method != asked.method or not asked.path.endswith(trouble.path):
            return self.answer(asked)
        self._troubles.popleft()
        carried_out = self.answer(asked) if trouble.carry_out else None
        if trouble.hang:
            self._met.set()
            self._go_on.wait(PATIENCE)
            return carried_out
        return trouble.reply


def dropped(method: str, path: str, *, carry_out: bool) -> Trouble:
    """Order that the connection of a request is dropped before it is answered."""
    return Trouble(method=method, path=path, carry_out=carry_out)


def answered(
    method: str, path: str, status: int, document: object = None, *, carry_out: bool = False, **headers: str
) -> Trouble:
    """Order another answer to a request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = Reply(status, document, named)
    return Trouble(method=method, path=path, carry_out=carry_out, reply=reply)


def said(method: str, path: str, raw: bytes, *, carry_out: bool = False, **headers: str) -> Trouble:
    """Order an answer of 200 that is not JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Trouble(method=method, path=path, carry_out=carry_out, reply=Reply(200, None, named, raw))


def hanging(method: str, path: str, *, carry_out: bool) -> Trouble:
    """Order that a request is not answered for now."""
    return Trouble(method=method, path=path, carry_out=carry_out, hang=True)


def _handler(system: PsaServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do()

        def do_POST(self) -> None:
            self._do()

        def _do(self) -> None:
            parts = urlsplit(self.path)
            asked = Asked(
                method=self.command,
                path=parts.path,
                query={name: values[0] for name, values in parse_qs(parts.query).items()},
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            )
            reply = system.respond(asked)
            try:
                if reply is None:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                body = json.dumps(reply.document).encode() if reply.raw is None else reply.raw
                self.send_response(reply.status)
                for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # who asked does not wait any more
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
