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
_GZIP: Final = 31
# RFC 9110, 8.4.1.2 has it that `deflate` is framed; the second is what some send and take.
_DEFLATE: Final = (15, -15)
_WINDOWS: Final = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": _DEFLATE}
_CODINGS_MAX: Final = 3
_MEMBERS_MAX: Final = 64


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
            self._pairs = read_pairs(text)
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
    if coding is not None:
        _decode(entity, coding, limit)
    request.state[_STATE] = entity
    return entity


def _decode(entity: Entity, named: str, limit: int) -> None:
    """Undo the codings of a Content-Encoding value, the last first (RFC 9110, 8.4)."""
    codings = [coding for row in named.lower().split(",") if (coding := row.strip())]
    codings = [coding for coding in codings if coding != "identity"]
    data, complete = entity.data, entity.whole
    for coding in reversed(codings[: _CODINGS_MAX + 1]):
        undone = _unpack(data, _WINDOWS.get(coding, ()), limit)
        # All of it may be here, and yet have no end.
        cut_short = undone is not None and complete and not undone[1] and len(undone[0]) < limit
        if undone is None or cut_short or len(codings) > _CODINGS_MAX:
            entity.coding = ", ".join(codings)[:32]
            return
        data, ended = undone
        complete = complete and ended
    entity.data, entity.whole = data, complete


def _unpack(data: bytes, windows: tuple[int, ...], limit: int) -> tuple[bytes, bool] | None:
    """The first `limit` bytes, and whether there are no more; None for what is coded otherwise."""
    for window in windows:
        try:
            return _unpack_members(data, window, limit)
        except zlib.error:
            continue
    return None


def _unpack_members(data: bytes, window: int, limit: int) -> tuple[bytes, bool]:
    """As `_unpack`. Raises zlib.error. Of gzip there may be several members (RFC 1952, 2.2)."""
    made = b""
    for _ in range(_MEMBERS_MAX if window == _GZIP else 1):
        unpacker = zlib.decompressobj(window)
        # One byte more than wanted tells that there are more.
        made += unpacker.decompress(data, limit + 1 - len(made))
        data = unpacker.unused_data
        if len(made) > limit or not unpacker.eof:
            return made[:limit], False
        if not data:
            return made, True
    raise zlib.error("something follows")
