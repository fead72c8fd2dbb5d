"""What a configuration asks for, route by route: pure values, nothing built yet.

May live here: which policies stand on which route with which options, and every problem
that can be told without building. Must not live here: policies' instances, connections,
tasks, clocks; `compile` makes those from a plan.

The rules:

- A route's entry for a policy replaces the global one as a whole; options are not merged.
- `false` leaves a policy out; `true` or nothing at all gives its defaults.
- A bare scalar sets the option that the policy calls its shorthand.
- Policies that are on by default stand on every route unless one says `false`.
- `mode: off` is as good as absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final, Literal

from pydantic import ValidationError

from proxy.catalog import Catalog
from proxy.config.diagnosis import OFF, ON, describe, diagnose
from proxy.config.load import Document
from proxy.config.model import Config, Match
from proxy.config.problems import (
    ConfigError,
    Path,
    Place,
    Problem,
    beneath,
    meant,
    show_path,
)
from proxy.config.upstream import Upstream
from proxy.contract import PolicyOptions, PolicySpec, Target
from proxy.routing.table import problems as mistaken
from proxy.routing.table import unreachable

Origin = Literal["default", "policies", "route"]

DEFAULT_ROUTE: Final = "default"


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """One policy of a route, with its options read.

    place: where it was written; None for one that is on by default. origin: by default, by
    the global `policies:`, or by the route's. path: the way to its options in the file.
    """

    spec: PolicySpec
    options: PolicyOptions
    place: Place | None
    origin: Origin
    path: Path


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """One route. upstream: None if a policy answers. body_limit: bytes.

    policies: outermost first. place: where the route was written.
    """

    name: str
    match: Match
    upstream: str | None
    body_limit: int
    policies: tuple[PolicyPlan, ...]
    place: Place

    @property
    def preflights(self) -> bool:
        """Whether it answers CORS preflights for the methods that it takes."""
        return any(
            plan.spec.preflights and plan.options.mode == "enforce" for plan in self.policies
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """All routes in file order, and the policies of requests that have none.

    digest: the configuration's. fallback: for requests that match no route or could not be
    read: those that are on by default, or say that they serve these too, with their global
    options.
    """

    config: Config
    digest: str
    routes: tuple[RoutePlan, ...]
    fallback: tuple[PolicyPlan, ...]

    def files(self) -> set[FilePath]:
        """Files that policies have read."""
        plans = [*self.fallback, *(plan for route in self.routes for plan in route.policies)]
        return {FilePath(name) for plan in plans for name in plan.options.files()}

    @property
    def places(self) -> dict[tuple[str, str], str]:
        """`file:line` of each policy that was written, by the names of route and policy."""
        return {
            (name, policy.spec.name): policy.place.brief
            for name, policies in [
                *((route.name, route.policies) for route in self.routes),
                ("", self.fallback),
            ]
            for policy in policies
            if policy.place is not None
        }

    def places_on(self, name: str) -> dict[str, str]:
        """`file:line` of each policy of a route, `default` for those that nobody wrote; that of
        the route under no name. name: empty for requests without a route."""
        route = next((route for route in self.routes if route.name == name), None)
        policies = self.fallback if route is None else route.policies
        places = {
            policy.spec.name: policy.place.brief if policy.place else "default"
            for policy in policies
        }
        return places if route is None else {"": route.place.brief, **places}


def make_plan(document: Document, catalog: Catalog) -> Plan:
    """Plan a configuration. Raises ConfigError with all problems, the document's included."""
    plan, problems = draft_plan(document, catalog)
    if problems:
        raise ConfigError(problems)
    return plan


def draft_plan(document: Document, catalog: Catalog) -> tuple[Plan, list[Problem]]:
    """A plan of what is right in a configuration, and all problems, the document's included."""
    planner = _Planner(document, catalog)
    plan = planner.plan()
    return plan, [*document.problems, *planner.problems]


def target_of(name: str, upstream: Upstream | None) -> Target:
    """What policies are told of a route's upstream; None if it has none."""
    if upstream is None:
        return Target(name, False)
    return Target(name, len(upstream.endpoints) > 1 or upstream.discovery is not None)


def _does_bare(spec: PolicySpec, value: str) -> bool:
    """Whether a policy does without options, and the value is none of its short form."""
    shortened = spec.shorthand and _fits(spec, {spec.shorthand: value})
    return not shortened and _fits(spec, {})


def _fits(spec: PolicySpec, data: Mapping[str, Any]) -> bool:
    try:
        spec.options.model_validate(data)
    except Exception:  # A plug-in's validator may raise anything.
        return False
    return True


class _Planner:
    """Collects plans and problems of one document."""

    def __init__(self, document: Document, catalog: Catalog) -> None:
        self._document = document
        self._catalog = catalog
        self.problems: list[Problem] = []
        self._defaults = {
            name: PolicyPlan(spec, spec.options(), None, "default", ("policies", name))
            for name, spec in catalog.specs.items()
            if spec.default
        }

    def plan(self) -> Plan:
        config = self._document.config
        shared = {**self._defaults, **self._read(config.policies, ("policies",), "policies")}
        routes = self._routes(shared)
        fallback = self._in_order(
            {
                name: plan
                for name, plan in shared.items()
                if plan and (plan.spec.default or plan.spec.unrouted)
            }
        )
        fallback = self._without_idle(fallback, None)
        return Plan(config, self._document.digest, routes, fallback)

    def _routes(self, shared: Mapping[str, PolicyPlan | None]) -> tuple[RoutePlan, ...]:
        config = self._document.config
        limit = config.server.limits.body
        if not config.routes:
            policies = self._in_order(shared)
            upstream = self._upstream(None, policies, None)
            policies = self._without_idle(policies, upstream)
            place = self._document.place(("upstreams",))
            return (RoutePlan(DEFAULT_ROUTE, Match(), upstream, limit, policies, place),)
        plans: list[RoutePlan] = []
        for index, route in enumerate(config.routes):
            path: Path = ("routes", index)
            own = self._read(route.policies, (*path, "policies"), "route")
            policies = self._in_order({**shared, **own})
            upstream = self._upstream(route.upstream, policies, index)
            policies = self._without_idle(policies, upstream)
            body = route.limits.body if route.limits else None
            plans.append(
                RoutePlan(
                    name=route.name,
                    match=route.match,
                    upstream=upstream,
                    body_limit=limit if body is None else body,
                    policies=policies,
                    place=self._document.place(path),
                )
            )
        self._check_matches(plans)
        return tuple(plans)

    def _in_order(self, chosen: Mapping[str, PolicyPlan | None]) -> tuple[PolicyPlan, ...]:
        return tuple(
            plan
            for name in self._catalog.order
            if (plan := chosen.get(name)) is not None and plan.options.mode != "off"
        )

    def _without_idle(
        self, policies: tuple[PolicyPlan, ...], upstream: str | None
    ) -> tuple[PolicyPlan, ...]:
        """The policies less those that stand there by default and would do nothing."""
        name = upstream or ""
        target = target_of(name, self._document.config.upstreams.get(name))
        return tuple(
            plan
            for plan in policies
            if plan.origin != "default" or not plan.spec.idle(plan.options, target)
        )

    def _read(
        self, raw: Mapping[str, Any], path: Path, origin: Origin
    ) -> dict[str, PolicyPlan | None]:
        """The policies of one `policies:` section; None for those that it leaves out."""
        plans: dict[str, PolicyPlan | None] = {}
        for name, value in raw.items():
            here: Path = (*path, name)
            spec = self._catalog.specs.get(name)
            if spec is None:
                message = f'unknown policy "{name}"{meant(name, self._catalog.specs)}'
                self._problem(self._document.key_place(here), path, message)
            elif value is False:
                plans[name] = None
            else:
                options = self._options(spec, value, here)
                if options is not None:
                    place = self._document.key_place(here)
                    plans[name] = PolicyPlan(spec, options, place, origin, here)
        return plans

    def _options(self, spec: PolicySpec, value: Any, path: Path) -> PolicyOptions | None:
        if value is None or value is True:
            data: Any = {}
        elif isinstance(value, dict):
            data = value
        elif isinstance(value, str) and value.lower() in OFF:
            message = f'"{value}" is text here; write false to leave the policy out'
            self._problem(self._document.place(path), path, message)
            return None
        elif isinstance(value, str) and value.lower() in ON and _does_bare(spec, value):
            message = f'"{value}" is text here; write {{}} to turn it on with its defaults'
            self._problem(self._document.place(path), path, message)
            return None
        elif spec.shorthand:
            data = {spec.shorthand: value}
        else:
            message = f"must be a mapping of options, true or false, not {describe(value)}"
            self._problem(self._document.place(path), path, message)
            return None
        try:
            return spec.options.model_validate(data)
        except ValidationError as error:
            found = diagnose(
                error,
                value,
                spec.options,
                value_place=self._document.place,
                key_place=self._document.key_place,
                prefix=path,
            )
            whole = show_path(path)
            hollow = any(beneath(inner, [whole]) for inner in self._document.broken)
            for _, problem in found:
                # What is wrong with all of it may follow from a part that is nothing yet.
                if not (hollow and problem.path == whole):
                    self._add(problem)
        except Exception as error:  # A plug-in's validator may raise anything.
            message = f"the policy can't read its options ({type(error).__name__}: {error})"
            self._problem(self._document.place(path), path, message)
        return None

    def _upstream(
        self, named: str | None, policies: Iterable[PolicyPlan], index: int | None
    ) -> str | None:
        upstreams = self._document.config.upstreams
        if named is not None:
            return named
        if len(upstreams) == 1:
            return next(iter(upstreams))
        answering = [plan for plan in policies if plan.spec.answers]
        if any(plan.options.mode == "enforce" for plan in answering):
            return None
        if index is None:
            path: Path = ("upstreams",)
            if upstreams:
                message = (
                    f"there are several upstreams ({', '.join(upstreams)}) and no `routes:` that "
                    "say which requests go where"
                )
            else:
                message = (
                    "there is nothing to forward to; add `upstreams: {app: http://HOST:PORT}`, "
                    "or run with --upstream http://HOST:PORT"
                )
            self._problem(self._document.place(path), path, message)
            return None
        path = ("routes", index, "upstream")
        if upstreams:
            message = f"is missing; the upstreams are {', '.join(upstreams)}"
        else:
            message = "is missing, and there are no `upstreams:`"
        if answering:
            message += f"; {answering[0].spec.name} only answers in mode enforce"
        self._problem(self._document.place(path), path, message)
        return None

    def _check_matches(self, plans: Sequence[RoutePlan]) -> None:
        mistakes = mistaken([plan.match for plan in plans])
        for mistake in mistakes:
            path: Path = ("routes", mistake.index, "match", mistake.field)
            self._problem(self._document.place(path), path, mistake.message)
        wrong = {mistake.index for mistake in mistakes}
        sound = [
            index
            for index in range(len(plans))
            if index not in wrong and not self._has_stand_in(index)
        ]
        for dead, covering in unreachable([plans[index].match for index in sound]):
            late, early = plans[sound[dead]], plans[sound[covering]]
            message = (
                f'route "{late.name}" can never match: route "{early.name}" '
                f"(line {early.place.line}) takes all its requests"
            )
            self._problem(late.place, ("routes", sound[dead]), message)

    def _has_stand_in(self, index: int) -> bool:
        """Whether what a route matches is not what the file says."""
        route = f"routes[{index}]"
        # What belongs under `match` may stand beside it.
        match = [f"{route}.{key}" for key in ("match", *Match.model_fields)]
        return any(
            path in (route, "routes") or beneath(path, match) for path in self._document.broken
        )

    def _problem(self, place: Place, path: Path, message: str) -> None:
        self._add(Problem(place, show_path(path), message))

    def _add(self, problem: Problem) -> None:
        """Keep a problem unless it only follows from one that the document has there."""
        if not beneath(problem.path, self._document.broken):
            self.problems.append(problem._replace(message=self._document.hide(problem.message)))
