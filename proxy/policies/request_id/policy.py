"""Every exchange gets an ID: in logs and envelopes, sent upstream, echoed to the client."""

from __future__ import annotations

import re

from proxy.contract import PolicySpec, Request, Response, Toolkit
from proxy.http1.identifiers import Uuid7
from proxy.policies.request_id.options import Options


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
