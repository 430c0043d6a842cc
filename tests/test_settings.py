"""Settings: what starts the service, what keeps it from starting, and what nobody may read."""

import re
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from server.settings import Settings, SettingsError, ensure_demo_file, unknown_settings

SECRET = "0123456789abcdef0123456789abcdef"
PASSWORD = "hunter2"
NEVER_EMPTY = {"secret", "database_url", "broadcast_url", "mutation_limit", "connect_limit", "stranger_limit"}
OPERATIONS = Path(__file__).parent.parent / "docs" / "operations.md"

pytestmark = pytest.mark.usefixtures("bare_machine")


@pytest.mark.parametrize("secret", [None, "", "too short", "é" * 15, " " * 40])
def test_without_a_strong_secret_the_service_does_not_start_and_says_what_to_set(
    secret: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if secret is not None:
        monkeypatch.setenv("HANDOFF_SECRET", secret)

    with pytest.raises(SettingsError) as refusal:
        Settings.load()

    assert str(refusal.value) == (
        "HANDOFF_SECRET must be set to at least 32 random bytes, the same for every process. "
        "Make one with: openssl rand -hex 32"
    )
    assert not Path(".env").exists()


def test_a_secret_is_measured_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_SECRET", "é" * 16)

    assert Settings.load().secret == SecretStr("é" * 16)


def test_a_weak_secret_is_refused_in_demo_mode_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_DEMO", "1")
    monkeypatch.setenv("HANDOFF_SECRET", "too short")

    with pytest.raises(SettingsError, match="HANDOFF_SECRET must be set to at least 32 random bytes"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", PASSWORD, "HANDOFF_PORT: Input should be a valid integer"),
        ("PORT", "0", "HANDOFF_PORT: Input should be greater than or equal to 1"),
        ("PORT", "65536", "HANDOFF_PORT: Input should be less than or equal to 65535"),
        ("DEMO", PASSWORD, "HANDOFF_DEMO: Input should be a valid boolean"),
        ("WORKER", PASSWORD, "HANDOFF_WORKER: Input should be 'on' or 'off'"),
        ("PUSH_GRACE", "-1", "HANDOFF_PUSH_GRACE: Input should be greater than or equal to 0"),
        ("TOKEN_HOURS", "0", "HANDOFF_TOKEN_HOURS: Input should be greater than 0"),
        ("MAIL_CONNECTIONS", "129", "HANDOFF_MAIL_CONNECTIONS: Input should be less than or equal to 128"),
        ("LOG_LEVEL", PASSWORD, "HANDOFF_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'"),
        ("PUBLIC_URL", f"ftp://u:{PASSWORD}@h", "HANDOFF_PUBLIC_URL: must begin with http:// or https://"),
        ("MAIL_FROM", PASSWORD, "HANDOFF_MAIL_FROM: This is not an email address that mail can be sent to."),
        ("ALLOWED_ORIGINS", f"https://{PASSWORD}", "HANDOFF_ALLOWED_ORIGINS: must be a JSON list, like"),
        ("ALLOWED_ORIGINS", f'{{"{PASSWORD}": 1}}', "HANDOFF_ALLOWED_ORIGINS: Input should be a valid list"),
        ("ALLOWED_ORIGINS", f'["{PASSWORD}.example"]', "HANDOFF_ALLOWED_ORIGINS: each must be an origin"),
        ("ALLOWED_ORIGINS", '[""]', "HANDOFF_ALLOWED_ORIGINS: each must be an origin"),
        ("ALLOWED_ORIGINS", '["https://x/page"]', "HANDOFF_ALLOWED_ORIGINS: each must be an origin"),
        ("ALLOWED_ORIGINS", '["https://b\u00fccher.example"]', "HANDOFF_ALLOWED_ORIGINS: each must be"),
        (
            "PUBLIC_URL",
            "https://",
            "HANDOFF_PUBLIC_URL: must begin with http:// or https://, and name a host",
        ),
        ("PUBLIC_URL", "https://a b.example", "HANDOFF_PUBLIC_URL: must begin with http:// or https://"),
        ("PUBLIC_URL", "https://a.example:0", "HANDOFF_PUBLIC_URL: must begin with http:// or https://"),
        ("PUBLIC_URL", f"https://u:{PASSWORD}@h", "HANDOFF_PUBLIC_URL: must be like https://handoff.example"),
        ("PUBLIC_URL", "https://a.example/?x=1", "HANDOFF_PUBLIC_URL: must be like https://handoff.example"),
        ("PUBLIC_URL", "https://a.example/#x", "HANDOFF_PUBLIC_URL: must be like https://handoff.example"),
        ("MAIL_FROM", "a@x.example, b@x.example", "HANDOFF_MAIL_FROM: This is not an email address"),
        ("MAIL_FROM", "A <a@x.example>, B <b@x.example>", "HANDOFF_MAIL_FROM: This is more than one"),
        ("MAIL_FROM", "a@x.example, B <b@x.example>", "HANDOFF_MAIL_FROM: This is more than one address."),
        ("DKIM_SELECTOR", "hand off", "HANDOFF_DKIM_SELECTOR: must be a name of the DNS"),
        ("DKIM_SELECTOR", "-handoff", "HANDOFF_DKIM_SELECTOR: must be a name of the DNS"),
        ("DKIM_SELECTOR", "x" * 64, "HANDOFF_DKIM_SELECTOR: must be a name of the DNS"),
        ("JWKS", "https://", "HANDOFF_JWKS: must be the URL of a JWKS document, or name a file"),
        ("JWKS", "http://keys.example", "HANDOFF_JWKS: must begin with https://"),
        ("ENCRYPTION_KEYS", ",", "HANDOFF_ENCRYPTION_KEYS: holds no key"),
        (
            "PSA_ALLOWED_HOSTS",
            '[""]',
            "HANDOFF_PSA_ALLOWED_HOSTS: each must be a host or a host and its port",
        ),
        ("PSA_ALLOWED_HOSTS", '["https://halo.example"]', "HANDOFF_PSA_ALLOWED_HOSTS: each must be a host"),
        ("PSA_ALLOWED_HOSTS", '["10.0.0.0/8"]', "HANDOFF_PSA_ALLOWED_HOSTS: each must be a host"),
        ("PSA_ALLOWED_HOSTS", '["*.example"]', "HANDOFF_PSA_ALLOWED_HOSTS: each must be a host"),
        ("PSA_ALLOWED_HOSTS", '["halo.example:"]', "HANDOFF_PSA_ALLOWED_HOSTS: each must be a host"),
        ("PSA_ALLOWED_HOSTS", '["halo.example:99999"]', "HANDOFF_PSA_ALLOWED_HOSTS: each must be a host"),
        ("PSA_ALLOWED_HOSTS", '["[::1]:8443"]', "HANDOFF_PSA_ALLOWED_HOSTS: each must be a host"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_not_repeated(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDOFF_SECRET", SECRET)
    monkeypatch.setenv(f"HANDOFF_{name}", value)

    with pytest.raises(SettingsError) as refusal:
        Settings.load()

    assert str(refusal.value).startswith(sentence)
    assert len(str(refusal.value).splitlines()) == 1
    assert PASSWORD not in str(refusal.value)
    assert refusal.value.__suppress_context__  # its cause would repeat the value in a traceback


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - NEVER_EMPTY))
def test_an_empty_value_means_the_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_SECRET", SECRET)
    Path(".env").write_text("HANDOFF_PORT=8123\n")  # the environment wins
    monkeypatch.setenv("HANDOFF_PORT", "")
    default = Settings.load()

    monkeypatch.setenv(f"HANDOFF_{name.upper()}", "")

    assert Settings.load() == default
    assert default.port == 8000


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        (
            "allowed_origins",
            ["https://X.example/", "https://y.example:443"],
            ["https://x.example", "https://y.example"],
        ),
        (
            "allowed_origins",
            ["http://[::1]:3000", "capacitor://localhost"],
            ["http://[::1]:3000", "capacitor://localhost"],
        ),
        ("allowed_origins", ["*"], ["*"]),
        ("psa_allowed_hosts", ["Halo.example:8443", " 10.1.2.3 "], ["halo.example:8443", "10.1.2.3"]),
        ("psa_allowed_hosts", ["::1", "fd00::2:8443", "psa_1"], ["::1", "fd00::2:8443", "psa_1"]),
        ("dkim_selector", "mail-2.2026", "mail-2.2026"),
        ("mail_from", '"Berg, Bo" <bo@msp.example>', '"Berg, Bo" <bo@msp.example>'),
        ("public_url", "https://example.com/handoff/", "https://example.com/handoff"),
    ],
)
def test_a_value_is_kept_as_it_is_compared(name: str, given: object, kept: object) -> None:
    settings = Settings(_env_file=None, **{name: given})  # type: ignore[arg-type]  # of several types

    assert getattr(settings, name) == kept


def test_all_values_that_cannot_be_used_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_PORT", "a")
    monkeypatch.setenv("HANDOFF_WORKER", "b")

    with pytest.raises(SettingsError) as refusal:
        Settings.load()

    names = [line.partition(":")[0] for line in str(refusal.value).splitlines()]
    assert names == ["HANDOFF_PORT", "HANDOFF_WORKER"]


def test_a_file_that_is_no_text_is_named() -> None:
    Path(".env").write_bytes(b"HANDOFF_SECRET=\xff\xfe\n")

    with pytest.raises(SettingsError, match=r"^\.env cannot be read as UTF-8 text\.$"):
        Settings.load()


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_SECRET", SECRET)
    for name in ("DATABASE", "BROADCAST", "SMTP"):
        monkeypatch.setenv(f"HANDOFF_{name}_URL", f"scheme://user:{PASSWORD}@host")

    settings = Settings.load()

    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert PASSWORD not in shown
        assert SECRET not in shown


def test_a_first_start_writes_a_file_for_its_owner_alone() -> None:
    ensure_demo_file()

    lines = Path(".env").read_text().splitlines()
    assert [line.partition("=")[0] for line in lines] == ["HANDOFF_DEMO", "HANDOFF_SECRET"]
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    settings = Settings.load()
    assert settings.demo
    assert settings.secret == SecretStr(lines[1].partition("=")[2])


def test_a_second_start_keeps_the_file() -> None:
    ensure_demo_file()
    first = Path(".env").read_text()

    ensure_demo_file()
    Settings.load()

    assert Path(".env").read_text() == first


def test_a_file_of_ones_own_is_left_alone() -> None:
    Path(".env").write_text("HANDOFF_PORT=8123\n")

    ensure_demo_file()

    assert Path(".env").read_text() == "HANDOFF_PORT=8123\n"


@pytest.mark.parametrize("own", ["HANDOFF_DEMO=1", "HANDOFF_DEMO=1\n"])
def test_demo_mode_adds_the_secret_that_is_missing_and_then_keeps_it(own: str) -> None:
    Path(".env").write_text(own)

    first = Settings.load()

    assert Path(".env").read_text() == f"HANDOFF_DEMO=1\nHANDOFF_SECRET={first.secret.get_secret_value()}\n"
    assert Settings.load().secret == first.secret


def test_a_folder_that_takes_no_file_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").mkdir()
    monkeypatch.setenv("HANDOFF_DEMO", "1")

    with pytest.raises(SettingsError, match=r"^\.env cannot be written here: Is a directory\.$"):
        Settings.load()


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"host": "handoff.example", "port": 80}, "http://handoff.example:80"),
        ({"host": "::1", "port": 8001}, "http://[::1]:8001"),
        ({"host": "0.0.0.0"}, "http://localhost:8000"),  # noqa: S104 (what is looked at)
        ({"host": "::"}, "http://localhost:8000"),
        ({"public_url": "https://handoff.example/"}, "https://handoff.example"),
        ({"public_url": "https://example.com/handoff", "host": "::"}, "https://example.com/handoff"),
    ],
)
def test_links_begin_with_the_address_that_people_reach(given: dict[str, object], base: str) -> None:
    settings = Settings(_env_file=None, **given)  # type: ignore[arg-type]  # of several types

    assert settings.link_base == base


@pytest.mark.parametrize("name", ["JWT_ISSUER", "JWT_AUDIENCE"])
def test_what_is_said_of_a_provider_needs_its_keys(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_SECRET", SECRET)
    monkeypatch.setenv(f"HANDOFF_{name}", "https://id.example")

    with pytest.raises(SettingsError, match=r"^HANDOFF_JWT_ISSUER and HANDOFF_JWT_AUDIENCE need HA"):
        Settings.load()


def test_a_name_that_is_no_setting_is_told_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("HANDOFF_WORKR=off\nOTHER=1\n")
    monkeypatch.setenv("HANDOFF_SMTP_ULR", "smtp://h")
    monkeypatch.setenv("handoff_port", "8000")
    monkeypatch.setenv("HANDOFF_Q", "1")

    assert unknown_settings() == {
        "HANDOFF_Q": None,
        "HANDOFF_SMTP_ULR": "HANDOFF_SMTP_URL",
        "HANDOFF_WORKR": "HANDOFF_WORKER",
    }


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    default = field.get_default(call_default_factory=True)
    default = "" if default is None else default
    shown = default.get_secret_value() if isinstance(default, SecretStr) else str(default)

    (line,) = (
        line
        for line in OPERATIONS.read_text().splitlines()
        if line.startswith(f"| `HANDOFF_{name.upper()}` ")
    )

    _, _, default_cell, meaning, _ = (cell.strip() for cell in re.split(r"(?<!\\)\|", line))
    assert len(meaning) > 10
    assert default_cell in {f"`{shown.lower() if isinstance(default, bool) else shown}`", "host and port", ""}
    assert (default_cell in {"", "host and port"}) == (shown == "")
