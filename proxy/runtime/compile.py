"""A plan and the live state to a gateway, or every problem at once."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.config.load import Document
from proxy.config.problems import ConfigError, Problem
from proxy.contract import Handler, Policy, RouteInfo
from proxy.routing.preflight import by_announced_method
from proxy.routing.table import Find, Table
from proxy.runtime.chain import BoundPolicy, bind
from proxy.runtime.failing import raise_failure
from proxy.runtime.gateway import BoundRoute, Gateway, Observer, Tracer
from proxy.runtime.plan import Plan, PolicyPlan
from proxy.runtime.state import State
from proxy.runtime.upstreams import Upstreams

FALLBACK_ROUTE = ""
"""The name under which requests without a route are counted and logged."""


class Compiler:
    """Builds what a plan asks for. upstreams: to be adopted when the gateway is used. policies:
    all that were built.

    tracer: None where no traces are recorded.
    """

    def __init__(
        self,
        plan: Plan,
        document: Document,
        state: State,
        observer: Observer,
        tracer: Tracer | None = None,
    ) -> None:
        self._plan = plan
        self._document = document
        self._state = state
        self._observer = observer
        self._tracer = tracer
        self._problems: list[Problem] = []
        state.begin()
        self.upstreams = Upstreams(plan.config, document, state, tracer)
        self.policies: list[Policy] = []

    def compile(self) -> Gateway:
        """The gateway. Raises ConfigError with every problem."""
        plan = self._plan
        upstreams = self.upstreams
        self._problems += upstreams.problems
        entries = []
        for route in plan.routes:
            terminal = upstreams.ask(route.upstream) if route.upstream else raise_failure
            info = RouteInfo(route.name, route.upstream or "", route.match.path)
            bound = self._bind(info, route.policies, terminal, route.body_limit, route.preflights)
            entries.append((route.match, bound))
        fallback = self._bind(
            RouteInfo(FALLBACK_ROUTE, "", ""),
            plan.fallback,
            raise_failure,
            plan.config.server.limits.body,
        )
        if self._problems:
            raise ConfigError(self._problems)
        find: Find[BoundRoute] = Table(entries).find
        if any(route.preflights for route in plan.routes):
            find = by_announced_method(find, lambda bound: bound.preflights)
        return Gateway(find, fallback, self._observer, self._state.log)

    def _bind(
        self,
        info: RouteInfo,
        plans: Iterable[PolicyPlan],
        terminal: Handler,
        body_limit: int,
        preflights: bool = False,
    ) -> BoundRoute:
        policies = []
        places = self._plan.places_on(info.name)
        for plan in plans:
            name = plan.spec.name
            identity = f"{name}/{info.name}/{plan.options.model_dump_json()}"
            target = self.upstreams.target(info.upstream)
            sampled = self._tracer.sampled if self._tracer is not None else None
            scope = info.name if plan.origin == "route" else ""
            toolkit = self._state.toolkit(
                info.name, scope, identity, target, self.upstreams.ask, sampled, places
            )
            try:
                policy = plan.spec.build(plan.options, toolkit)
            except ValueError as error:
                problem = self._document.problem(plan.path, str(error), plan.place)
                self._problems.append(problem)
                continue
            policies.append(BoundPolicy(name, plan.options.mode, policy))
            self.policies.append(policy)
        handler = bind(policies, terminal, log=self._state.log, metrics=self._state.metrics)
        refuse = bind(policies, raise_failure, log=self._state.log, metrics=self._state.metrics)
        return BoundRoute(info, handler, refuse, body_limit, preflights)
