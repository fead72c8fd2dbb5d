"""Every exchange gets an ID: in logs and envelopes, sent upstream, echoed to the client."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from proxy.contract import PolicyOptions, PolicySpec, Request, Response, Toolkit
from proxy.http1.field import check_editable
from proxy.http1.identifiers import Uuid7


def _header(name: str) -> str:
    return check_editable(name, "request")


class Options(PolicyOptions):
    """Give every request an ID (UUIDv7), or keep the one it came with.

    An ID that came is kept only if it consists of letters, digits and `. _ ~ : / + = @ -`;
    anything else is replaced, so that it can't forge log lines.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"header": "X-Correlation-ID", "accept": "any"}]}
    )

    header: Annotated[str, AfterValidator(_header)] = "X-Request-ID"
    """The field that carries the ID, in requests and responses."""
    accept: Literal["trusted", "any", "never"] = "trusted"
    """Whose IDs are kept: those of `server.trusted_proxies`, anybody's, or nobody's."""
    max_length: int = Field(default=128, ge=8, le=512)
    """A longer ID is replaced."""


class RequestId:
    """Sets `request.id`; the field goes upstream and comes back with the response."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._start = options.header.encode("ascii") + b": "
        self._key = options.header.lower()
        self._any = options.accept == "any"
        self._trusted = options.accept == "trusted"
        pattern = rb"[A-Za-z0-9._~:/+=@-]{1,%d}" % options.max_length
        self._acceptable = re.compile(pattern).fullmatch
        self._make = Uuid7(toolkit.wall, toolkit.random)

    def edit_request(self, request: Request) -> None:
        """Keep or make the ID."""
        if self._any or (self._trusted and request.trusted):
            came = request.headers.raw(self._key)
            if came is not None and self._acceptable(came):
                request.id = came.decode("ascii")
                return
        request.id = made = self._make()
        request.headers.lines[self._key] = self._start + made.encode("ascii")

    def edit_response(self, request: Request, response: Response) -> None:
        """Echo it, in place of any that the upstream sent."""
        if request.id:
            response.headers.lines[self._key] = self._start + request.id.encode("ascii")


POLICY = PolicySpec("request_id", Options, RequestId, after={"trace_context"}, default=True)
