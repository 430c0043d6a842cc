"""What an assessor may look at is bounded, and the last that was said is always there."""

from uuid import UUID

from assist.cases import CUT_AT, LEAST_MESSAGES, longest_reason, within
from db.enums import MessageRole
from db.session_messages import MessageRow
from schema.context import utc_now

SESSION_ID = UUID(int=1)


def said(*lengths: int) -> list[MessageRow]:
    """Return messages of these lengths, oldest first."""
    return [
        MessageRow(SESSION_ID, index, MessageRole.USER, "x" * length, utc_now())
        for index, length in enumerate(lengths)
    ]


def lengths_within(messages: list[MessageRow], characters: int) -> dict[int, int]:
    """Return the length of what is kept of each message, by its index."""
    return {one.index: len(one.content) for one in within(messages, characters)}


def test_all_that_has_room_is_kept_whole_and_in_order() -> None:
    assert lengths_within(said(300, 200, 100), 600) == {0: 300, 1: 200, 2: 100}


def test_the_oldest_give_way() -> None:
    assert list(lengths_within(said(*[100] * 30), 1_500)) == list(range(15, 30))


def test_the_last_ones_are_there_however_long_they_are() -> None:
    kept = lengths_within(said(*[5_000] * 20), 6_000)

    assert kept == {19: 5_000} | dict.fromkeys(range(20 - LEAST_MESSAGES, 19), CUT_AT)


def test_a_long_message_hides_nothing_that_was_said_after_it() -> None:
    assert lengths_within(said(10_000, *[50] * 12), 700) == dict.fromkeys(range(1, 13), 50)


def test_a_session_without_words_has_none() -> None:
    assert within([], 1_000) == ()


def test_the_reasons_of_branches_share_their_room() -> None:
    assert [longest_reason(count) for count in (0, 1, 25, 100, 10_000)] == [
        50_000,
        50_000,
        2_000,
        500,
        CUT_AT,
    ]
