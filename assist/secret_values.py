"""Whether a value that stands where a secret could stand is one."""

import math
import re
from collections import Counter

#: What follows the word "password" without being one.
_SAID_OF_PASSWORDS = """
    a again age ago all already also always an and any apparently are as ask asked at be because
    been before blank but by can cannot change changes client complexity correct default did
    different do does email empty enter error exists expires expiry false fine first for from gone
    good had has hash have he help here hidden his history identical if in incorrect intact invalid
    is it its just known last later length local lost mail manager manual match matches missing must
    my n/a new next no none not now null of off ok okay old on one only or our out over pending
    please plain policies policy portal problem prompt protected provider published random recently
    rejected required reset resets right root same see self self-service server set she should since
    so still strong sync synced table tbc tbd temporary that the their then there they this times to
    today tomorrow too true type unchanged undefined unknown unset until up user users valid vault
    was weak when which will with without wrong yes yesterday you your
"""
_WORDS = frozenset(_SAID_OF_PASSWORDS.split())
_PARTICIPLE = re.compile(r"[A-Za-z-]+(?:ed|ing|able|ible|n't)")
_PLACEHOLDER = re.compile(r"[*•.·xX#?_-]{3,}|<[^>]*>|%\w+%|\{\{?[^}]*\}\}?|\$\(.*\)|\$\{.*\}|\$env:\w+|\[.*")
_CODE = re.compile(
    r"(?i)0x[0-9a-f]+|KB\d+|(?:AADSTS|CVE-|MSIS|ERR_?|event)\w*|(?:SHA|AES|MD|DES|NTLMv|MS-CHAPv)-?\d+\w*"
    r"|\d{1,4}[-/.:]\d{1,2}(?:[-/.:]\d{1,4})?\S*|\d+(?:h|hr|d|day|days|min|mins|s|x|k|mb|gb|%|char"
    r"|chars|st|nd|rd|th)"
    r"|(?:win(?:dows)?|office|o|m|server|exchange|v)-?\d+\S*"
)
_GUID = re.compile(r"(?i)\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?")
_PATH = re.compile(r"\\\\.*|[A-Za-z]:\\.*|/[\w./-]*|\w+://.*|HK(?:EY_|LM|CU|CR|U\b).*")
_HOST = re.compile(
    r"(?i)(?:[a-z0-9-]+\.)+(?:[a-z]{2,10}|\d{1,3})|[^\s@]+@[\w.-]+\.\w+|[a-z]+-?[a-z]*\d{1,3}\.[\w.]+"
)
_RANDOM = re.compile(r"[A-Za-z0-9+/=_.~-]{16,}")
#: Bits per character: words and identifiers lie below, keys of 16 and more random characters above.
_LEAST_ENTROPY = 3.2


def is_named(value: str) -> bool:
    """Tell whether `password: value` names a secret: whatever is no word about one."""
    plain = value.strip("\"'`.,;:!?)( ")
    if not plain or value.endswith(":") or _PLACEHOLDER.fullmatch(value.strip("\"'`")):
        return False
    return plain.lower() not in _WORDS and not _PARTICIPLE.fullmatch(plain)


def looks_secret(value: str) -> bool:
    """Tell whether a value looks like a password even where no sign says so: letters with digits or signs."""
    plain = value.strip("\"'`.,;:)( ")
    if len(plain) < 6 or not is_named(value) or is_reference(plain):
        return False
    letters = sum(character.isalpha() for character in plain)
    digits = any(character.isdigit() for character in plain)
    signs = any(character in "!@#$%^&*+=~?" for character in plain)
    return letters > 0 and (digits or (signs and letters < len(plain.rstrip("!?")))) and "(" not in plain


def looks_random(value: str) -> bool:
    """Tell whether a value after "key" or "token" is one, and not a name, a path or an identifier."""
    plain = value.strip("\"'`.,;:)( ")
    if not _RANDOM.fullmatch(plain) or is_reference(plain):
        return False
    has_both = any(c.isdigit() for c in plain) and any(c.isalpha() for c in plain)
    return has_both and _entropy(plain) >= _LEAST_ENTROPY


def is_reference(value: str) -> bool:
    """Tell whether a value is what engineers go by: an error code, a GUID, a path, a host, a date."""
    return value.count("\\") > 1 or any(form.fullmatch(value) for form in (_CODE, _GUID, _PATH, _HOST))


def _entropy(value: str) -> float:
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)
