"""Sessions cut into clauses that know where they stand, so that whatever rests on one can quote it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from assist.port import CaseMessage, Evidence
from assist.redaction import redact
from db.enums import MessageRole

#: Characters of a quote, at most.
LONGEST_QUOTE = 200
_WEIGHED = 2000  #: characters of a text in which its quote is looked for
#: Characters of a message that are read. What follows is a log, and its telling lines come first.
_READ = 20_000
_MOST_CLAUSES = 300  #: of a message
_SENTENCE_END = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\bno)(?<!\bvs)(?<![.!?])[.!?]+[\"')\]]?\s+(?=\S)"
    r"|(?<=\S);\s+"
)
#: A line that a machine wrote: a time, a prompt, a level or brackets first, a field of a table, or code.
_LOG_LINE = re.compile(
    r"""(?ix)\s*(?: \d{1,4}[-/.:]\d{1,2}[-/.:]\d{1,4}\b | \[[^\]]*\]\s*$
    | \[?(?:error|warn(?:ing)?|info|debug|fatal)\b[\]:] | (?-i:ERROR|WARN|INFO|FATAL)\s
    | (?:PS\s)?[A-Z]:\\[^\s>]*> | [$#>|@]\s? | \d{2,3}[- ][A-Z*] | 0x[0-9a-f]+\b | \w+\s*=\s*\S+\s*$
    | (?-i:[A-Z])\w*(?:[ -]\w+){0,3}\s*:\s*\S.{0,60}$(?<![.!?]) | <\w | [{}] | EHLO | Get-\w+ )"""
)
_ADDRESSED = re.compile(
    r"""(?ix) \b(?:ignore|disregard|forget|override|bypass)\b
      .{0,40} \b(?:instructions?|prompts?|rules|guidelines|messages)\b
    | \byou\ are\ (?:now\ )?an?\ .{0,40}\b(?:assistant|model|ai|bot|agent)\b | \bsystem\ prompt\b
    | \bas\ an\ ai\b
    | \bnew\ instructions\b | \b(?:language|summari[sz]ing|diagnostic)\ (?:model|assistant)\b
    | ^\s*[<\[]?/?(?:system|assistant|developer|instructions?|human)\b\s*[:>\]] | <\|\w+\|> | \[/?INST\]
    | ^\s*\#{2,}\s*(?:system|instruction)
    | \b(?:set|with|report|state)\b.{0,30}\bconfidence\b.{0,15}\b(?:high|100)
    | \b(?:dear|note\ to|attention)\s+(?:ai|assistant|model|llm)\b"""
)
_JOKE = re.compile(
    r"(?i)\b(?:lol|lmao|rofl|haha\w*|hehe|jk|just kidding|gremlins?|/s)\b|[;:]-?[)DP](?:\s|$)"
    r"|[\U0001F600-\U0001F64F]"
)


@dataclass(frozen=True, slots=True)
class Clause:
    """A sentence, or a line of a log, of one message."""

    message: CaseMessage
    start: int
    end: int
    is_log: bool

    @property
    def text(self) -> str:
        """Its words, without the white space around them."""
        return self.message.content[self.start : self.end]

    @property
    def is_by_engineer(self) -> bool:
        """Whether the engineer said it."""
        return self.message.role is MessageRole.USER

    @property
    def is_joke(self) -> bool:
        """Whether it says by itself that it is not meant."""
        return _JOKE.search(self.text) is not None

    def evidence(self) -> Evidence:
        """Return the clause as evidence."""
        return Evidence(quote=quote(self.text), message_index=self.message.index)


def clauses_of(message: CaseMessage) -> tuple[Clause, ...]:
    """Return the clauses of a message, in order.

    A paragraph that speaks to whoever assesses the session, and not to a colleague, is left out from there.
    """
    return tuple(islice(_clauses(message), _MOST_CLAUSES))


def _clauses(message: CaseMessage) -> Iterator[Clause]:
    is_addressed = False
    at = 0
    for line in message.content[:_READ].splitlines(keepends=True):
        start, at = at, at + len(line)
        if not line.strip():
            is_addressed = False
            continue
        is_addressed = is_addressed or _ADDRESSED.search(line[:500]) is not None
        if is_addressed:
            continue
        if _LOG_LINE.match(line[:300]) and not _speaks(line):
            yield _trimmed(message, start, at, is_log=True)
        else:
            yield from _sentences(message, start, at)


def _speaks(line: str) -> bool:
    """Tell a person's line that merely looks like a log's: it says I, or so, or asks."""
    return re.search(r"(?i)\b(?:i|we|my|our|so|but|thats?|not sure|btw|pls|please)\b", line[:300]) is not None


def _sentences(message: CaseMessage, start: int, end: int) -> Iterator[Clause]:
    for mark in _SENTENCE_END.finditer(message.content, start, end):
        if mark.start() > start:
            yield _trimmed(message, start, mark.end(), is_log=False)
        start = mark.end()
    if message.content[start:end].strip():
        yield _trimmed(message, start, end, is_log=False)


def _trimmed(message: CaseMessage, start: int, end: int, *, is_log: bool) -> Clause:
    text = message.content[start:end]
    start += len(text) - len(text.lstrip())
    return Clause(message, start, start + len(text.strip()), is_log)


def branch_evidence(branch_id: UUID, words: str) -> Evidence:
    """Return words of a branch's label, status or reason as evidence."""
    return Evidence(quote=quote(words), branch_id=branch_id)


def quote(text: str) -> str:
    """Return words of the text as they stand there, cut at a word's border, and none of them a secret."""
    text = _cut(text.strip(), _WEIGHED)
    if redact(text) != text:
        text = _longest_without_secret(text)
    return _cut(text, LONGEST_QUOTE)


def said(text: str, longest: int = LONGEST_QUOTE) -> str:
    """Return the text for a sentence of our own: one line, no secret, cut with an ellipsis."""
    text = " ".join(redact(_cut(text.strip(), _WEIGHED)).split())
    short = _cut(text, longest)
    return short if short == text else f"{short.rstrip(' ,;:.-')} …"


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    words = text[: longest + 1].rsplit(None, 1)
    return words[0][:longest].rstrip() if words else ""


def _longest_without_secret(text: str) -> str:
    """Return the longest stretch of words that redaction leaves as it is."""
    kept = re.split(r"\[[A-Za-z ]+ removed\]", redact(text))
    stretches = sorted((part.strip() for part in kept), key=len, reverse=True)
    return next((part for part in stretches if part in text and redact(part) == part), "")
