"""What was made of parts of documents, which clients send again and again."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from graphql import Node

V = TypeVar("V")


class Remembered(Generic[V]):
    """Values by keys that name nodes of documents by their ids, so many at most; the oldest go first.

    The nodes are held with the value: as long as it is known, their ids are nobody else's.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[object, tuple[Sequence[Node], V]] = {}

    def find(self, key: object, nodes: Sequence[Node], make: Callable[[], V]) -> V:
        """Return the value of a key, made where it is not known."""
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = nodes, make()
            if len(self._known) > self._most:
                del self._known[next(iter(self._known))]
        return known[1]
