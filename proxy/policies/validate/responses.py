"""Responses held against the operation that they answer, without ever holding them up.

What is wrong with a response is the service's fault, and no client is helped by losing it:
violations are counted and logged, with places and no values.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from proxy.content.json import JsonError, read_json
from proxy.content.media import read_media
from proxy.contract import BodyStream, Request, Response, Toolkit
from proxy.errors import Violation
from proxy.policies.validate.openapi import Content, Operation

_LENGTH_MAX: Final = 1024 * 1024
_SHOWN_MAX: Final = 3


class ResponseCheck:
    """Looks at JSON responses of up to 1 MiB, once they have passed."""

    def __init__(self, toolkit: Toolkit) -> None:
        self._log = toolkit.log
        self._counter = toolkit.metrics.counter(
            "sidegate_invalid_responses_total",
            "Responses that aren't as their OpenAPI document says.",
            route=toolkit.route,
        )

    def watch(self, request: Request, response: Response, operation: Operation) -> None:
        """Hold a response against its operation; its body is looked at as it passes."""
        content = _content(operation, response)
        if isinstance(content, str):
            self._note(request, response, operation, [Violation("response", "", content)])
            return
        if content is None or content.validate is None or request.method == "HEAD":
            return
        if "content-encoding" in response.headers or (response.length or 0) > _LENGTH_MAX:
            return
        validate = content.validate

        def look(data: bytes) -> None:
            try:
                found = validate(read_json(data))
            except JsonError as error:
                found = [Violation("response", error.pointer, str(error))]
            if found:
                self._note(request, response, operation, found)

        if isinstance(response.body, bytes):
            look(response.body)
        else:
            response.body = _Watched(response.body, look)

    def _note(
        self, request: Request, response: Response, operation: Operation, found: list[Violation]
    ) -> None:
        self._counter.inc()
        self._log.warning(
            "a response is not as its OpenAPI document says",
            operation=operation.name,
            status=response.status,
            violations=[f"{row.pointer} {row.detail}".strip() for row in found[:_SHOWN_MAX]],
            route=request.route.name,
            request_id=request.id,
        )


def _content(operation: Operation, response: Response) -> Content | str | None:
    """What the document says about this response; in words when it says that it can't be."""
    responses = operation.responses
    status = str(response.status)
    contents = responses.get(status, responses.get(f"{status[0]}XX", responses.get("DEFAULT")))
    if contents is None:
        return "has a status that is not in the document"
    media = read_media(response.headers.get("content-type"))
    if not contents or media is None or response.status in (204, 304):
        return None
    content = contents.get(media.name)
    if content is None:
        ranges = ("*/*", f"{media.name.partition('/')[0]}/*")
        content = next((contents[row] for row in ranges if row in contents), None)
        if content is None:
            return "has a type that is not in the document"
    return content if media.is_json else None


class _Watched:
    """A body that passes at once, and is looked at once it has."""

    __slots__ = ("_body", "_look", "_pieces", "_size")

    def __init__(self, body: BodyStream, look: Callable[[bytes], None]) -> None:
        self._body = body
        self._look = look
        self._pieces: list[bytes] = []
        self._size = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._body.__anext__()
        except StopAsyncIteration:
            if self._size <= _LENGTH_MAX:
                self._look(b"".join(self._pieces))
            raise
        self._size += len(piece)
        if self._size <= _LENGTH_MAX:
            self._pieces.append(piece)
        else:
            self._pieces.clear()
        return piece

    async def aclose(self) -> None:
        """Nobody will read the rest."""
        self._pieces.clear()
        await self._body.aclose()
