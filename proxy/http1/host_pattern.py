"""Names of hosts as people write them in a configuration, one or a whole domain.

Hosts to compare come in lower case and without port, as `host` reads them. A pattern is a
name (`api.example.com`), an IPv6 address in brackets, or `*.` and a suffix, where the star
stands for one or more labels. Pure.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final, NamedTuple

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAX_NAME: Final = 253


class HostPattern(NamedTuple):
    """A host or the hosts of a domain. name: the host or the suffix; empty for any host."""

    name: str
    wildcard: bool = False

    def matches(self, host: str) -> bool:
        """Whether a host, in lower case and without port, is one of these."""
        if self.wildcard:
            return host.endswith("." + self.name) and len(host) > len(self.name) + 1
        return not self.name or host == self.name

    def __str__(self) -> str:
        return f"*.{self.name}" if self.wildcard else self.name


def read_host_pattern(text: str) -> HostPattern:
    """The pattern that a user wrote. Raises ValueError with the fix in words."""
    if text.startswith("["):
        return HostPattern(_read_ipv6(text))
    if "://" in text or "/" in text:
        raise ValueError(f"{text!r}: write the host alone, as in api.example.com")
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
