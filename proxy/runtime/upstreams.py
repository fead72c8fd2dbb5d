"""Upstreams of a configuration to handlers, over the live state.

An upstream with one endpoint and nothing to decide is that endpoint's forwarder itself, so
that what isn't asked for costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.config.load import Document
from proxy.config.model import Config
from proxy.config.problems import Problem, meant
from proxy.config.upstream import Upstream
from proxy.contract import Handler, Target
from proxy.runtime.gateway import Tracer, raise_failure
from proxy.runtime.plan import target_of
from proxy.runtime.state import Key, State
from proxy.upstream.cluster import Cluster
from proxy.upstream.forward import Forwarder
from proxy.upstream.member import Member, Seat


class Upstreams:
    """The handler of each upstream by name.

    clusters: those that have something to watch. problems: why some can't be built; those
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
        self.clusters: list[Cluster] = []
        self._used: set[Key] = set()
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
        self._state.adopt(self._used, self.clusters)

    def _handler(self, name: str, upstream: Upstream) -> Handler:
        seats = []
        for options in upstream.endpoints:
            try:
                key, member = self._state.member(name, options.url, upstream)
            except ValueError as error:
                problem = self._document.problem(("upstreams", name), str(error))
                self.problems.append(problem)
                return raise_failure
            self._used.add(key)
            ask = self._forwarder(member, upstream)
            seats.append(Seat(member, ask, options.weight, options.priority, self._state.clock))
        if len(seats) == 1 and upstream.health is None:
            return seats[0].ask
        cluster = Cluster(name, seats, upstream, self._state.means)
        self.clusters.append(cluster)
        return cluster

    def _forwarder(self, member: Member, upstream: Upstream) -> Handler:
        forwarder = Forwarder(
            member.endpoint,
            member.pool,
            upstream.host,
            self._config.server.timeouts.expect,
            self._state.clock,
            self._state.spawn,
        )
        if self._tracer is None:
            return forwarder
        return self._tracer.around(forwarder, member.endpoint.text)


def unknown(name: str, upstreams: Iterable[str]) -> str:
    """The message about an upstream that isn't there."""
    names = list(upstreams)
    return f'unknown upstream "{name}"{meant(name, names) or "; `upstreams:` is empty"}'
