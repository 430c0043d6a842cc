"""The verb by which an engineer says that something was done, and whether they did it.

English, and as terse as people write: `cleared cred mgr, no change`.
"""

import re

from assist.clauses import Clause
from assist.outcomes import ending_of

_CHECKS = (
    "checked|tested|ran|looked|compared|verified|pinged|traced|telnet'?t?ed|captured|read|queried|searched|measured"
    "|scanned|listed|monitored|reviewed|inspected|caught"
)
_CHANGES = (
    "(?:re|power )?(?:booted|started|set|created|built|installed|seated|imaged|synced|joined|linked|shared"
    "|added|issued|registered|configured|enabled|moved|placed|named|paired|run|cycled)|cleared|flushed"
    "|made|uninstalled|unlinked|removed|deleted|disabled|updated|upgraded|downgraded|patched"
    "|rolled|reverted|swapped|changed|switched|unplugged|plugged"
    "|connected|disconnected|bypassed|forced|purged|renewed|imported|exported|tried|did|turned|raised|lowered"
    "|increased|reduced|cleaned|unblocked|blocked|allowed|excluded|whitelisted|forwarded|called|mailed|emailed"
    "|asked|stopped(?! there)"
    "|killed|demoted|promoted|migrated|resynced|activated|deactivated|put(?! into)|took"
    "|applied|published|copied|wiped|locked|unlocked|printed|restored|running|redid|suspended"
    "|resumed|adjusted|pushed|repaired|restarted"
    "|replaced|renamed"
)
#: What shows how a change ended, where it follows one.
_TRIALS = re.compile(r"(?i)^(?:tested|printed|called|asked|pinged|tried|ran|opened|started)$")
FILLER = (
    r"(?:(?:ok(?:ay)?|so|then|also|and|just|already|finally|meanwhile|btw|yes|yep|yeah|no|nope|hm+|done"
    r"|right|well|have|had|now"
    r"|first|next|both|serious|i|we|i'?ve|we'?ve|i'?m|successfully|again|instead)[ ,.:-]+){0,5}"
)
_DID = re.compile(
    rf"(?i)(?:^|(?P<next>[,;:(+]\s*)|(?P<joined>\b(?:and|then|but|so)\s+)|\b(?:i"
    rf"|we)\s+){FILLER}(?P<verb>(?P<check>{_CHECKS})|{_CHANGES})\b(?!\s+by\b)"
)
#: `allow rule added`, `OST rebuilt, ...`: the thing first. Somebody else's doing has a `was` or a `by`.
_WAS_DONE = re.compile(
    rf"(?i)^{FILLER}(?:[\w./:>\\$-]+\s+){{1,7}}?"
    rf"(?<!was )(?<!were )(?<!got )(?<!been )(?<!is )(?<!are )(?<!not )"
    rf"(?P<verb>(?P<check>{_CHECKS})|{_CHANGES})\s*(?:[,.;+]|$)"
)
_LOOKED_TOO = re.compile(r"(?i)\band (?:caught|captured|read|looked|compared|checked|measured)\b")
#: `port 443 allowed`: how things are, and not what was done.
_STATES = re.compile(r"(?i)^(?:allowed|blocked|connected|disconnected|locked|called|set|made|started|did)$")
OTHERS = re.compile(
    r"(?i)^(?:\W|yes|yep|so|and|ok|also|found it\W)*(?:someone|somebody|(?:my |a |the )?colleague|they"
    r"|he|she|it|user|users|client|customer"
    r"|vendor|the \w+ guy|isp|dno|support|supplier|nobody|no ?one|who|which|the \w+ team)\b"
)
_NOT_DONE = re.compile(
    r"(?i)\b(?:not|never|haven'?t|hasn'?t|didn'?t|can'?t|cannot|couldn'?t|won'?t|will|going to|gonna"
    r"|want(?:s|ed)? to|should|could|would"
    r"|might|if|when|once|until|before|need(?:s|ed)? to|plan(?:ned)? to|to be)\s+(?:\w+\s+){0,3}$"
)
NOTHING_YET = re.compile(r"(?i)\bnothing yet\b|\b(?:not|haven'?t)\b.{0,40}\byet\b")


def action_in(clause: Clause, *, is_first: bool) -> re.Match[str] | None:
    """Find the verb of something the engineer did; a first message tells history unless it says I."""
    text = clause.text[:600]
    if clause.is_log or text.rstrip().endswith("?") or NOTHING_YET.search(text):
        return None
    if is_first and not re.search(r"(?i)\b(?:already|tried|i(?:'?ve)?|we(?:'?ve)?)\b", text):
        return None
    for verb in _DID.finditer(text):
        if not _NOT_DONE.search(text[: verb.start("verb")]) and _is_own(verb, text):
            return verb
    done = _WAS_DONE.match(text)
    if done is not None and _STATES.match(done["verb"]):
        return None
    return None if OTHERS.match(text) or (done and _NOT_DONE.search(text[: done.start("verb")])) else done


def _is_own(verb: re.Match[str], text: str) -> bool:
    """Tell whether the engineer is who did it: `I`, or no subject where a part of a sentence begins."""
    if re.search(r"(?i)\b(?:i|we|i'?ve|we'?ve)\b", text[verb.start() : verb.start("verb")]):
        return True
    if verb["joined"]:
        return re.search(r"(?i)\b(?:i|we)\b", text[: verb.start()]) is not None
    return verb["next"] is not None or not OTHERS.match(text)


def also_checks(verb: re.Match[str]) -> bool:
    """Tell whether the change was made to look at something: `raised the logging and caught the drop`."""
    return _LOOKED_TOO.search(verb.string[verb.end() :]) is not None


def tries_out(verb: str) -> bool:
    """Tell whether the verb is one of trying out, and not of changing."""
    return _TRIALS.match(verb) is not None


def is_trial(verb: re.Match[str]) -> bool:
    """Tell whether the verb tries something out, and how that went is said along with it."""
    return tries_out(verb["verb"]) and ending_of(verb.string[verb.end() :]) is not None
