"""The authority a request is for (RFC 9110, 7.2; RFC 3986, 3.2.2)."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final

_NAME: Final = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=-]{1,255})(?::([0-9]{0,5}))?").fullmatch
_LITERAL: Final = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\](?::([0-9]{0,5}))?").fullmatch
_MEMORY: dict[str, tuple[str, str] | None] = {}
_MEMORY_MAX: Final = 1024
_TEXT_MAX_LENGTH: Final = 264


def read_authority(text: str) -> tuple[str, str] | None:
    """`(host in lower case, port or "")` of a Host value; None when it is malformed.

    Lists, user names, paths, percent-encoding and bare IPv6 addresses are malformed. A
    trailing dot of a name is dropped: it names the same host.
    """
    if text in _MEMORY:
        return _MEMORY[text]
    read = _read(text)
    if len(text) <= _TEXT_MAX_LENGTH and len(_MEMORY) < _MEMORY_MAX:
        _MEMORY[text] = read
    return read


def _read(text: str) -> tuple[str, str] | None:
    match = _NAME(text)
    if match is None:
        match = _LITERAL(text)
        if match is None:
            return None
        try:
            host = f"[{IPv6Address(match[1]).compressed}]"
        except ValueError:
            return None
    else:
        host = match[1].lower()
        # A comma is legal in a name by the grammar, and two hosts by everybody's reading.
        if "," in host or host.startswith(".") or ".." in host:
            return None
        host = host.removesuffix(".")
    port = match[2] or ""
    if port and int(port) > 65535:
        return None
    return host, port
