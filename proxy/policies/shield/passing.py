"""Bodies that are looked at on their way: long forms in parts, and what is no text by its own
word.

May live here: when there is enough of a body to look at it. Must not live here: what a body
holds (`bodies`), or what becomes of one that is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.content.charset import text_of
from proxy.content.media import Media
from proxy.content.multipart import MultipartError, MultipartReader, Part
from proxy.errors import Refused
from proxy.policies.shield.bodies import is_read, json_values, part_values
from proxy.policies.shield.value import Value

Look = Callable[[list[Value]], None]
"""Looks at values. Raises Refused."""

_BLANKS: Final = b" \t\r\n\xef\xbb\xbf\xff\xfe\x00"


class PartsCheck:
    """Looks at each part of a form once it has come. limit: bytes of one that are looked at."""

    def __init__(self, look: Look, limit: int, media: Media) -> None:
        self._look = look
        self._limit = limit
        self._part: Part | None = None
        self._pieces: list[bytes] = []
        self._left = 0
        try:
            self._reader = MultipartReader(media.parameters.get("boundary"))
        except MultipartError:
            raise _malformed() from None

    def feed(self, data: bytes) -> None:
        """Take a piece. Raises Refused, also for a form that can't be followed."""
        try:
            events = self._reader.feed(data)
        except MultipartError:
            raise _malformed() from None
        for event in events:
            if isinstance(event, Part):
                self._part, self._pieces = event, []
                self._left = self._limit if is_read(event) else 0
            elif isinstance(event, bytes):
                if self._left:
                    self._pieces.append(event[: self._left])
                    self._left -= len(self._pieces[-1])
            elif self._part is not None:
                self._look(list(part_values(self._part, b"".join(self._pieces))))

    def finish(self) -> None:
        """There is no more."""


def _malformed() -> Refused:
    return Refused("malformed_body", "The form can't be read.")


class JsonCheck:
    """Looks at JSON, whatever the body says it is: line by line if it says that these are JSON,
    else once it is here, up to a limit."""

    def __init__(self, look: Look, limit: int, media: Media | None) -> None:
        self._look = look
        self._media = media
        self._limit = limit
        self._by_line = media is not None and "json" in media.name
        self._pieces: list[bytes] = []
        self._left = limit
        self._over = self._begun = False

    def feed(self, data: bytes) -> None:
        """Take a piece. Raises Refused."""
        if self._over:
            return
        if self._by_line:
            lines, end, data = data.rpartition(b"\n")
            if end:
                self._keep(lines)
                self._look_at()
        elif not self._begun and (begin := data.lstrip(_BLANKS)[:1]):
            self._begun = True
            if begin not in (b"{", b"["):
                self._over = True
                return
        self._keep(data)
        if self._left <= 0:
            self._look_at()
            self._over = not self._by_line

    def finish(self) -> None:
        """There is no more. Raises Refused."""
        if not self._over:
            self._look_at()

    def _keep(self, data: bytes) -> None:
        self._pieces.append(data)
        self._left -= len(data)

    def _look_at(self) -> None:
        data = b"".join(self._pieces)
        self._pieces, self._left = [], self._limit
        self._look(list(json_values(text_of(data), self._media)))
