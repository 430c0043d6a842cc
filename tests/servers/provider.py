"""An identity provider for the tests: it signs tokens, publishes its keys over HTTP, and goes away."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.servers.processes import free_port

ISSUER = "https://login.example"
AUDIENCE = "handoff-dashboard"

#: Made once: an RSA key takes long to find.
_PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
_TO_JWK: dict[str, Callable[..., Any]] = {
    "RS256": jwt.algorithms.RSAAlgorithm.to_jwk,
    "ES256": jwt.algorithms.ECAlgorithm.to_jwk,
    "EdDSA": jwt.algorithms.OKPAlgorithm.to_jwk,
}


def public_key(name: str, algorithm: str, private: Any = None, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the description of a public key (RFC 7517); None among `changes` leaves a member out."""
    key = private or _PRIVATE[algorithm]
    described = _TO_JWK[algorithm](key.public_key(), as_dict=True)
    described |= {"kid": name, "alg": algorithm, "use": "sig"} | changes
    return {member: value for member, value in described.items() if value is not None}


class Provider:
    """One provider on a port of 127.0.0.1 that it keeps, in a thread of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/keys"
        self.document: Any = {"keys": [public_key("first", "RS256")]}
        self.status = 200
        self.requests = 0
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Answer on the port."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Go away: connections are refused from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def rotate(self, *keys: dict[str, Any]) -> None:
        """Publish other keys."""
        self.document = {"keys": list(keys)}

    def sign(
        self,
        name: str | None = "first",
        algorithm: str = "RS256",
        key: Any = None,  # noqa: ANN401
        **changes: Any,  # noqa: ANN401
    ) -> str:
        """Sign a token that is good but for the changes to its claims; None leaves a claim out."""
        now = datetime.now(UTC)
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": now, "exp": now + timedelta(hours=1)}
        claims = {claim: value for claim, value in (good | changes).items() if value is not None}
        headers = None if name is None else {"kid": name}
        return jwt.encode(claims, key or _PRIVATE[algorithm], algorithm=algorithm, headers=headers)


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.requests += 1
            document = provider.document
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(provider.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
