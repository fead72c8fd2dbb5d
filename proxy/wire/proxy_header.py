"""What a load balancer says of the client before the client's first byte: the PROXY
protocol, versions 1 and 2. Pure; no reading beyond the header's end.

The specification (HAProxy's proxy-protocol.txt) demands that a receiver expects the header
or doesn't, by who connects, and never guesses.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = len(_SIGNATURE) + 4
_FIRST: Final = b"PROXY "
# 5.1: the longest line of version 1, its end included.
_LINE_MAX: Final = 107
# Additional fields may follow the addresses; no sender needs this many.
_BLOCK_MAX: Final = 4096
_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [ -~]*)?"
    rb"|(TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) ([0-9]{1,5}) ([0-9]{1,5}))"
)


def measure(data: bytes) -> int:
    """How many bytes the header that begins so has: more than there are while it can't be
    told, or they have not all come. Raises ValueError when it is no header."""
    if data[: len(_SIGNATURE)] == _SIGNATURE[: len(data)]:
        if len(data) < _FIXED:
            return _FIXED
        length = int.from_bytes(data[_FIXED - 2 : _FIXED], "big")
        if length > _BLOCK_MAX:
            raise ValueError("the header is too long")
        return _FIXED + length
    if data[: len(_FIRST)] != _FIRST[: len(data)]:
        raise ValueError("no PROXY header")
    end = data.find(b"\r\n", 0, _LINE_MAX)
    if end >= 0:
        return end + 2
    if len(data) >= _LINE_MAX:
        raise ValueError("the line does not end")
    return len(data) + 1


def read_source(header: bytes) -> str | None:
    """The client's address; None when the header leaves it to the connection itself, as those
    of health checks do. Raises ValueError for one that is malformed."""
    if header.startswith(_SIGNATURE):
        return _read_block(header)
    line = _LINE.fullmatch(header.removesuffix(b"\r\n"))
    if line is None:
        raise ValueError("the line is malformed")
    family, source, destination, *ports = line.groups()
    if family is None:
        return None
    if max(map(int, ports)) > 65535:
        raise ValueError("the line names no port")
    kind = IPv4Address if family == b"TCP4" else IPv6Address
    addresses = [str(kind(text.decode("ascii"))) for text in (source, destination)]
    return addresses[0]


def _read_block(header: bytes) -> str | None:
    version, command = header[12] >> 4, header[12] & 15
    if version != 2 or command > 1:
        raise ValueError("an unknown version or command")
    if command == 0:
        return None
    addresses = header[_FIXED:]
    match header[13]:
        case 0x11 if len(addresses) >= 12:
            return str(IPv4Address(addresses[:4]))
        case 0x21 if len(addresses) >= 36:
            return str(IPv6Address(addresses[:16]))
        case 0x00:
            return None
        case 0x31 if len(addresses) >= 216:
            # A UNIX socket's client has no address.
            return None
        case _:
            raise ValueError("an address of an unknown kind")
