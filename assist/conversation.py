"""The conversation as turns: what was said, and what it answers."""

import re
from dataclasses import dataclass

from assist.clauses import Clause, clauses_of
from assist.port import Case, CaseMessage
from db.enums import MessageRole

_VERBS = (
    "add|adjust|apply|ask|boot|bypass|call|capture|change|check|clear|clone|collect|compare|configure|confirm|copy"
    "|create|delete|demote|deploy|disable|disconnect|do|document|downgrade|enable|ensure|exclude|export|find|fix|flush"
    "|force|forward|free|get|give|import|increase|inspect|install|issue|keep|let|limit|link|list|lock|log|look|lower|make"
    "|measure|move|note|open|patch|ping|power|print|publish|pull|purge|put|query|raise|read|reboot|rebuild|recreate"
    "|reduce|register|reinstall|remove|rename|renew|repair|replace|reseat|reset|restart|restore|restrict|retry|revert"
    "|review|roll|rotate|run|scan|search|send|set|shorten|show|sign|start|stop|suspend|swap|switch|take|telnet|test|tick"
    "|trace|try|turn|uninstall|unlink|unplug|update|upgrade|use|verify|wait|watch|wipe"
)
_ASKS = re.compile(
    rf"(?i)(?:^|[:,;]\s+|\bthen\s+|\band\s+)(?:please |also |first |next |then |now |just |instead "
    rf"|good[.,] |and |or )*(?:{_VERBS})\b(?!\s+(?:is|was|are|of)\b)"
)
_QUESTION = re.compile(
    r"(?i)^(?:which|what|where|when|who|is|are|does|do|did|has|have|can|could|should|shall|any)\b.*\?\s*$",
    re.DOTALL,
)
_WARNING = re.compile(r"(?i)^(?:do not|don'?t|never|avoid)\b")
_REFUSES = re.compile(
    r"(?i)\b(?:can'?t|cannot|couldn'?t|no access|haven'?t|havent|not yet|not done|will do|will try"
    r"|later|tomorrow|tonight|no idea|dunno"
    r"|nobody knows|not \w+ yet)\b"
)
_FIRST = re.compile(r"(?i)^(?:then|next|first|now)\b(?!.{0,40}\b(?:is|was|are|fails?|has)\b)")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the engineer or the assistant."""

    message: CaseMessage
    clauses: tuple[Clause, ...]
    asked: tuple[Clause, ...]  #: what the assistant asked for last, where the engineer's message answers it


def turns_of(case: Case) -> tuple[Turn, ...]:
    """Return the turns of engineer and assistant, oldest first. What the system says is left out."""
    turns: list[Turn] = []
    asked: tuple[Clause, ...] = ()
    for message in case.messages:
        clauses = clauses_of(message)
        if message.role is MessageRole.ASSISTANT:
            asked = tuple(clause for clause in clauses if asks(clause))
            turns.append(Turn(message, clauses, ()))
        elif message.role is MessageRole.USER:
            turns.append(Turn(message, clauses, asked))
            asked = ()
    return tuple(turns)


def asks(clause: Clause) -> bool:
    """Tell whether the clause asks for something to be done or looked at."""
    text = clause.text[:400]
    if clause.is_log or _WARNING.match(text):
        return False
    return bool(_QUESTION.match(text) or _FIRST.match(text) or _ASKS.search(text))


def is_question(clause: Clause) -> bool:
    """Tell whether the clause only asks for an answer."""
    return _QUESTION.match(clause.text[:400]) is not None


def refuses(clause: Clause) -> bool:
    """Tell whether the clause says that something was not done, or not yet, or cannot be."""
    return _REFUSES.search(clause.text[:400]) is not None
