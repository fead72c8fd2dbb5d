"""Neighbouring policies that have nothing to wait for, around whatever may have to wait.

The meaning is that of nesting. For each policy, outermost first: `edit_request`, `check`,
`answer`, everything inside, `replace`, `edit_response`; what is raised inside, or by
`replace`, goes to its `rescue`, and what that gives goes on outwards.

The form is two flat lists of plain calls, down and up, since a coroutine for each policy
costs more than most policies do: eight idle editors took 1.5 µs with one each and 0.4 µs
when called from a loop. And calls that can't wait need no task: whoever runs a level may go
down it, ask the upstream, and come up again when the response is there. Must not know any
policy, how it was built, or what stands inside; what has to wait is in `waiting`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Final, NamedTuple

from proxy.asking import (
    Asked,
    Given,
    Inside,
    PatientAsker,
    Pending,
    ask_through,
    ready,
    waited,
)
from proxy.contract import Handler, Refused, Request, Response
from proxy.runtime.waiting import go_through, let_go, wait

Down = Callable[[Request], Response | Awaitable[Response] | None]
"""A step inwards: None to go on, or the answer, which may have to be waited for."""
Check = Callable[[Request], Response | Awaitable[Response] | Refused | None]
"""The same, or why it goes no further, which costs 2 µs less than to raise that."""
Up = Callable[[Request, Response], Response | Awaitable[Response] | None]
"""A step outwards: None for the response as it is now, or another."""
Rescue = Callable[[Request, Exception], Response]
"""Makes a response of a failure, or raises it on."""


class Steps(NamedTuple):
    """One policy's part of a level; whatever it doesn't do is None.

    before, check: steps inwards, in this order. reads: its rescue changes nothing of a failure,
    and raises none that it was given, so that it may be given one that is for many requests.
    """

    before: Down | None = None
    check: Check | None = None
    replace: Up | None = None
    rescue: Rescue | None = None
    amend: Up | None = None
    reads: bool = False


class Catch(NamedTuple):
    """A rescue, the step outwards that follows it, and the catch that stands outside of it. reads:
    as in `Steps`."""

    rescue: Rescue
    resume: int
    outer: Catch | None
    reads: bool


class Level:
    """Calls policies around `rest`; an instance is a `Handler` itself, and can be asked at once.

    steps: of the policies, outermost first. rest: whatever stands inside.
    """

    __slots__ = ("_catches_down", "_catches_up", "_down", "_inmost", "_up", "inside")

    def __init__(self, steps: Sequence[Steps], rest: Handler) -> None:
        self.inside = Inside(rest)
        """Whatever stands inside."""
        down: list[Check] = []
        up: list[Up] = []
        # How many steps outwards each policy has, its own and those outside of it.
        remaining = sum((own.replace is not None) + (own.amend is not None) for own in steps)
        total = remaining
        catches_down: list[tuple[Catch | None, int, bool]] = []
        catches_up: list[Catch | None] = []
        catch: Catch | None = None
        left = 0
        for own in steps:
            amends = own.amend is not None
            left += amends
            for step, checks in ((own.before, False), (own.check, True)):
                if step is not None:
                    down.append(step)
                    catches_down.append((catch, total - left, checks))
            if amends:
                catches_up.append(catch)
            if own.rescue is not None:
                catch = Catch(own.rescue, total - left, catch, own.reads)
            if own.replace is not None:
                left += 1
                catches_up.append(catch)
        for own in reversed(steps):
            up.extend(step for step in (own.replace, own.amend) if step is not None)
        # With their places, which cost less to hand out than to count: 0.15 µs.
        self._down: Final = tuple(enumerate(down))
        self._up: Final = tuple(enumerate(up))
        self._catches_down: Final = tuple(catches_down)
        self._catches_up: Final = tuple(reversed(catches_up))
        self._inmost: Final = catch

    def __call__(self, request: Request) -> Awaitable[Response]:
        """Go down, wait for what is inside, and come up."""
        return go_through(self, request)

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        """Go down, and ask what is inside at once where that can be."""
        given = self.descend(request)
        if given is None:
            return ask_through(self, None, self.inside, request, asker)
        return ready(given)

    def go_on(self, request: Request, waiting: Given) -> Pending:
        """From inside of all steps down: wait for what is inside, and come up."""
        return waited(self, None, request, waiting)

    def answered(self, ticket: None, request: Request, response: Response) -> Given:
        """As `ascend`."""
        return self.ascend(request, response)

    def failed(self, ticket: None, request: Request, error: BaseException) -> Given:
        """As `fail`."""
        return self.fail(request, error)

    def descend(self, request: Request) -> Given | None:
        """All steps down: None when what is inside has to answer.

        Raises what no rescue makes a response of; so do all of these.
        """
        place = 0
        try:
            for place, step in self._down:
                answer = step(request)
                if answer is not None:
                    catch, resume, checks = self._catches_down[place]
                    break
            else:
                return None
            if checks and isinstance(answer, Refused):
                if catch is None or not catch.reads:
                    raise answer.again()
            elif not isinstance(answer, Response):
                if not isawaitable(answer):
                    raise TypeError(f"a policy returned {type(answer).__name__} where it edits")
                return wait(self, request, answer, catch, resume)
        except Exception as error:
            return self.recover(request, error, self._catches_down[place][0])
        if isinstance(answer, Refused):
            return self.recover(request, answer, catch)
        return self.climb(request, answer, resume)

    def ascend(self, request: Request, response: Response) -> Given:
        """All steps up, with the response from inside."""
        return self.climb(request, response, 0)

    def fail(self, request: Request, error: BaseException) -> Given:
        """What comes out when this was raised inside."""
        if not isinstance(error, Exception):
            # Nobody wants an answer any more.
            raise error
        return self.recover(request, error, self._inmost)

    def climb(self, request: Request, response: Response, resume: int) -> Given:
        """The steps up from the one with this number on."""
        steps = self._up[resume:] if resume else self._up
        place = resume
        try:
            for place, step in steps:
                other = step(request, response)
                if other is not None:
                    if not isinstance(other, Response):
                        return wait(self, request, other, self._catches_up[place], place + 1)
                    response = other
        except Exception as error:
            catch = self._catches_up[place]
            if not isinstance(response.body, bytes):
                return let_go(self, request, response.body, error, catch)
            return self.recover(request, error, catch)
        return response

    def recover(self, request: Request, error: Exception, catch: Catch | None) -> Given:
        """What the nearest rescue makes of a failure, brought up from there."""
        while catch is not None:
            try:
                response = catch.rescue(request, error)
            except Exception as another:
                error = another
                catch = catch.outer
            else:
                return self.climb(request, response, catch.resume)
        raise error
