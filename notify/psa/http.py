"""Requests to PSAs: over TLS alone, to checked addresses alone, bounded in time and size.

- The name is resolved here, and the connection goes to an address that was checked; the certificate is
  still that of the name.
- A redirect is followed for reading, and within the same origin, only: credentials go nowhere else.
- Each request, from the name to the last byte, takes at most 20 seconds and answers with at most 8 MiB.
- No proxy and no `.netrc` of the environment is used.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from notify.psa.addresses import AllowedHosts, resolve
from notify.psa.faults import PsaAmbiguous, PsaFault, PsaRefused, PsaUnavailable, fault_of

REQUEST_SECONDS = 20.0
LARGEST_ANSWER = 8 * 1024 * 1024
_MOST_REDIRECTS = 3
_SHORTEST_SECRET = 6  #: characters; what is shorter stands in other words by chance
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Handoff"}
#: Raised before a byte of the request was sent.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to the checked addresses of a host, and to nothing else.

    Connections are not kept: one that was opened for a name must not serve another name that has the same
    address.
    """

    def __init__(self, allowed: AllowedHosts, tls: ssl.SSLContext) -> None:
        self._allowed = allowed
        self._inner = httpx.AsyncHTTPTransport(verify=tls, limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first address that takes it."""
        if request.url.scheme != "https":
            raise PsaRefused("Only https:// is spoken with a PSA.")
        host = request.url.host
        fault: httpx.TransportError | None = None
        for address in await resolve(host, request.url.port or 443, self._allowed):
            sent = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # Host is the name, set by the client
                stream=request.stream,
                extensions=request.extensions | {"sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(sent)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                fault = error
        raise fault or httpx.ConnectError("the name has no address")

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer."""

    status: int
    body: bytes = field(repr=False)
    changed: bool  #: whether the request was to change something

    def json(self) -> Any:  # noqa: ANN401 (whatever the PSA says; each reader checks what it takes)
        """Return the JSON of the body.

        Raises:
            PsaFault: it is none. What was to be changed may have been.
        """
        try:
            return orjson.loads(self.body)
        except ValueError:
            raise self.nonsense() from None

    def nonsense(self) -> PsaFault:
        """Return the fault of an answer that says something else than the PSA's documentation promises."""
        kind = PsaAmbiguous if self.changed else PsaUnavailable
        return kind("The PSA's answer cannot be read. Is the address that of its API?", code=self.status)


class Web:
    """The requests of one turn with a PSA. Close it."""

    def __init__(
        self,
        allowed: AllowedHosts,
        tls: ssl.SSLContext,
        now: Callable[[], datetime],
        *,
        secrets: tuple[str, ...],
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        """Prepare, without connecting. `secrets` are struck out wherever an answer repeats them."""
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(allowed, tls),
            trust_env=False,
            headers=_HEADERS,
            timeout=request_seconds,
        )
        self._now = now
        self._secrets = secrets
        self._seconds = request_seconds

    async def close(self) -> None:
        """End."""
        await self._client.aclose()

    async def read(self, url: str, headers: Mapping[str, str], **params: str | int) -> Answer:
        """Ask for something that may be asked for any number of times.

        Raises:
            PsaFault: there is no answer, or it is no success.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            response = await self._send("GET", url, headers, changes=False, params=params or None)
            if not response.is_redirect:
                return self._answer(response, changes=False)
            url, params = str(self._next(response)), {}
        raise PsaRefused("The PSA redirects again and again.", code=response.status_code)

    async def write(self, url: str, headers: Mapping[str, str], document: object) -> Answer:
        """Send a JSON document that changes something.

        Raises:
            PsaAmbiguous: it may have been carried out.
            PsaFault: it was not.
        """
        content = {"content": orjson.dumps(document)}
        more = {**headers, "Content-Type": "application/json"}
        return self._answer(await self._send("POST", url, more, changes=True, **content), changes=True)

    async def sign_in(self, url: str, form: Mapping[str, str], **params: str | None) -> Answer:
        """Send a form that changes nothing.

        Raises:
            PsaFault: there is no answer, or it is no success.
        """
        given = {name: value for name, value in params.items() if value} or None
        response = await self._send("POST", url, {}, changes=False, data=dict(form), params=given)
        return self._answer(response, changes=False)

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        changes: bool,
        **content: Any,  # noqa: ANN401
    ) -> httpx.Response:
        try:
            async with asyncio.timeout(self._seconds):
                request = self._client.build_request(method, url, headers=dict(headers), **content)
                response = await self._client.send(request, stream=True, follow_redirects=False)
                try:
                    return await _read(response, changes=changes)
                finally:
                    await response.aclose()
        except _NOT_SENT as error:
            raise PsaUnavailable(f"The PSA cannot be reached: {self._safe(str(error))}") from None
        except (TimeoutError, httpx.TimeoutException):
            kind = PsaAmbiguous if changes else PsaUnavailable
            raise kind(f"The PSA did not answer within {self._seconds:g} seconds.") from None
        except httpx.InvalidURL:
            raise PsaRefused("The address of the PSA cannot be used.") from None
        except httpx.TransportError as error:
            kind = PsaAmbiguous if changes else PsaUnavailable
            raise kind(f"The connection to the PSA broke: {self._safe(str(error))}") from None

    def _answer(self, response: httpx.Response, *, changes: bool) -> Answer:
        if response.is_success:
            return Answer(response.status_code, response.content, changes)
        if response.is_redirect:
            raise PsaRefused("The PSA redirects to another address.", code=response.status_code)
        raise fault_of(
            response.status_code,
            self._safe(_said(response)),
            retry_after=response.headers.get("Retry-After"),
            changes=changes,
            now=self._now(),
        )

    def _next(self, response: httpx.Response) -> httpx.URL:
        try:
            there = response.request.url.join(response.headers["Location"])
        except (httpx.InvalidURL, KeyError):
            raise PsaRefused("The PSA redirects to nowhere.", code=response.status_code) from None
        if origin_of(there) != origin_of(response.request.url):
            raise PsaRefused("The PSA redirects to another address.", code=response.status_code)
        return there

    def _safe(self, text: str) -> str:
        """Return a text without the credentials that a PSA may repeat in an error."""
        for secret in self._secrets:
            if len(secret) >= _SHORTEST_SECRET:
                for spelling in (secret, quote(secret, safe="")):
                    text = text.replace(spelling, "***")
        return text


def origin_of(url: httpx.URL) -> tuple[str, str, int]:
    """Return scheme, host and port."""
    return url.scheme, url.host.lower(), url.port or 443


@cache
def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return the rules of TLS: public authorities, and the operator's own where they name a file.

    Raises:
        OSError, ssl.SSLError: the file cannot be read, or holds no certificate.
    """
    if ca_file is None:
        return _trusting_public_authorities()
    tls = httpx.create_ssl_context(trust_env=False)
    tls.load_verify_locations(ca_file)
    return tls


@cache
def _trusting_public_authorities() -> ssl.SSLContext:
    """Read them once for the whole process: the file is large."""
    return httpx.create_ssl_context(trust_env=False)


async def _read(response: httpx.Response, *, changes: bool) -> httpx.Response:
    """Read the whole body, as it came: a compressed one could grow without bound when it is opened."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            kind = PsaAmbiguous if changes else PsaUnavailable
            raise kind("The PSA's answer is larger than 8 MiB.", code=response.status_code)
    is_plain = response.headers.get("Content-Encoding", "identity").lower() == "identity"
    return httpx.Response(
        response.status_code,
        headers=[
            (k, v) for k, v in response.headers.multi_items() if k.lower() in ("location", "retry-after")
        ],
        content=bytes(body) if is_plain else b"",
        request=response.request,
    )


def _said(response: httpx.Response) -> str:
    """Return the sentence of an error's JSON; nothing of what is no JSON, such as a page of HTML."""
    try:
        document = orjson.loads(response.content)
    except ValueError:
        return ""
    return "; ".join(_sentences(document))


def _sentences(document: object) -> list[str]:
    """Return the texts under the names that the three systems give their errors."""
    if isinstance(document, str):
        return [document]
    if isinstance(document, list):
        return [text for one in document[:5] for text in _sentences(one)]
    if not isinstance(document, dict):
        return []
    found: list[str] = []
    for name in ("message", "Message", "error_description", "error", "errors", "ErrorMessage"):
        found += _sentences(document.get(name))
    return list(dict.fromkeys(found))[:5]
