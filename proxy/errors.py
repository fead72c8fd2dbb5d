"""Every failure that Sidegate can answer with, in one table.

This module knows nothing of sockets, policies or formats. It says whose fault a
failure is, which status and stable code a client gets, and one sentence for it.
Internal facts (addresses, exception texts) go into `cause`, which only the log reads.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, Self

Fault = Literal["client", "proxy", "upstream"]


class Code(NamedTuple):
    """One row of the table of errors.

    status: the HTTP status code that goes with it.
    fault: who has to change something for the request to succeed.
    detail: the default sentence for the client; carries nothing internal.
    """

    status: int
    fault: Fault
    detail: str


class Violation(NamedTuple):
    """One thing that is wrong with a request, for the client to mend.

    place: `body`, `query`, `path`, `header` or `cookie`. pointer: where in it (RFC 6901),
    without control characters. detail: what is wrong; it repeats nothing that was sent.
    """

    place: str
    pointer: str
    detail: str


CODES: Final[dict[str, Code]] = {
    "bad_request": Code(400, "client", "The request could not be understood."),
    "invalid_header": Code(400, "client", "A header field of the request is malformed."),
    "invalid_host": Code(400, "client", "The Host field is missing, repeated or malformed."),
    "invalid_target": Code(400, "client", "The request target is malformed or ambiguous."),
    "invalid_framing": Code(
        400, "client", "The length of the request body is stated ambiguously or malformed."
    ),
    "incomplete_body": Code(400, "client", "The request body ended before its stated length."),
    "malformed_body": Code(400, "client", "The request body is not what its type says."),
    "body_too_complex": Code(400, "client", "The request body holds too much of something."),
    "suspicious_input": Code(
        400, "client", "The request holds something that looks like an attack."
    ),
    "forbidden": Code(403, "client", "The request is not allowed."),
    "bot_refused": Code(403, "client", "This program is not served here."),
    "cross_site": Code(403, "client", "The request comes from another site's page."),
    "certificate_required": Code(403, "client", "A client certificate is needed for this."),
    "certificate_refused": Code(403, "client", "This client certificate is not allowed here."),
    "route_not_found": Code(404, "client", "No route matches this request."),
    "method_not_allowed": Code(405, "client", "This resource does not support the method."),
    "request_timeout": Code(408, "client", "The request did not arrive in time."),
    "body_too_large": Code(413, "client", "The request body exceeds the limit."),
    "target_too_long": Code(414, "client", "The request target exceeds the limit."),
    "unsupported_media_type": Code(
        415, "client", "This resource does not take a body of this type."
    ),
    "expectation_failed": Code(417, "client", "The Expect field asks for something unknown."),
    "invalid_input": Code(422, "client", "The request is not as this resource needs it."),
    "host_not_allowed": Code(421, "client", "This host is not served here."),
    "rate_limited": Code(429, "client", "Too many requests."),
    "head_too_large": Code(431, "client", "The request header fields exceed the limit."),
    "internal_error": Code(500, "proxy", "The gateway failed to handle this request."),
    "unknown_coding": Code(501, "client", "The transfer coding of the request is not supported."),
    "method_not_supported": Code(501, "client", "The request method is not supported."),
    "upstream_unreachable": Code(502, "upstream", "The service could not be reached."),
    "upstream_closed": Code(
        502, "upstream", "The service closed the connection without an answer."
    ),
    "upstream_invalid": Code(502, "upstream", "The service sent an invalid response."),
    "upstream_error": Code(502, "upstream", "The service failed to handle this request."),
    "upstream_refused": Code(400, "client", "The service refused this request."),
    "pool_exhausted": Code(503, "upstream", "The service is busy; all connections are in use."),
    "tunnels_exhausted": Code(503, "upstream", "The service has as many WebSockets as it may."),
    "upstream_overloaded": Code(
        503, "upstream", "The service has too much to do at the moment; try again later."
    ),
    "shed": Code(503, "proxy", "There is too much to do at the moment; try again later."),
    "no_endpoints": Code(503, "upstream", "The service has no instance at the moment."),
    "circuit_open": Code(
        503, "upstream", "The service is failing; it is not asked until it recovers."
    ),
    "limit_unavailable": Code(503, "proxy", "The request could not be checked against its limit."),
    "overloaded": Code(503, "proxy", "The gateway is at its limit of connections."),
    "draining": Code(503, "proxy", "The gateway is shutting down."),
    "upstream_timeout": Code(504, "upstream", "The service did not answer in time."),
    "deadline_exceeded": Code(504, "upstream", "The request took longer than it may."),
    "connect_timeout": Code(504, "upstream", "The service did not accept a connection in time."),
    "not_stored": Code(504, "client", "No stored response can answer this request."),
    "unknown_version": Code(505, "client", "The HTTP version is not supported."),
}


class GatewayError(Exception):
    """A failure with a status, a stable code and a sentence for the client.

    code: a key of `CODES`, or a policy's own code when `status` is given as well.
    detail: replaces the table's sentence; it reaches the client, so nothing internal.
    headers: extra response fields, such as `Retry-After`.
    cause: internal facts for the log only.
    close: the client's connection can't be used for another request.
    violations: all that is wrong with the request, where more than one thing can be.
    """

    headers: tuple[tuple[str, str], ...] = ()
    cause: str = ""
    close: bool = False
    violations: tuple[Violation, ...] = ()

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        status: int | None = None,
        fault: Fault | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        cause: str = "",
        close: bool = False,
        violations: tuple[Violation, ...] = (),
    ) -> None:
        row = CODES.get(code)
        if row is None:
            if status is None:
                raise ValueError(f"error code {code!r} is not in the table and has no status")
            row = Code(status, fault or "client", "The request was refused.")
        own_status, own_fault, own_detail = row
        self.code = code
        self.status = own_status if status is None else status
        self.fault: Fault = own_fault if fault is None else fault
        self.detail = own_detail if detail is None else detail
        # Else it is as the class says, which saves 0.2 µs of a refusal together with leaving
        # out `super().__init__`: all that does is to note `args` once more.
        if headers:
            self.headers = headers
        if cause:
            self.cause = cause
        if close:
            self.close = True
        if violations:
            self.violations = violations

    def again(self) -> Self:
        """The same failure anew: one that is raised remembers where, and may be changed on its
        way, so that one for many requests is not."""
        twin = self.__class__.__new__(self.__class__, *self.args)
        twin.__dict__.update(self.__dict__)
        return twin

    @property
    def rule(self) -> str:
        """What it goes by, for operators: the code, and behind a colon the cause, if there is one.

        Metrics take the code from it. A cause may hold what a client made up.
        """
        return f"{self.code}: {self.cause}" if self.cause else self.code

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.detail}" + (
            f" ({self.cause})" if self.cause else ""
        )


class Unsent(GatewayError):
    """The request was certainly not sent, so that any may be tried again."""


class Unanswered(GatewayError):
    """The request may have been handled, and no byte of a response came; it may be repeated if
    repeating it is harmless."""


class Refused(GatewayError):
    """A policy's refusal of a request; in shadow mode it is counted instead of sent."""


class Aborted(GatewayError):
    """The exchange broke after its response had begun: only closing the connection is honest."""
