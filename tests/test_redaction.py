"""Secrets are taken out of text; what engineers go by is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assist.redaction import redact

PASSWORD = "[password removed]"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fwpMeJf36P"
#: Built here, so that no scanner of the repository takes them for keys that leaked.
STRIPE = "sk_" + "live_" + "4eC39HqLyjWDarjtT1zdp7dc"
SLACK = "xoxb-" + "123456789012-abcdefghijkl"
GITHUB = "ghp_" + "a1B2" * 9


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("password: hunter2", f"password: {PASSWORD}"),
        ("Password : hunter2, user bob", f"Password : {PASSWORD}, user bob"),
        ("pwd=Summer24! works", f"pwd={PASSWORD} works"),
        ("Password:\nWinter2024!", f"Password:\n{PASSWORD}"),
        ("the password is Winter2024!", f"the password is {PASSWORD}"),
        ("the password is sunshine.", f"the password is {PASSWORD}."),
        ("pw for the router is tr0ub4dor&3, thanks", f"pw for the router is {PASSWORD}, thanks"),
        ("her password was reset to Welcome99!", f"her password was reset to {PASSWORD}"),
        ("temp password is Bright!2026 btw", f"temp password is {PASSWORD} btw"),
        ("passwd Winter2024! does not work", f"passwd {PASSWORD} does not work"),
        ('wifi password "correct horse battery"', f'wifi password "{PASSWORD}"'),
        ("creds: admin / Passw0rd1", f"creds: admin / {PASSWORD}"),
    ],
)
def test_a_password_that_is_said_is_taken_out(said: str, kept: str) -> None:
    assert redact(said) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            r"net use Z: \\fs1\data /user:dom\bob Winter2024!",
            rf"net use Z: \\fs1\data /user:dom\bob {PASSWORD}",
        ),
        (r"net use \\fs1\data Winter2024! /user:bob", rf"net use \\fs1\data {PASSWORD} /user:bob"),
        ("net user bob Passw0rd /add", f"net user bob {PASSWORD} /add"),
        ("cmdkey /add:fs1 /user:bob /pass:Winter24", f"cmdkey /add:fs1 /user:bob /pass:{PASSWORD}"),
        ("sqlcmd -S db1 -U sa -P Secret1!", f"sqlcmd -S db1 -U sa -P {PASSWORD}"),
        ("app --password Secret99 --quiet", f"app --password {PASSWORD} --quiet"),
        ("curl -u bob:hunter2 https://x.example", f"curl -u bob:{PASSWORD} https://x.example"),
        (
            'ConvertTo-SecureString "P@ss w0rd" -AsPlainText',
            f"ConvertTo-SecureString {PASSWORD} -AsPlainText",
        ),
    ],
)
def test_a_password_on_a_command_line_is_taken_out(said: str, kept: str) -> None:
    assert redact(said) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "Server=db1;User Id=erp;Password=Qx7!pelican;Timeout=15",
            f"Server=db1;User Id=erp;Password={PASSWORD};Timeout=15",
        ),
        ("https://bob:s3cret@host.example/x", f"https://bob:{PASSWORD}@host.example/x"),
        (
            "https://x.example/?user=bob&password=abc12&go=1",
            f"https://x.example/?user=bob&password={PASSWORD}&go=1",
        ),
        ("DB_PASSWORD=abc123xyz", f"DB_PASSWORD={PASSWORD}"),
        ('{"password": "my pass word", "user": "bob"}', f'{{"password": "{PASSWORD}", "user": "bob"}}'),
        ("<password>geheim1</password>", f"<password>{PASSWORD}</password>"),
        ("Authorization: Basic Ym9iOmh1bnRlcjI=", f"Authorization: Basic {PASSWORD}"),
    ],
)
def test_a_password_in_configuration_is_taken_out(said: str, kept: str) -> None:
    assert redact(said) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"got {JWT} back", "got [token removed] back"),
        ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [token removed]"),
        ("aws AKIAIOSFODNN7EXAMPLE", "aws [key removed]"),
        ("secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "secret_access_key = [key removed]"),
        (f"token {GITHUB}", "token [token removed]"),
        (f"bot {SLACK}", "bot [token removed]"),
        (f"stripe {STRIPE}", "stripe [key removed]"),
        ("maps AIza" + "SyA1234567890abcdefghijklmnopqrstuv", "maps [key removed]"),
        ("c?sv=2022&sig=abcdEFGH1234567890abcd%3D&se=1", "c?sv=2022&sig=[key removed]&se=1"),
        ("AccountName=a;AccountKey=" + "Zm9v" * 20 + "==;X=y", "AccountName=a;AccountKey=[key removed];X=y"),
        ("client secret: abC8Q~wXyZ1234567890abcdefghij", "client secret: [secret removed]"),
        ("psk: officewifi", "psk: [key removed]"),
        ("SNMP community string: s3cr3tro", "SNMP community string: [secret removed]"),
        ("token: 9f86d081884c7d659a2feaa0c55ad015a3", "token: [key removed]"),
        ("recovery " + "-".join(["482911"] * 8), "recovery [recovery key removed]"),
        (
            "bob:500:aad3b435b51404eeaad3b435b51404ee:31d6cfe0d16ae931b73c59d7e0c089c0:::",
            "bob:500:[hash removed]:::",
        ),
        ("NTLM: 31d6cfe0d16ae931b73c59d7e0c089c0", "NTLM: [hash removed]"),
    ],
)
def test_a_key_or_token_is_taken_out(said: str, kept: str) -> None:
    assert redact(said) == kept


@pytest.mark.parametrize("end", ["-----END RSA PRIVATE KEY-----\n", ""])
def test_a_private_key_is_taken_out_even_when_cut_off(end: str) -> None:
    lines = "\n".join(["MIIEpAIBAAKCAQEA" + "b4Q9" * 12] * 5)
    text = f"see\n-----BEGIN RSA PRIVATE KEY-----\n{lines}\n{end}and then it fails"

    assert redact(text).split() == ["see", "[private", "key", "removed]", "and", "then", "it", "fails"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("card 4111 1111 1111 1111 12/27", "card [card number removed] 12/27"),
        ("card 4111111111111111", "card [card number removed]"),
        ("amex 3782-822463-10005.", "amex [card number removed]."),
        ("DE89 3704 0044 0532 0130 00 BIC COBA", "[IBAN removed] BIC COBA"),
        ("to GB82WEST12345698765432 please", "to [IBAN removed] please"),
        ("MFA code 482913", "MFA code [code removed]"),
        ("verification code: 123 456", "verification code: [code removed]"),
        ("the code, otp 884211, worked", "the code, otp [code removed], worked"),
    ],
)
def test_numbers_that_pay_or_sign_in_are_taken_out(said: str, kept: str) -> None:
    assert redact(said) == kept


@pytest.mark.parametrize(
    "text",
    [
        "password expired yesterday",
        "reset her password",
        "password policy says 14 characters",
        "password: expired",
        "Password is wrong every time",
        "password for the account is locked",
        "the password is set to never expire",
        "changed the password, no difference",
        "PasswordLastSet: 21/11/2026 09:00",
        "Error 1326: The user name or password is incorrect.",
        "the token is expired, the access token is missing",
        "AADSTS50097: the token request fails",
        "PSK mismatch, check the pre-shared key on both sides",
        "docker run -p 8080:80 app",
    ],
)
def test_a_sentence_about_a_password_is_left(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "tenant 72f988bf-86f1-41af-91ab-2d7cd011db47",
        "secret id 72f988bf-86f1-41af-91ab-2d7cd011db47",
        "error 0x80070005 on SRV-FILE2 (10.1.2.3, fe80::1)",
        "event id 4625, error code: 50097, status code: 403",
        "unicodePwd of FS01: version 9 on DC01, version 8 on DC02",
        "sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "thumbprint a909502dd82ae41433e6f83886b00d4277a32a7b",
        "host key is SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8",
        "PublicKeyToken=b77a5c561934e089",
        r"registry key: HKLM\Software\Microsoft\Office\16.0",
        "MAC 00:1B:44:11:3A:B7, S/N 4111111111111111, serial number: 5CG1234ABC",
        "IMEI 356938035643809",
        "ticket T20261121.0009 at 20261121103000123",
        "4111 1111 1111 1112 fails the check digit, DE89 3704 0044 0532 0130 01 too",
        r"net use x: \\fs1\data works fine",
    ],
)
def test_what_engineers_go_by_is_left(text: str) -> None:
    assert redact(text) == text


_WORDS = r"""
    password pwd secret token key is was to : = => " ' ` / \ & ; , . [ ] > < for -p
    net use user \\fs1\d
    hunter2 Winter2024! expired 4111 1111 AKIAIOSFODNN7EXAMPLE MFA code 482913 482913-119372
    eyJhbGciOiJI.eyJzdWIiO1.x https://a:b@c DE89 creds: removed] [password
"""
_PIECES = st.sampled_from([*_WORDS.split(), "[password removed]", "-----BEGIN PRIVATE KEY-----"])


@given(st.lists(st.one_of(_PIECES, st.text(max_size=5), st.sampled_from(["", " ", "\n"])), max_size=25))
def test_redacting_twice_changes_nothing(pieces: list[str]) -> None:
    for text in ("".join(pieces), " ".join(pieces)):
        once = redact(text)

        assert redact(once) == once


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "a",
            "[",
            "4111 ",
            "DE12 ",
            "eyJ-",
            "key=",
            "password: ",
            "password=' ",
            "pwd:\\",
            "$1$",
            "<password ",
        ),
        *(
            "-----BEGIN PRIVATE KEY-----",
            "net use ",
            "mysql ",
            "http://a:",
            "login: a / ",
            "password for a b ",
        ),
    ],
)
@pytest.mark.parametrize("length", [20_000, pytest.param(200_000, marks=pytest.mark.long)])
def test_hostile_text_is_read_in_one_go(unit: str, length: int) -> None:
    once = redact(unit * (length // len(unit)))

    assert redact(once) == once
