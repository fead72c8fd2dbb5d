"""Keeps web pages from operating the proxy through the operator's browser. Pure.

The admin API asks for no password: who reaches its address may use it. A browser reaches
loopback addresses on behalf of any page it shows, so a request that changes something must
not come from a page of another site. Browsers tell: they send Origin with every POST, and
Sec-Fetch-Site where they trust the address. Programs send neither and pass.

A page can't read what another origin answers, unless its own name was rebound to the admin
address: then it is that origin. Such a name is one that its owner can register, so browsers
are served under addresses and under names that nobody can. Programs ask by any name.
"""

from __future__ import annotations

from collections.abc import Container
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_OF_BROWSERS: Final = ("origin", "referer", "accept-language", "sec-fetch-site", "sec-fetch-mode")
_PRIVATE: Final = (
    ".local", ".internal", ".svc", ".localdomain", ".lan", ".home.arpa", ".intranet", ".corp",
    ".private", ".test", ".alt",
)  # fmt: skip


def foreign(host: str, origin: str | None, fetch_site: str | None) -> str:
    """Why a request that changes something has to be refused; empty to admit it.

    host, origin, fetch_site: the fields Host, Origin and Sec-Fetch-Site.
    """
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return "The request comes from another site's page."
    if origin is None:
        return ""
    if _authority(origin) != host.lower():
        return "The request comes from another origin's page."
    # A page whose name was rebound to this address is its own origin: same Host, same
    # Origin. No such name is an address.
    if not _is_address(host):
        return "From a browser, use the admin API by its address or as localhost."
    return ""


def rebound(host: str, fields: Container[str], agent: str) -> str:
    """Why a request that reads has to be refused; empty to admit it.

    host, agent: the fields Host and User-Agent. fields: names, in lower case.
    """
    # No page can keep its browser from sending all of them.
    browser = agent.startswith("Mozilla/") or any(name in fields for name in _OF_BROWSERS)
    if not browser or _is_address(host) or _is_private(host):
        return ""
    return "From a browser, use the admin API by its address or as localhost."


def _authority(origin: str) -> str:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") else ""


def _is_private(host: str) -> bool:
    """Whether a name is one that can't be registered (RFC 6761, 6762, 8375, 9476)."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return "." not in name or name.lower().endswith(_PRIVATE)


def _is_address(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name.endswith(".localhost"):
            return True
        ip_address(name)
    except ValueError:
        return False
    return True
