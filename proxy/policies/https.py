"""Sends clients that came by plain HTTP to the same URL by HTTPS."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from pydantic import ConfigDict, Field

from proxy.contract import PolicyOptions, PolicySpec, Request, Response, Toolkit
from proxy.errors import Refused
from proxy.http1.headers import Headers

_SAFE = "!$&'()*+,;=:@/?-._~%[]"


class Options(PolicyOptions):
    """Redirect requests that came by HTTP to the same URL by HTTPS.

    A trusted proxy that ended TLS is believed (`X-Forwarded-Proto`). Leave it out on routes
    that must be reached by HTTP, such as `/.well-known/acme-challenge/**`. A request that
    names no host is refused with 400 `invalid_host`.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"port": 8443}]})

    port: int = Field(default=443, ge=1, le=65535)
    """Where HTTPS is."""
    status: Literal[301, 302, 307, 308] = 308
    """308 and 307 keep the method, 301 and 302 may turn POST to GET."""


class Https:
    """Answers what came by HTTP; in shadow mode it notes where it would have sent it."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._status = options.status
        self._port = "" if options.port == 443 else f":{options.port}"
        self._shadow = options.mode == "shadow"

    def answer(self, request: Request) -> Response | None:
        """The redirect, or None for what came by HTTPS."""
        if request.scheme == "https" or request.failure is not None:
            return None
        if not request.host:
            if self._shadow:
                request.decide("https", "would_refuse", "invalid_host")
                return None
            raise Refused("invalid_host")
        # `OPTIONS *` asks about the whole server, which has no path.
        target = quote(request.target.decode("latin-1").removeprefix("*"), safe=_SAFE)
        location = f"https://{request.host}{self._port}{target}"
        if self._shadow:
            request.decide("https", "would_answer", location)
            return None
        request.decide("https", "answered", location)
        response = Response(self._status, Headers())
        response.headers.set("Location", location)
        return response


POLICY = PolicySpec(
    "https",
    Options,
    Https,
    after={"error_envelope", "hosts", "ip_filter"},
    before={"client_certificate", "rate_limit", "cache", "redirect", "respond"},
)
