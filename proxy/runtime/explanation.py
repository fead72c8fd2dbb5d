"""What would happen to one request, as facts and as text. Nothing is sent or built.

The facts are those of the plan and of the routing table, so that an explanation can't
differ from what the gateway does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from proxy.config.load import Document
from proxy.config.problems import Path
from proxy.contract import Request
from proxy.errors import GatewayError
from proxy.http1.field import check_name
from proxy.http1.headers import Headers, encode
from proxy.http1.host import read_authority
from proxy.http1.target import PathRules, read_target
from proxy.routing.match import read_methods
from proxy.routing.preflight import announced_method, by_announced_method
from proxy.routing.table import Found, Table
from proxy.runtime.gateway import parameters_refused
from proxy.runtime.notation import as_written, settings_of
from proxy.runtime.plan import Plan, PolicyPlan, RoutePlan

# Longer settings push their origin to the right instead of all others.
_WIDTH: Final = 48


@dataclass(frozen=True, slots=True)
class Setting:
    """One option as it holds. value: as the user would write it. origin: `default`, or a place."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One policy on the request's way. shadow: it decides and does nothing."""

    name: str
    origin: str
    shadow: bool
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Loser:
    """A route that doesn't take the request, and why."""

    name: str
    origin: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happens to a request.

    outcome: `route`, `method_not_allowed` or `route_not_found`. allowed: methods of the
    Allow field. endpoints: the upstream's. policies: outermost first.
    """

    method: str
    url: str
    outcome: str
    route: str
    origin: str
    reason: str
    captures: dict[str, str]
    upstream: str
    endpoints: tuple[str, ...]
    host: str
    body_limit: str
    trusted: bool
    allowed: tuple[str, ...]
    policies: tuple[Layer, ...]
    losers: tuple[Loser, ...]


def read_request(
    method: str,
    url: str,
    fields: list[tuple[str, str]],
    *,
    client_ip: str,
    trusted: bool,
    paths: PathRules,
) -> Request:
    """The request that a command line describes. Raises ValueError with the fix.

    url: absolute, or a path alone. fields: header fields in order; `Host` overrides the
    URL's. paths: what becomes of ambiguous paths. Raises GatewayError where the request would be
    refused before it has a route.
    """
    authority, path, query = _read_url(url)
    scheme = url.partition(":")[0].lower() if authority else "http"
    if not method.isascii() or not method.replace("-", "").isalpha():
        raise ValueError(f"{method!r} is no method; write GET, POST or the like")
    if method in ("CONNECT", "TRACE"):
        raise GatewayError("method_not_supported")
    try:
        read_methods([method])
    except ValueError as error:
        raise GatewayError("method_not_supported", str(error)) from None
    for name, value in fields:
        check_name(name)
        if name.lower() == "host":
            authority = value
            if read_authority(value) is None:
                raise GatewayError("invalid_host")
    host, _ = read_authority(authority) or ("", "")
    target = read_target(path + (f"?{query}" if query else ""), method, paths)
    return Request(
        method,
        target.target,
        target.path,
        target.query,
        Headers((encode(name), encode(value)) for name, value in fields),
        scheme=scheme,
        host=host,
        authority=authority,
        peer=client_ip,
        client_ip=client_ip,
        trusted=trusted,
    )


def _read_url(url: str) -> tuple[str, str, str]:
    """Authority, path and query; a client keeps a user and a fragment to itself."""
    rest = url.partition("#")[0]
    if rest.startswith("/"):
        path, _, query = rest.partition("?")
        return "", path, query
    try:
        parts = urlsplit(rest)
    except ValueError:
        raise ValueError(f"{url!r} is no URL; the bracket of its address isn't closed") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is no URL; write http://HOST/PATH or /PATH")
    authority = parts.netloc.rpartition("@")[2]
    if read_authority(authority) is None:
        raise ValueError(
            f"{authority!r} is no host that a client could ask for; write the name as it goes over "
            "the wire, in ASCII and without blanks, and a port up to 65535"
        )
    return authority, parts.path or "/", parts.query


def explain(document: Document, plan: Plan, request: Request, url: str) -> Explanation:
    """What the planned gateway does with a request. Raises GatewayError where it refuses it
    for its path alone."""
    table = Table([(route.match, index) for index, route in enumerate(plan.routes)])
    method, announced = request.method, announced_method(request)
    find = by_announced_method(table.find, lambda index: plan.routes[index].preflights)
    found = find(request)
    if announced and isinstance(found, Found) and plan.routes[found.value].preflights:
        # The others are told why they lost by the method that the route was chosen by.
        request.method = announced
    if isinstance(found, Found) and ";" in request.path:
        refusal = parameters_refused(table.find, request, found.value)
        if refusal is not None:
            raise refusal
    winner = plan.routes[found.value] if isinstance(found, Found) else None
    reason = ""
    losers: list[Loser] = []
    for verdict in table.explain(request, [route.name for route in plan.routes]):
        route = plan.routes[verdict.index]
        if route is winner:
            reason = verdict.reason
        else:
            losers.append(Loser(route.name, route.place.brief, verdict.reason))
    allowed: tuple[str, ...] = () if isinstance(found, Found) else found.allowed
    missed = "method_not_allowed" if allowed else "route_not_found"
    upstream = plan.config.upstreams.get(winner.upstream or "") if winner else None
    policies = winner.policies if winner else plan.fallback
    return Explanation(
        method=method,
        url=url,
        outcome="route" if winner else missed,
        route=winner.name if winner else "",
        origin=_route_origin(document, winner),
        reason=reason,
        captures=dict(found.captures) if isinstance(found, Found) else {},
        upstream=(winner.upstream or "") if winner else "",
        endpoints=upstream.places if upstream else (),
        host=upstream.host if upstream else "",
        body_limit=as_written(
            winner.body_limit if winner else plan.config.server.limits.body, size=True
        ),
        trusted=request.trusted,
        allowed=allowed,
        policies=tuple(_layer(document, policy) for policy in policies),
        losers=tuple(losers),
    )


def _route_origin(document: Document, route: RoutePlan | None) -> str:
    if route is None:
        return ""
    return route.place.brief if document.config.routes else "default"


def _layer(document: Document, plan: PolicyPlan) -> Layer:
    settings = tuple(
        Setting(key, document.hide(text), _setting_origin(document, plan, key))
        for key, text in settings_of(plan.options)
        if key != "mode"
    )
    origin = plan.place.brief if plan.place else "default"
    return Layer(plan.spec.name, origin, plan.options.mode == "shadow", settings)


def _setting_origin(document: Document, plan: PolicyPlan, key: str) -> str:
    if plan.place is None:
        return "default"
    path: Path = (*plan.path, key)
    if path in document.values:
        return document.place(path).brief
    short_form = key == plan.spec.shorthand and plan.spec.shorthand in plan.options.model_fields_set
    return document.place(plan.path).brief if short_form else "default"


def as_data(explanation: Explanation) -> dict[str, Any]:
    """The explanation for `--json`; its keys are stable."""
    return {
        "request": {"method": explanation.method, "url": explanation.url},
        "outcome": explanation.outcome,
        "route": {"name": explanation.route, "origin": explanation.origin}
        if explanation.route
        else None,
        "reason": explanation.reason,
        "allow": list(explanation.allowed),
        "captures": explanation.captures,
        "upstream": {"name": explanation.upstream, "endpoints": list(explanation.endpoints)}
        if explanation.upstream
        else None,
        "body_limit": explanation.body_limit,
        "trusted": explanation.trusted,
        "policies": [
            {
                "name": layer.name,
                "mode": "shadow" if layer.shadow else "enforce",
                "origin": layer.origin,
                "settings": {
                    setting.name: {"value": setting.value, "origin": setting.origin}
                    for setting in layer.settings
                },
            }
            for layer in explanation.policies
        ],
        "others": [
            {"name": loser.name, "origin": loser.origin, "reason": loser.reason}
            for loser in explanation.losers
        ],
    }


def as_text(explanation: Explanation) -> str:
    """The explanation for people."""
    return "\n".join(_lines(explanation)) + "\n"


def _lines(explanation: Explanation) -> Iterator[str]:
    yield f"{explanation.method} {explanation.url}"
    yield ""
    if explanation.outcome == "route":
        yield f"route     {explanation.route} ({explanation.origin}): {explanation.reason}"
        for name, value in explanation.captures.items():
            yield f"          {{path.{name}}} is {value!r}"
        if explanation.upstream:
            endpoints = ", ".join(explanation.endpoints)
            yield f"upstream  {explanation.upstream}: {endpoints} (host: {explanation.host})"
        else:
            yield "upstream  none; a policy answers"
        yield f"body      at most {explanation.body_limit}"
    elif explanation.outcome == "method_not_allowed":
        allow = ", ".join(explanation.allowed)
        yield f"route     none for this method: 405 method_not_allowed, Allow: {allow}"
    else:
        yield "route     none: 404 route_not_found"
    if explanation.trusted:
        yield "client    a trusted proxy; its X-Forwarded-*, X-Request-ID and traceparent count"
    yield ""
    yield "policies, in the order in which a request meets them"
    names = max((len(layer.name) for layer in explanation.policies), default=0)
    for number, layer in enumerate(explanation.policies, start=1):
        shadow = "  in shadow: decides and counts, does nothing" if layer.shadow else ""
        yield f"  {number:>2}  {layer.name:<{names}}  {layer.origin}{shadow}"
        yield from _settings(layer)
    if not explanation.policies:
        yield "  none"
    if explanation.losers:
        yield ""
        yield "other routes"
        names = max(len(loser.name) for loser in explanation.losers)
        origins = max(len(loser.origin) for loser in explanation.losers)
        for loser in explanation.losers:
            yield f"  {loser.name:<{names}}  {loser.origin:<{origins}}  {loser.reason}"


def _settings(layer: Layer) -> Iterator[str]:
    """A policy's settings; the origin of one only where it isn't the policy's own."""
    shown = [f"{setting.name}: {setting.value}" for setting in layer.settings]
    width = min(max(map(len, shown), default=0), _WIDTH)
    for text, setting in zip(shown, layer.settings, strict=True):
        origin = "" if setting.origin == layer.origin else setting.origin
        yield f"        {text:<{width}}  {origin}".rstrip()
