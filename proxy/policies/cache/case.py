"""A request for something that may be stored, with what is known of it so far. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from proxy.asking import Inside
from proxy.contract import Request
from proxy.policies.cache.entry import Entry, Unshared
from proxy.policies.cache.record import Record
from proxy.policies.cache.reuse import NO_WISH, Use, Wish
from proxy.policies.cache.shelf import Place

# What makes the answer to a request fit for its client alone, as long as nothing is stored.
_OWN: Final = frozenset({"if-none-match", "if-modified-since", "range"})
_AUTHORIZATION: Final = frozenset({"authorization"})


class Case(NamedTuple):
    """One request.

    inside: what asks the service. url: as keys have it. key: of that URL. place: where the
    answer stands or would. held: what of it can be used to fetch less. reason: why it is
    fetched, as Cache-Status has it. record: of what another instance has. others: answers to
    requests that said something else in the fields of Vary, of which the one that is wanted may
    be a copy.
    """

    request: Request
    inside: Inside
    url: str
    key: str
    place: Place
    wish: Wish
    held: Entry | None
    reason: str
    record: Record | None = None
    others: tuple[Entry, ...] = ()


def plain(request: Request, wish: Wish) -> bool:
    """A request for all of something, whoever asks."""
    headers = request.headers
    return (
        request.method == "GET"
        and wish is NO_WISH
        and headers.lacks(_OWN)
        and headers.lacks(_AUTHORIZATION)
    )


def completes(request: Request, entry: Entry, use: Use) -> bool:
    """A stored beginning can be completed to answer a request, rather than fetched again."""
    return (
        use != "validate"
        and entry.span is not None
        and entry.span.first == 0
        and request.method == "GET"
        and request.headers.lacks(_OWN)
    )


def shareable(case: Case, now: float) -> bool:
    """What is fetched for a request is likely to answer others that come meanwhile."""
    headers, held, item = case.request.headers, case.held, case.place.item
    if case.wish is not NO_WISH or not headers.lacks(_AUTHORIZATION):
        return False
    if isinstance(item, Unshared) and now < item.until:
        return False
    if held is None:
        return headers.lacks(_OWN)
    # What has to be validated for each request is validated by each.
    return not held.terms.validate and held.terms.lifetime > 0
