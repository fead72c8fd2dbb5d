"""The one place where failures become responses: nothing else builds an error body.

May live here: which failures are answered and in which form. Must not live here: what a
failure is (see `errors`), or anything internal in what a client gets.
"""

from __future__ import annotations

from collections.abc import Awaitable
from html import escape
from typing import Any, Final, Literal

import orjson

from proxy.contract import PolicySpec, Request, Response, Toolkit
from proxy.errors import CODES, Aborted, GatewayError, Violation
from proxy.http1.headers import Headers
from proxy.http1.negotiation import choose_format
from proxy.http1.status import REASONS
from proxy.memo import Memo
from proxy.policies.error_envelope.options import Options
from proxy.policies.error_envelope.replacing import Replacing
from proxy.timestamp import make_timestamp

# How many sets of fields are remembered: they hold times to wait, which change by the second.
_FIELDS_MAX: Final = 256
_FORMS_MAX: Final = 256
_ACCEPT_MAX: Final = 256
_dumps: Final = orjson.dumps
Form = Literal["json", "problem", "html", "text"]
_TYPES: Final[dict[Form, str]] = {
    "json": "application/json",
    "problem": "application/problem+json",
    "html": "text/html; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}


class ErrorEnvelope:
    """Turns failures, and errors of the upstream, into envelopes."""

    only_reads: Final = True

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._problem = options.format == "problem"
        self._least = {"never": 600, "non_json": 500, "always": 400}[options.upstream]
        self._timestamp = make_timestamp(toolkit.wall)
        self._fields: Memo[tuple[Form, tuple[tuple[str, str], ...]], Headers] = Memo(_FIELDS_MAX)
        self._given: _Answer | None = None
        # By the line that says what a client prefers.
        self._forms: Memo[bytes | None, Form] = Memo(_FORMS_MAX)
        self._log = toolkit.log
        self._replaced = Replacing(options, self._envelope).replaced

    def replace(self, request: Request, response: Response) -> Response | Awaitable[Response]:
        """The upstream's error as an envelope, if it is one that this is asked to replace."""
        if response.status < self._least or response.origin != "upstream":
            return response
        return self._replaced(request, response)

    def rescue(self, request: Request, error: Exception) -> Response:
        """An envelope of whatever failed; raises nothing but `Aborted`."""
        if isinstance(error, Aborted):
            raise error
        if isinstance(error, GatewayError):
            return self._of_error(request, error)
        return self._of_exception(request, error)

    def _of_error(self, request: Request, error: GatewayError) -> Response:
        # Without a cause the access line tells all there is.
        if error.cause:
            note = self._log.debug if error.fault == "client" else self._log.warning
            note(
                "request failed",
                error=error.code,
                cause=error.cause,
                route=request.route.name,
                request_id=request.id,
            )
        accept = request.headers.lines.get("accept")
        answer = self._given
        if (
            answer is None
            or answer.error is not error
            or answer.headers is not error.headers
            or answer.accept != accept
        ):
            answer = self._answer_to(request, error, accept)
        body = self._body(request, answer.form, answer.facts)
        response = _respond(request, answer.status, answer.code, answer.fields.copy(), body)
        response.close = answer.close
        return response

    def _answer_to(self, request: Request, error: GatewayError, accept: bytes | None) -> _Answer:
        form = self._form_for(request, accept)
        answer = _Answer(error, accept, form, self._fields_of(form, error.headers))
        if error.__traceback__ is None:
            # It was given, so that it may be given again; what was raised holds on to its request.
            self._given = answer
        return answer

    def _fields_of(self, form: Form, headers: tuple[tuple[str, str], ...]) -> Headers:
        """The fields of an envelope that has these besides. Many refusals have the same ones."""
        known = self._fields.get((form, headers))
        if known is None:
            known = Headers()
            _describe(known, form)
            for name, value in headers:
                known.add(name, value)
            self._fields[form, headers] = known
        return known

    def _of_exception(self, request: Request, error: Exception) -> Response:
        self._log.error(
            "unexpected exception",
            exception_class=type(error).__name__,
            raised_at=_place(error),
            route=request.route.name,
            request_id=request.id,
        )
        self._log.debug("traceback", exc_info=error, request_id=request.id)
        row = CODES["internal_error"]
        return self._envelope(request, row.status, "internal_error", row.detail, Headers())

    def _form_for(self, request: Request, accept: bytes | None) -> Form:
        """The form that the client prefers. accept: the line that says which."""
        form = self._forms.get(accept)
        if form is None:
            chosen = choose_format(request.headers.get("accept"))
            form = "problem" if chosen == "json" and self._problem else chosen
            if accept is None or len(accept) <= _ACCEPT_MAX:
                self._forms[accept] = form
        return form

    def _envelope(
        self,
        request: Request,
        status: int,
        code: str,
        detail: str,
        headers: Headers,
    ) -> Response:
        form = self._form_for(request, request.headers.lines.get("accept"))
        body = self._body(request, form, _facts(status, code, detail))
        _describe(headers, form)
        return _respond(request, status, code, headers, body)

    def _body(self, request: Request, form: Form, facts: dict[str, Any]) -> bytes:
        """In this form. facts: all but those of the request, which are filled in."""
        path = request.path
        facts["timestamp"] = self._timestamp()
        facts["path"] = path if path.isascii() else _sound(path)
        facts["request_id"] = request.id
        if form == "json":
            return _dumps(facts)
        if form == "problem":
            title = REASONS.get(facts["status"], "Error")
            return _dumps({"type": "about:blank", "title": title, **facts})
        return _page(facts) if form == "html" else _line(facts)


class _Answer:
    """What is answered to an error, but for what is each request's own.

    accept: the line of the clients that it is for. fields, facts: of its head and its body.
    """

    __slots__ = ("accept", "close", "code", "error", "facts", "fields", "form", "headers", "status")

    def __init__(
        self, error: GatewayError, accept: bytes | None, form: Form, fields: Headers
    ) -> None:
        self.error = error
        self.accept = accept
        self.form = form
        self.fields = fields
        self.headers = error.headers
        self.status = error.status
        self.code = error.code
        self.close = error.close
        self.facts = _facts(error.status, error.code, error.detail, error.violations)


def _facts(
    status: int, code: str, detail: str, violations: tuple[Violation, ...] = ()
) -> dict[str, Any]:
    """What a body says, in its order; what is the request's own is empty."""
    facts: dict[str, Any] = {
        "error": code,
        "detail": detail if detail.isascii() else _sound(detail),
        "status": status,
        "timestamp": "",
        "path": "",
        "request_id": "",
    }
    if violations:
        facts["errors"] = [
            {"in": place, "pointer": _sound(pointer), "detail": _sound(text)}
            for place, pointer, text in violations
        ]
    return facts


def _describe(headers: Headers, form: Form) -> None:
    headers.set("Content-Type", _TYPES[form])
    headers.set("Cache-Control", "no-store")


def _respond(request: Request, status: int, code: str, headers: Headers, body: bytes) -> Response:
    length = len(body)
    # RFC 9110, 9.3.2: HEAD has the fields that GET would have, and no body.
    sent = b"" if request.method == "HEAD" else body
    response = Response(status, headers, sent, length=length)
    response.error = code
    return response


def _sound(text: str) -> str:
    """Text that JSON can carry: bytes that weren't UTF-8 become question marks."""
    return text.encode("utf-8", "replace").decode()


def _place(error: Exception) -> str:
    """`file:line` where it was raised."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _line(facts: dict[str, Any]) -> bytes:
    title = REASONS.get(facts["status"], "Error")
    request_id = f", request {facts['request_id']}" if facts["request_id"] else ""
    lines = [f"{facts['status']} {title}: {facts['detail']} ({facts['error']}{request_id})"]
    lines += [f"- {row['in']} {row['pointer']}: {row['detail']}" for row in facts.get("errors", ())]
    return "\n".join([*lines, ""]).encode()


# No style sheet of its own: a strict Content-Security-Policy would refuse it, and the
# browser's default is readable and follows the colour scheme.
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{status} {title}</title>
</head>
<body>
<main>
<h1>{status} {title}</h1>
<p>{detail}</p>
<dl>
<dt>Error</dt><dd><code>{error}</code></dd>
<dt>Path</dt><dd><code>{path}</code></dd>
<dt>Time</dt><dd><time datetime="{timestamp}">{timestamp}</time></dd>
<dt>Request</dt><dd><code>{request_id}</code></dd>
</dl>
{errors}</main>
</body>
</html>
"""


def _page(facts: dict[str, Any]) -> bytes:
    shown = {name: escape(str(value)) for name, value in facts.items()}
    rows = "".join(
        f"<li>{escape(row['in'])} <code>{escape(row['pointer'])}</code>: {escape(row['detail'])}\n"
        for row in facts.get("errors", ())
    )
    shown["errors"] = f"<ul>\n{rows}</ul>\n" if rows else ""
    return _PAGE.format(title=escape(REASONS.get(facts["status"], "Error")), **shown).encode()


POLICY = PolicySpec(
    "error_envelope",
    Options,
    ErrorEnvelope,
    after={"headers", "request_id", "security_headers", "trace_context"},
    default=True,
)
