"""A stored response, and the other things that are kept under a key.

May live here: what is kept, how much memory it takes, how old it is. Must not live here:
whether it may be used (`reuse`), or what is sent of it (`answer`).

Moments are monotonic seconds of this process. Nothing of an entry changes but what the
trove and `spoil` do; a response that was validated is another entry with the same body.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from proxy.http1.byte_range import Span
from proxy.http1.headers import Headers
from proxy.policies.cache.storing import Terms, tags_of

Pieces = tuple[bytes, ...]

# What an entry, its key and its place in the trove take besides the bytes of its body, what a
# field takes besides its name and value, and a tag besides that; by tests/benchmarks/weights.
_ENTRY_WEIGHT: Final = 1800
_FIELD_WEIGHT: Final = 150
_TAG_WEIGHT: Final = 320
_MARK_WEIGHT: Final = 900
# Of the negative logarithm of a random number this much is not seen in a thousand draws.
_LATEST: Final = 7.0
NEVER: Final = float("-inf")


class Entry:
    """A stored response.

    body: its bytes, in pieces when it is large. size: of the body. span: the bytes of the
    whole that the body holds, None for all; complete: the length of the whole. received:
    when it came. made: the same as seconds since 1970. fresh_until, while_until,
    error_until: until when it is fresh, may be used while it is fetched anew, and may be
    used when that fails. cost: seconds that the fetch took. terms: on which it is kept.
    calm_until: until when nobody need think of fetching it anew early. rendered: its fields
    as they are sent in a certain second of its age. spoilt: it must be asked for anew before
    it is used. chunks: what the names of its chunks in the depot begin with. mark: False, since
    it isn't only the way to one.
    """

    mark = False
    __slots__ = (
        "body", "calm_until", "chunks", "complete", "cost", "error_until", "fresh_until", "headers",
        "key", "made", "received", "rendered", "size", "span", "spoilt", "status", "tags", "terms",
        "url", "visits", "weight", "while_until",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        url: str,
        status: int,
        headers: Headers,
        body: bytes | Pieces,
        terms: Terms,
        received: float,
        made: float,
        cost: float,
        early: float,
        span: Span | None = None,
        complete: int = -1,
    ) -> None:
        self.key = key
        self.url = url
        self.status = status
        self.headers = headers
        self.body = body
        self.size = len(body) if isinstance(body, bytes) else sum(map(len, body))
        self.span = span
        self.complete = self.size if complete < 0 else complete
        self.terms = terms
        self.received = received
        self.made = made
        self.cost = cost
        self.spoilt = False
        self.chunks = ""
        born = received - terms.age
        usable = NEVER if terms.validate else born + terms.lifetime
        self.fresh_until = usable
        self.while_until = usable + terms.stale_while
        self.error_until = usable + terms.stale_if
        # A part answers few requests, so that each is looked at.
        self.calm_until = NEVER if span else self.fresh_until - early * cost * _LATEST
        self.tags = tags_of(headers)
        self.visits = 0
        self.weight = self.size + _ENTRY_WEIGHT + 2 * len(key) + _TAG_WEIGHT * len(self.tags)
        self.weight += sum(map(_weigh, headers.lines.values()))
        self.rendered: tuple[int, Headers] | None = None

    def age(self, now: float) -> int:
        """Whole seconds since it was made, as Age tells them."""
        return int(self.terms.age + now - self.received)

    def spoil(self) -> None:
        """Mark it stale, and not to be used before the service was asked.

        What may be used when that fails still may, unless only because it was fresh.
        """
        self.fresh_until = self.while_until = self.calm_until = NEVER
        if self.terms.stale_if <= 0:
            self.error_until = NEVER
        self.spoilt = True


class Signpost:
    """Stands where a URL has several responses that differ by what requests say.

    choices: the rows of request fields that responses depended on, the latest first.
    variants: keys of the stored responses, the oldest first. languages: keys by what
    requests for a certain language say.
    """

    mark = True
    __slots__ = ("choices", "key", "languages", "tags", "url", "variants", "visits", "weight")

    def __init__(self, key: str, url: str) -> None:
        self.key = key
        self.url = url
        self.tags: tuple[str, ...] = ()
        self.weight = _MARK_WEIGHT + 2 * len(key)
        self.visits = 0
        self.choices: tuple[tuple[str, ...], ...] = ()
        self.variants: OrderedDict[str, None] = OrderedDict()
        self.languages: dict[str, str] = {}

    def spoil(self) -> None:
        """Its variants are spoilt one by one; the way to them stays."""


class Unshared:
    """Stands where the last response could not be kept: requests don't wait for each other.

    until: when that is forgotten.
    """

    mark = True
    __slots__ = ("key", "tags", "until", "url", "visits", "weight")

    def __init__(self, key: str, url: str, until: float) -> None:
        self.key = key
        self.url = url
        self.tags: tuple[str, ...] = ()
        self.weight = _MARK_WEIGHT + 2 * len(key)
        self.visits = 0
        self.until = until

    def spoil(self) -> None:
        """There is nothing to be used."""


def stored_fields(headers: Headers, drop: frozenset[str], date: bytes) -> Headers:
    """The fields of a response that are kept. date: for one that has none (RFC 9110, 6.6.1)."""
    kept = headers.copy()
    kept.drop(drop)
    if "date" not in kept:
        kept.append(b"Date", date)
    return kept


def _weigh(line: bytes) -> int:
    return len(line) + _FIELD_WEIGHT
