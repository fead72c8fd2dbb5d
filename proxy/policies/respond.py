"""Answers by itself with a fixed response."""

from __future__ import annotations

from pydantic import ConfigDict

from proxy.canned import Canned, CannedResponse
from proxy.contract import PolicyOptions, PolicySpec, Request, Response, Toolkit


class Options(PolicyOptions, Canned):
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


class Respond:
    """Answers every request; in shadow mode it notes that it would have."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._detail = str(options.status)
        self._shadow = options.mode == "shadow"
        self._answer = CannedResponse(options)

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


POLICY = PolicySpec(
    "respond",
    Options,
    Respond,
    after={"error_envelope", "rate_limit", "redirect"},
    shorthand="status",
    answers=True,
)
