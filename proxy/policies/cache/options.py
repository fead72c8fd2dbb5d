"""What the user writes for the cache. Values and their checks, no behaviour."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from proxy.config.listing import ONE_OR_MANY
from proxy.config.units import Duration
from proxy.contract import PolicyOptions, Written
from proxy.http1.field import check_name


def _parameter(pattern: str) -> str:
    if not pattern or "*" in pattern[:-1] or any(mark in pattern for mark in "&=# "):
        raise ValueError(
            f"{pattern!r} is no query parameter; write its name, or how it begins: utm_*"
        )
    return pattern


def _media(pattern: str) -> str:
    kind, slash, name = pattern.partition("/")
    if not (kind and slash and name) or ";" in pattern or " " in pattern:
        raise ValueError(f"{pattern!r} is no media type; write one as text/css or image/*")
    return pattern.lower()


def _path(pattern: str) -> str:
    if not pattern.startswith("/"):
        raise ValueError(f"{pattern!r} is no path; begin with a slash: /static/**")
    return pattern


_Names = Annotated[tuple[str, ...], ONE_OR_MANY]
_Headers = Annotated[tuple[Annotated[str, AfterValidator(check_name)], ...], ONE_OR_MANY]
_Parameters = Annotated[tuple[Annotated[str, AfterValidator(_parameter)], ...], ONE_OR_MANY]


class _Part(Written):
    """Base of the nested options."""


class Query(_Part):
    """How the query counts in the key."""

    ignore: _Parameters = ()
    """Parameters that don't count, by name or beginning (`utm_*`). They aren't sent to the
    service either, which could otherwise be made to answer everybody by what one client wrote."""
    only: _Parameters | None = None
    """The parameters that count; all others are treated as if under `ignore`."""
    sort: bool = False
    """Whether the order of parameters is all one; the service then gets them in order of name."""

    @model_validator(mode="after")
    def _one_way(self) -> Query:
        if self.ignore and self.only is not None:
            raise ValueError("give `ignore` or `only`, not both")
        return self


class Key(_Part):
    """What tells one stored response from another."""

    query: Query = Query()
    """Which of the query counts; all of it, as it is written, unless said otherwise."""
    headers: _Headers = ()
    """Request fields whose values count, besides those that the service names in `Vary`."""
    cookies: _Names = ()
    """Cookies whose values count."""
    claims: _Names = ()
    """Claims of the authenticated client whose values count, such as its tenant."""
    identity: bool = True
    """Whether clients that a policy has authenticated, or that have shown a certificate, each have
    responses of their own. Off only where what the service answers is the same for all of them, or
    for all of equal `claims`."""


class Rule(_Part):
    """A time to live for some responses. All that is given has to hold; the first rule counts."""

    ttl: Duration
    """How long they are fresh; `0` keeps them from being stored."""
    type: Annotated[tuple[Annotated[str, AfterValidator(_media)], ...], ONE_OR_MANY] = ()
    """Media types: `text/css`, `image/*`."""
    status: Annotated[tuple[Annotated[int, Field(ge=200, le=599)], ...], ONE_OR_MANY] = ()
    """Status codes. Without them the rule is for 200, 203, 204, 300, 301 and 308."""
    path: Annotated[tuple[Annotated[str, AfterValidator(_path)], ...], ONE_OR_MANY] = ()
    """Paths: `*` stops at a slash, `**` doesn't."""


class Coalesce(_Part):
    """How requests for the same thing share one request to the service."""

    timeout: Duration = Field(default=5.0, gt=0)
    """How long a request waits for the response that another one has asked for; then it is
    forwarded by itself."""
    memory: Duration = 10.0
    """After an answer that can't be shared: how long requests of its kind don't wait for
    each other."""


class Options(PolicyOptions):
    """Keep responses and answer with them, as RFC 9111 has it for a shared cache.

    What may be kept, and for how long, is the service's word: `Sidegate-Cache-Control`, else
    `CDN-Cache-Control`, else `Surrogate-Control`, else `Cache-Control` and `Expires`; where it
    says nothing, a tenth of the age that `Last-Modified` gives, or what is set here. Each response
    tells in `Cache-Status` what became of it. The memory is shared by all routes; `cache.memory`
    of the configuration bounds it.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                "5m",
                {"ttl": "5m", "stale_while_revalidate": "1m"},
                {
                    "key": {"query": {"ignore": ["utm_*", "gclid"], "sort": True}},
                    "ttl_by": [
                        {"type": "image/*", "ttl": "1d"},
                        {"status": [404, 410], "ttl": "10s"},
                    ],
                },
            ]
        }
    )

    ttl: Duration | None = None
    """How long responses of status 200, 203, 204, 300, 301 and 308 are fresh when the service
    doesn't say; absent, only those are that have a `Last-Modified`."""
    ttl_by: tuple[Rule, ...] = ()
    """Times for some responses, before `ttl`."""
    negative: Duration | None = None
    """How long errors (404, 405, 410, 414, 500, 501, 502, 503 and 504) are kept when the
    service doesn't say and no rule of `ttl_by` does."""
    override: Literal["never", "freshness", "all"] = "never"
    """Whether `ttl`, `ttl_by` and `negative` count against the service's own word: `freshness`
    replaces how long it says, `all` also no-store, no-cache and private. A response with
    `Set-Cookie`, or to a request with `Authorization`, is never kept against its word."""
    jitter: float = Field(default=0.0, ge=0, le=0.5)
    """By which share times are shortened at random, so that what was stored together doesn't
    run out together: 0.1 for a tenth at most."""
    heuristic_max: Duration = 86400.0
    """Most that is made of `Last-Modified`; 0 for nothing."""
    stale_while_revalidate: Duration = 0.0
    """How long a response that has run out is served while it is fetched anew in the
    background, when the service doesn't say; never against must-revalidate and its like."""
    stale_if_error: Duration = 600.0
    """How long a response that has run out is served when the service can't be reached or
    answers 500, 502, 503 or 504, unless it says otherwise itself."""
    early_refresh: float = Field(default=1.0, ge=0, le=100)
    """How eagerly responses are fetched anew before they run out, in the background: at random,
    the likelier the longer the fetch took and the nearer the end is. 0 turns it off."""
    key: Key = Key()
    """What tells one stored response from another, besides scheme, host and path."""
    set_cookie: Literal["explicit", "never", "strip"] = "explicit"
    """What becomes of responses with `Set-Cookie`: kept with it when the service itself says how
    long they are fresh; never kept; or as `explicit`, and cookies are left out of the copy."""
    honor_request_directives: Literal["never", "trusted", "always"] = "trusted"
    """Whose `Cache-Control: no-cache` and the like are obeyed: those of
    `server.trusted_proxies`, or of anybody. Whoever is obeyed can have each of its requests
    sent to the service."""
    variants: int = Field(default=32, ge=1, le=1000)
    """Most stored responses of one URL that differ by `Vary`; further ones replace the oldest."""
    coalesce: Coalesce = Coalesce()
    """How requests for the same thing share one request to the service."""
    status: bool = True
    """Whether responses carry `Cache-Status` (RFC 9211)."""
    purge_method: Annotated[tuple[IPv4Network | IPv6Network, ...], ONE_OR_MANY] = ()
    """Whose requests of method `PURGE` remove the URL they are for; others' are forwarded."""
