"""A compiled configuration: which handler a request gets, and who is told when it is done.

Immutable: a reload makes another. Requests in flight keep the handlers that they began with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from proxy.contract import Handler, Log, Request, RouteInfo
from proxy.errors import GatewayError
from proxy.http1.target import without_parameters
from proxy.routing.table import Find, Found
from proxy.runtime.level import Level

T = TypeVar("T")


class BoundRoute(NamedTuple):
    """A route with its policies bound.

    handler: answers. refuse: answers with `request.failure` by the same policies.
    body_limit: bytes. preflights: it answers CORS preflights for the methods that it takes.
    """

    info: RouteInfo
    handler: Level
    refuse: Level
    body_limit: int
    preflights: bool = False


class Observer(Protocol):
    """Counts and logs finished exchanges."""

    def finished(
        self,
        request: Request,
        status: int,
        sent: int,
        received: int,
        ended: float,
        error: str,
        aborted: str,
    ) -> None:
        """An exchange is over; `ended` in monotonic seconds, sizes in bytes on the wire."""
        ...


class Tracer(Protocol):
    """Records traces of a configuration."""

    @property
    def sampled(self) -> Callable[[str], bool]:
        """Whether a trace that starts here is sampled, by its ID."""
        ...

    def around(self, ask: Handler, endpoint: str) -> Handler:
        """The handler that asks an endpoint, with each attempt noted."""
        ...


class Gateway:
    """Routes by precedence, and what answers when none matches."""

    def __init__(
        self, find: Find[BoundRoute], fallback: BoundRoute, observer: Observer, log: Log
    ) -> None:
        self._find = find
        self._fallback = fallback
        self._log = log
        self.finished = observer.finished

    def resolve(self, request: Request) -> BoundRoute:
        """The route of a request, noted on it; the fallback when there is none."""
        if request.failure is not None:
            return self._fallback
        found = self._find(request)
        if isinstance(found, Found):
            route = found.value
            if ";" in request.path:
                request.failure = parameters_refused(self._find, request, route)
                if request.failure is not None:
                    return self._fallback
            request.route = route.info
            request.captures = found.captures
            return route
        if found.allowed:
            allow = ", ".join(found.allowed)
            request.failure = GatewayError("method_not_allowed", headers=(("Allow", allow),))
        else:
            request.failure = GatewayError("route_not_found")
        return self._fallback

    def unexpected(self, request: Request, error: BaseException) -> None:
        """Log what escaped every policy."""
        self._log.error(
            "unexpected failure",
            request_id=request.id,
            route=request.route.name,
            exception_class=type(error).__name__,
            exc_info=error,
        )


def parameters_refused(find: Find[T], request: Request, value: T) -> GatewayError | None:
    """The refusal of a path that would take another route without its `;` parameters.

    Some services cut `;` and what follows it off each segment; they must not be reached by
    a route that is meant for other paths. value: of the route that the whole path takes.
    """
    path = request.path
    request.path = without_parameters(path)
    try:
        found = find(request)
    finally:
        request.path = path
    if isinstance(found, Found) and found.value is value:
        return None
    return GatewayError(
        "invalid_target", "Without its `;` parameters the path takes another route."
    )
