"""Which endpoints their own answers give away: rules over a group of members. Pure.

Failures in a row eject at once. Shares of success, and latencies, are compared with those of
the other endpoints once each interval. No more than a share of the group is ejected.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Iterable
from statistics import median
from typing import Final

from proxy.config.protection import Outliers
from proxy.contract import LATE, Request
from proxy.errors import GatewayError, Unanswered, Unsent
from proxy.upstream.member import Member

# What a service says when it can't serve: RFC 9110, 15.6.3 to 15.6.5.
_GATEWAY: Final = frozenset({502, 503, 504})

Ejected = Callable[[Member, str, float], None]


def blames(error: BaseException, request: Request) -> bool:
    """Whether a failure is the endpoint's: not the client's, and not for want of a connection."""
    if isinstance(error, CancelledError):
        late: Callable[[], bool] | None = request.state.get(LATE)
        return late is not None and late()
    if not isinstance(error, GatewayError):
        return False
    if isinstance(error, Unsent):
        return error.code in ("upstream_unreachable", "connect_timeout")
    return isinstance(error, Unanswered) or error.code in ("upstream_invalid", "upstream_closed")


class Detector:
    """Watches the members of one upstream. ejected: called with member, reason and seconds.

    members: all that are there now, ejected or not.
    """

    def __init__(
        self, options: Outliers, members: Callable[[], Iterable[Member]], ejected: Ejected
    ) -> None:
        self._options = options
        self._members = members
        self._ejected = ejected
        self._limit = options.consecutive or 0
        self._limit_5xx = options.consecutive_5xx or 0

    def error(self, member: Member, now: float) -> None:
        """A request failed by the endpoint's fault."""
        member.tally.failed += 1
        if self._limit and member.ejection.failed(now, self._limit):
            self._eject(member, "consecutive", now)

    def response(self, member: Member, status: int, seconds: float, now: float) -> None:
        """The head of a response came, after so many seconds."""
        tally = member.tally
        if status < 500:
            tally.succeeded += 1
            tally.seconds += seconds
            tally.row_5xx = 0
            member.ejection.succeeded(now)
            return
        tally.row_5xx += 1
        if status in _GATEWAY:
            self.error(member, now)
        else:
            tally.failed += 1
        if self._limit_5xx and tally.row_5xx >= self._limit_5xx and member.ejection.usable:
            self._eject(member, "consecutive_5xx", now)

    def body(self, member: Member, whole: bool, now: float) -> None:
        """A body that streamed is over. whole: all of it came."""
        tally = member.tally
        if whole:
            tally.row_cut = 0
            return
        tally.failed += 1
        tally.row_cut += 1
        if self._limit and tally.row_cut >= self._limit and member.ejection.usable:
            self._eject(member, "cut_short", now)

    def compare(self, now: float) -> None:
        """An interval is over: eject those that differ from the rest, and count anew."""
        options = self._options
        busy = [
            member
            for member in self._members()
            if member.ejection.usable and member.tally.total >= options.volume
        ]
        if len(busy) > 1 and options.success_rate is not None:
            for member in sorted(busy, key=lambda member: member.tally.share):
                others = [other for other in busy if other is not member]
                asked = sum(other.tally.total for other in others)
                share = sum(other.tally.succeeded for other in others) / asked
                if member.tally.share <= share - options.success_rate:
                    self._eject(member, "success_rate", now)
        if len(busy) > 1 and options.latency is not None:
            for member in sorted(busy, key=lambda member: -member.tally.mean):
                usual = median(other.tally.mean for other in busy if other is not member)
                if member.ejection.usable and member.tally.mean > options.latency * usual:
                    self._eject(member, "latency", now)
        for member in self._members():
            member.tally.clear()

    def _eject(self, member: Member, reason: str, now: float) -> None:
        members = list(self._members())
        out = sum(1 for other in members if not other.ejection.usable)
        # One may always be left out as long as another is left.
        most = max(1, int(self._options.most * len(members)))
        if out < most and len(members) - out > 1:
            self._ejected(member, reason, member.ejection.eject(now))
