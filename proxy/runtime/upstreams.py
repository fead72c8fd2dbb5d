"""Upstreams of a configuration to handlers, over the live state.

An upstream with one endpoint and nothing to decide is that endpoint's forwarder itself, so
that what isn't asked for costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.config.load import Document
from proxy.config.model import Config
from proxy.config.problems import Problem, meant
from proxy.config.protection import Breaker as BreakerOptions
from proxy.config.upstream import Upstream
from proxy.contract import Handler, Target
from proxy.runtime.failing import raise_failure
from proxy.runtime.gateway import Tracer
from proxy.runtime.plan import target_of
from proxy.runtime.state import Key, State
from proxy.upstream.admission import Admission, Lobby
from proxy.upstream.breaker import Breaker
from proxy.upstream.cluster import Cluster, Search
from proxy.upstream.discovery import Discovery, Found
from proxy.upstream.forward import Forwarder
from proxy.upstream.guard import Guard
from proxy.upstream.member import Member, Seat
from proxy.upstream.part import Part
from proxy.upstream.resolver import make_source
from proxy.upstream.timed import TimedTry


class Upstreams:
    """The handler of each upstream by name.

    parts: what has something to watch or to tell. problems: why some can't be built; those
    have a handler that is never reached.
    """

    def __init__(
        self, config: Config, document: Document, state: State, tracer: Tracer | None
    ) -> None:
        self._config = config
        self._document = document
        self._state = state
        self._tracer = tracer
        self.problems: list[Problem] = []
        self.parts: list[Part] = []
        self._used: set[Key] = set()
        self._guards: dict[Member, Guard] = {}
        self._handlers = {
            name: self._handler(name, upstream) for name, upstream in config.upstreams.items()
        }

    def ask(self, name: str) -> Handler:
        """The handler of an upstream. Raises ValueError, which names the fix."""
        if name not in self._handlers:
            raise ValueError(unknown(name, self._handlers))
        return self._handlers[name]

    def target(self, name: str) -> Target:
        """What policies are told of an upstream."""
        return target_of(name, self._config.upstreams.get(name))

    def adopt(self) -> None:
        """These are the upstreams in use from now on."""
        self._state.adopt(self._used, self.parts)

    def _handler(self, name: str, upstream: Upstream) -> Handler:
        try:
            seats = [
                self._seat(name, upstream, Found(options.url, options.weight, options.priority))
                for options in upstream.endpoints
            ]
        except ValueError as error:
            problem = self._document.problem(("upstreams", name), str(error))
            self.problems.append(problem)
            return raise_failure
        if len(seats) == 1 and upstream.health is None and upstream.discovery is None:
            handler: Handler = seats[0].inside.ask
        else:
            handler = cluster = self._cluster(name, upstream, seats)
            self.parts.append(cluster)
        limit = upstream.concurrency
        if limit is not None and limit.mode != "off":
            shape = limit.model_copy(update={"mode": "enforce", "fair": None}).model_dump_json()
            lobby = self._state.keep(
                f"concurrency/{name}/{shape}", lambda: Lobby(limit, self._state.clock())
            )
            handler = admission = Admission(name, limit, lobby, handler, self._state.means)
            self.parts.append(admission)
        if upstream.breaker is not None and upstream.breaker.scope == "upstream":
            handler = self._guard(name, "", upstream.breaker, handler) or handler
        return handler

    def _seat(self, name: str, upstream: Upstream, found: Found) -> Seat:
        """Raises ValueError when the endpoint can't be used."""
        key, member = self._state.member(name, found.url, upstream, found.name)
        self._used.add(key)
        ask = self._forwarder(member, upstream)
        if upstream.timeouts.per_try is not None or upstream.timeouts.tell is not None:
            ask = TimedTry(ask, upstream.timeouts, self._state.clock)
        if self._tracer is not None:
            # Around the time of a try, so that one that took too long is noted as that.
            ask = self._tracer.around(ask, member.endpoint.text)
        shut = None
        if upstream.breaker is not None and upstream.breaker.scope == "endpoint":
            guard = self._guard(name, found.url, upstream.breaker, ask)
            if guard is not None:
                self._leave(member)
                ask, shut, self._guards[member] = guard, guard.shut, guard
        return Seat(member, ask, found.weight, found.priority, self._state.clock, shut)

    def _cluster(self, name: str, upstream: Upstream, seats: list[Seat]) -> Cluster:
        state, options = self._state, upstream.discovery
        if options is None:
            return Cluster(name, seats, upstream, state.means)
        key = f"discovery/{name}/{options.model_dump_json()}"
        discovery = state.keep(key, lambda: Discovery(name, make_source(options), state.means))

        def seat_of(found: Found) -> Seat:
            seat = self._seat(name, upstream, found)
            guard = self._guards.get(seat.member)
            if guard is not None:
                guard.start()
            return seat

        def release(member: Member) -> None:
            state.release(member)
            self._leave(member)

        search = Search(discovery, seat_of, release)
        return Cluster(name, seats, upstream, state.means, search)

    def _leave(self, member: Member) -> None:
        """Tell no more of the breaker of an endpoint that went, or has another."""
        guard = self._guards.pop(member, None)
        if guard is not None:
            guard.stop()
            self.parts.remove(guard)

    def _guard(
        self, name: str, endpoint: str, options: BreakerOptions, ask: Handler
    ) -> Guard | None:
        """A handler that asks through a breaker; None when that is off."""
        if options.mode == "off":
            return None
        # The mode may change without the breaker forgetting what it knows.
        shape = options.model_copy(update={"mode": "enforce"}).model_dump_json()
        key = f"breaker/{name}/{endpoint}/{shape}"
        breaker = self._state.keep(key, lambda: Breaker(options))
        guard = Guard(name, endpoint, breaker, options, ask, self._state.means)
        self.parts.append(guard)
        return guard

    def _forwarder(self, member: Member, upstream: Upstream) -> Handler:
        return Forwarder(
            member.endpoint,
            member.pool,
            upstream.host,
            self._config.server.timeouts.expect,
            self._state.clock,
            self._state.spawn,
            self._state.loop,
        )


def unknown(name: str, upstreams: Iterable[str]) -> str:
    """The message about an upstream that isn't there."""
    names = list(upstreams)
    return f'unknown upstream "{name}"{meant(name, names) or "; `upstreams:` is empty"}'
