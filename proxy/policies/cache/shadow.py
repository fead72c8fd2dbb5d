"""The cache in shadow mode: everything is forwarded, and what would have been is counted.

Of each response that would have been stored its terms and the hash of its body are kept, in a
memory of the cache's bounds where it counts as if it were all there; so the hit ratio is what
it would have been. A response that comes while a stored one would still have been served, and
isn't the same, is one that would have been served wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from proxy.asking import Asked, Asking, Inside, PatientAsker, Pending, ask_through, ready
from proxy.contract import BodyStream, Decision, Handler, Request, Response, Toolkit
from proxy.http1.date import show_date
from proxy.policies.cache.entry import Entry, stored_fields
from proxy.policies.cache.invalidation import outdated
from proxy.policies.cache.key import KeyPlan, zone_of
from proxy.policies.cache.options import Options
from proxy.policies.cache.reuse import Use, judge
from proxy.policies.cache.shelf import Shelf, variant_key
from proxy.policies.cache.storing import Storing
from proxy.policies.cache.wishes import Wishes

_OUTCOMES: Final = ("would_hit", "would_be_stale", "would_miss", "would_bypass")
_BY_USE: Final[dict[Use, str]] = {
    "fresh": "would_hit", "stale_while": "would_be_stale", "validate": "would_miss",
}  # fmt: skip
# What gets an answer for itself, whose body can't be compared.
_OWN: Final = frozenset({
    "authorization", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "range",
})  # fmt: skip
_TOLD_MAX: Final = 20


class ShadowCache:
    """Looks on."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._clock = toolkit.clock
        self._wall = toolkit.wall
        self._log = toolkit.log
        self._keys = KeyPlan(options.key, zone_of(toolkit.identity, toolkit.target.name))
        self._wishes = Wishes(options)
        self._trove = toolkit.trove.phantom()
        self._shelf = Shelf(self._trove, options.variants)
        self._storing = Storing(options)
        self._told = 0
        self._counters = {
            outcome: toolkit.metrics.counter(
                "sidegate_cache_shadow_requests_total",
                "Requests that a cache policy in shadow mode saw, by what would have been.",
                route=toolkit.route,
                outcome=outcome,
            )
            for outcome in _OUTCOMES
        }
        self._wrong = toolkit.metrics.counter(
            "sidegate_cache_shadow_wrong_total",
            "Responses of another body than the one that the cache would have served.",
            route=toolkit.route,
        )

    def wrap(self, forward: Handler) -> Handler:
        """A handler that forwards everything."""
        return Asking(self.ask, forward)

    def ask(self, request: Request, inside: Inside, asker: PatientAsker | None) -> Asked | Pending:
        """Ask `inside`, and look at what comes."""
        if request.failure is not None or request.upgrade:
            return ready(inside.ask(request))
        return ask_through(self, self._clock(), inside, request, asker)

    def answered(self, ticket: float, request: Request, response: Response) -> Response:
        """Look at it. ticket: when it was asked for, in monotonic seconds."""
        self._look(request, response, ticket)
        return response

    def failed(self, ticket: float, request: Request, error: BaseException) -> Response:
        """There is nothing to look at."""
        raise error

    def _look(self, request: Request, response: Response, asked: float) -> None:
        if response.tunnel is not None:
            return
        url = self._keys.url(request)
        if request.method != "GET" or request.length != 0 or not request.headers.lacks(_OWN):
            changed = outdated(request, response, url)
            self._trove.forget([self._keys.normal(each) for each in changed])
            self._note(request, "would_bypass")
            return
        key = self._keys.key(request, url)
        item = self._shelf.place(key, request.headers).item
        entry = item if isinstance(item, Entry) else None
        use: Use = "validate"
        if entry is not None:
            use = judge(entry, self._wishes.of(request), asked)
            entry.visits = min(entry.visits + 1, 3)
        self._note(request, _BY_USE[use])
        served = entry if use != "validate" else None
        # Others change the fields of the response before its body has been read.
        came = Response(response.status, response.headers.copy(), origin=response.origin)

        def finished(digest: bytes, size: int) -> None:
            if served is not None and (served.body != digest or served.status != came.status):
                self._differs(request)
            elif served is not None:
                return
            self._keep(request, came, key, url, asked, digest, size)

        if isinstance(response.body, bytes):
            finished(blake2b(response.body, digest_size=16).digest(), len(response.body))
        else:
            response.body = _Hashed(response.body, finished)

    def _keep(
        self,
        request: Request,
        response: Response,
        key: str,
        url: str,
        asked: float,
        digest: bytes,
        size: int,
    ) -> None:
        now, wall = self._clock(), self._wall()
        terms = self._storing.judge(request, response, wall - (now - asked), wall)
        if isinstance(terms, str) or size > self._trove.object_limit:
            return
        place = variant_key(key, terms.vary, request.headers)
        fields = stored_fields(response.headers, terms.drop, show_date(wall))
        entry = Entry(
            place, url, response.status, fields, digest, terms, now, wall, now - asked, 0.0
        )  # fmt: skip
        entry.weight += size
        self._shelf.put(key, entry, request.headers)

    def _differs(self, request: Request) -> None:
        self._wrong.inc()
        request.decisions.append(Decision("cache", "would_serve_wrong"))
        if self._told < _TOLD_MAX:
            self._told += 1
            self._log.warning(
                "the cache would have served another body than the service",
                route=request.route.name,
                host=request.host,
                path=request.path,
                request_id=request.id,
            )

    def _note(self, request: Request, outcome: str) -> None:
        self._counters[outcome].inc()
        request.decisions.append(Decision("cache", outcome))


class _Hashed:
    """A body that is hashed as it is read. finished: told the hash and the size at its end."""

    def __init__(self, body: BodyStream, finished: Callable[[bytes, int], None]) -> None:
        self._body = body
        self._finished = finished
        self._hash = blake2b(digest_size=16)
        self._size = 0

    def __aiter__(self) -> _Hashed:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._body.__anext__()
        except StopAsyncIteration:
            self._finished(self._hash.digest(), self._size)
            raise
        self._hash.update(piece)
        self._size += len(piece)
        return piece

    async def aclose(self) -> None:
        await self._body.aclose()
