"""Refuses requests that another site's page makes in its visitor's name."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict

from proxy.config.listing import ONE_OR_MANY
from proxy.contract import PolicyOptions, PolicySpec, Request, Toolkit
from proxy.errors import Refused
from proxy.http1.field import check_name
from proxy.http1.origin import Origins, bare_authority, check_origin, origin_host

# RFC 9110, 9.2.1. A service that changes something on GET can't be helped here.
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Options(PolicyOptions):
    """Refuse what pages of other sites send with a visitor's cookies; 403 `cross_site`.

    Looked at are requests that may change something (all but GET, HEAD and OPTIONS, and
    WebSockets) and carry a cookie. Browsers say where they come from, in `Sec-Fetch-Site`, else in
    `Origin`; no token and no change of the service is needed. Programs say neither and pass.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"trusted_origins": ["https://accounts.example.com"]},
                {"cookies": ["session"], "same_site": True},
            ]
        }
    )

    trusted_origins: Annotated[
        tuple[Annotated[str, AfterValidator(check_origin)], ...], ONE_OR_MANY
    ] = ()
    """Origins, other than the service's own, whose pages may send such requests; written as
    in `cors`."""
    cookies: Annotated[tuple[Annotated[str, AfterValidator(check_name)], ...], ONE_OR_MANY] = ()
    """Names of cookies that carry a session; empty for any cookie."""
    same_site: bool = False
    """Whether pages of the same site, such as another subdomain, are trusted."""
    unknown: Literal["pass", "refuse"] = "pass"
    """Requests that don't say where they come from: programs, and browsers before 2020."""


class Csrf:
    """A gate. Requests without cookies, and safe ones, cost a look-up or two."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._trusted = Origins(options.trusted_origins)
        self._cookies = frozenset(options.cookies)
        self._same_site = options.same_site
        self._strict = options.unknown == "refuse"

    def check(self, request: Request) -> None:
        """Raise Refused `cross_site`."""
        if request.method in _SAFE and not request.upgrade:
            return
        cookie = request.headers.get("cookie")
        if cookie is None or (self._cookies and self._cookies.isdisjoint(_names(cookie))):
            return
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        if site is None and origin is None:
            if self._strict:
                raise Refused("cross_site", "The request doesn't say which page it comes from.")
            return
        if site in ("same-origin", "none") or (site == "same-site" and self._same_site):
            return
        if origin is not None:
            # The scheme is left aside: what terminates TLS before this may not tell it.
            own = bare_authority(request.authority, request.scheme)
            if site is None and origin_host(origin) in (own, bare_authority(own, "https")):
                return
            if origin in self._trusted:
                return
        raise Refused("cross_site")


def _names(cookie: str) -> set[str]:
    return {pair.partition("=")[0].strip() for pair in cookie.split(";")}


POLICY = PolicySpec(
    "csrf",
    Options,
    Csrf,
    after={"error_envelope", "hosts", "methods"},
    before={"cache", "redirect", "respond"},
)
