"""Answers of limiters that have to be waited for, and what becomes of those that came already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from proxy.contract import Request
from proxy.errors import Refused
from proxy.limits import Pending, Reading
from proxy.policies.rate_limit.groups import Group, Taken

Question = tuple[Group, str, int, Reading | Pending]
"""A group, its key, the cost, and the answer or what to await for it."""


async def wait(
    request: Request,
    asked: Sequence[Question],
    conclude: Callable[[Request, Sequence[Taken]], Refused | None],
) -> Refused | None:
    """Conclude from all answers. Raises the first refusal of a store, with what was taken given
    back."""
    taken: list[Taken] = []
    refusal: Refused | None = None
    waiting = list(asked)
    try:
        while waiting:
            group, key, cost, answer = waiting.pop(0)
            try:
                reading = answer if isinstance(answer, tuple) else await answer
            except Refused as error:
                refusal = error
            else:
                taken.append(Taken(group, key, cost, reading))
        if refusal is not None:
            raise refusal
    except BaseException:
        undo(taken)
        drop(waiting)
        raise
    return conclude(request, taken)


def drop(asked: Iterable[Question]) -> None:
    """Give back what was taken, and wait no longer for what is being asked."""
    for group, key, cost, answer in asked:
        if isinstance(answer, tuple):
            undo([Taken(group, key, cost, answer)])
        else:
            answer.cancel()


def undo(taken: Iterable[Taken]) -> None:
    """Give back what was taken."""
    for one in taken:
        if all(verdict.allowed for verdict in one.reading):
            one.undo()
