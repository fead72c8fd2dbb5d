"""Answers by itself with a fixed response."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from proxy.contract import PolicyOptions, PolicySpec, Request, Response, Toolkit
from proxy.http1.field import check_editable, check_value
from proxy.http1.headers import Headers, encode
from proxy.http1.template import Template, check_template

_BODILESS = (204, 205, 304)
_BODY_MAX = 1024 * 1024


def _header(name: str) -> str:
    return check_editable(name, "response")


class Options(PolicyOptions):
    """Answer with a fixed response; nothing is forwarded.

    Without `body` and `json` the response is empty, whatever its status.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"status": 200, "json": {"status": "ok"}},
                {"status": 503, "body": "Back at noon.\n", "headers": {"Retry-After": "3600"}},
            ]
        }
    )

    status: int = Field(default=200, ge=200, le=599)
    """The status code."""
    body: str | None = Field(default=None, max_length=_BODY_MAX)
    """The body as text."""
    json_body: Any = Field(default=None, alias="json")
    """The body as a value that is sent as JSON."""
    content_type: Annotated[str, AfterValidator(check_value)] | None = None
    """By default `application/json` for `json`, else `text/plain; charset=utf-8`."""
    headers: dict[
        Annotated[str, AfterValidator(_header)], Annotated[str, AfterValidator(check_template)]
    ] = Field(default={})
    """More fields by name; values may be templates, as in `headers`."""

    @model_validator(mode="after")
    def _fits(self) -> Options:
        as_json = "json_body" in self.model_fields_set
        if as_json and self.body is not None:
            raise ValueError("give `body` or `json`, not both")
        if (as_json or self.body) and self.status in _BODILESS:
            raise ValueError(f"a response of status {self.status} has no body")
        if as_json:
            try:
                orjson.dumps(self.json_body)
            except TypeError as error:
                raise ValueError(f"`json` can't be sent as JSON: {error}") from None
        return self


class Respond:
    """Answers every request; in shadow mode it notes that it would have."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._status = options.status
        self._detail = str(options.status)
        self._shadow = options.mode == "shadow"
        as_json = "json_body" in options.model_fields_set
        self._body = orjson.dumps(options.json_body) if as_json else encode(options.body or "")
        kind = "application/json" if as_json else "text/plain; charset=utf-8"
        fields: list[tuple[str, str]] = []
        if self._body or options.content_type is not None:
            fields.append(("Content-Type", options.content_type or kind))
        self._fields = tuple(fields)
        self._templates = tuple((name, Template(text)) for name, text in options.headers.items())

    def answer(self, request: Request) -> Response | None:
        """The response, without what is inside."""
        if request.failure is not None:
            # What is inside raises it: a malformed request has no other answer.
            return None
        if self._shadow:
            request.decide("respond", "would_answer", self._detail)
            return None
        request.decide("respond", "answered", self._detail)
        return self._answer(request)

    def _answer(self, request: Request) -> Response:
        headers = Headers()
        for name, value in self._fields:
            headers.set(name, value)
        for name, template in self._templates:
            headers.set(name, template(request))
        body = b"" if request.method == "HEAD" else self._body
        return Response(self._status, headers, body, length=len(self._body))


POLICY = PolicySpec(
    "respond",
    Options,
    Respond,
    after={"error_envelope", "rate_limit", "redirect"},
    shorthand="status",
    answers=True,
)
