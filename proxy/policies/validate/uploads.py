"""Bodies that are checked as they pass: forms in parts (how many, how large, what kind of
files), and the length of any.

Nothing is kept but the beginning of a file, until it is clear what it is, and the values that
schemas speak of. Of a body that
is refused on its way the service gets no end, and so no body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxy.content.json import escape
from proxy.content.magic import NEEDED, is_a, kind_of
from proxy.content.media import Media
from proxy.content.multipart import MultipartError, MultipartReader, Part
from proxy.errors import Refused, Violation
from proxy.policies.validate.fields import PartValues
from proxy.policies.validate.schemas import shown

_UNSAFE_NAME: Final = re.compile(r"[/\\\x00-\x1f\x7f]|^\.{1,2}$")


class SizeCheck:
    """Refuses bodies beyond a length, in bytes."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def feed(self, data: bytes) -> None:
        """Take a piece. Raises Refused `body_too_large`."""
        self._left -= len(data)
        if self._left < 0:
            raise Refused("body_too_large")

    def finish(self) -> None:
        """It was within the limit."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """parts, files: how many. file, value: bytes of one. types: of files; empty for any."""

    parts: int
    files: int
    file: int
    value: int
    types: tuple[str, ...]


class UploadCheck:
    """Checks one body, piece by piece. values: takes those that are no files, if any does."""

    def __init__(self, media: Media, limits: UploadLimits, values: PartValues | None) -> None:
        self._limits = limits
        self._values = values
        self._part: Part | None = None
        self._size = 0
        self._head = b""
        self._settled = True
        self._files = 0
        try:
            self._reader = MultipartReader(media.parameters.get("boundary"))
        except MultipartError as error:
            raise _malformed(error) from None

    def feed(self, data: bytes) -> None:
        """Take a piece. Raises Refused."""
        try:
            events = self._reader.feed(data)
        except MultipartError as error:
            raise _malformed(error) from None
        for event in events:
            if isinstance(event, Part):
                self._begin(event)
            elif isinstance(event, bytes):
                self._take(event)
            else:
                self._settle()
                if self._values is not None and self._part is not None:
                    self._values.end(self._part)

    def finish(self) -> None:
        """There is no more. Raises Refused."""
        try:
            self._reader.finish()
        except MultipartError as error:
            raise _malformed(error) from None
        if self._values is not None:
            self._values.finish()

    def _begin(self, part: Part) -> None:
        limits = self._limits
        self._part, self._size, self._head = part, 0, b""
        self._settled = part.file is None or not limits.types
        if self._reader.parts > limits.parts:
            raise _too_complex(f"more than {limits.parts} parts")
        if part.file is None:
            return
        self._files += 1
        if self._files > limits.files:
            raise _too_complex(f"more than {limits.files} files")
        if _UNSAFE_NAME.search(part.file):
            raise self._refused("has a file name that leads elsewhere")

    def _take(self, data: bytes) -> None:
        is_file = self._part is not None and self._part.file is not None
        self._size += len(data)
        limit = self._limits.file if is_file else self._limits.value
        if self._size > limit:
            what = "file" if is_file else "value"
            raise Refused(
                "body_too_large", f"A {what} of the form exceeds the limit of {limit} bytes."
            )
        if self._values is not None and not is_file:
            self._values.take(data)
        if not self._settled:
            self._head += data[: NEEDED - len(self._head)]
            if len(self._head) >= NEEDED:
                self._settle()

    def _settle(self) -> None:
        if self._settled:
            return
        self._settled = True
        if self._size == 0:
            # A file field that the user left empty.
            return
        kind = kind_of(self._head)
        if not any(is_a(kind, wanted) for wanted in self._limits.types):
            raise self._refused(f"is a file of a kind that is not taken here ({kind})")

    def _refused(self, detail: str) -> Refused:
        name = self._part.name if self._part is not None else ""
        violation = Violation("body", shown(f"/{escape(name)}"), detail)
        return Refused("invalid_input", violations=(violation,))


def _malformed(error: MultipartError) -> Refused:
    return Refused("malformed_body", f"The form can't be read: {error}.")


def _too_complex(what: str) -> Refused:
    return Refused("body_too_complex", f"The form holds {what}.")
