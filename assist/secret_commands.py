"""Secrets at a place of a command, of a pair of credentials, or of a sentence about a one-time code."""

import re

from assist.secret_signs import folded, has_any
from assist.secret_values import is_named, looks_secret

_PASSWORD = "[password removed]"  # noqa: S105 - what stands in a password's place
_NET_USE = re.compile(r"(?i)(?<![a-z])net\s{1,3}use\s[^\n]{1,400}")
_WORDS_OF_A_LINE = re.compile(r'"[^"\n]*"|\S+')
#: `value` is the secret. A name before it ends with a colon, a slash or a blank. Nothing is such a command
#: without one of its signs.
_COMMANDS = tuple(
    (re.compile(pattern), signs)
    for pattern, signs in (
        (r"(?i)(?<![a-z])net\s{1,3}user\s{1,3}[\w.@-]{1,60}\s{1,3}(?P<value>[^\s/*]\S*)(?=\s{1,3}/)", "net"),
        (
            (
                r"(?i)ConvertTo-SecureString\s{1,3}(?:-String\s{1,3})?(?P<value>\"[^\"$\n]+\"|'[^'\n]+'"
                r"|[^\s$\"'-]\S*)"
            ),
            "convertto-securestring",
        ),
        (r"(?i)(?<!\S)(?:-u|--user)[ =]\s{0,3}[\w.@\\-]{1,80}:(?P<value>[^\s:]+)", "-u"),
        (r"(?i)(?<![a-z])mysql(?:dump|admin)?\s[^\n]{0,200}?(?<=\s)-p(?P<value>[^\s-]\S*)", "mysql"),
        (r"(?i)(?<!\S)(?:-pw|/pass:|/rp:?\s?|/p:)\s{0,3}(?P<value>[^\s/-]\S*)", "-pw /pass: /rp /p:"),
    )
)
_SHORT_OPTION = re.compile(r"(?<!\S)[-/][pP][ :=](?P<value>[^\s/-]\S*)")
_CREDENTIALS = re.compile(
    r"(?i)(?<![a-z])(?:creds?|credentials|log[io]n(?: details)?)\s{0,3}(?:are|is|[:=])\s{0,3}"
    r"[\w.@\\-]{1,80}\s{0,3}(?:[/|,:]|and)\s{0,3}"
    r"(?P<value>[^\s;]+)"
)
_CODE_WORDS = (
    r"(?:mfa|otp|2fa|totp|one[ -]?time|verification|security|auth(?:entication|enticator)?|sms"
    r"|log[io]n|sign[ -]?in|confirmation|bypass|access|pass|unlock|door|alarm)"
)
_ONE_TIME_CODE = re.compile(
    rf"(?i)(?<![a-z])(?:{_CODE_WORDS}[ -](?:code|pin|passcode|number)|otp|pin(?:[ -]code)?)s?\b"
    r"(?:[ ](?:for|from|of|on)[ ][^\n.:;=\d]{1,60}?)?[ \t]{0,3}(?:is|was|:|=|,|-)?[ \t]{0,3}"
    r"(?P<value>\d{3}[ -]\d{3}|\d{4,10})(?![\w-]|\.\d)"
)


def hide_command_secrets(text: str) -> str:
    """Return the text without the passwords of command lines and of `creds: name / password`."""
    has = folded(text)
    if has_any(has, "net"):
        text = _NET_USE.sub(_hide_net_use, text)
    for command, signs in _COMMANDS:
        if has_any(has, signs):
            text = command.sub(lambda found: _hide(found, is_secret=is_named(found["value"])), text)
    for pair, signs in ((_SHORT_OPTION, "-p /p"), (_CREDENTIALS, "cred logon login")):
        if has_any(has, signs):
            text = pair.sub(lambda found: _hide(found, is_secret=looks_secret(found["value"])), text)
    return text


def hide_one_time_codes(text: str) -> str:
    """Return the text without the digits after words such as "MFA code"."""
    if not has_any(folded(text), "code pin number otp"):
        return text
    return _ONE_TIME_CODE.sub(lambda found: _hide(found, is_secret=True, mark="[code removed]"), text)


def _hide(found: re.Match[str], *, is_secret: bool, mark: str = _PASSWORD) -> str:
    if not is_secret:
        return found.group()
    start, end = found.start("value") - found.start(), found.end("value") - found.start()
    return found.group()[:start] + mark + found.group()[end:]


def _hide_net_use(found: re.Match[str]) -> str:
    r"""Hide the password of `net use [drive] \\server\share [password] [/user:name [password]]`."""
    line = found.group()
    has_user = "/user:" in line.lower()
    spans, before = [], ""
    for word in _WORDS_OF_A_LINE.finditer(line):
        value, is_place = word.group(), before.startswith("\\\\") or before.lower().startswith("/user:")
        if is_place and value[0] not in "/*\\" and (looks_secret(value) or (has_user and is_named(value))):
            spans.append(word.span())
        before = value
    for start, end in reversed(spans):
        line = line[:start] + _PASSWORD + line[end:]
    return line
