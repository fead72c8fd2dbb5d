"""A fixed response: what the user writes of it, and how it is given.

May live here: nothing that knows why it is given; that is a policy's.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

import orjson
from pydantic import AfterValidator, Field, model_validator

from proxy.contract import Request, Response
from proxy.http1.field import check_editable, check_value
from proxy.http1.headers import Headers, encode
from proxy.http1.template import Template, check_template
from proxy.written import Written

_BODILESS: Final = (204, 205, 304)
_BODY_MAX: Final = 1024 * 1024


def _header(name: str) -> str:
    return check_editable(name, "response")


class Canned(Written):
    """A fixed response. Without `body` and `json` it is empty, whatever its status."""

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
    def _fits(self) -> Self:
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


class CannedResponse:
    """Gives it, one for each request."""

    def __init__(self, canned: Canned) -> None:
        self.status = canned.status
        as_json = "json_body" in canned.model_fields_set
        self._body = orjson.dumps(canned.json_body) if as_json else encode(canned.body or "")
        kind = "application/json" if as_json else "text/plain; charset=utf-8"
        fields: list[tuple[str, str]] = []
        if self._body or canned.content_type is not None:
            fields.append(("Content-Type", canned.content_type or kind))
        self._fields = tuple(fields)
        self._templates = tuple((name, Template(text)) for name, text in canned.headers.items())

    def __call__(self, request: Request) -> Response:
        """The response to a request."""
        headers = Headers()
        for name, value in self._fields:
            headers.set(name, value)
        for name, template in self._templates:
            headers.set(name, template(request))
        body = b"" if request.method == "HEAD" else self._body
        return Response(self.status, headers, body, length=len(self._body))
