"""Origins of web pages (RFC 6454), and patterns for them. Pure.

A pattern is an origin (`https://app.example.com`, with a port where it isn't the scheme's
own), one whose host begins with `*.` for every name below it, `~` and a regular expression
for the whole origin, or `null`, which sandboxed pages and local files call themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy.http1.host_pattern import read_host_pattern
from proxy.memo import Memo

_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\s\\]+)").fullmatch
_WEB: Final = re.compile(r"(https?)://(\[[^\]]*\]|[^/?#@:]+)(?::([0-9]{1,5}))?(.*)").fullmatch
_PORTS: Final = {"http": "80", "https": "443"}
_MEMORY_MAX: Final = 1024
_LENGTH_MAX: Final = 300


def check_origin(text: str) -> str:
    """A pattern that a user wrote. Raises ValueError with the fix in words."""
    _compile(text)
    return text


def _compile(text: str) -> re.Pattern[str]:
    if text == "null":
        return re.compile("null")
    if text.startswith("~"):
        try:
            return re.compile(text[1:])
        except re.error as error:
            raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    match = _WEB(text)
    if match is None:
        raise ValueError(
            f"{text!r} is no origin; write https://app.example.com, https://*.example.com, "
            "or ~ and a regular expression"
        )
    scheme, host, port, rest = match.groups()
    if rest:
        raise ValueError(f"{text!r}: an origin ends after host and port; leave {rest!r} out")
    if port == _PORTS[scheme]:
        raise ValueError(f"{text!r}: browsers leave out the port {port}; leave it out here too")
    pattern = read_host_pattern(host)
    labels = r"(?:[a-z0-9_-]+\.)+" if pattern.wildcard else ""
    tail = f":{port}" if port else ""
    return re.compile(f"{scheme}://{labels}{re.escape(pattern.name)}{tail}")


class Origins:
    """Some origins. Those looked up lately are remembered, up to a bound."""

    __slots__ = ("_memory", "_patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [_compile(text) for text in patterns]
        self._memory: Memo[str, bool] = Memo(_MEMORY_MAX)

    def __contains__(self, origin: str) -> bool:
        known = self._memory.get(origin)
        if known is None:
            if len(origin) > _LENGTH_MAX:
                return False
            well_formed = origin == "null" or _ORIGIN(origin) is not None
            known = well_formed and any(row.fullmatch(origin) for row in self._patterns)
            self._memory[origin] = known
        return known


def origin_host(origin: str) -> str:
    """Host and port of an origin, without the scheme's own port; empty for `null` and nonsense."""
    match = _ORIGIN(origin.lower())
    if match is None:
        return ""
    return bare_authority(match[2], match[1])


def bare_authority(authority: str, scheme: str) -> str:
    """An authority in lower case, without the scheme's own port."""
    return authority.lower().removesuffix(f":{_PORTS.get(scheme, '')}")
