"""Which hosts a route takes, and the look-up of a request's host.

May live here: the syntax of host patterns and the index over them. Must not live here:
paths, methods, and how the Host field is read (`http1`): hosts come here in lower case,
without port.

A pattern is a name (`api.example.com`), an IPv6 address in brackets, or `*.` and a suffix,
where the star stands for one or more labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Final, Generic, NamedTuple, TypeVar

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAX_NAME: Final = 253

G = TypeVar("G")


class HostPattern(NamedTuple):
    """The hosts of a route. name: the host or the suffix; empty for any host."""

    name: str
    wildcard: bool = False

    def matches(self, host: str) -> bool:
        """Whether a host, in lower case and without port, is one of these."""
        if self.wildcard:
            return host.endswith("." + self.name) and len(host) > len(self.name) + 1
        return not self.name or host == self.name

    def __str__(self) -> str:
        return f"*.{self.name}" if self.wildcard else self.name


ANY_HOST: Final = HostPattern("")


def read_host(text: str | None) -> HostPattern:
    """The pattern that a user wrote. Raises ValueError with the fix in words."""
    if text is None:
        return ANY_HOST
    if text.startswith("["):
        return HostPattern(_read_ipv6(text))
    if text in ("", "*"):
        raise ValueError("leave host out to take any host")
    if "://" in text or "/" in text:
        raise ValueError(f"{text!r}: write the host alone; the path goes into match.path")
    if ":" in text:
        name, _, port = text.rpartition(":")
        if ":" not in name and port.isdigit():
            raise ValueError(f"{text!r}: leave the port out and write {name}")
        raise ValueError(f"{text!r}: write an IPv6 address in brackets, as in [::1]")
    if text != text.lower():
        raise ValueError(f"{text!r}: write it in lower case: {text.lower()}")
    if not text.isascii():
        raise ValueError(f"{text!r}: write a name beyond ASCII as it travels, in its xn-- form")
    if text.endswith("."):
        raise ValueError(f"{text!r}: leave out the dot at the end")
    wildcard = text.startswith("*.")
    name = text[2:] if wildcard else text
    if "*" in name:
        raise ValueError(
            f"{text!r}: a star stands at the beginning only, for whole labels, as in *.example.com"
        )
    if len(name) > _MAX_NAME:
        raise ValueError(f"a host name has at most {_MAX_NAME} characters; this one {len(name)}")
    for label in name.split("."):
        if _LABEL.fullmatch(label) is None:
            raise ValueError(
                f"{text!r}: {label!r} can't be part of a host name; write 1 to 63 letters, "
                "digits and inner hyphens between the dots"
            )
    return HostPattern(name, wildcard)


def _read_ipv6(text: str) -> str:
    address, closed, port = text[1:].partition("]")
    if not closed:
        raise ValueError(f"{text!r}: the bracket around the IPv6 address isn't closed")
    if port:
        raise ValueError(f"{text!r}: leave the port out and write [{address}]")
    try:
        return f"[{IPv6Address(address)}]"
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv6 address, as in [::1]") from None


class HostIndex(Generic[G]):
    """Finds, for a host, what belongs to each pattern that takes it, most specific first.

    What a look-up returns is joined at construction, so it costs one dictionary access for
    a named host, and at most one for each label for a wildcard, whatever their number.
    """

    __slots__ = ("_any", "_exact", "_labels", "_wild")

    def __init__(self, groups: Mapping[HostPattern, G]) -> None:
        def chain(host: str) -> tuple[G, ...]:
            suffixes = [host[at + 1 :] for at, mark in enumerate(host) if mark == "."]
            patterns = (
                HostPattern(host),
                *(HostPattern(suffix, wildcard=True) for suffix in suffixes),
                ANY_HOST,
            )
            return tuple(groups[pattern] for pattern in patterns if pattern in groups)

        self._any: tuple[G, ...] = (groups[ANY_HOST],) if ANY_HOST in groups else ()
        self._exact = {
            pattern.name: chain(pattern.name)
            for pattern in groups
            if pattern.name and not pattern.wildcard
        }
        # An empty label before the suffix makes its own wildcard part of its chain.
        self._wild = {
            pattern.name: chain("." + pattern.name) for pattern in groups if pattern.wildcard
        }
        self._labels = max((name.count(".") + 1 for name in self._wild), default=0)

    def find(self, host: str) -> tuple[G, ...]:
        """What belongs to the patterns that take `host`, most specific first."""
        chain = self._exact.get(host, self._any)
        if chain is not self._any or not self._labels:
            return chain
        # A star mostly stands for one label: 0.3 µs in place of 0.65.
        at = host.find(".")
        if at > 0:
            longest = self._wild.get(host[at + 1 :])
            if longest is not None:
                return longest
        at = len(host)
        for _ in range(self._labels):
            at = host.rfind(".", 0, at)
            if at <= 0:
                break
            chain = self._wild.get(host[at + 1 :], chain)
        return chain
