"""What is stored and fresh, and answers by itself: most of what a cache is for."""

from __future__ import annotations

from typing import Final

from proxy.contract import Decision, Request, Response, Toolkit
from proxy.policies.cache.answer import render_hit, whole
from proxy.policies.cache.counts import Counts
from proxy.policies.cache.delivery import Delivery
from proxy.policies.cache.entry import Entry, Signpost
from proxy.policies.cache.key import KeyPlan
from proxy.policies.cache.shelf import Shelf

_HIT: Final = Decision("cache", "hit")
# A request with any of these may want more of the cache than a stored response.
_BEYOND: Final = frozenset({"cache-control", "pragma", "if-match", "if-unmodified-since"})
# A request without any of these wants all of it.
_PARTICULAR: Final = _BEYOND | {"if-none-match", "if-modified-since", "range"}
_VISITS_MAX: Final = 3


class Hits:
    """Answers requests that want nothing particular. status: say so in Cache-Status."""

    def __init__(
        self,
        toolkit: Toolkit,
        keys: KeyPlan,
        shelf: Shelf,
        counts: Counts,
        delivery: Delivery,
        status: bool,
    ) -> None:
        self._clock = toolkit.clock
        self._find = toolkit.trove.find
        self._url, self._key = keys.url, keys.key
        self._shelf = shelf
        self._delivery = delivery
        self._hit, self._saved = counts.hit, counts.saved
        self._status = status

    def answer(self, request: Request) -> Response | None:
        """What is stored and fresh, without waiting for anything."""
        method = request.method
        if method not in ("GET", "HEAD") or request.failure is not None or request.upgrade:
            return None
        headers = request.headers
        entry = self._find(self._key(request, self._url(request)))
        if isinstance(entry, Signpost):
            entry = self._shelf.place(entry.key, headers).item
        if (
            not isinstance(entry, Entry)
            or (now := self._clock()) >= entry.calm_until
            or request.length != 0
        ):
            return None
        if not headers.lacks(_PARTICULAR):
            return self._delivery.stored(request, entry, now) if headers.lacks(_BEYOND) else None
        if entry.visits < _VISITS_MAX:
            entry.visits += 1
        self._hit()
        self._saved(entry.cost)
        request.decisions.append(_HIT)
        return whole(entry, render_hit(entry, now, self._status), method)
