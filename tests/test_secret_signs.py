"""Looking for the signs of secrets first makes reading sooner, and finds nothing less."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assist import secret_commands, secret_shapes, secret_words
from assist.redaction import redact
from assist.secret_signs import folded

#: Made up; in parts, so that no scanner of the repository takes them for what has leaked.
_LONG = "a1B2c3D4e5F6" * 5
_DIGITS = "0123456789abcdef" * 2
SECRETS = (
    *(
        f"{start}{_LONG}"
        for start in ("gh" + "p_", "github_" + "pat_", "gl" + "pat-", "npm" + "_", "pypi" + "-")
    ),
    *(
        f"{start}{_LONG}"
        for start in ("xox" + "b-", "xapp" + "-", "ya29" + ".", "whsec" + "_", "AIza", "GOCSPX-")
    ),
    *(
        f"{start}{_LONG}"
        for start in ("sk" + "-", "sk_" + "live_", "?sig=", "AccountKey=", "Bearer ", "$krb5tgs$")
    ),
    *(f"eyJ{_LONG}.{_LONG}", f"SG.{_LONG}.{_LONG}", f"hooks.slack.com/services/{_LONG}", "AKIA" + "A1B2" * 4),
    *(f"hk_{_DIGITS}_{_LONG}", "Authorization: Basic Ym9iOmh1bnRlcjI=", "-".join(["123456"] * 8)),
    *(f"{_DIGITS}:{_DIGITS}", f"NTLM hash: {_DIGITS}", "https://bob:hunter2@x.example/"),
    *("net use \\\\fs1\\data Winter2024! /user:bob", "net user bob Passw0rd /add", "curl -u bob:hunter2"),
    *(
        'ConvertTo-SecureString "P@ss w0rd"',
        "mysql -pWinter2024",
        "cmdkey /pass:Winter24",
        "app -P Secret99!",
    ),
    *(
        "creds: admin / Passw0rd1",
        "login is admin / Passw0rd1",
        "logon: admin / Passw0rd1",
        "MFA code 123456",
    ),
    *("sign-in pin 123456", "sms number: 123456", "otp 123456", "temporary access pass: Winter24"),
    *("pw: Winter24", "pswd: Winter24", "Kennwort: Winter24", "adminPwd=Winter24", "PSK: Winter24"),
    *(
        f"api key {_LONG}",
        "network security code: Winter24",
        f"session token: {_LONG}",
        "secret value: Winter24",
    ),
    *(
        "totp seed: Winter24",
        "community string: Winter24",
        f"signature {_LONG}",
        f"key {_LONG}",
        f"token {_LONG}",
    ),
)


def as_others_write(text: str) -> str:
    """Write with letters that are equal to those of ASCII where small and capital ones are."""
    return text.replace("i", "\u0131").replace("I", "\u0130").replace("s", "\u017f").replace("k", "\u212a")


def redact_without_signs(text: str) -> str:
    """Redact a text and look everywhere for everything."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (secret_shapes, secret_commands):
            patch.setattr(module, "has_any", lambda *_: True)
        patch.setattr(secret_words, "around_each", lambda text, *_: [(0, len(text))])
        return redact(text)


@pytest.mark.parametrize("secret", SECRETS)
def test_each_kind_of_secret_is_found_by_its_signs(secret: str) -> None:
    for text in (secret, secret.swapcase(), as_others_write(secret)):
        assert redact(text) == redact_without_signs(text)
    assert redact(secret) != secret


@given(st.lists(st.sampled_from(SECRETS)), st.sampled_from(["", " ", "\n", ", ", " and then " * 9]))
def test_secrets_beside_each_other_are_found_by_their_signs(secrets: list[str], between: str) -> None:
    text = between.join(secrets)

    assert redact(text) == redact_without_signs(text)


def test_a_text_is_folded_as_patterns_compare_letters() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    plain = folded(everything)

    assert len(plain) == len(everything)
    for found in re.finditer("(?i)[a-z]", everything):
        assert re.fullmatch("(?i)" + plain[found.start()], found.group())
        assert plain[found.start()].isascii()
