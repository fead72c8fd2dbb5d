"""Stored responses as bytes, as instances hand them to each other. Pure.

A record is the length of its head, the head as JSON, and the body, or nothing where the body
is kept in chunks of its own. What can't be read is no record.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, NamedTuple

import orjson

from proxy.http1.headers import Headers
from proxy.policies.cache.entry import Entry
from proxy.policies.cache.storing import Terms

_VERSION: Final = 1
_LENGTH: Final = Struct(">I")
_HEAD_MAX: Final = 1024 * 1024
_LEVEL: Final = 3
# Types that become much smaller, by their beginnings and ends.
_TEXT: Final = ("text/", "application/json", "application/javascript", "application/xml")
_TEXT_ENDS: Final = ("+json", "+xml")


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a stored response before its body.

    key: of its place. made: seconds since 1970. mark: as `Depot.mark` when it was asked for.
    size: of the body. packed: the body is compressed. chunks: how many it is in, 0 for none of
    their own; name: what theirs begin with.
    """

    key: str
    url: str
    status: int
    headers: Headers
    terms: Terms
    made: float
    cost: float
    mark: str
    size: int
    packed: bool
    chunks: int = 0
    name: str = ""

    @property
    def chunk_names(self) -> list[str]:
        """Names of the chunks, in order."""
        return [f"{self.name}{number}" for number in range(self.chunks)]


def record_of(entry: Entry, mark: str, packed: bool, chunks: int = 0, name: str = "") -> Record:
    """The record of an entry, whose body is to go along in this way."""
    return Record(
        entry.key, entry.url, entry.status, entry.headers, entry.terms, entry.made, entry.cost,
        mark, entry.size, packed, chunks, name,
    )  # fmt: skip


def write(record: Record, body: bytes) -> bytes:
    """A record as bytes, with its body as it is to be kept, empty if that is in chunks."""
    fields = [[name.decode("latin-1"), text.decode("latin-1")]
              for name, text in record.headers.fields()]  # fmt: skip
    terms = record.terms._asdict() | {"drop": sorted(record.terms.drop)}
    head = orjson.dumps({
        "version": _VERSION, "key": record.key, "url": record.url, "status": record.status,
        "fields": fields, "terms": terms, "made": record.made, "cost": record.cost,
        "mark": record.mark, "size": record.size, "packed": record.packed,
        "chunks": record.chunks, "name": record.name,
    })  # fmt: skip
    return _LENGTH.pack(len(head)) + head + body


def read(data: bytes | None, key: str) -> tuple[Record, bytes] | None:
    """The record of a key and its body as it is kept; None for anything else."""
    if data is None or len(data) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + length
    if length > _HEAD_MAX or end > len(data):
        return None
    try:
        told = orjson.loads(data[_LENGTH.size : end])
        record = _record(told)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return (record, data[end:]) if record is not None and record.key == key else None


def _record(told: Mapping[str, Any]) -> Record | None:
    if told["version"] != _VERSION:
        return None
    headers = Headers(
        [(name.encode("latin-1"), text.encode("latin-1")) for name, text in told["fields"]]
    )
    terms = dict(told["terms"])
    terms |= {"vary": tuple(terms["vary"]), "drop": frozenset(terms["drop"])}
    return Record(
        told["key"], told["url"], int(told["status"]), headers, Terms(**terms),
        float(told["made"]), float(told["cost"]), told["mark"], int(told["size"]),
        bool(told["packed"]), int(told["chunks"]), told["name"],
    )  # fmt: skip


class Sign(NamedTuple):
    """Which request fields the responses of a URL depend on, as `Signpost.choices`. made: when
    the latest of them was made, in seconds since 1970."""

    made: float
    choices: tuple[tuple[str, ...], ...]


def write_sign(sign: Sign) -> bytes:
    """A sign as bytes."""
    return orjson.dumps([sign.made, sign.choices])


def read_sign(data: bytes | None) -> Sign | None:
    """A sign; None for anything else."""
    try:
        made, choices = orjson.loads(data or b"")
        rows = tuple([tuple(map(str, names)) for names in choices if names])
        return Sign(float(made), rows) if rows else None
    except (TypeError, ValueError):
        return None


def worth_packing(headers: Headers, size: int, least: int) -> bool:
    """A body of this size and these fields becomes much smaller."""
    if size < least or "content-encoding" in headers:
        return False
    media = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    return media.startswith(_TEXT) or media.endswith(_TEXT_ENDS)


def pack(body: bytes) -> bytes:
    """A body, compressed."""
    return zlib.compress(body, _LEVEL)


def unpack(body: bytes, most: int) -> bytes | None:
    """A compressed body; None if it is none, or larger than it may be."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(body, most + 1)
    except zlib.error:
        return None
    return plain if inflater.eof and len(plain) <= most else None
