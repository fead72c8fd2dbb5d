"""Sends the client elsewhere, and never where only the client wants it sent."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import quote

from pydantic import AfterValidator, ConfigDict

from proxy.contract import PolicyOptions, PolicySpec, Request, Response, Toolkit
from proxy.errors import Refused
from proxy.http1.headers import Headers
from proxy.http1.template import Template

_START: Final = re.compile(r"(?:https?|\{scheme\})://([^/?#]*)|/(?!/)|\{path\}").match
_AUTHORITY_NAMES: Final = {"host", "path"}
_QUERY_SAFE: Final = "!$&'()*+,;=:@/?-._~%[]"


def _location(text: str) -> str:
    Template(text, "url")
    start = _START(text)
    if start is None:
        raise ValueError(
            f"{text!r}: begin with /, {{path}}, http:// or https://, so that no client can "
            "choose the host"
        )
    authority = start[1]
    if authority is not None:
        names = Template(authority).names
        if not authority or not set(names) <= _AUTHORITY_NAMES:
            raise ValueError(f"{text!r}: the host must be written out, or {{host}}")
        if "path" in names and not authority.endswith("{path}"):
            raise ValueError(f"{text!r}: {{path}} begins with a slash, so it can't be a host")
        if authority == "{path}" or authority.count("{path}") > 1:
            raise ValueError(f"{text!r}: a host must stand before {{path}}")
    return text


class Options(PolicyOptions):
    """Answer with a redirect.

    `to` is a path or a URL, and may hold `{path}`, `{path.NAME}`, `{host}`, `{scheme}` and
    the other names that `headers` knows. What they stand for is percent-encoded, and can't
    change the host: `{path}` always begins with a single slash. `{host}` is without port;
    a request that names no host is then refused with 400 `invalid_host`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"to": "https://{host}{path}"},
                {"to": "/new/{path.rest}", "status": 301},
            ]
        }
    )

    to: Annotated[str, AfterValidator(_location)]
    """Where to, as a template."""
    status: Literal[301, 302, 303, 307, 308] = 308
    """308 and 307 keep the method, 301 and 302 may turn POST to GET, 303 always does."""
    keep_query: bool = True
    """Whether the request's query goes along."""


class Redirect:
    """Answers every request; in shadow mode it notes where it would have sent it."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._to = Template(options.to, "url")
        self._needs_host = "host" in self._to.names
        self._status = options.status
        self._keep_query = options.keep_query
        self._shadow = options.mode == "shadow"

    def answer(self, request: Request) -> Response | None:
        """The redirect, without what is inside."""
        if request.failure is not None:
            # What is inside raises it: a malformed request isn't sent anywhere.
            return None
        location = self.location(request)
        if not location:
            if not self._shadow:
                request.decide("redirect", "refused", "invalid_host")
                raise Refused("invalid_host")
            request.decide("redirect", "would_refuse", "invalid_host")
            return None
        if self._shadow:
            request.decide("redirect", "would_answer", location)
            return None
        request.decide("redirect", "answered", location)
        response = Response(self._status, Headers())
        response.headers.set("Location", location)
        return response

    def location(self, request: Request) -> str:
        """The URL for this request, in ASCII; empty when it needs a host and there is none."""
        if self._needs_host and not request.host:
            # `https:///path` would make a host of the path.
            return ""
        location = self._to(request)
        if location.startswith("//"):
            # A capture that begins with a slash after a literal one.
            location = "/" + location.lstrip("/")
        if self._keep_query and request.query:
            query = quote(request.query, safe=_QUERY_SAFE, errors="replace")
            front, mark, fragment = location.partition("#")
            location = f"{front}{'&' if '?' in front else '?'}{query}{mark}{fragment}"
        return location


POLICY = PolicySpec(
    "redirect",
    Options,
    Redirect,
    after={"error_envelope", "rate_limit"},
    shorthand="to",
    answers=True,
)
