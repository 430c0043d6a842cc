"""What was made of documents and of their parts, which clients send again and again."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from graphql import Location, Node

V = TypeVar("V")

#: A token takes 600 bytes at most, with the node that is made of it. A large application has 300 documents of
#: 300 tokens.
MOST_TOKENS = 100_000


class Remembered(Generic[V]):
    """Values by keys that name nodes of documents by their ids, so many at most; the oldest go first.

    The nodes are held with the value: as long as it is known, their ids are nobody else's. With them all
    tokens of their document are held. So these are bounded, too: whoever makes up one long document after the
    other must not fill the memory.
    """

    def __init__(self, most: int, *, most_tokens: int = MOST_TOKENS) -> None:
        self._most = most
        self._most_tokens = most_tokens
        self._known: dict[object, tuple[Sequence[Node], V]] = {}
        #: Of each document that is held, by its id: how many values are known of it, and how long it is.
        self._documents: dict[int, tuple[int, int]] = {}
        self.tokens = 0  #: of the documents that are held

    def __len__(self) -> int:
        """Return how many values are known."""
        return len(self._known)

    def find(self, key: object, nodes: Sequence[Node], make: Callable[[], V]) -> V:
        """Return the value of a key, made where it is not known."""
        known = self._known.get(key)
        return self.keep(key, nodes, make()) if known is None else known[1]

    def get(self, key: object) -> V | None:
        """Return the value of a key, which is the newest from then on; None where it is not known."""
        known = self._known.pop(key, None)
        if known is None:
            return None
        self._known[key] = known
        return known[1]

    def keep(self, key: object, nodes: Sequence[Node], value: V) -> V:
        """Remember a value, and return it."""
        self._forget(key)
        self._known[key] = nodes, value
        self._count(nodes, +1)
        while len(self._known) > self._most or (self.tokens > self._most_tokens and len(self._known) > 1):
            self._forget(next(iter(self._known)))
        return value

    def _forget(self, key: object) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._count(known[0], -1)

    def _count(self, nodes: Sequence[Node], more: int) -> None:
        """Count a value of the document that the nodes are of, or one less."""
        where = nodes[0].loc if nodes else None
        if where is None:
            return
        document = id(where.source)
        values, length = self._documents.pop(document, (0, 0))
        if not values:
            length = _length(where)
            self.tokens += length
        if values + more:
            self._documents[document] = values + more, length
        else:
            self.tokens -= length


def _length(where: Location) -> int:
    """Count the tokens of the document in which something stands."""
    first = where.start_token
    while first.prev is not None:
        first = first.prev
    count, token = 1, first.next
    while token is not None:
        count, token = count + 1, token.next
    return count
