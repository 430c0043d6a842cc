"""Statements in the conversation that read as a conclusion, and what became of them."""

import re
from dataclasses import dataclass

from assist.clauses import Clause, said
from assist.conversation import Turn, is_question
from assist.outcomes import Outcome, ending_of
from assist.port import Evidence
from assist.topics import shares_topic

_CONCLUDES = re.compile(
    r"""(?ix)\b(?: root\ cause
    | (?:that|this|it|which)(?:'?s|\ is|\ was)\ (?:(?:the|your|our|a)\ )?
      (?:cause|reason|culprit|problem|issue|why)
    | tha?ts\ (?:the\ )?(?:it|cause|reason|problem|why) | that\ (?:was|is)\ it
    | (?:that|which|this)\ explains | (?:turns?|turned)\ out
    | culprit | found\ it | found\ the\ (?:cause|problem|reason|culprit)
    | the\ (?:cause|reason|culprit|problem|issue)\ (?:is|was|being)
    | (?:cause|reason|problem)\ (?:is|was)\ (?:just\ )? | caused\ by | confirmed\b | pretty\ sure
    | (?:i\ am|i'?m)\ sure | broke\ it
    | (?:it|mismatch|loop|cert\w*|driver|setting|policy|group)\ it\ (?:is|was) | it\ is\b[.!]?$
    | so\ (?:it'?s|its)\b(?!\ not) | because\ of | due\ to )"""
)
_REASONS = re.compile(
    r"(?i)^(?:\W*(?:ok|yes|yep|hm+|no)\b)*\W*so\b|\b(?:because|bc|since the|that means|means that"
    r"|so (?:the|its|it'?s|an?|no|every)\b|means an?)\b|\b(?:no|must be) \w+, so\b|\bmismatch!|\b(?:breaks"
    r"|blocks|causes|strips|slows|locks)\b|^(?:it'?s|its) (?:the|a|an)\b"
)
_SUPPOSES = re.compile(
    r"(?i)\b(?:could|may|might|maybe|perhaps|either|possibly|(?<!-)if|whether|would|wonder|guess"
    r"|or else|check|think (?:it|its|that)|i think|dunno|no idea|nobody knows|don'?t know|not sure)\b"
)
_SOMEBODY_THINKS = re.compile(
    r"(?i)\b(?:user|users|client|customer|she|he|they|boss|vendor|isp|support|everyone"
    r"|manager)\s+(?:\w+\s+)?(?:says?|said|thinks?|claims?|reckons?|insists?|swears?|blames?)\b"
)
_DENIES = re.compile(
    r"(?i)\b(?:(?:was|is)(?:n'?t| not)|not) (?:the |it|a |our |that|dns)|\b(?:wasnt|isnt|not) (?:it"
    r"|the)|\bso not\b|\bnot (?:it|the (?:cause|problem|reason|issue))\b|\bruled? out\b|\bred herring\b"
    r"|\bfalse alarm\b|\bnothing because\b"
    r"|\bscr(?:ap|atch) that\b|\bi was wrong\b|\bnot a\b|\bno longer the\b|\bwasn'?t it\b"
)
_TAKES_BACK = re.compile(
    r"(?i)\b(?:was|is)(?:n'?t| not) it\b|\bnot (?:it|that)\b|false alarm|scr(?:atch|ap) that|i was wrong"
)
_CAME_BACK = re.compile(
    r"(?i)\b(?:came back|back again|is back|back on \w+ing|happen\w+ again|same (?:issue|problem"
    r"|thing) again)\b"
)
_AGREES = re.compile(
    r"(?i)^\W*(?:confirmed|that fits|that(?:'?s| is| was) it|yes that explains|right[.,]|exactly"
    r"|correct[.,]|then that was it|yes[.,])|\bconfirmed\b|\bthat was it\b|\bthat did it\b"
    r"|\bfixed\b"
)
#: Somebody else saw it too: no conclusion of its own.
_SECONDS = re.compile(r"(?i)^\W*confirmed\s+(?:by|with|on|in|at|too|as well|again)\b")
_UNCONFIRMED = re.compile(
    r"(?i)\b(?:not|nothing|un|isn'?t|never|yet to be)[ -]?confirmed\b|\bnot been confirmed\b"
)
_POINTER = re.compile(
    r"(?i)\b(?:that|this|which|it|thats|its|it's)(?:'?s| is| was| explains)?\b|\bso\b|\bthe (?:cause"
    r"|reason|problem|issue|culprit)\b|\bfound it\b|\bconfirmed\b|\b(?:pretty |i'?m |i am )?sure\b"
    r"|\bwhy\b|\bit\b|\byes\b|\bexplains\b"
)
_POINTING = re.compile(r"(?i)\W*(?:so|that|this|which|thats|it|its|it's|they|confirmed)\b")
#: Words besides the pointing ones by which a clause says something by itself.
_OWN_WORDS = 4
_LEAD_IN = re.compile(
    r"(?i)^\W*(?:\b(?:ok(?:ay)?|yes|yep|yeah|hm+|so|and|right|confirmed(?=[,.:;-])|found it|that explains it"
    r"|turns out)\b[ ,.:;-]+)+(?=\w)"
)
_MOST = 20  #: conclusions that may still be confirmed or taken back
_SHORT = 120  #: characters below which a clause that points back takes one more along
_MOST_PARTS = 3  #: clauses of a conclusion
_LONGEST = 320  #: characters of a cause


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A cause somebody stated."""

    text: str
    evidence: tuple[Evidence, ...]
    order: int
    is_strong: bool  #: said as the cause, and not as a step of reasoning
    is_by_engineer: bool
    is_confirmed: bool = False


def conclusions_of(turns: tuple[Turn, ...]) -> tuple[Conclusion, ...]:
    """Return the conclusions that nobody took back, oldest first."""
    stated: list[Conclusion] = []
    for place, turn in enumerate(turns):
        clauses = [clause for clause in turn.clauses if not clause.is_joke]
        for at, clause in enumerate(clauses):
            if clause.is_log:
                continue
            stated = _after_denial(stated, clause, place)[-_MOST:]
            strength = _strength(clause, place)
            if stated and (_SECONDS.match(clause.text) or (strength and _is_repair(clauses, at))):
                stated[-1] = _confirmed(stated[-1], clause, place)
            elif strength is not None and (one := _conclusion(clauses, at, place, is_strong=strength)).text:
                stated.append(one)
            elif _AGREES.search(clause.text[:300]) and stated:
                stated[-1] = _confirmed(stated[-1], clause, place)
    return tuple(stated)


def _is_repair(clauses: list[Clause], at: int) -> bool:
    """Tell whether the clause only says that what was just done ended the problem."""
    before = clauses[at - 1].text if at else ""
    return _own_words(clauses[at].text) == 0 and ending_of(before) is Outcome.HELPED


def _strength(clause: Clause, place: int) -> bool | None:
    """Tell whether the clause concludes: True by its own word, False as reasoning, None not at all."""
    text = clause.text[:600]
    if place == 0 or is_question(clause) or text.rstrip().endswith("?"):
        return None
    if _SECONDS.match(text) or _UNCONFIRMED.search(text):
        return None
    if _SUPPOSES.search(text) or _SOMEBODY_THINKS.search(text) or _DENIES.search(text):
        return None
    if _CONCLUDES.search(text):
        return True
    return False if _REASONS.search(text) else None


def _conclusion(clauses: list[Clause], at: int, place: int, *, is_strong: bool) -> Conclusion:
    parts = [clauses[at]]
    is_pointing = _points_back(clauses[at].text)
    while (
        at > 0
        and not clauses[at - 1].is_log
        and (_points_back(parts[0].text) or (is_pointing and sum(len(part.text) for part in parts) < _SHORT))
    ):
        at -= 1
        parts.insert(0, clauses[at])
        if len(parts) == _MOST_PARTS:
            break
    text = _LEAD_IN.sub("", " ".join(_ended(part.text) for part in parts if _own_words(part.text)))
    text = said(text[:1].upper() + text[1:], _LONGEST)
    evidence = tuple(part.evidence() for part in parts)
    is_confirmed = re.search(r"(?i)\bconfirmed\b|\bthat was it\b", parts[-1].text) is not None
    return Conclusion(text, evidence, place, is_strong, parts[-1].is_by_engineer, is_confirmed)


def _points_back(text: str) -> bool:
    return _own_words(text) < _OWN_WORDS or _POINTING.match(text) is not None


def _own_words(text: str) -> int:
    return len(re.findall(r"[\w$./\\-]{2,}", _POINTER.sub(" ", text[:600])))


def _ended(text: str) -> str:
    return text if text.rstrip().endswith((".", "!")) else f"{text.rstrip(' ,;:')}."


def _after_denial(stated: list[Conclusion], clause: Clause, place: int) -> list[Conclusion]:
    """Drop what the clause denies: what it names, or else the last conclusion."""
    text = clause.text[:600]
    if stated and clause.is_by_engineer and _CAME_BACK.search(text) and stated[-1].order < place:
        return stated[:-1]
    if not stated or not _DENIES.search(text) or clause.text.rstrip().endswith("?"):
        return stated
    denied = [one for one in stated if shares_topic(one.text, text) and one.order < place]
    pointed = _TAKES_BACK.search(text)
    if not denied and pointed and stated[-1].order < place:
        denied = stated[-1:]
    return [one for one in stated if one not in denied]


def _confirmed(one: Conclusion, clause: Clause, place: int) -> Conclusion:
    if _UNCONFIRMED.search(clause.text[:600]) or place == one.order:
        return one
    return Conclusion(
        one.text,
        (*one.evidence, clause.evidence()),
        one.order,
        one.is_strong or clause.is_by_engineer,
        one.is_by_engineer,
        # That the assistant agrees with itself confirms nothing.
        is_confirmed=one.is_confirmed or clause.is_by_engineer,
    )
