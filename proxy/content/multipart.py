"""Forms in parts (RFC 7578, framed by RFC 2046), read as they come. Pure.

Nothing is kept but the head of the part that is being read and a delimiter's length of its
data. What two readers could part differently is refused: text before the first delimiter or
after the last, lines that end in a bare LF, a second name or file name, an unknown transfer
encoding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from proxy.content.media import Media, read_media

_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]").fullmatch
_HEAD_MAX: Final = 4096
_FIELDS_MAX: Final = 8
_FIELD: Final = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)").fullmatch
_DISPOSITION: Final = re.compile(r"form-data[ \t]*(?=;|$)", re.IGNORECASE)
_PARAMETER: Final = re.compile(
    r';[ \t]*([A-Za-z0-9*-]+)=("(?:[^"\\]|\\.)*"|[^\s";]*)[ \t]*(?=;|$)', re.DOTALL
)
_PADDING: Final = re.compile(rb"[ \t]*").match


class MultipartError(Exception):
    """A body that is no form in parts, or can be read in two ways. Repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """The head of a part.

    file: the name of the file that it is; None for a plain value. extended: the name stands
    in `filename*` alone, which RFC 7578, 4.2 forbids, so that some readers take it for a value.
    """

    name: str
    file: str | None
    media: Media | None
    extended: bool = False


Event = Part | bytes | None
"""A part begins; some of its data; it ends."""


class MultipartReader:
    """Reads one body. boundary: the parameter of its Content-Type."""

    __slots__ = ("_data", "_delimiter", "_state", "parts")

    def __init__(self, boundary: str | None) -> None:
        if boundary is None or _BOUNDARY(boundary) is None:
            raise MultipartError("the boundary is missing or malformed")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        # As if a line had just ended: the first delimiter begins the body.
        self._data = b"\r\n"
        self._state: Literal["start", "after", "head", "empty", "data", "end"] = "start"
        self.parts = 0

    @property
    def finished(self) -> bool:
        """The last delimiter has come."""
        return self._state == "end"

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes bring. Raises MultipartError."""
        self._data += data
        events: list[Event] = []
        while self._step(events):
            pass
        return events

    def finish(self) -> None:
        """There is no more. Raises MultipartError when the form isn't complete."""
        if not self.finished:
            raise MultipartError("it ends before its last delimiter")

    def _step(self, events: list[Event]) -> bool:
        """Go on as far as the bytes allow; False when more are needed."""
        data, delimiter = self._data, self._delimiter
        if self._state == "start":
            if data.startswith(b"\r\n\r\n"):
                data = self._data = data[2:]
            if len(data) < len(delimiter):
                if not delimiter.startswith(data):
                    raise MultipartError("it doesn't begin with its delimiter")
                return False
            if not data.startswith(delimiter):
                raise MultipartError("it doesn't begin with its delimiter")
            self._data = data[len(delimiter) :]
            self._state = "after"
            return True
        if self._state == "after":
            return self._after()
        if self._state == "head":
            return self._head(events)
        if self._state == "empty":
            return self._maybe_empty()
        if self._state == "data":
            return self._content(events)
        if data not in (b"", b"\r", b"\r\n"):
            raise MultipartError("something follows its last delimiter")
        return False

    def _after(self) -> bool:
        data = self._data
        if len(data) < 2:
            return False
        if data.startswith(b"--"):
            self._data = data[2:]
            self._state = "end"
            return True
        match = _PADDING(data)
        rest = data[match.end() :] if match else data
        if len(rest) < 2 and len(data) < 64:
            return False
        if not rest.startswith(b"\r\n"):
            raise MultipartError("something follows a delimiter on its line")
        self._data = rest[2:]
        self._state = "head"
        return True

    def _head(self, events: list[Event]) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end > _HEAD_MAX or (end < 0 and len(self._data) > _HEAD_MAX):
            raise MultipartError("the head of a part is too long")
        if end < 0:
            return False
        part = _read_head(self._data[:end])
        self.parts += 1
        events.append(part)
        # The line end before the data belongs to the delimiter that follows an empty part.
        self._data = self._data[end + 2 :]
        self._state = "empty"
        return True

    def _maybe_empty(self) -> bool:
        if len(self._data) < len(self._delimiter) and self._delimiter.startswith(self._data):
            return False
        if not self._data.startswith(self._delimiter):
            self._data = self._data[2:]
        self._state = "data"
        return True

    def _content(self, events: list[Event]) -> bool:
        end = self._data.find(self._delimiter)
        if end >= 0:
            if end:
                events.append(self._data[:end])
            events.append(None)
            self._data = self._data[end + len(self._delimiter) :]
            self._state = "after"
            return True
        # What could be the beginning of a delimiter stays.
        safe = len(self._data) - len(self._delimiter) + 1
        if safe > 0:
            events.append(self._data[:safe])
            self._data = self._data[safe:]
        return False


def _read_head(data: bytes) -> Part:
    lines = data.split(b"\r\n")
    if len(lines) > _FIELDS_MAX:
        raise MultipartError("a part has too many fields")
    fields: dict[str, str] = {}
    for line in lines:
        match = _FIELD(line)
        if match is None:
            raise MultipartError("the head of a part is malformed")
        name = match[1].decode("ascii").lower()
        if name in fields:
            raise MultipartError("a part has a field twice")
        fields[name] = match[2].decode("utf-8", "replace").strip()
    if fields.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
        raise MultipartError("a part has a transfer encoding")
    disposition = fields.get("content-disposition", "")
    match_type = _DISPOSITION.match(disposition)
    if match_type is None:
        raise MultipartError("a part is no field of a form")
    parameters = _read_parameters(disposition, match_type.end())
    if "name" not in parameters:
        raise MultipartError("a part has no name")
    file = parameters.get("filename")
    extended = "filename*" in parameters
    if extended:
        # Some programs send both, with the same in them (RFC 6266, 4.3).
        if file is not None and file != _extended(parameters["filename*"]):
            raise MultipartError("a part has two file names")
        extended = file is None
        file = _extended(parameters["filename*"])
    return Part(parameters["name"], file, read_media(fields.get("content-type")), extended)


def _read_parameters(text: str, place: int) -> dict[str, str]:
    parameters: dict[str, str] = {}
    while place < len(text):
        match = _PARAMETER.match(text, place)
        if match is None:
            raise MultipartError("the head of a part is malformed")
        name, value = match[1].lower(), match[2]
        if value.startswith("'"):
            # No quote to RFC 9110, 5.6.4, and one to PHP, so that they see other parameters.
            raise MultipartError("the head of a part is malformed")
        if name in parameters:
            raise MultipartError(f"a part has two {'names' if name == 'name' else 'file names'}")
        if value.startswith('"'):
            # WHATWG HTML, 4.10.21.8: browsers escape quotes and line ends by percent signs, and
            # backslashes not at all.
            value = value[1:-1].replace('\\"', '"')
            value = value.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
        parameters[name] = value
        place = match.end()
    return parameters


def _extended(value: str) -> str:
    """A value in the notation of RFC 8187."""
    coding, mark, rest = value.partition("'")
    _, second, text = rest.partition("'")
    if not mark or not second or coding.lower() not in ("utf-8", "iso-8859-1"):
        raise MultipartError("a file name is malformed")
    return unquote_to_bytes(text).decode(coding, "replace")
