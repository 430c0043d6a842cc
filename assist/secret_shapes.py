"""Secrets that are known by their form, whatever stands beside them."""

import re

from assist.secret_signs import folded, has_any

_PASSWORD = "[password removed]"  # noqa: S105 - what stands in a password's place
_TOKEN = "[token removed]"  # noqa: S105
_KEY = "[key removed]"
_HASH = "[hash removed]"
#: Each begins with a look-behind for its own letters, so that a long run of them is looked at once. A group
#: named `kept` stays before the mark. Nothing has the form without one of its signs.
_SHAPES = tuple(
    (re.compile(pattern), mark, signs)
    for pattern, mark, signs in (
        # JSON Web Token (RFC 7519, section 3): its header begins with {" in base64url.
        (r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)*", _TOKEN, "eyj"),
        (r"(?<!\w)gh[pousr]_[A-Za-z0-9]{30,}", _TOKEN, "ghp_ gho_ ghu_ ghs_ ghr_"),
        (r"(?<!\w)github_pat_\w{22,}", _TOKEN, "github_pat_"),
        (r"(?<!\w)glpat-[\w-]{20,}", _TOKEN, "glpat-"),
        (r"(?<!\w)npm_[A-Za-z0-9]{30,}", _TOKEN, "npm_"),
        (r"(?<!\w)pypi-[\w-]{40,}", _TOKEN, "pypi-"),
        (r"(?<![\w-])(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}", _TOKEN, "xox xapp-"),
        (r"(?P<kept>hooks\.slack\.com/services/)[\w/]{20,}", _TOKEN, "hooks."),
        (r"(?<!\w)ya29\.[\w.-]{20,}", _TOKEN, "ya29."),
        (r"(?<!\w)(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])", _KEY, "akia asia abia acca"),
        (r"(?<!\w)(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,}", _KEY, "sk_ rk_"),
        (r"(?<!\w)whsec_[A-Za-z0-9+/=]{20,}", _KEY, "whsec_"),
        (r"(?<![\w-])AIza[\w-]{30,}", _KEY, "aiza"),
        (r"(?<!\w)GOCSPX-[\w-]{20,}", _KEY, "gocspx-"),
        (r"(?<![\w-])sk-(?:ant-|proj-)?[\w-]{20,}", _KEY, "sk-"),
        (r"(?<![\w.-])SG\.[\w-]{16,}\.[\w-]{16,}", _KEY, "sg."),
        (r"(?<!\w)hk_[0-9a-f]{32}_[\w-]{20,}", _KEY, "hk_"),  # this service's own
        # Azure: the signature of a shared access signature, and the keys in connection strings.
        (r"(?P<kept>[?&;\s]sig=)[\w%+/=-]{20,}", _KEY, "sig="),
        (r"(?i)(?P<kept>(?<!\w)(?:Account|SharedAccess)Key=)[\w+/=-]{20,}", _KEY, "key="),
        (r"(?i)(?P<kept>(?<!\w)bearer\s{1,3})[\w.~+/=-]{16,}", _TOKEN, "bearer"),
        (r"(?i)(?P<kept>authorization:\s{0,3}basic\s{1,3})[\w+/=]{6,}", _PASSWORD, "authorization:"),
        # BitLocker: eight groups of six digits.
        (r"(?<![\d-])\d{6}(?:-\d{6}){7}(?![\d-])", "[recovery key removed]", "-"),
        # LM:NT as a dump of accounts has them, NT hashes that are named so, crypt(3), Kerberos tickets.
        (r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{32}:[0-9A-Fa-f]{32}(?![0-9A-Fa-f])", _HASH, ":"),
        (
            r"(?i)(?P<kept>(?<!\w)(?:NTLM|NT|LM)(?:[ -]?hash)?\s{0,3}[:= ]\s{0,3})[0-9a-f]{32}(?!\w)",
            _HASH,
            "nt lm",
        ),
        (r"(?<![\w$])\$(?:1|2[abxy]?|5|6|y|krb5tgs|krb5asrep)\$[\w./$*@=,-]{20,}", _HASH, "$"),
    )
)
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,60}-----")
#: What a line of a key looks like: base64, or a header such as `Proc-Type: 4,ENCRYPTED`.
_KEY_LINES = re.compile(
    r"(?:\s*(?:[A-Za-z0-9+/=]{24,}|(?:Proc-Type|DEK-Info|Version|Comment):[^\n]*)(?=\s|$))*"
)
#: Addresses with a password: RFC 3986, section 3.2.1. A password may hold an @; the last one counts.
_USER_INFO = re.compile(
    r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s:/@?#]{0,100}:)([^\s/?#]{1,200})(?=@[^\s@/?#])"
)


def hide_shapes(text: str) -> str:
    """Return the text without keys, tokens, hashes and the passwords of addresses."""
    has = folded(text)
    text = _hide_private_keys(text)
    if has_any(has, "://"):
        text = _USER_INFO.sub(rf"\1{_PASSWORD}", text)
    for pattern, mark, signs in _SHAPES:
        if has_any(has, signs):
            text = pattern.sub(rf"\g<kept>{mark}" if "kept" in pattern.groupindex else mark, text)
    return text


def _hide_private_keys(text: str) -> str:
    """Hide PEM blocks (RFC 7468), also one that was cut off before its end."""
    parts, at = [], 0
    while begin := _BEGIN.search(text, at):
        parts += [text[at : begin.start()], "[private key removed]"]
        at = _end_of_key(text, begin.end())
    return "".join([*parts, text[at:]])


def _end_of_key(text: str, start: int) -> int:
    lines = _KEY_LINES.match(text, start)
    at = lines.end() if lines else start
    # The last line may be short, and stands right before the end.
    end = _END.search(text, at, at + 150)
    return end.end() if end else at
