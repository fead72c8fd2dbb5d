"""Whether a stored response may answer a request (RFC 9111, 4 and 5.2.1). Pure."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from proxy.http1.cache_control import NO_DIRECTIVES, Directives
from proxy.policies.cache.entry import Entry

Use = Literal["fresh", "stale_while", "validate"]
"""`fresh`: use it. `stale_while`: use it, and fetch it anew meanwhile. `validate`: ask first."""

# Directives of a request that bear on reuse.
_BEARING: Final = ("no-cache", "no-store", "max-age", "min-fresh", "max-stale")


class Wish(NamedTuple):
    """What a client that is obeyed wants.

    fetch: nothing stored. keep: the answer may be stored. only_stored: nothing fetched.
    max_age, min_fresh, max_stale: seconds, or None. stale_if: a bound for what is used when
    the service fails; one that only narrows is obeyed whoever asks.
    """

    fetch: bool = False
    keep: bool = True
    only_stored: bool = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: int | None = None
    stale_if: int | None = None


NO_WISH: Final = Wish()


def read_wish(directives: Directives, obeyed: bool) -> Wish:
    """What a request wants of the cache."""
    if directives is NO_DIRECTIVES:
        return NO_WISH
    stale_if = directives.seconds("stale-if-error")
    if not obeyed:
        return NO_WISH if stale_if is None else Wish(stale_if=stale_if)
    max_stale = directives.seconds("max-stale")
    if directives.bare("max-stale"):
        # Without a value any staleness will do; an unreadable one means none.
        max_stale = 2**31 if not directives.argument("max-stale") else 0
    return Wish(
        fetch="no-cache" in directives or "no-store" in directives,
        keep="no-store" not in directives,
        only_stored="only-if-cached" in directives,
        max_age=directives.seconds("max-age"),
        min_fresh=directives.seconds("min-fresh"),
        max_stale=max_stale,
        stale_if=stale_if,
    )


def judge(entry: Entry, wish: Wish, now: float) -> Use:
    """How an entry may be used. now: monotonic seconds."""
    if wish is NO_WISH:
        if now < entry.fresh_until:
            return "fresh"
        return "stale_while" if now < entry.while_until else "validate"
    if wish.fetch:
        return "validate"
    age = entry.terms.age + now - entry.received
    if wish.max_age is not None and age > wish.max_age:
        return "validate"
    left = entry.fresh_until - now
    if wish.min_fresh is not None and left < wish.min_fresh:
        return "validate"
    if left > 0:
        return "fresh"
    if wish.max_stale is not None and may_be_stale(entry) and -left <= wish.max_stale:
        return "fresh"
    return "stale_while" if now < entry.while_until else "validate"


def may_be_stale(entry: Entry) -> bool:
    """Nothing forbids that it is used after its time (RFC 9111, 4.2.4)."""
    return not entry.spoilt and not entry.terms.validate and not entry.terms.strict


def usable_on_error(entry: Entry, wish: Wish, now: float) -> bool:
    """It may be used since the service fails (RFC 5861, 4)."""
    if now >= entry.error_until:
        return False
    return wish.stale_if is None or now - entry.fresh_until <= wish.stale_if
