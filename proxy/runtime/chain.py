"""Binds the policies of a route and what stands behind them to one handler.

The meaning is that of plain nesting, outermost first: each policy's `edit_request`, then
its `check`, then its `answer`, then its `wrap` around everything inside, then its `replace`,
then its `edit_response`. Whatever is raised inside skips what stands outside, until a
wrapper or a `rescue` makes a response of it.

Policies that wait for nothing share a `Level`; a wrapper, and a check that always waits,
begin another one inside of them. A check that waits now and then has both: requests that
don't wait go on in the same level.

Shadow mode is given here to gates and editors: a gate's refusal is noted and admitted,
editors work on copies, and no exception of theirs reaches traffic. Must not know any
policy by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import iscoroutinefunction
from typing import Final, NamedTuple

from proxy.contract import (
    Counter,
    Decision,
    Handler,
    Log,
    Metrics,
    Mode,
    Policy,
    Request,
    Response,
)
from proxy.errors import Refused
from proxy.runtime.level import Check, Down, Level, Steps
from proxy.runtime.waiting import admit_late, gated

_EditRequest = Callable[[Request], None]
_EditResponse = Callable[[Request, Response], None]
_CheckNow = Callable[[Request], Awaitable[Refused | None] | Refused | None]

# What a request editor may change, besides the header fields.
_EDITABLE: Final = (
    "method", "target", "path", "query", "scheme", "host", "authority", "body", "length", "id",
    "trace", "client_ip", "upgrade",
)  # fmt: skip


class BoundPolicy(NamedTuple):
    """A policy in its place on a route. name: as in YAML. mode: from its options."""

    name: str
    mode: Mode
    policy: Policy


def bind(
    policies: Sequence[BoundPolicy],
    terminal: Handler,
    *,
    log: Log | None = None,
    metrics: Metrics | None = None,
) -> Level:
    """The policies, outermost first, around `terminal`.

    log, metrics: hear of policies that fail in shadow mode; the request notes it in any case.
    """
    handler = terminal
    level: list[Steps] = []
    for bound in reversed(policies):
        if bound.mode == "off":
            continue
        failures = _Failures(bound.name, log, metrics)
        wrap: Callable[[Handler], Handler] | None = getattr(bound.policy, "wrap", None)
        if wrap is not None:
            inside = _around(level, handler)
            outside = wrap(inside)
            # One that has nothing to do gives back what it got, and parts nothing.
            if outside is not inside:
                handler, level = outside, []
        level.insert(0, _inside(bound.policy))
        check = getattr(bound.policy, "check", None)
        if check is not None and iscoroutinefunction(check):
            gate = gated(check, Verdicts(bound, failures), _around(level, handler))
            handler, level, check = gate, [], None
        admitted = _Inside(tuple(level), handler)
        level.insert(0, _outside(bound, check, failures, admitted))
    return Level(level, handler)


def _around(steps: Sequence[Steps], handler: Handler) -> Handler:
    return Level(steps, handler) if any(any(own) for own in steps) else handler


def _outside(
    bound: BoundPolicy, check: _CheckNow | None, failures: _Failures, inside: _Inside
) -> Steps:
    """What a policy does outside of a check that always waits. check: one that doesn't."""
    edit: _EditRequest | None = getattr(bound.policy, "edit_request", None)
    amend: _EditResponse | None = getattr(bound.policy, "edit_response", None)
    shadow = bound.mode == "shadow"
    if edit is not None and shadow:
        edit = _shadow_request(bound.name, edit, failures)
    if amend is not None and shadow:
        amend = _shadow_response(bound.name, amend, failures)
    gate = None if check is None else _at_once(check, Verdicts(bound, failures), inside)
    return Steps(edit, gate, amend=amend)


def _inside(policy: Policy) -> Steps:
    """What a policy does inside of its check."""
    answer: Down | None = getattr(policy, "answer", None)
    return Steps(
        answer,
        replace=getattr(policy, "replace", None),
        rescue=getattr(policy, "rescue", None),
        reads=getattr(policy, "only_reads", False),
    )


class _Failures:
    """Failures of a policy in shadow mode: each noted and counted, the first one logged."""

    __slots__ = ("_counter", "_log", "_name", "_told")

    def __init__(self, name: str, log: Log | None, metrics: Metrics | None) -> None:
        self._name = name
        self._log = log
        self._told = False
        self._counter: Counter | None = None
        if metrics is not None:
            self._counter = metrics.counter(
                "sidegate_shadow_failures_total",
                "Exceptions of policies in shadow mode, which traffic didn't see.",
                policy=name,
            )

    def note(self, request: Request, error: Exception) -> None:
        failure = type(error).__name__
        request.decide(self._name, "would_fail", failure)
        if self._counter is not None:
            self._counter.inc()
        if self._log is not None and not self._told:
            self._told = True
            self._log.error(
                "a policy in shadow mode failed; traffic goes on, further failures are counted",
                policy=self._name,
                route=request.route.name,
                exception_class=failure,
            )


class _Inside:
    """What stands inside of a check, for a request that had to wait there."""

    __slots__ = ("_handler", "_made", "_steps")

    def __init__(self, steps: tuple[Steps, ...], handler: Handler) -> None:
        self._steps = steps
        self._handler = handler
        self._made: Handler | None = None

    def __call__(self, request: Request) -> Awaitable[Response]:
        if self._made is None:
            self._made = _around(self._steps, self._handler)
        return self._made(request)


def _at_once(check: _CheckNow, verdicts: Verdicts, inside: _Inside) -> Check:
    """A gate that has nothing to wait for most of the time, as a step that may refuse."""
    admitted = verdicts.admitted

    def admit(request: Request) -> Awaitable[Response] | Refused | None:
        try:
            verdict = check(request)
        except Exception as error:
            if not verdicts.tolerates(request, error):
                raise
            return None
        if verdict is None:
            request.decisions.append(admitted)
            return None
        if isinstance(verdict, Refused):
            return verdicts.standing(request, verdict)
        return admit_late(request, verdict, verdicts, inside)

    return admit


class Verdicts:
    """What becomes of a gate's verdicts."""

    __slots__ = ("_name", "_refused", "_shadow", "admitted")

    def __init__(self, bound: BoundPolicy, failures: _Failures) -> None:
        self._name = bound.name
        self._shadow = failures if bound.mode == "shadow" else None
        self.admitted = Decision(bound.name, "admitted")
        # The last one: most gates refuse for one reason.
        self._refused = Decision(bound.name, "refused")

    def standing(self, request: Request, verdict: object) -> Refused | None:
        """Note what the check returned; the refusal, if it stands."""
        if verdict is None:
            request.decisions.append(self.admitted)
            return None
        if isinstance(verdict, Refused):
            return None if self.tolerates(request, verdict) else verdict
        # To take anything else for consent would let a mistake admit everybody.
        mistake = TypeError(f"a policy returned {type(verdict).__name__} where it checks")
        if not self.tolerates(request, mistake):
            raise mistake
        return None

    def tolerates(self, request: Request, error: Exception) -> bool:
        """Note what the check raised or returned; False when that stands."""
        if self._shadow is None:
            if isinstance(error, Refused):
                # Without a cause the rule is the code; to ask for that takes 0.1 µs more.
                rule = error.rule if error.cause else error.code
                if rule != self._refused.detail:
                    self._refused = Decision(self._name, "refused", rule)
                request.decisions.append(self._refused)
            return False
        if isinstance(error, Refused):
            request.decide(self._name, "would_refuse", error.rule)
        else:
            self._shadow.note(request, error)
        return True


def _shadow_request(name: str, edit: _EditRequest, failures: _Failures) -> _EditRequest:
    def look(request: Request) -> None:
        twin = request.copy()
        try:
            edit(twin)
        except Refused as refusal:
            request.decide(name, "would_refuse", refusal.code)
            return
        except Exception as error:
            failures.note(request, error)
            return
        changed = [what for what in _EDITABLE if getattr(request, what) != getattr(twin, what)]
        if request.headers.lines != twin.headers.lines:
            changed.append("headers")
        if changed:
            request.decide(name, "would_change", "request " + ", ".join(changed))

    return look


def _shadow_response(name: str, amend: _EditResponse, failures: _Failures) -> _EditResponse:
    def look(request: Request, response: Response) -> None:
        twin = response.copy()
        try:
            amend(request, twin)
        except Exception as error:
            failures.note(request, error)
            return
        changed = ["status"] if twin.status != response.status else []
        if response.headers.lines != twin.headers.lines:
            changed.append("headers")
        if changed:
            request.decide(name, "would_change", "response " + ", ".join(changed))

    return look
