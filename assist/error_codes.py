"""Error codes as IT engineers meet them, named so that a colleague can look them up."""

import re

#: What each is called, and how it is written. The group named `code` is the code.
_FORMS: tuple[tuple[str, str], ...] = (
    ("", r"\b(?P<code>AADSTS\d{4,7})\b"),
    ("AADSTS", r"(?i:\bsign-?in error code)\s?[:=]?\s?(?P<code>\d{5,7})\b"),
    ("", r"\b(?P<code>0x[0-9A-Fa-f]{4,16})\b"),
    ("", r"\b(?P<code>(?:KRB_AP_ERR|KDC_ERR)_\w{3,40}|KRB5\w{3,40})\b"),
    ("", r"\b(?P<code>(?:STATUS|ERROR|E|DNS_ERROR|NS_ERROR|ERR)_[A-Z][A-Z0-9_]{3,60})\b"),
    ("", r"\b(?P<code>(?:MSIS|ORA-|TF|CVE-\d{4}-|KB)\d{3,7})\b"),
    ("", r"\bSQLSTATE[ =:]\s?\[?(?P<code>[0-9A-Z]{5})\b"),
    ("SQLSTATE ", (r"(?<![A-Z0-9])(?P<code>(?:08|28|40|42|HY|IM"
        r"|S1)[0-9A-Z]\d{2})(?![A-Z0-9])(?=[^\n]{0,80}(?i:odbc|sql)|\])")),
    ("SMTP ", r"(?<![\d.])(?P<code>[245]\d\d[ -][245]\.\d{1,3}\.\d{1,3})(?![\d.])"),
    ("RasClient ", (r"(?i:\b(?:rasclient|reason code returned on \w+ is|vpn error"
        r"|dial-?up error)\D{0,30})(?P<code>[678]\d\d)\b")),
    ("event ", r"(?i:\b(?:event(?: ?id)?s?|ereignis(?:-id)?|eventid)\s?[:=#]?\s?)(?P<code>\d{1,5})\b"),
    ("HTTP ", (r"(?i:\b(?:http(?:/\d(?:\.\d)?)?(?: ?status)?(?: ?code)?|status ?code|statuscode"
        r"|httpstatus)\s?[:=]?\s?)(?P<code>[1-5]\d\d)\b")),
    ("HTTP ", (r"(?<![\d.:])(?P<code>40[1348]|50[0234])(?=\s(?i:unauthorized|forbidden|not found"
        r"|internal|bad gateway|service|gateway))")),
    ("", r"\b(?P<code>(?i:errno) \d{1,3})\b"),
    ("", (r"\b(?P<code>E(?:ACCES|AGAIN|CONNREFUSED|CONNRESET|EXIST|HOSTUNREACH|IO|NOENT|NOMEM|NOSPC|PERM"
        r"|PIPE|ROFS|TIMEDOUT|NOTFOUND))\b")),
    ("ESXi exception ", r"#PF Exception (?P<code>\d{1,2})\b"),
    ("drop code ", r"(?i:\bdrop code)\s?[:=]?\s?(?P<code>\d{1,4})\b"),
    ("error ", r"(?i:\berror(?: ?code)?|\bfehler(?:code)?)\s?[:=#]?\s?(?P<code>-?\d{1,10})\b(?![.:]\d)"),
)  # fmt: skip
_CODES = tuple((name, re.compile(form)) for name, form in _FORMS)


def codes_in(text: str) -> tuple[str, ...]:
    """Return the codes of a text, each once, in the order of their places: `event 4625`, `0x80070005`."""
    found: dict[str, int] = {}
    taken: set[int] = set()
    for name, form in _CODES:
        for match in form.finditer(text):
            if match.start("code") not in taken:
                taken.add(match.start("code"))
                found.setdefault(f"{name}{match['code']}", match.start("code"))
    return tuple(sorted(found, key=found.__getitem__))
