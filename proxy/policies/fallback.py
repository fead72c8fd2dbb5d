"""Gives another answer when the upstream has none: from another upstream, or a fixed one."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, model_validator

from proxy.asking import Asked, Asking, Given, Inside, PatientAsker, Pending, ask_through
from proxy.canned import Canned, CannedResponse
from proxy.contract import Handler, PolicyOptions, PolicySpec, Request, Response, Toolkit
from proxy.errors import Aborted, GatewayError, Unsent
from proxy.http1.method import IDEMPOTENT
from proxy.http1.status import check_status, read_statuses


def _check(text: str) -> str:
    return text if text == "failure" else check_status(text)


def _rows(value: object) -> object:
    rows = value if isinstance(value, list | tuple) else [value]
    return [str(row) if isinstance(row, int) else row for row in rows]


class Options(PolicyOptions):
    """Answer from elsewhere when the upstream fails or isn't asked.

    Give `upstream`, `respond`, or both: then `respond` is for when the other upstream fails
    as well. It stands outside of `cache`, which may still have a stale answer.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"upstream": "standby"},
                {"on": ["failure", "5xx"], "respond": {"status": 200, "json": {"items": []}}},
            ]
        }
    )

    on: Annotated[tuple[Annotated[str, AfterValidator(_check)], ...], BeforeValidator(_rows)] = (
        "failure",
    )
    """When: `failure` (no answer, whether the upstream failed, its breaker is open or it has no
    room), and statuses as `503` or `5xx`."""
    upstream: str | None = None
    """The upstream to ask instead, a key of `upstreams`. Requests whose body streams have been
    sent already and can't be sent there; nor are those that may have been handled, such as a
    POST after which the connection broke, unless handling them twice is harmless or their
    status is in `on`."""
    respond: Canned | None = None
    """A fixed response, with the options of `respond`."""

    @model_validator(mode="after")
    def _fits(self) -> Options:
        if self.upstream is None and self.respond is None:
            raise ValueError("has nothing to answer with; give `upstream` or `respond`")
        return self


class Fallback:
    """Stands around the upstream, its retries and its cache."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._failure = "failure" in options.on
        self._statuses = read_statuses(options.on)
        self._shadow = options.mode == "shadow"
        if options.upstream is not None and options.upstream == toolkit.target.name:
            raise ValueError(f'"{options.upstream}" is the upstream that failed; name another one')
        self._name = options.upstream or ""
        self._ask = None if options.upstream is None else toolkit.ask(options.upstream)
        self._respond = None if options.respond is None else CannedResponse(options.respond)

    def wrap(self, forward: Handler) -> Handler:
        """A handler that answers by other means where `forward` doesn't."""
        return Asking(self.ask, forward)

    def ask(self, request: Request, inside: Inside, asker: PatientAsker | None) -> Asked | Pending:
        """Ask `inside`; another answer has to be waited for."""
        return ask_through(self, None, inside, request, asker)

    def answered(self, ticket: None, request: Request, response: Response) -> Given:
        """An answer came, which may be none that was hoped for."""
        if response.status not in self._statuses or response.origin != "upstream":
            return response
        return self._replaced(request, response)

    def failed(self, ticket: None, request: Request, error: BaseException) -> Given:
        """None came."""
        if not isinstance(error, GatewayError) or isinstance(error, Aborted):
            raise error
        if not self._failure or error.fault != "upstream":
            raise error
        return self._rescued(request, error)

    async def _replaced(self, request: Request, response: Response) -> Response:
        keep = False
        try:
            other = await self._other(request, str(response.status), True)
            keep = other is None
        finally:
            if not keep and not isinstance(response.body, bytes):
                await response.body.aclose()
        return response if other is None else other

    async def _rescued(self, request: Request, error: GatewayError) -> Response:
        again = isinstance(error, Unsent) or request.method in IDEMPOTENT
        other = await self._other(request, error.code, again)
        if other is None:
            raise error
        return other

    async def _other(self, request: Request, reason: str, again: bool) -> Response | None:
        """Another answer; None when there is none. again: the request may be sent to another."""
        if self._shadow:
            request.decide("fallback", "would_answer", reason)
            return None
        if again and self._ask is not None and isinstance(request.body, bytes):
            try:
                response = await self._ask(request)
            except Aborted:
                raise
            except GatewayError:
                if self._respond is None:
                    raise
            else:
                if self._respond is None or response.status not in self._statuses:
                    request.decide("fallback", "answered", f"{self._name} on {reason}")
                    return response
                if not isinstance(response.body, bytes):
                    await response.body.aclose()
        if self._respond is None:
            return None
        request.decide("fallback", "answered", f"{self._respond.status} on {reason}")
        return self._respond(request)


POLICY = PolicySpec(
    "fallback", Options, Fallback, after={"error_envelope"}, before={"cache", "retry"}
)
