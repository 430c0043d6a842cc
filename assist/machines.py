"""Machines and addresses that a text names: hosts, devices, IP addresses, servers by their full names."""

import ipaddress
import re

_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?"
    r"|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:]|\.\d)"
)
#: What has the form of an IPv6 address, or of the part of one that somebody wrote down.
_GROUPS = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,}[0-9A-Fa-f]{0,4}")
#: `SRV-FILE2`, `DC1`, `esx02`, `LT-0231`: letters of a machine's name with its number.
_NAME = re.compile(
    r"(?<![\w.\\/-])(?P<name>[A-Z][A-Z0-9]{1,14}(?:-[A-Z0-9]{1,15}){1,3}|(?:[A-Z]{1,4}-?)?(?:SRV|DC|FS"
    r"|PS|SQLN?|EX|ADFS|WEB|APP|HV|ESXi?|NAS|RDSH?|TS|PC|LT"
    r"|WS|DESK|SW|AP|FW|VM|DB|NVR|SYNC|RDLIC|BKP|MAIL|PRN)-?\d{1,4}|(?:esxi?|srv|dc|fs|hv|app|db|web"
    r"|sql|ex|nas|pc|lt|sw|ap)-?\d{1,4})(?![\w-])"
)
_FULL_NAME = re.compile(
    r"(?i)(?<![\w.@/-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,6}(?:com|net|org|local|lan|internal"
    r"|example|test|de|uk|io|cloud)(?![\w-])"
)
#: In capitals with a hyphen, and no machine.
_NO_MACHINE = re.compile(
    r"(?i)(?:AES|SHA|MD|DES|TLS|SSL|UTF|ISO|IEEE|MS-CHAP\w*|NTLM|WPA|CVE|KB|X|IKE\w*|RFC|EN|USB|HDMI"
    r"|CAT|VLAN|WI|PCI|TCP|UDP|GCM)(?:-.*)?"
)


def machines_in(text: str) -> tuple[str, ...]:
    """Return names and addresses, each once, in the order of their first places."""
    found: dict[str, int] = {}
    groups = [match.span() for match in _GROUPS.finditer(text)]
    for form in (_ADDRESS, _NAME, _FULL_NAME):
        for match in form.finditer(text):
            name = match.group()
            if form is _ADDRESS and not _is_address(name):
                continue
            if form is _NAME and any(start <= match.start() < end for start, end in groups):
                continue  # `db8` of 2001:db8::1
            if form is _NAME and (_NO_MACHINE.fullmatch(name) or not any(map(str.isdigit, name))):
                continue
            found.setdefault(name, match.start())
    return tuple(sorted(found, key=found.__getitem__))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return any(character.isdigit() for character in text)
