"""How a client is told of its quota: the fields RateLimit and RateLimit-Policy, or the older
three with `X-`. Pure.

The fields follow draft-ietf-httpapi-ratelimit-headers-11, which is still changing; whatever
it changes, it changes here. Both are lists, and others may have written members of theirs
before: ours are appended, so that a limit of the service's is never hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf
from typing import Final, Literal, NamedTuple

from proxy.http1.headers import Headers

Unit = Literal["requests", "content-bytes", "concurrent-requests"]

# A structured field's integers have 15 digits at most (RFC 9651, 3.3.1).
_INTEGER_MAX: Final = 999_999_999_999_999

POLICY: Final = b"RateLimit-Policy"
STATE: Final = b"RateLimit"

_LIMIT: Final = b"X-RateLimit-Limit"
_REMAINING: Final = b"X-RateLimit-Remaining"
_RESET: Final = b"X-RateLimit-Reset"


class QuotaPolicy(NamedTuple):
    """A quota as clients are told of it. window: whole seconds, 0 for none."""

    name: str
    quota: int
    window: int
    unit: Unit = "requests"


class QuotaState(NamedTuple):
    """What is left of it. reset: seconds until there is more; meaningless without a window."""

    remaining: int
    reset: float


def describe_bucket(name: str, burst: int, seconds: float, unit: Unit = "requests") -> QuotaPolicy:
    """A bucket that is full again after `seconds`. Rounded, it promises less, never more."""
    return QuotaPolicy(name, burst, max(1, ceil(seconds - 1e-9)), unit)


def describe_window(name: str, count: int, seconds: float, unit: Unit = "requests") -> QuotaPolicy:
    """So many in each window. A window of part of a second is told as the next whole one."""
    window = max(1, ceil(seconds - 1e-9))
    return QuotaPolicy(name, max(1, int(count * window / seconds + 1e-9)), window, unit)


class DraftFields:
    """The fields of the draft for some quotas, laid out once."""

    def __init__(self, policies: Sequence[QuotaPolicy]) -> None:
        self.policy = b", ".join([_policy(policy) for policy in policies])
        self._windows = tuple(bool(policy.window) for policy in policies)
        # Rendered by one call, as this happens for each response.
        self._form = b", ".join([_form(policy) for policy in policies])
        self._line = STATE + b": " + self._form

    def line_of_one(self, remaining: int, reset: float) -> bytes:
        """The finished field RateLimit of the only quota, which has a window and a finite time."""
        return self._line % (remaining, ceil(reset))

    def state(self, states: Sequence[QuotaState]) -> bytes:
        """The value of RateLimit; `states` in the order of the policies."""
        numbers: list[int] = []
        for (remaining, reset), windowed in zip(states, self._windows, strict=True):
            numbers.append(remaining)
            if windowed:
                numbers.append(seconds(reset))
        return self._form % tuple(numbers)


def write_legacy(
    headers: Headers, policies: Sequence[QuotaPolicy], states: Sequence[QuotaState]
) -> None:
    """Tell of the quota with least left by X-RateLimit-Limit, -Remaining and -Reset (seconds).

    If the service tells of one with less left, or in words that aren't understood, its
    fields stay.
    """
    policy, state = min(zip(policies, states, strict=True), key=_tightness)
    theirs = headers.raw("x-ratelimit-remaining")
    if theirs is not None and not (theirs.isdigit() and int(theirs[:16]) > state.remaining):
        return
    headers.set_raw(_LIMIT, b"%d" % policy.quota)
    headers.set_raw(_REMAINING, b"%d" % state.remaining)
    headers.set_raw(_RESET, b"%d" % seconds(state.reset))


def seconds(duration: float) -> int:
    """Whole seconds after which a duration has passed."""
    return _INTEGER_MAX if duration == inf else min(ceil(duration), _INTEGER_MAX)


def _tightness(pair: tuple[QuotaPolicy, QuotaState]) -> tuple[float, float]:
    policy, state = pair
    return state.remaining / policy.quota, -state.reset


def _policy(policy: QuotaPolicy) -> bytes:
    text = f"{_quoted(policy.name)};q={policy.quota}"
    # Left out for requests, whose name the draft spells in two ways.
    if policy.unit != "requests":
        text += f';qu="{policy.unit}"'
    if policy.window:
        text += f";w={policy.window}"
    return text.encode("ascii")


def _form(policy: QuotaPolicy) -> bytes:
    name = _quoted(policy.name).replace("%", "%%")
    return (name + (";r=%d;t=%d" if policy.window else ";r=%d")).encode("ascii")


def _quoted(name: str) -> str:
    """A string of a structured field (RFC 9651, 3.3.3)."""
    plain = "".join(mark if " " <= mark <= "~" else "?" for mark in name)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
