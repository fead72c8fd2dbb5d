"""Errors of a service, which become envelopes where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import orjson

from proxy.contract import Request, Response
from proxy.errors import CODES, GatewayError
from proxy.http1.headers import Headers
from proxy.policies.error_envelope.options import Options

# Fields that describe the body that is replaced, or how long it may be kept.
_OF_THE_BODY: Final = frozenset({
    "accept-ranges", "age", "cache-control", "content-digest", "content-disposition",
    "content-encoding", "content-language", "content-location", "content-md5", "content-range",
    "content-type", "digest", "etag", "expires", "last-modified", "link", "pragma",
    "repr-digest",
})  # fmt: skip
# A body that may be an envelope already is read up to here to find out.
_ENVELOPE_MAX: Final = 16 * 1024
_ENVELOPE_KEYS: Final = frozenset({"error", "detail", "status", "request_id"})


class Replacing:
    """Replaces errors of the upstream. make: an envelope of these fields."""

    def __init__(
        self, options: Options, make: Callable[[Request, int, str, str, Headers], Response]
    ) -> None:
        self._problem = options.format == "problem"
        self._always = options.upstream == "always"
        self._shadow = options.mode == "shadow"
        self._make = make

    async def replaced(self, request: Request, response: Response) -> Response:
        """The upstream's error as an envelope, or as it is when that will do."""
        media = (response.headers.get("content-type") or "").partition(";")[0].strip().lower()
        is_json = media == "application/json" or media.endswith("+json")
        if is_json and (not self._always or await self._is_envelope(media, response)):
            return response
        if self._shadow:
            request.decide("error_envelope", "would_change", f"upstream {response.status} {media}")
            return response
        aclose = getattr(response.body, "aclose", None)
        if aclose is not None:
            with suppress(GatewayError):
                await aclose()
        code = "upstream_error" if response.status >= 500 else "upstream_refused"
        headers = response.headers
        headers.drop(_OF_THE_BODY)
        made = self._make(request, response.status, code, CODES[code].detail, headers)
        made.close = response.close
        return made

    async def _is_envelope(self, media: str, response: Response) -> bool:
        """Whether a JSON body has the house's form; reads it when it is short enough."""
        if self._problem:
            return media == "application/problem+json"
        if "content-encoding" in response.headers:
            return False
        if not isinstance(response.body, bytes):
            if response.length is None or response.length > _ENVELOPE_MAX:
                return False
            response.body = b"".join([piece async for piece in response.body])
        try:
            value = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            return False
        return isinstance(value, dict) and value.keys() >= _ENVELOPE_KEYS
