"""The texts of a body, by every reading that a service may have of it.

Most bodies are what they say, and then one reading does. A body that isn't, is coded in
another charset or malformed, gets each reading that some service is known to have: what one
takes for nonsense may be an attack on another.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from quopri import decodestring
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from proxy.content.charset import codec_of, text_of
from proxy.content.form import Pair
from proxy.content.json import JsonError, loose_strings, read_json, strings, walk
from proxy.content.media import Media
from proxy.content.multipart import MultipartError, MultipartReader, Part
from proxy.entity import Entity
from proxy.policies.shield.value import Value, joined, nested, of_form, of_pairs, with_nested

_BINARY: Final = (
    "image/", "audio/", "video/", "font/", "application/octet-stream", "application/zip",
    "application/gzip", "application/pdf", "application/grpc", "application/wasm",
)  # fmt: skip
# What the prototype of all objects is reached by, where nobody takes `__proto__`.
_PROTOTYPE: Final = "constructor.prototype"
_HEAD_END: Final = re.compile(r"\r?\n\r?\n")
_NAME: Final = re.compile(r"[\s;]name\s*=\s*(?:\"([^\"]*)|([^\s;\"]*))", re.IGNORECASE)
_FILE: Final = re.compile(r"[\s;]filename\s*=", re.IGNORECASE)
_CODING: Final = re.compile(
    r"^content-transfer-encoding\s*:\s*(base64|quoted-printable)", re.IGNORECASE | re.MULTILINE
)
_CDATA: Final = re.compile(r"<!\[CDATA\[|\]\]>")
_XML_CHARSET: Final = re.compile(rb"<\?xml[^>]{0,80}encoding=[\"']([\w-]{1,40})")
_TAGS: Final = re.compile(r"<[^<>]*>")
_ATTRIBUTES: Final = re.compile(r"=\s*(?:\"([^\"]*)\"|'([^']*)')")


def is_binary(media: Media | None) -> bool:
    """Whether a body says that there is no text in it."""
    return media is not None and media.name.startswith(_BINARY)


def body_texts(entity: Entity) -> list[str]:
    """The texts alone, for a body that is what it says without asking where they stand."""
    media = entity.media
    if media is not None and media.is_json and not _codec(media):
        try:
            value = entity.json()
        except JsonError:
            pass
        else:
            found = strings(entity.data.decode(), value)
            if "prototype" in found and "constructor" in found:
                found.append(_PROTOTYPE)
            return with_nested(found)
    return [value.text for value in body_values(entity)]


def body_values(entity: Entity) -> Iterator[Value]:
    """The texts, each with its place and name."""
    media = entity.media
    text = text_of(entity.data)
    if media is not None and media.is_form:
        yield from of_form("form", text)
    elif media is not None and media.name.startswith("multipart/"):
        yield from _parts(entity.data, text, media)
    elif not is_binary(media) and not _may_be_json(media, text):
        yield from _other(text, media)
    if _may_be_json(media, text):
        # Some services ask nobody what it is.
        yield from json_values(text, media)
    codec = _codec(media) or _declared(entity.data)
    if codec:
        yield from _in_charset(entity.data, codec)


def _declared(data: bytes) -> str:
    """The codec of an XML text's own word, if it hides ASCII."""
    found = _XML_CHARSET.match(data)
    return codec_of(found[1].decode("ascii", "replace")) if found is not None else ""


def _codec(media: Media | None) -> str:
    return codec_of(media.parameters.get("charset", "")) if media is not None else ""


def _may_be_json(media: Media | None, text: str) -> bool:
    return (media is not None and "json" in media.name) or text.lstrip()[:1] in ("{", "[")


def json_values(text: str, media: Media | None) -> Iterator[Value]:
    """A text that is JSON, or looks like it, in a body of this type."""
    try:
        value = read_json(text.encode("utf-8", "replace"))
    except JsonError:
        if media is None or "json" in media.name:
            for row in loose_strings(text):
                yield Value("json", "", row)
            if "=" in text:
                yield from of_form("form", text)
        if not is_binary(media):
            yield Value("text", "", text)
        return
    seen: set[str] = set()
    for found in _json_values(value):
        seen.add(found.text)
        yield found
    for row in strings(text):
        if row not in seen:
            yield Value("json", "", row)


def _json_values(value: Any) -> Iterator[Value]:
    for pointer, node in walk(value):
        if isinstance(node, str):
            yield Value("json", pointer, node)
            for row in nested(node):
                yield Value("json", pointer, row)
        elif isinstance(node, dict):
            for name in node:
                yield Value("json", pointer, name)
            if "prototype" in node and pointer.endswith("/constructor"):
                yield Value("json", pointer, _PROTOTYPE)


def _other(text: str, media: Media | None) -> Iterator[Value]:
    """A text of another type, of none, or of one that can't be read."""
    yield Value("text", "", text)
    if media is None:
        # Some services take the beginning of a malformed type.
        if text.lstrip().startswith("--"):
            yield from _loose_parts(text, text.lstrip().partition("\n")[0].strip()[2:])
        elif "=" in text:
            yield from of_form("form", text)
    elif "xml" in media.name:
        yield from _xml_values(text)


def _xml_values(text: str) -> Iterator[Value]:
    """What stands between and in the tags."""
    text = _CDATA.sub("", text)
    for row in _TAGS.split(text):
        yield Value("text", "", row.strip())
    for tag in _TAGS.findall(text):
        for match in _ATTRIBUTES.finditer(tag):
            yield Value("text", "", match[1] or match[2] or "")


def _in_charset(data: bytes, codec: str) -> Iterator[Value]:
    """What a service reads that believes the charset which the body names."""
    text = data.decode(codec, "replace")
    yield from of_form("form", text)
    yield from json_values(text, None)
    yield from _xml_values(text)
    yield from of_pairs("form", list(_coded_pairs(data, codec)))


def _coded_pairs(data: bytes, codec: str) -> Iterator[Pair]:
    """Pairs in which only what is escaped is in the charset."""
    for part in data.split(b"&"):
        name, _, value = part.partition(b"=")
        yield _decoded(name, codec), _decoded(value, codec)


def _decoded(data: bytes, codec: str) -> str:
    return unquote_to_bytes(data.replace(b"+", b" ")).decode(codec, "replace")


# -- forms in parts ----------------------------------------------------------------------------


def is_read(part: Part) -> bool:
    """Whether a part is more than its name: a value, or a file of JSON."""
    return not part.file or part.extended or (part.media is not None and part.media.is_json)


def part_values(part: Part, data: bytes) -> Iterator[Value]:
    """A part of a form, and what it is in."""
    yield Value("form", part.name, part.name)
    if part.file is not None:
        yield Value("file", part.name, part.file)
    if is_read(part):
        yield from of_pairs("form", [(part.name, text_of(data))])
        codec = _codec(part.media)
        if codec:
            yield Value("form", part.name, data.decode(codec, "replace"))


def _parts(data: bytes, text: str, media: Media) -> Iterator[Value]:
    boundary = media.parameters.get("boundary", "")
    part: Part | None = None
    pieces: list[bytes] = []
    pairs: list[Pair] = []
    try:
        events = MultipartReader(boundary).feed(data)
    except MultipartError:
        # Some service may read it all the same.
        yield from _loose_parts(text, boundary)
        return
    # The last part may be cut short.
    for event in (*events, None):
        if isinstance(event, Part):
            part, pieces = event, []
        elif isinstance(event, bytes):
            pieces.append(event)
        elif part is not None:
            whole = b"".join(pieces)
            yield from part_values(part, whole)
            if not part.file:
                pairs.append((part.name, text_of(whole)))
            part = None
    for name, row in joined(pairs):
        yield Value("form", name, row)


def _loose_parts(text: str, boundary: str) -> Iterator[Value]:
    """Parts between anything like delimiters, as lenient readers part them."""
    for row in text.split(f"--{boundary}") if boundary else [text]:
        head, *rest = _HEAD_END.split(row, 1)
        if not rest:
            continue
        found = _NAME.search(head)
        name = (found[1] or found[2] or "") if found is not None else ""
        yield Value("form", name, head.strip())
        # Even what looks like a file may be a value to some, unless there is no text in it.
        if _FILE.search(head) is None or "\x00" not in rest[0]:
            value = rest[0].strip("\r\n")
            yield from of_pairs("form", [(name, value)])
            coding = _CODING.search(head)
            if coding is not None:
                yield Value("form", name, _transferred(value, coding[1].lower()))
    yield Value("text", "", text)


def _transferred(text: str, coding: str) -> str:
    """Undo a Content-Transfer-Encoding (RFC 2045, 6)."""
    data = text.encode("utf-8", "replace")
    try:
        return text_of(binascii.a2b_base64(data) if coding == "base64" else decodestring(data))
    except binascii.Error:
        return text
