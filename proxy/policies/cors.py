"""Says which web pages of other origins may use a service, and answers their preflights."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, model_validator

from proxy.config.listing import ONE_OR_MANY, at_least_one
from proxy.config.units import Duration
from proxy.contract import PolicyOptions, PolicySpec, Request, Response, Toolkit
from proxy.http1.field import check_name
from proxy.http1.headers import Headers
from proxy.http1.origin import Origins, check_origin

_FIELDS: Final = frozenset({
    "access-control-allow-origin", "access-control-allow-credentials",
    "access-control-allow-methods", "access-control-allow-headers",
    "access-control-expose-headers", "access-control-max-age",
    "access-control-allow-private-network",
})  # fmt: skip
_REQUESTED_MAX: Final = 1024
_NAME: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_REQUESTED: Final = re.compile(rf"{_NAME}(?:[ \t]*,[ \t]*{_NAME})*").fullmatch
_PREFLIGHT_VARY: Final = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


def _origin(text: str) -> str:
    return text if text == "*" else check_origin(text)


def _name(text: str) -> str:
    return text if text == "*" else check_name(text)


_Names = Annotated[tuple[Annotated[str, AfterValidator(_name)], ...], ONE_OR_MANY]


class Options(PolicyOptions):
    """Let scripts of other origins use the service (CORS), and answer their preflights.

    The service's own `Access-Control-*` fields are replaced. Pages of origins that aren't
    listed get none, so that browsers keep the response from them; requests themselves are
    not refused, which is what `csrf` is for. A preflight takes the route of the method that
    it announces, and never reaches the service.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"origins": "*"},
                {
                    "origins": ["https://app.example.com", "https://*.example.org"],
                    "headers": ["Authorization", "Content-Type"],
                    "credentials": True,
                },
            ]
        }
    )

    origins: Annotated[
        tuple[Annotated[str, AfterValidator(_origin)], ...],
        AfterValidator(at_least_one),
        ONE_OR_MANY,
    ]
    """`https://app.example.com`, `https://*.example.com` for all below it, `~` and a regular
    expression for the whole origin, `null` for sandboxed pages and files, or `*` for any."""
    methods: Annotated[tuple[str, ...], ONE_OR_MANY] = (
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE",
    )  # fmt: skip
    """Methods that scripts may use."""
    headers: _Names = ("Content-Type",)
    """Request fields that scripts may set, besides those that need no leave; `*` for any."""
    expose: _Names = ()
    """Response fields that scripts may read, besides those that need no leave."""
    credentials: bool = False
    """Whether scripts may send cookies and credentials. Never together with `*`."""
    max_age: Duration = 600.0
    """How long browsers may remember the answer to a preflight."""

    @model_validator(mode="after")
    def _safe(self) -> Options:
        if "*" in self.origins and len(self.origins) > 1:
            raise ValueError("`*` stands for any origin; leave the others out of `origins`")
        if self.credentials:
            for name in ("origins", "expose"):
                if "*" in getattr(self, name):
                    raise ValueError(
                        f"`credentials` and `{name}: *` would let any page act for any user; "
                        f"write out the {'origins' if name == 'origins' else 'fields'}"
                    )
            if "null" in self.origins:
                raise ValueError(
                    "`credentials` and the origin `null`: any page can make itself `null`"
                )
        return self


class Cors:
    """Answers preflights, and puts its fields on every other response."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._any = "*" in options.origins
        self._origins = Origins(() if self._any else options.origins)
        self._credentials = options.credentials
        self._shadow = options.mode == "shadow"
        self._expose = ", ".join(options.expose)
        self._methods = ", ".join(options.methods)
        # With credentials `*` would be the name of a field (Fetch, 4.8), so what is asked
        # for is listed instead.
        self._any_headers = "*" in options.headers
        self._headers = ", ".join(name for name in options.headers if name != "*")
        self._max_age = str(int(options.max_age))

    def answer(self, request: Request) -> Response | None:
        """The answer to a preflight, which goes no further."""
        preflight = request.method == "OPTIONS" and self._is_preflight(request)
        if self._shadow:
            if preflight:
                request.decide("cors", "would_answer", "preflight")
            elif "origin" in request.headers:
                request.decide("cors", "would_change", "response headers")
            return None
        if not preflight:
            return None
        request.decide("cors", "answered", "preflight")
        return self._preflight(request)

    def replace(self, request: Request, response: Response) -> Response:
        """The response from inside, with what browsers are told about it."""
        if not self._shadow:
            self._dress(request, response.headers)
        return response

    def _is_preflight(self, request: Request) -> bool:
        fields = request.headers
        return (
            "origin" in fields
            and "access-control-request-method" in fields
            # A request that could not be read has no other answer than its failure.
            and request.failure is None
        )

    def _preflight(self, request: Request) -> Response:
        headers = Headers()
        if self._permit(request, headers):
            headers.set("Access-Control-Allow-Methods", self._methods)
            allowed = self._headers
            if self._any_headers:
                wanted = request.headers.get("access-control-request-headers") or ""
                if len(wanted) <= _REQUESTED_MAX and _REQUESTED(wanted):
                    allowed = wanted
            if allowed:
                headers.set("Access-Control-Allow-Headers", allowed)
            headers.set("Access-Control-Max-Age", self._max_age)
        headers.set("Vary", _PREFLIGHT_VARY)
        return Response(204, headers)

    def _dress(self, request: Request, headers: Headers) -> None:
        headers.drop(_FIELDS)
        if self._permit(request, headers) and self._expose:
            headers.set("Access-Control-Expose-Headers", self._expose)
        if not self._any:
            # Also where no origin came: a cache must not hand this response to a page.
            _vary(headers)

    def _permit(self, request: Request, headers: Headers) -> bool:
        origin = request.headers.get("origin")
        if origin is None:
            return False
        if self._any:
            headers.set("Access-Control-Allow-Origin", "*")
            return True
        if origin not in self._origins:
            return False
        headers.set("Access-Control-Allow-Origin", origin)
        if self._credentials:
            headers.set("Access-Control-Allow-Credentials", "true")
        return True


def _vary(headers: Headers) -> None:
    varies = headers.get("vary")
    if varies is None:
        headers.set("Vary", "Origin")
    elif not {"origin", "*"} & {name.strip().lower() for name in varies.split(",")}:
        headers.set("Vary", f"{varies}, Origin")


POLICY = PolicySpec(
    "cors",
    Options,
    Cors,
    after={"security_headers"},
    before={"error_envelope", "headers"},
    shorthand="origins",
    preflights=True,
)
