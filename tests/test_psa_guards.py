"""Requests to a PSA go where its admin said, never into our own network, and end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from notify.psa.addresses import AllowedHosts, clean_base_url, is_public
from notify.psa.faults import PsaAmbiguous, PsaRefused, PsaUnavailable, read_retry_after
from notify.psa.http import LARGEST_ANSWER, Web, trusting
from schema.context import utc_now
from tests.servers.halopsa import HaloPsaServer
from tests.servers.psa import Asked, PsaServer, Reply, answered, hanging, said

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PRIVATE = [
    "10.0.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 (an address to be refused)
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fec0::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "64:ff9b:1::1",
    "::7f00:1",
    "localhost",
    "x",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


class Echo(PsaServer):
    """Answers what it was asked."""

    def answer(self, asked: Asked) -> Reply:
        """Repeat the path."""
        return Reply(200, {"path": asked.path, "host": asked.headers["host"]})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Echo]:
    with Echo(tmp_path) as server:
        yield server


@asynccontextmanager
async def web_of(server: PsaServer, *allowed: str, **changes: Any) -> AsyncIterator[Web]:  # noqa: ANN401
    given: dict[str, Any] = {"secrets": (), "request_seconds": 20} | changes
    tls = given.pop("tls", None) or trusting(server.ca_file)
    web = Web(AllowedHosts(allowed or [server.host]), tls, utc_now, **given)
    try:
        yield web
    finally:
        await web.close()


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert is_public(address) is False


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address) is True


@pytest.mark.parametrize(
    "url",
    [
        "http://psa.example",
        "psa.example",
        "//psa.example",
        "https://",
        "https://user:password@psa.example",
        "https://user@psa.example",
        "https://psa.example?x=1",
        "https://psa.example?",
        "https://psa.example#x",
        "https://psa.example:0",
        "https://psa.example:99999",
        "https://psa.example/a b",
        "https://psa.example\r\nX: y",
        "https://psa.example\\@inside.example",
        "https://пример.example",
        "https://[::1",
        "ftp://psa.example",
        f"https://psa.example/{'x' * 500}",
    ],
)
def test_what_is_no_address_of_a_psa_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|is not|holds"):
        clean_base_url(url)


@pytest.mark.parametrize("url", ["https://psa.example", "https://psa.example:8443/halo/"])
def test_an_address_is_kept_without_its_last_slash(url: str) -> None:
    assert clean_base_url(f" {url} ") == url.rstrip("/")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Sat, 21 Nov 2026 12:01:30 GMT", 90.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("999999999999", 21600.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, now=NOW) == seconds


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "2130706433"],
)
async def test_a_host_inside_is_not_asked_unless_it_is_allowed_by_name(server: Echo, host: str) -> None:
    async with web_of(server, "psa.example", f"localhost:{server.port + 1}") as web:
        with pytest.raises(PsaRefused, match="is in a private network"):
            await web.read(f"https://{host}:{server.port}/secret", {})

    assert server.asked == []


@pytest.mark.parametrize("allowed", ["localhost", "LOCALHOST", "localhost:{port}"])
async def test_a_host_that_is_allowed_by_name_is_asked(server: Echo, allowed: str) -> None:
    async with web_of(server, allowed.format(port=server.port)) as web:
        answer = await web.read(f"{server.url}/here", {})

    assert answer.json() == {"path": "/here", "host": server.host}


async def test_a_name_is_resolved_once_and_the_address_that_was_checked_is_connected_to(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, answers = asyncio.get_running_loop(), ["127.0.0.1", "10.255.255.1"]

    async def resolve(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    async with web_of(server) as web:
        await web.read(f"{server.url}/here", {})

    assert answers == ["10.255.255.1"]
    assert server.times_asked("GET", "/here") == 1


async def test_of_several_addresses_only_those_that_are_allowed_are_tried(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(host: str, port: int, **_: object) -> list[Any]:
        found = ["127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with web_of(server, "elsewhere.example") as web:
        with pytest.raises(PsaRefused, match="is in a private network"):
            await web.read(f"{server.url}/here", {})

    assert server.asked == []


@pytest.mark.parametrize(
    "there",
    [
        "https://127.0.0.1:{port}/there",
        "https://169.254.169.254/meta",
        "http://localhost:{port}/there",
        "//x.example/",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_elsewhere_is_not_followed(server: Echo, there: str, status: int) -> None:
    server.misbehave(answered("GET", "/here", status, Location=there.format(port=server.port)))

    async with web_of(server, "localhost", "127.0.0.1") as web:
        with pytest.raises(PsaRefused, match="redirects to another address"):
            await web.read(f"{server.url}/here", {"Authorization": "Basic secret"})

    assert [asked.path for asked in server.asked] == ["/here"]


async def test_a_redirect_within_the_server_is_followed_for_reading_alone(server: Echo) -> None:
    moved = [answered(method, "/here", 307, Location="/there?x=1") for method in ("GET", "POST")]
    server.misbehave(*moved)

    async with web_of(server) as web:
        answer = await web.read(f"{server.url}/here", {}, page=1)
        with pytest.raises(PsaRefused, match="redirects"):
            await web.write(f"{server.url}/here", {}, {"note": 1})

    assert answer.json()["path"] == "/there"
    assert [asked.query for asked in server.asked] == [{"page": "1"}, {"x": "1"}, {}]


async def test_redirects_in_a_circle_end(server: Echo) -> None:
    server.misbehave(*[answered("GET", "/here", 302, Location="/here")] * 9)

    async with web_of(server) as web:
        with pytest.raises(PsaRefused, match="again and again"):
            await web.read(f"{server.url}/here", {})

    assert len(server.asked) == 4


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_an_answer_beyond_8_mib_is_not_read_to_its_end(server: Echo, coding: str) -> None:
    large = b" " * (LARGEST_ANSWER + 1)
    for method in ("GET", "POST"):
        server.misbehave(said(method, "/here", large, carry_out=True, Content_Encoding=coding))

    async with web_of(server) as web:
        with pytest.raises(PsaUnavailable, match="larger than 8 MiB"):
            await web.read(f"{server.url}/here", {})
        with pytest.raises(PsaAmbiguous, match="larger than 8 MiB"):
            await web.write(f"{server.url}/here", {}, {})


async def test_a_request_that_takes_too_long_is_given_up(server: Echo) -> None:
    server.misbehave(hanging("GET", "/here", carry_out=False))

    async with web_of(server, request_seconds=0.3) as web:
        with pytest.raises(PsaUnavailable, match=r"within 0\.3 seconds"):
            await web.read(f"{server.url}/here", {})


async def test_a_certificate_that_nobody_vouches_for_is_refused(server: Echo) -> None:
    async with web_of(server, tls=trusting(None)) as web:
        with pytest.raises(PsaUnavailable, match="certificate verify failed"):
            await web.read(f"{server.url}/here", {})

    assert server.asked == []


async def test_a_certificate_of_another_name_is_refused(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with web_of(server, "psa.example") as web:
        with pytest.raises(PsaUnavailable, match="certificate verify failed"):
            await web.read(f"https://psa.example:{server.port}/here", {})

    assert server.asked == []


async def test_nothing_is_sent_without_tls(server: Echo) -> None:
    async with web_of(server) as web:
        with pytest.raises(PsaRefused, match="Only https"):
            await web.read(f"http://localhost:{server.port}/here", {})

    assert server.asked == []


async def test_a_proxy_of_the_environment_is_not_used(server: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with web_of(server) as web:
        answer = await web.read(f"{server.url}/here", {})

    assert answer.json()["path"] == "/here"


async def test_a_name_that_nobody_knows_may_be_known_later(server: Echo) -> None:
    async with web_of(server) as web:
        with pytest.raises(PsaUnavailable, match="cannot be resolved"):
            await web.read("https://nobody.invalid/here", {})


async def test_a_server_that_is_away_was_not_told_anything(tmp_path: Path) -> None:
    with HaloPsaServer(tmp_path) as server:
        url, host, ca_file = server.url, server.host, server.ca_file
    web = Web(AllowedHosts([host]), trusting(ca_file), utc_now, secrets=())
    with pytest.raises(PsaUnavailable) as fault:
        await web.write(f"{url}/here", {}, {})
    await web.close()

    assert not isinstance(fault.value, PsaAmbiguous)
