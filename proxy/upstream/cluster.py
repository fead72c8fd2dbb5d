"""An upstream with several endpoints: an instance is the handler that policies wrap.

May live here: which seats are usable, which choice stands over them, what an outcome means
for the endpoint that gave it. Must not live here: how to choose (`balance`), how to ask
(`forward`), what gives an endpoint away (`outlier`), whether to ask again (the policy
`retry`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from proxy.asking import Asked, PatientAsker, Pending, ask_through, waited
from proxy.config.upstream import Upstream
from proxy.contract import TRIED, Request, Response
from proxy.errors import Unsent
from proxy.upstream.balance import (
    Choice,
    Hashed,
    Lot,
    Ramp,
    RoundRobin,
    ewma,
    fewest_tunnels,
    least_request,
    whole,
)
from proxy.upstream.discovery import Answer, Discovery, Found
from proxy.upstream.health import Health
from proxy.upstream.key import read_key
from proxy.upstream.means import Means
from proxy.upstream.member import Member, Seat
from proxy.upstream.outlier import Detector, blames
from proxy.upstream.probe import Probe
from proxy.upstream.report import Report
from proxy.upstream.sticky import Sticky
from proxy.wire.deadlines import NEVER
from proxy.wire.flow import Inflow

Ticket = tuple[Seat, float]
"""Where a request was sent, and when, in monotonic seconds."""

# A new endpoint begins with a tenth of its share.
_FIRST_PART: Final = 0.1
# Checks of one interval are spread over a fifth of it either way.
_JITTER: Final = 0.2


class Search(NamedTuple):
    """How more endpoints are found. seat_of: makes a seat, or raises ValueError. release: lets go
    of a member that is there no more."""

    discovery: Discovery
    seat_of: Callable[[Found], Seat]
    release: Callable[[Member], None]


class Cluster:
    """Sends each request to one of its seats, by the choice that the user named.

    Its checks run, and it is swept, between `start` and `stop`. deadline: when something is
    due, in monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        seats: Sequence[Seat],
        options: Upstream,
        means: Means,
        search: Search | None = None,
    ) -> None:
        self.name = name
        self.options = options
        self.seats: tuple[Seat, ...] = ()
        self.panic = False
        """All endpoints are used, since too few are usable."""
        self.deadline = NEVER
        self._means = means
        self._clock = means.clock
        balance = options.balance
        self._sticky = None if balance.sticky is None else Sticky(name, balance.sticky)
        self._key = read_key(balance.key) if balance.by == "hash" else None
        self._asked = 0
        self._checks: dict[Member, asyncio.Task[None]] = {}
        self._report = Report(name, means)
        self._started = False
        self._listed = tuple(seats)
        self._search = search
        self._searching: asyncio.Task[None] | None = None
        self._unfit: dict[str, str] = {}
        self._answered = asyncio.Event()
        self._searched_until = 0.0
        self._detector = Detector(options.outliers, self.members, self._ejected)
        compared = options.outliers.success_rate or options.outliers.latency
        self._compare_at = self._clock() + options.outliers.interval if compared else NEVER
        self._choice: Choice[Seat]
        self._choice_of_tunnels: Choice[Seat]
        self.update(seats)

    async def __call__(self, request: Request) -> Response:
        """Ask one endpoint. Raises GatewayError when it can't be reached or fails."""
        if not self.seats:
            await self._wait_for_seats()
        seat = self._seat(request)
        return await waited(self, self._enter(seat), request, seat.inside.ask(request))

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        """Ask one endpoint at once where that needs no waiting."""
        if not self.seats:
            return self(request)
        seat = self._seat(request)
        return ask_through(self, self._enter(seat), seat.inside, request, asker)

    def answered(self, ticket: Ticket, request: Request, response: Response) -> Response:
        """The head of a response is here: it tells how the endpoint is."""
        seat, started = ticket
        member = self._leave(seat)
        now = self._clock()
        seconds = now - started
        if self._sticky is not None:
            self._sticky.mark(request, response, seat)
        member.latency.observe(now, seconds)
        self._detector.response(member, response.status, seconds, now)
        if isinstance(response.body, Inflow):
            response.body.at_end(partial(self._ended, member))
        return response

    def failed(self, ticket: Ticket, request: Request, error: BaseException) -> Response:
        """There will be no response, which may be the endpoint's fault."""
        seat, started = ticket
        member = self._leave(seat)
        if blames(error, request):
            now = self._clock()
            member.latency.failed(now, now - started)
            self._detector.error(member, now)
        raise error

    def _enter(self, seat: Seat) -> Ticket:
        self._asked += 1
        seat.member.asked += 1
        return seat, self._clock()

    def _leave(self, seat: Seat) -> Member:
        self._asked -= 1
        seat.member.asked -= 1
        return seat.member

    def start(self) -> None:
        """This is the configuration in use from now on."""
        self._started = True
        self._means.deadlines.add(self)
        if self._search is not None:
            discovery, tell = self._search.discovery, partial(self._found, self._search)
            if discovery.answer is not None:
                tell(discovery.answer)
            if self.options.discovery is not None:
                self._searched_until = self._clock() + self.options.discovery.timeout
            self._searching = self._means.spawn(discovery.run(tell, self._means))
        for member in self.members():
            self._adopt(member)
        self._refresh()

    def stop(self) -> None:
        """It is in use no more; requests that it has finish."""
        self._started = False
        self._means.deadlines.discard(self)
        if self._searching is not None:
            self._searching.cancel()
        for check in self._checks.values():
            check.cancel()
        self._checks.clear()
        self._report.end()

    def update(self, seats: Iterable[Seat]) -> None:
        """Other seats are there now; those that stay keep what is known of them."""
        self.seats = tuple(seats)
        if self._sticky is not None:
            self._sticky.update(self.seats)
        if self._started:
            present = set(self.members())
            for member in self._checks.keys() - present:
                self._checks.pop(member).cancel()
            for member in present:
                self._adopt(member)
        self._refresh()

    def expire(self, now: float) -> None:
        """An ejection is over, or it is time to compare."""
        for member in self.members():
            if not member.ejection.usable and member.ejection.until <= now:
                member.ejection.release()
                member.since = now
                self._report.returned(member)
        if self._compare_at <= now:
            self._compare_at = now + self.options.outliers.interval
            self._detector.compare(now)
        self._refresh()

    def facts(self) -> dict[str, Any]:
        """What an operator is told of it as a whole."""
        facts: dict[str, Any] = {
            "balance": self.options.balance.by,
            "endpoints": len(self.seats),
            "usable": sum(seat.member.usable for seat in self.seats),
            "panic": self.panic,
        }
        if self._search is not None:
            facts["discovery"] = self._search.discovery.facts()
        return facts

    def _found(self, search: Search, answer: Answer) -> None:
        """These endpoints are there now, besides those that were listed."""
        present = {(seat.name, seat.weight, seat.priority): seat for seat in self.seats}
        listed = {seat.name for seat in self._listed}
        seats = list(self._listed)
        unfit: dict[str, str] = {}
        for found in answer.endpoints:
            if found.url in listed:
                continue
            try:
                seats.append(present.get(found[:3]) or search.seat_of(found))
            except ValueError as error:
                unfit[found.url] = str(error)
        for url in unfit.keys() - self._unfit.keys():
            # Once, not at each look.
            self._means.log.warning(
                "endpoint can't be used", upstream=self.name, endpoint=url, cause=unfit[url]
            )
        self._unfit = unfit
        if seats != list(self.seats):
            before = set(self.members())
            self.update(seats)
            for member in before - set(self.members()):
                search.release(member)
        self._answered.set()

    async def _wait_for_seats(self) -> None:
        """Wait for the first answer of all. Raises Unsent `no_endpoints` when there are none."""
        options = self.options.discovery
        left = self._searched_until - self._clock()
        if options is not None and not self._answered.is_set() and left > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._answered.wait()
        if not self.seats:
            raise Unsent("no_endpoints", headers=(("Retry-After", "1"),))

    def members(self) -> list[Member]:
        """The endpoints that are there now."""
        return [seat.member for seat in self.seats]

    def _adopt(self, member: Member) -> None:
        """Watch a member by this upstream's options; what was seen of it before still counts."""
        outliers, check = self.options.outliers, self.options.health
        member.ejection.base, member.ejection.longest = outliers.ejection, outliers.longest
        if check is None:
            member.health = Health(1, 1)
        elif member not in self._checks:
            member.health.rise, member.health.fall = check.rise, check.fall
            probe = Probe(member.endpoint, check, self._means)
            self._checks[member] = self._means.spawn(self._check(member, probe, check.interval))

    async def _check(self, member: Member, probe: Probe, interval: float) -> None:
        while True:
            cause = await probe.check()
            self._report.checked(member, not cause)
            if member.health.result(cause):
                member.since = self._clock()
                self._report.health(member)
                self._refresh()
            await asyncio.sleep(interval * (1.0 + _JITTER * (2.0 * self._means.uniform() - 1.0)))

    def _ended(self, member: Member, whole: bool) -> None:
        """A body that streamed is over. whole: all of it came."""
        now = self._clock()
        if not whole:
            member.latency.failed(now, 0.0)
        self._detector.body(member, whole, now)

    def _ejected(self, member: Member, reason: str, seconds: float) -> None:
        self._report.ejected(member, reason, seconds)
        # What is idle there has the same fate.
        self._refresh()

    def _seat(self, request: Request) -> Seat:
        """Raises nothing: when none is fit, one that isn't tells why."""
        choice, is_busy = self._choice, _is_busy
        if request.upgrade:
            choice, is_busy = self._choice_of_tunnels, _takes_no_tunnel
        tried = request.state.get(TRIED)
        if self._sticky is not None:
            own = self._sticky.seat(request)
            if own is not None and not (tried and own.name in tried) and not is_busy(own):
                return own
        key = b"" if self._key is None else self._key(request)
        if tried is None:
            seat = choice.pick(key)
            if not is_busy(seat):
                return seat
            # Another endpoint at once rather than a place in this one's queue.
            return choice.another(key, is_busy) or seat

        def skip(seat: Seat) -> bool:
            return seat.name in tried or is_busy(seat)

        return (
            choice.another(key, skip)
            or choice.another(key, lambda seat: seat.name in tried)
            or choice.pick(key)
        )

    def _refresh(self) -> None:
        """Choose among the seats that are usable now."""
        if not self.seats:
            return
        seats, self.panic = usable(self.seats, self.options.balance.panic)
        self._choice = self._choice_of_tunnels = self._choose_among(seats)
        if self.options.balance.by in ("least_request", "ewma"):
            self._choice_of_tunnels = fewest_tunnels(seats, self._means.uniform, self._ramp)
        ends = [member.ejection.until for member in self.members() if not member.ejection.usable]
        self.deadline = min([self._compare_at, *ends])
        if self._started:
            self._report.show(self.seats, self.panic)

    def _choose_among(self, seats: list[Seat]) -> Choice[Seat]:
        options, uniform, ramp = self.options.balance, self._means.uniform, self._ramp
        if options.by == "hash":
            return Hashed(seats, options.bound, lambda: self._asked)
        if options.by == "round_robin":
            return RoundRobin(seats, uniform, ramp)
        if options.by == "random":
            return Lot(seats, uniform, ramp)
        return (ewma if options.by == "ewma" else least_request)(seats, uniform, ramp)

    @property
    def _ramp(self) -> Ramp[Seat]:
        return self._part if self.options.balance.slow_start else whole

    def _part(self, seat: Seat) -> float:
        age = self._clock() - seat.member.since
        return min(1.0, max(_FIRST_PART, age / self.options.balance.slow_start))


def usable(seats: Sequence[Seat], panic: float) -> tuple[list[Seat], bool]:
    """The seats to choose among, and whether those include broken ones for want of others.

    The first priority that has enough usable seats serves by those. Where none has, the first
    that has any serves by all of its seats. panic: the share that is enough.
    """
    groups: dict[int, list[Seat]] = {}
    for seat in seats:
        groups.setdefault(seat.priority, []).append(seat)
    ordered = [groups[priority] for priority in sorted(groups)]
    good = [[seat for seat in group if seat.member.usable] for group in ordered]
    for group, well in zip(ordered, good, strict=True):
        if well and len(well) >= panic * len(group):
            return well, False
    for group, well in zip(ordered, good, strict=True):
        if well:
            return group, True
    return ordered[0], True


def _is_busy(seat: Seat) -> bool:
    return not seat.free


def _takes_no_tunnel(seat: Seat) -> bool:
    return not seat.takes_tunnel
