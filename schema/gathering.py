"""Waits for several values at once, and cancels no task that has not begun.

A task that is cancelled before its first step drops its coroutine, and with it what that was to await: the
values that resolvers have returned, and all below them. Python warns of each that it was never awaited.
graphql-core (3.3.2) does that where a field fails while its neighbours wait for fields of theirs: its
`gather_with_cancel` waits by `asyncio.gather`, which hands a cancellation on at once, however new the tasks.
"""

from asyncio import Future, ensure_future, gather, get_running_loop
from collections.abc import Iterable, Sequence
from typing import Any


async def gather_begun(awaitables: Iterable[Any]) -> list[Any]:
    """Return what each comes to; when one fails, or who waits is cancelled, the others are cancelled.

    Who waits here is cancelled by way of a future of their own, and learns of it a turn of the loop later.
    The first steps of the tasks are due before that: all have begun when they are cancelled.
    """
    tasks = [ensure_future(each) for each in awaitables]
    try:
        await _end_of(tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await gather(*tasks, return_exceptions=True)
        raise
    return [task.result() for task in tasks]


def _end_of(tasks: Sequence[Future[Any]]) -> Future[None]:
    """Return what ends when all tasks have ended, or as the first of them that fails."""
    end: Future[None] = get_running_loop().create_future()
    left = len(tasks)

    def note(task: Future[Any]) -> None:
        nonlocal left
        left -= 1
        if end.done():
            return
        if task.cancelled():
            end.cancel()
        elif (error := task.exception()) is not None:
            end.set_exception(error)
        elif not left:
            end.set_result(None)

    for task in tasks:
        task.add_done_callback(note)
    return end
