"""`handoff run` that cannot start: one sentence, exit code 1, and nothing made meanwhile."""

import socket
from pathlib import Path

import pytest

from tests.servers.processes import free_port
from tests.terminal import SECRET, Terminal

HOW_TO_GO_ON = "Set HANDOFF_HOST and HANDOFF_PORT to an address of this machine and a free port."

pytestmark = pytest.mark.usefixtures("bare_machine")


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        words = _words_of_failed_start(port=str(port))

    assert words == f"cannot listen on 127.0.0.1, port {port}: address already in use. {HOW_TO_GO_ON}"


def test_an_address_of_another_machine_is_told() -> None:
    # 192.0.2.0/24 belongs to nobody (RFC 5737).
    words = _words_of_failed_start(host="192.0.2.1", port="8123")

    assert words == f"cannot listen on 192.0.2.1, port 8123: cannot assign requested address. {HOW_TO_GO_ON}"


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("SMTP_URL", "smtp://hunter2@", "HANDOFF_SMTP_URL: The mail server's URL must"),
        ("BROADCAST_URL", "pigeon://hunter2", "HANDOFF_BROADCAST_URL: The broadcast URL must begin with"),
        ("MAIL_FOLDER", "/dev/null/x", "HANDOFF_MAIL_FOLDER: no mails can be filed there: Not a directory"),
        ("MAIL_FROM", "hunter2", "HANDOFF_MAIL_FROM: This is not an email address that mail can be sent to."),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_not_repeated(
    setting: str, value: str, sentence: str
) -> None:
    words = _words_of_failed_start(**{"port": str(free_port()), setting: value})

    assert words.startswith(sentence)
    assert "hunter2" not in words


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 (not listened on)
def test_where_links_would_lead_nowhere_the_address_is_asked_for(host: str, command: str) -> None:
    words = Terminal(secret=SECRET, host=host, port=str(free_port())).refused(command)

    assert words == (
        f"HANDOFF_PUBLIC_URL must be set: with HANDOFF_HOST={host} the service listens on every address, and "
        "links in mails would lead to none. Write what people reach it by, like https://handoff.example.com."
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "HANDOFF_JWKS: there is no such file."),
        ("{", "HANDOFF_JWKS: the file holds no key that can be used"),
        (
            '{"keys": [{"kty": "oct", "kid": "hunter2", "k": "hunter2"}]}',
            "HANDOFF_JWKS: the file holds no key",
        ),
    ],
)
def test_a_file_without_keys_of_the_provider_is_told(content: str | None, sentence: str) -> None:
    if content is not None:
        Path("keys.json").write_text(content)
    provider = {"jwks": "keys.json", "jwt_issuer": "https://id.example", "jwt_audience": "handoff"}

    words = Terminal(secret=SECRET, port=str(free_port()), **provider).refused("serve")

    assert words.startswith(sentence)
    assert "hunter2" not in words


def _words_of_failed_start(**settings: str) -> str:
    words = Terminal(**settings).refused("run")
    assert not Path("var/handoff.db").exists()
    return words
