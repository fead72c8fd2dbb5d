"""The operator's side: health, metrics, configuration, reload. An ordinary aiohttp app.

May live here: which resources there are and what they ask of the gateway. Must not live
here: how any of it is found out (`Operator`), or the data plane. Everything shown has gone
through redaction; errors come in the house envelope, and their causes go to the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Protocol

from aiohttp import hdrs, web

from proxy.admin.body import sentence
from proxy.admin.cache import read_purge
from proxy.admin.change import read_change
from proxy.admin.guard import foreign, rebound
from proxy.admin.pages import SECURITY_HEADERS, show_error, show_json, show_text
from proxy.config.units import show_size
from proxy.contract import Log
from proxy.store.purge import Purge
from proxy.telemetry.redaction import redact
from proxy.timestamp import make_timestamp

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_BODY_MAX: Final = 64 * 1024
_CODES: Final = {
    403: ("forbidden", "The request is not allowed."),
    404: ("route_not_found", "There is no such resource; GET / lists them."),
    413: ("body_too_large", f"The body is larger than {show_size(_BODY_MAX)}."),
    417: ("bad_request", "Of expectations only 100-continue is known."),
}
_INDEX: Final = {
    "GET /healthz": "200 while the process lives",
    "GET /readyz": "200 when requests can be served, else 503 and why",
    "GET /metrics": "Prometheus or OpenMetrics exposition",
    "GET /config": "the configuration in use, secrets redacted",
    "GET /routes": "routes in the order of precedence",
    "GET /upstreams": "endpoints, their health and connections, and what each upstream decided",
    "GET /log": "the level of log lines, and the exceptions that hold",
    "POST /log": 'another level for a while: {"level": "debug", "for": "10m"}, perhaps for one '
    '"route" or "client"',
    "DELETE /log": "end all exceptions",
    "GET /cache": "what the cache holds, and what left it",
    "POST /cache/purge": "purge by url, prefix, glob, tag or all; soft or not; tells how many",
    "GET /limits": "the limits of each policy: `*` are those of all routes, others a route's own; "
    "/limits/{policy}?key=… (once for each part of the key, perhaps &tier=…) tells how a key "
    "stands, and DELETE lets it begin anew",
    "POST /reload": "read the configuration again; 409 and the problems if it can't be used, 503 "
    "if a worker does not answer",
}


Refuse = Callable[[web.BaseRequest, BaseException | None], web.Response]
REFUSE: Final[web.AppKey[Refuse]] = web.AppKey("refuse")
"""In the application: what answers a request that could not be read."""


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What became of a reload. digest: of the configuration now in use. problems: one a line.
    silent: numbers of the workers that don't answer, where that is why it failed."""

    ok: bool
    digest: str
    problems: list[str]
    silent: tuple[int, ...] = ()


class Operator(Protocol):
    """What the admin API asks of the gateway; called in the event loop."""

    def ready(self) -> tuple[bool, str]:
        """Whether requests can be served, and if not, why."""
        ...

    async def status(self) -> Mapping[str, Any]:
        """Version, start, digest of the configuration, last reload."""
        ...

    def config(self) -> Mapping[str, Any]:
        """The effective configuration; redacted here."""
        ...

    def routes(self) -> list[dict[str, Any]]:
        """Routes in the order of precedence."""
        ...

    async def upstreams(self) -> Mapping[str, Any]:
        """Upstreams, their endpoints and connections, and what those with a choice decided."""
        ...

    async def cache(self) -> Mapping[str, Any]:
        """What the cache holds, and what left it."""
        ...

    async def purge(self, purge: Purge) -> dict[str, Any]:
        """Remove or spoil what is meant: as `admin.cache.combine_purges` tells it."""
        ...

    async def limits(self) -> list[dict[str, Any]]:
        """The limits of all policies."""
        ...

    async def limit(
        self, policy: str, key: Sequence[str], tier: str, *, reset: bool
    ) -> Mapping[str, Any]:
        """How a key stands, after a reset if that is asked; `problem` tells what is wrong."""
        ...

    async def reload(self) -> ReloadReport:
        """Read the configuration again and use it if it is good."""
        ...

    async def log_levels(self) -> Mapping[str, Any]:
        """The level of the configuration, and the exceptions that hold."""
        ...

    async def change_log_level(
        self, level: str, seconds: float, route: str, client: str
    ) -> Mapping[str, Any]:
        """Have another level hold for a while; the levels then. Raises ValueError."""
        ...

    async def clear_log_levels(self) -> Mapping[str, Any]:
        """End all exceptions; the levels then."""
        ...

    async def metrics(self, accept: str) -> tuple[str, bytes]:
        """Content type and exposition, as the Accept field asks."""
        ...


class _Api:
    """The resources, bound to one operator."""

    def __init__(self, operator: Operator, wall: Callable[[], float], log: Log) -> None:
        self._operator = operator
        self._timestamp = make_timestamp(wall)
        self._log = log
        self._numbers = count(1)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._answer_errors], client_max_size=_BODY_MAX)
        how = {"expect_handler": self._expect}
        app.add_routes(
            web.RouteDef(method, path, handler, how) for method, path, handler in self._resources()
        )
        app.on_response_prepare.append(_dress)
        app[REFUSE] = self._refuse
        return app

    def _resources(self) -> list[tuple[str, str, _Handler]]:
        return [
            (hdrs.METH_GET, "/", self._index),
            (hdrs.METH_GET, "/healthz", self._healthz),
            (hdrs.METH_GET, "/readyz", self._readyz),
            (hdrs.METH_GET, "/metrics", self._metrics),
            (hdrs.METH_GET, "/config", self._config),
            (hdrs.METH_GET, "/routes", self._routes),
            (hdrs.METH_GET, "/upstreams", self._upstreams),
            (hdrs.METH_GET, "/log", self._log_levels),
            (hdrs.METH_POST, "/log", self._change_log_level),
            (hdrs.METH_DELETE, "/log", self._clear_log_levels),
            (hdrs.METH_GET, "/cache", self._cache),
            (hdrs.METH_POST, "/cache/purge", self._purge),
            (hdrs.METH_GET, "/limits", self._limits),
            (hdrs.METH_GET, "/limits/{policy}", self._limit),
            (hdrs.METH_DELETE, "/limits/{policy}", self._limit),
            (hdrs.METH_POST, "/reload", self._reload),
        ]

    async def _index(self, _: web.Request) -> web.Response:
        return show_json({"sidegate": redact(await self._operator.status()), "resources": _INDEX})

    async def _healthz(self, _: web.Request) -> web.Response:
        return show_text("alive")

    async def _readyz(self, _: web.Request) -> web.Response:
        ready, reason = self._operator.ready()
        return show_text("ready") if ready else show_text(f"not ready: {reason}", 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        accept = ", ".join(request.headers.getall(hdrs.ACCEPT, []))
        content_type, body = await self._operator.metrics(accept)
        # As a field of its own: aiohttp would not take the parameters otherwise.
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    async def _config(self, _: web.Request) -> web.Response:
        return show_json(redact(self._operator.config()))

    async def _routes(self, _: web.Request) -> web.Response:
        return show_json({"routes": redact(self._operator.routes())})

    async def _upstreams(self, _: web.Request) -> web.Response:
        return show_json(redact(await self._operator.upstreams()))

    async def _log_levels(self, _: web.Request) -> web.Response:
        return show_json(await self._operator.log_levels())

    async def _change_log_level(self, request: web.Request) -> web.Response:
        try:
            change = read_change(await request.read())
            levels = await self._operator.change_log_level(
                change.level, change.for_, change.route, change.client
            )
        except ValueError as error:
            return self._wrong(request, str(error))
        self._log.warning("log level changed", **change.model_dump(by_alias=True))
        return show_json(levels)

    async def _clear_log_levels(self, _: web.Request) -> web.Response:
        return show_json(await self._operator.clear_log_levels())

    async def _cache(self, _: web.Request) -> web.Response:
        return show_json(await self._operator.cache())

    async def _purge(self, request: web.Request) -> web.Response:
        try:
            purge = read_purge(await request.read())
        except ValueError as error:
            return self._wrong(request, str(error))
        told = await self._operator.purge(purge)
        self._log.info("cache purged", kind=purge.kind, soft=purge.soft, **told)
        return show_json(told)

    async def _limits(self, _: web.Request) -> web.Response:
        return show_json({"limits": await self._operator.limits()})

    async def _limit(self, request: web.Request) -> web.Response:
        policy, reset = request.match_info["policy"], request.method == hdrs.METH_DELETE
        unknown = sorted(set(request.query) - {"key", "tier"})
        if unknown:
            return self._wrong(request, f'unknown parameter "{unknown[0]}"; known are key and tier')
        key = request.query.getall("key", [])
        told = await self._operator.limit(policy, key, request.query.get("tier", ""), reset=reset)
        if problem := told.get("problem"):
            if "code" in told:
                return self._error(request, told["code"], problem, 503)
            return self._wrong(request, problem)
        if reset:
            self._log.info("limit reset", policy=policy)
        return show_json(told)

    async def _reload(self, request: web.Request) -> web.Response:
        report = await self._operator.reload()
        if report.ok:
            return show_json({"ok": True, "digest": report.digest, "problems": []})
        more = {"digest": report.digest, "problems": redact(report.problems)}
        if report.silent:
            return self._error(
                request,
                "worker_silent",
                "A worker does not answer; all go on as before. Reload again once it does, or has "
                "been replaced.",
                503,
                {**more, "silent_workers": report.silent},
            )
        return self._error(
            request,
            "config_invalid",
            "The configuration can't be used; the one before goes on serving.",
            409,
            more,
        )

    def _error(
        self,
        request: web.BaseRequest,
        code: str,
        detail: str,
        status: int,
        more: Mapping[str, Any] | None = None,
        request_id: str = "",
    ) -> web.Response:
        return show_error(
            code,
            detail,
            status,
            timestamp=self._timestamp(),
            path=request.rel_url.raw_path,
            request_id=request_id or self._next_id(),
            more=more,
        )

    def _wrong(self, request: web.BaseRequest, problem: str) -> web.Response:
        return self._error(request, "bad_request", sentence(problem), 400)

    async def _expect(self, request: web.Request) -> web.Response | None:
        """Ask for the body of who waits to be asked (RFC 9110, 10.1.1)."""
        if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
            return self._error(request, *_CODES[417], 417)
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    def _refuse(self, request: web.BaseRequest, error: BaseException | None) -> web.Response:
        """Answer what could not be read."""
        reason = "" if error is None else type(error).__name__
        self._log.warning("admin request refused", client_ip=request.remote, reason=reason)
        detail = "This is no request that can be read."
        if reason == "LineTooLong":
            detail = "A line at the beginning of the request is too long."
        response = self._error(request, "bad_request", detail, 400)
        # By now nobody asks `_dress`.
        for name, value in SECURITY_HEADERS:
            response.headers[name] = value
        return response

    def _next_id(self) -> str:
        return f"admin-{next(self._numbers)}"

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if reason := _suspect(request):
            self._log.warning("admin request refused", path=request.path, reason=reason)
            return self._error(request, "forbidden", reason, 403)
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as error:
            allow = ", ".join(sorted(error.allowed_methods))
            detail = f"{request.path} takes {allow}, not {request.method[:16]}."
            response = self._error(request, "method_not_allowed", detail, 405)
            response.headers[hdrs.ALLOW] = allow
            return response
        except web.HTTPException as error:
            code, detail = _CODES.get(error.status, ("bad_request", error.reason))
            return self._error(request, code, detail, error.status)
        except web.RequestPayloadError:
            return self._wrong(request, "the body is cut short, or not coded as it says")
        except Exception as error:
            request_id = self._next_id()
            self._log.error(
                "admin request failed", path=request.path, request_id=request_id, exc_info=error
            )
            detail = "The request failed; the log has the cause under this request_id."
            return self._error(request, "internal_error", detail, 500, request_id=request_id)


def make_admin(operator: Operator, *, wall: Callable[[], float], log: Log) -> web.Application:
    """The admin API over an operator. wall: seconds since 1970, UTC.

    Run it with an AppRunner whose `access_log` is None.
    """
    return _Api(operator, wall, log).application()


def _suspect(request: web.Request) -> str:
    """Why a request that comes from somebody's page is refused; empty for any other."""
    host = request.headers.get(hdrs.HOST, "")
    if request.method in (hdrs.METH_GET, hdrs.METH_HEAD):
        agent = request.headers.get(hdrs.USER_AGENT, "")
        return rebound(host, {name.lower() for name in request.headers}, agent)
    return foreign(
        host,
        request.headers.get(hdrs.ORIGIN),
        request.headers.get("Sec-Fetch-Site"),
    )


async def _dress(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)
    for name, value in SECURITY_HEADERS:
        response.headers[name] = value
