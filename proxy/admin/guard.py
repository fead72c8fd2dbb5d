"""Keeps web pages from operating the proxy through the operator's browser. Pure.

The admin API asks for no password: who reaches its address may use it. A browser reaches
loopback addresses on behalf of any page it shows, so a request that changes something must
not come from a page of another site. Browsers tell: they send Origin with every POST, and
Sec-Fetch-Site where they trust the address. Programs send neither and pass.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


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


def _authority(origin: str) -> str:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") else ""


def _is_address(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name.endswith(".localhost"):
            return True
        ip_address(name)
    except ValueError:
        return False
    return True
