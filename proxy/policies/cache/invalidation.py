"""What a request that may have changed something makes out of date (RFC 9111, 4.4). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urljoin, urlsplit

from proxy.contract import Request, Response

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH"})
"""Methods that change nothing (RFC 9110, 9.2.1, and their registry). Any other may, those
that nobody has heard of first."""

_REFERENCES: Final = ("location", "content-location")


def outdated(request: Request, response: Response, url: str) -> Iterator[str]:
    """The URLs whose stored responses a request makes out of date, in both schemes.

    url: of the request, as keys have it. Nothing is, unless the response says that the
    request was carried out; and another origin's URLs never are.
    """
    if request.method in SAFE or not 200 <= response.status < 400:
        return
    yield from _both(url)
    for key in _REFERENCES:
        reference = response.headers.get(key)
        if reference is None:
            continue
        named = resolve(url, reference)
        if named is not None:
            yield from _both(named)


def resolve(url: str, reference: str) -> str | None:
    """A reference as a URL of the same host, as keys have it; None for another host's."""
    try:
        parts = urlsplit(urljoin(url, reference))
        same = parts.netloc.lower() == urlsplit(url).netloc
    except ValueError:
        return None
    if not same or parts.scheme not in ("http", "https"):
        return None
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path or '/'}{query}"


def _both(url: str) -> Iterator[str]:
    rest = url.partition("://")[2]
    yield f"http://{rest}"
    yield f"https://{rest}"
