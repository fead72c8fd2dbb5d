"""Tells trusted callers why they got this answer: the route, what each policy decided, by which
rule, and where in the configuration that stands."""

from __future__ import annotations

from hmac import compare_digest
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final

from pydantic import ConfigDict, Field, model_validator

from proxy.config.listing import ONE_OR_MANY
from proxy.contract import PolicyOptions, PolicySpec, Request, Response, Toolkit
from proxy.http1.headers import encode
from proxy.http1.networks import Networks, range_of

_FIELD: Final = "sidegate-why"
_NAME: Final = b"Sidegate-Why"
_DETAIL_MAX: Final = 128
_MAX: Final = 8 * 1024


class Options(PolicyOptions):
    """Tell callers that ask, and may know, why they got this answer.

    A request asks with the field `Sidegate-Why`, which never goes upstream, and the response
    says it in a field of the same name: the route, then each policy in its order, with its
    outcome, the rule (`by`) and the place in the configuration (`at`).

        curl -H 'Sidegate-Why: SECRET' -i http://127.0.0.1:8080/

    For requests that match no route the global entry counts; one that can't be read has
    asked nothing.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"clients": ["10.20.0.0/16"]}, {"secret": "correct horse battery"}]
        }
    )

    clients: Annotated[tuple[IPv4Network | IPv6Network, ...], ONE_OR_MANY] = ()
    """Networks whose clients may know, by the address that `server.trusted_proxies` allow to
    be believed; the field may say anything."""
    secret: str | None = Field(default=None, min_length=16, max_length=256)
    """Whoever says this in the field may know; `!file` keeps it out of the configuration."""
    trusted_proxies: bool = False
    """Whoever `server.trusted_proxies` pass the field on for may know. Only where they take it
    from strangers."""

    @model_validator(mode="after")
    def _somebody(self) -> Options:
        if not (self.clients or self.secret or self.trusted_proxies):
            raise ValueError("nobody would be told; give `clients` or a `secret`")
        return self


class Why:
    """Takes the question off requests, and puts the answer on responses."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._clients = Networks(map(range_of, options.clients))
        self._secret = (options.secret or "").encode()
        self._proxies = options.trusted_proxies
        # What is there to tell of every request: the places, outermost policy first.
        self._places = {
            name: f";at={_quoted(place)}" for name, place in toolkit.places.items() if name
        }
        route = f"route;name={_quoted(toolkit.route)}" if toolkit.route else "no_route"
        place = toolkit.places.get("", "")
        self._route = f"{route};at={_quoted(place)}" if place else route

    def edit_request(self, request: Request) -> None:
        """Remember whether the question may be answered."""
        asked = request.headers.raw(_FIELD)
        if asked is None:
            return
        request.headers.remove(_FIELD)
        if (
            (self._secret and compare_digest(asked, self._secret))
            or (self._proxies and request.trusted)
            or request.client_ip in self._clients
        ):
            request.state["why"] = True

    def edit_response(self, request: Request, response: Response) -> None:
        """Answer it. What an upstream says of the kind is another proxy's affair."""
        if "why" not in request.state:
            return
        decided: dict[str, str] = {}
        for policy, outcome, detail in request.decisions:
            # Several decisions of one policy are told in their order.
            by = f";by={_quoted(detail[:_DETAIL_MAX])}" if detail else ""
            decided[policy] = f"{decided.get(policy, '')};{outcome}{by}"
        parts = [self._route]
        parts += [f"{name}{decided.pop(name, '')}{place}" for name, place in self._places.items()]
        parts += [f"{name}{outcome}" for name, outcome in decided.items()]
        if response.error:
            parts.append(f"error;code={_quoted(response.error)}")
        response.headers.set_raw(_NAME, encode(", ".join(parts)[:_MAX]))


def _quoted(text: str) -> str:
    """A string of structured fields (RFC 9651, 3.3.3); what it can't hold is a question mark."""
    plain = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


POLICY = PolicySpec(
    "why",
    Options,
    Why,
    after={"trace_context"},
    before={"request_id", "security_headers", "error_envelope"},
    unrouted=True,
)
