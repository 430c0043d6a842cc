"""How many rows of a batch are named in one statement."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def padded(values: Sequence[T]) -> list[T]:
    """Repeat the last value until there are 1, 2, 4, 8 … of them, for an IN.

    Each number of values is a statement of its own, which the database prepares and the driver keeps: of a
    hundred lengths most would be forgotten before they come again.
    """
    length = 1 << max(0, len(values) - 1).bit_length()
    return [*values, *(values[-1] for _ in range(length - len(values)))]
