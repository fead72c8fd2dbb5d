"""A request's body as policies look at it: read once, decoded once, parsed once.

Several policies may have to see the same body. The first one to ask reads it, and what was
made of it is kept in `request.state` for as long as nobody replaces the body. The body that
is forwarded stays as it came.

May live here: reading, content codings, and what each media type is parsed to. Must not live
here: what is allowed (the policies), or grammars (`content`).
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from proxy.body import Body, glance
from proxy.content.form import Pair, read_pairs
from proxy.content.json import UNLIMITED, JsonError, read_json
from proxy.content.media import Media, read_media
from proxy.contract import Request

_STATE: Final = "entity"
_WINDOWS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_PAIRS_MAX: Final = 4096


class Entity:
    """The beginning of a body, or all of it.

    data: decoded bytes. whole: nothing follows them. media: None without a readable
    Content-Type. coding: the content coding that could not be undone; empty for none.
    """

    __slots__ = ("_json", "_pairs", "body", "coding", "data", "limit", "media", "whole")

    def __init__(self, body: Body, data: bytes, whole: bool, media: Media | None, limit: int):
        self.body = body
        self.data = data
        self.whole = whole
        self.media = media
        self.limit = limit
        self.coding = ""
        self._json: list[Any] | JsonError | None = None
        self._pairs: list[Pair] | None = None

    def json(self) -> Any:
        """The value of a JSON text. Raises JsonError."""
        if self._json is None:
            try:
                self._json = [read_json(self.data, UNLIMITED)]
            except JsonError as error:
                self._json = error
        if isinstance(self._json, JsonError):
            raise self._json
        return self._json[0]

    def pairs(self) -> list[Pair]:
        """The pairs of a form."""
        if self._pairs is None:
            text = self.data.decode("utf-8", "replace")
            self._pairs = read_pairs(text, _PAIRS_MAX)
        return self._pairs


async def read_entity(request: Request, limit: int) -> Entity:
    """The first `limit` bytes of a request's body, decoded. Raises GatewayError.

    The request may be forwarded as before; a body that came whole is bytes from then on.
    """
    known: Entity | None = request.state.get(_STATE)
    if known is not None and known.body is request.body and (known.whole or known.limit >= limit):
        return known
    data, body = await glance(request.body, limit)
    whole = isinstance(body, bytes) and len(body) <= limit
    if body is not request.body:
        request.body = body
        if isinstance(body, bytes):
            request.length = len(body)
    entity = Entity(body, data, whole, read_media(request.headers.get("content-type")), limit)
    coding = request.headers.get("content-encoding")
    if coding is not None and coding.strip().lower() != "identity":
        _decode(entity, coding.strip().lower(), limit)
    request.state[_STATE] = entity
    return entity


def _decode(entity: Entity, coding: str, limit: int) -> None:
    window = _WINDOWS.get(coding)
    if window is None:
        entity.coding = coding[:32]
        return
    unpacker = zlib.decompressobj(window)
    try:
        entity.data = unpacker.decompress(entity.data, limit)
    except zlib.error:
        entity.coding = coding
        return
    entity.whole = entity.whole and unpacker.eof and not unpacker.unused_data
