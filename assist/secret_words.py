"""Secrets that are known by the word before them: passwords, keys, tokens, shared secrets."""

import re
from collections.abc import Iterator

from assist.secret_signs import around_each, folded
from assist.secret_values import is_named, looks_random, looks_secret

#: The group that matched says which mark stands in the value's place.
_WORD = re.compile(
    r"""(?ix)
    (?P<password> temp(?:orary)?[ ]access[ ]pass | pass[ _-]?words?\d? | passwd | pass[ ]?phrase | passcode
      | passwort | kennwort | (?<![a-z])(?:pwd?|pswd|pword|passw?)s?
      | (?-i:(?<=[a-z])(?<!unicode)Pwd|(?<=[A-Z])PWD|(?<=[a-z])Pass) )
    | (?P<key> (?:api|encryption|storage|account|recovery|secret|shared)[ _-]?(?:access[ _-]?)?key
      | access[ _-]?key | (?:wi-?fi|wlan|wpa[23]?|wep|network[ ]security)[ _-]?(?:key|code)
      | pre[ -]?shared[ -]?key | (?<![a-z])psk )
    | (?P<token> (?:auth|access|refresh|bearer|api|bot|session)[ _-]?token )
    | (?P<secret> (?:secret|(?:mfa|totp|otp)[ ]seed)(?:[ _-]?value)? | community(?:[ ]string)? )
    | (?P<random> (?<![a-z])(?:key|token|signature) )
    """
)
#: One of them stands in each such word, and no word reaches farther from where it begins.
_SIGNS, _REACH = "pass pw pswd kennwort key code psk token secret seed communit signature", 30
_FOR = r"(?:[ ]\([^()\n]{1,40}\)|[ ](?:for|of|on)(?:[ ][\w.@\\/'-]{1,40}){1,5}?)?"
#: Bounded, so that text full of such words is not read to its end for each of them.
_VALUE = r"""(?P<value>\\?"[^"\\\n]{1,200}|'[^'\n]{1,200}|`[^`\n]{1,200}|[^\s;]{1,200})"""
_REST = re.compile(r"[^\s;\"'`<>,)&]*")
_ASSIGNED = re.compile(
    rf"""{_FOR}(?:\\?["'`])?[ \t]{{0,9}}(?::=|=>|->|[:=])[ \t]{{0,9}}(?P<line>\r?\n[ \t]{{0,9}})?{_VALUE}"""
)
_TAGGED = re.compile(r"[^<>\n]{0,60}>[ \t]{0,9}(?P<value>[^<\n]{1,200})(?=</)")
_SAID = re.compile(
    rf"{_FOR}[ \t]+(?P<verb>(?:is|was|has[ ]been)[ ](?:re)?(?:set|changed)[ ]to|is|was|are|to|ist)"
    rf"(?:[ ](?:now|still|set[ ]to|just))?[ \t]*:?[ \t]+{_VALUE}(?P<after>[ \t]*[a-z]?)",
    re.IGNORECASE,
)
_BARE = re.compile(rf"[ \t]+[(]?{_VALUE}")
_QUOTES = "\"'`"
_LOOKED_AT = 190  #: characters of a value, less what may have been stripped


def hide_values(text: str) -> str:
    """Return the text without the values that passwords, keys and tokens are said to have."""
    parts, at = [], 0
    for word in _words(text):
        if word.start() < at or text[word.end() : word.end() + 1].isalpha():
            continue
        start, end = _value_after(word)
        if start < end:
            kind = "key" if word.lastgroup == "random" else word.lastgroup
            parts += [text[at:start], f"[{kind} removed]"]
            at = _end_of_run(text, start, end)
    return "".join([*parts, text[at:]])


def _words(text: str) -> Iterator[re.Match[str]]:
    for start, end in around_each(folded(text), _SIGNS, _REACH):
        yield from _WORD.finditer(text, start, end)


def _end_of_run(text: str, start: int, end: int) -> int:
    """Go on to the end of a value that is longer than what was looked at."""
    rest = _REST.match(text, end) if end - start >= _LOOKED_AT else None
    return rest.end() if rest else end


def _value_after(word: re.Match[str]) -> tuple[int, int]:
    """Find where the word's secret begins and ends; an empty range where none is said."""
    for form, is_secret in (
        (_ASSIGNED, _is_assigned),
        (_TAGGED, _is_tagged),
        (_SAID, _is_said),
        (_BARE, _is_bare),
    ):
        found = form.match(word.string, word.end())
        if found is None:
            continue
        start, end = _span(word, found)
        value = word.string[start:end]
        if value and (looks_random(value) if word.lastgroup == "random" else is_secret(word, found, value)):
            return start, end
    return 0, 0


def _span(word: re.Match[str], found: re.Match[str]) -> tuple[int, int]:
    """Leave the quotes, and what closes a sentence or a bracket, outside the value."""
    start, value = found.start("value"), found["value"]
    opened = value.lstrip("\\" + _QUOTES)
    start += len(value) - len(opened)
    if opened != value:
        return start, start + len(opened)
    if word.string[word.start() - 1 : word.start()] in ("?", "&"):
        opened = opened.split("&", 1)[0]  # one parameter of an address
    closed = opened.rstrip("\\,.)]}>" + _QUOTES)
    return start, start + len(closed)


def _is_assigned(word: re.Match[str], found: re.Match[str], value: str) -> bool:
    if found["line"] or (word["password"] or "").lower() == "pass":
        return looks_secret(value) or (not found["line"] and "=" in found.group() and is_named(value))
    return is_named(value)


def _is_tagged(_word: re.Match[str], _found: re.Match[str], value: str) -> bool:
    return is_named(value)


def _is_said(word: re.Match[str], found: re.Match[str], value: str) -> bool:
    if looks_secret(value):
        return True
    is_quoted = found["value"][0] in "\\" + _QUOTES
    ends_there = not found["after"].strip() and not found["verb"].lower().endswith("to")
    return is_named(value) and (is_quoted or (ends_there and word["password"] is not None))


def _is_bare(word: re.Match[str], found: re.Match[str], value: str) -> bool:
    is_option = word.string[word.start() - 1 : word.start()] in ("-", "/")
    if is_option or found["value"][0] in "\\" + _QUOTES:
        return is_named(value) and value[0] not in "-/$"
    return looks_secret(value)
