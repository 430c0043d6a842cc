"""How what was tried ended, read from the words of whoever tried it."""

import re
from enum import StrEnum


class Outcome(StrEnum):
    """How a step ended; the value is how it is said."""

    HELPED = "helped"
    DID_NOT_HELP = "did not help"
    FOUND = "found"  #: a check brought something to light
    NOTHING_FOUND = "nothing found"  #: a check found all in order
    RULED_OUT = "ruled out"
    CONFIRMED = "confirmed"
    IN_PROGRESS = "in progress"
    UNKNOWN = "outcome not said"


_WORSE_OR_SAME = re.compile(
    r"""(?ix)\b(?: no\ (?:change|difference|luck|joy|better|improvement|effect|go|audio|good|help)\b
    | no(?:t|pe)?\ (?:working|helping|fixed|better|it|any\ better)\b
    | did(?:n'?t|\ not)\ (?:help|work|fix|change|move|do)
    | does(?:n'?t|\ not)\ (?:help|work|fix|change) | (?:was|is)(?:n'?t|\ not)\ (?:it|the\ cause|that)\b
    | still(?!\ (?:up|on|fine|ok|good|stable|connected|holding))
    | same\ (?:thing|error|issue|result|message|again|problem|freeze|here)
    | same(?=\s*(?:[,.]|$)) | (?:came|comes|come|popup|prompt|error|box)\ (?:is\ )?back\b
    | back\ (?:on|within|after|again)
    | (?:again\ )?fail(?:s|ed|ing)(?:\ again|\ too)? | (?:stuck|failed|dead|down|broken)\ again
    | remains? | persists? | unchanged
    | like\ before | nothing\ (?:changed|happened)? | to\ no\ avail | (?:made\ it\ )?worse | silent
    | dead\b(?!\ (?:battery|forwarder))
    | no\ (?:response|answer|reply) | continues? | stops?\ (?:after|too|again) | drops\ (?:in|again)
    | timeouts?\ only )(?!\w)"""
)
_BETTER = re.compile(
    r"""(?ix)\b(?: fixed | solved | resolved | sorted | work(?:s|ed)\b(?!.{0,12}\bnot) | helped
    | that\ (?:did|was)\ it | did\ the\ trick
    | back\ (?:up|in(?!\ (?:about|an?|\d|one|two|few))|online|to\ normal)\b | all\ green
    | (?:went|now|is)\ (?:green|clean|ok|fine|up|back)\b | gone\b | no\ (?:more|longer)
    | any\ ?more | stable | still\ (?:up|fine|ok|good|connected) | stays?\ (?:at\ )?(?:0|up|ok) | ran\ through
    | (?:connects?|opens?|prints?|loads?|boots?|syncs?)(?:\ (?:now|again|fine|over|in|all)|\ *$)
    | both\ ways\ ok | at\ 0$
    | coming\ back | online\ (?:now|again)
    | no\ (?:drops?|prompts?|sign[ -]?outs?|transfers?|errors?|timeouts?|disconnects?|stops?)\b
    | without\ (?:a\ |an\ |any\ )?(?:stop|error|drop|prompt)s? | (?:stayed|hosts?\ stayed)\ up | clean\b
    | (?:one|it|all)?\ ?also\ good | \d+\ sec\b
    | successful(?:ly)? | left\ within | never\ came\ back | fine\ since | ok\ since | also\ ok )(?!\w)"""
)
_UNDER_WAY = re.compile(
    r"""(?ix)\b(?: waiting | awaiting | in\ progress | running\ now | under\ way
    | will\ (?:see|know|watch|tell|(?:call|ring|phone|write)\ back) | monitoring | watching
    | eta\b | so\ far | tonight | overnight | (?:is|still)\ pending | feedback | mailed | ordered
    | raised\ a\ ticket | at\ \d+\ ?% | \d+\ ?%\ (?:eta|done)
    | started,?\ (?:merge|now) )(?!\w)|\d+\ ?%\ eta"""
)
_IN_ORDER = re.compile(
    r"""(?ix)\b(?: fine | ok(?:ay)?\b | clean | normal | healthy | nothing | none
    | no\ (?:errors?|denies|entries|drops?|issues?|problems?|\d+
    |blocking|hits|events?|logs?|events?|findings?) | all\ (?:good|green|ok|stable) | correct | identical
    | as\ expected | in\ order | not\ the
    | so\ not | unremarkable | in\ sync | right\b | matches )(?!\w)"""
)
_BUT = re.compile(r"(?i)\b(?:but|though|however|except|although|yet\b(?! \w+ed))\b")


def ending_of(text: str) -> Outcome | None:
    """Return how a change ended, as the text says it; None where it says nothing.

    The last word counts, and of two that end together the longer one.
    """
    places = [
        (match.end(), len(match.group()), outcome)
        for pattern, outcome in (
            (_BETTER, Outcome.HELPED),
            (_WORSE_OR_SAME, Outcome.DID_NOT_HELP),
            (_UNDER_WAY, Outcome.IN_PROGRESS),
        )
        if (match := _last(pattern, text)) is not None
    ]
    return max(places, key=lambda place: place[:2])[2] if places else None


def finding_of(text: str) -> Outcome:
    """Return whether a check found something: what is not said to be in order was worth saying."""
    last = _BUT.split(text)[-1]
    return Outcome.NOTHING_FOUND if _IN_ORDER.search(last) else Outcome.FOUND


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for found in pattern.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    return found
