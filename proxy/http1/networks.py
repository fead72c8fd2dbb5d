"""Sets of networks, and whether an address is in one. Pure.

However many networks there are, a look-up is one binary search, and addresses that were
looked up lately are remembered.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from proxy.memo import Memo

Network = IPv4Network | IPv6Network

_MEMORY_MAX: Final = 4096
_V4: Final = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})(?:/([0-9]{1,2}))?")
# IPv4 addresses stand among IPv6's where RFC 4291, 2.5.5.2, maps them.
_MAPPED: Final = 0xFFFF << 32

Range = tuple[int, int]


def range_of(network: Network) -> Range:
    """The first and last address as numbers, IPv4 mapped into IPv6."""
    first, last = int(network.network_address), int(network.broadcast_address)
    return (first | _MAPPED, last | _MAPPED) if network.version == 4 else (first, last)


class Networks:
    """A set of address ranges. An address that can't be read is in none."""

    __slots__ = ("_firsts", "_lasts", "_memory")

    def __init__(self, ranges: Iterable[Range]) -> None:
        firsts: list[int] = []
        lasts: list[int] = []
        for first, last in sorted(ranges):
            if lasts and first <= lasts[-1] + 1:
                lasts[-1] = max(lasts[-1], last)
            else:
                firsts.append(first)
                lasts.append(last)
        self._firsts = firsts
        self._lasts = lasts
        self._memory: Memo[str, bool] = Memo(_MEMORY_MAX)

    def __contains__(self, address: str) -> bool:
        known = self._memory.get(address)
        if known is None:
            known = self._find(address)
            self._memory[address[:64]] = known
        return known

    def __len__(self) -> int:
        """How many ranges are left after those that touch were joined."""
        return len(self._firsts)

    def _find(self, text: str) -> bool:
        try:
            # The zone of a link-local address names an interface, not a network.
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return False
        number = int(address) if isinstance(address, IPv6Address) else int(address) | _MAPPED
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]


def read_networks(text: str, name: str) -> list[Range]:
    """The networks of a list: one a line, `#` and `;` begin comments.

    name: of the list, for messages. Raises ValueError with the line that is wrong.
    """
    ranges: list[Range] = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].partition(";")[0].strip()
        if not entry:
            continue
        try:
            # Lists are long, and this is ten times as fast as what it stands in for.
            ranges.append(_read_v4(entry) or range_of(ip_network(entry)))
        except ValueError as error:
            raise ValueError(f"{name}, line {number}: {error}") from None
    return ranges


def _read_v4(text: str) -> Range | None:
    match = _V4.fullmatch(text)
    if match is None:
        return None
    *octets, bits = (int(group) if group is not None else 32 for group in match.groups())
    if max(octets) > 255 or bits > 32 or any(len(text) > 1 and text[0] == "0" for text in
                                             match.groups()[:4]):  # fmt: skip
        return None
    first = octets[0] << 24 | octets[1] << 16 | octets[2] << 8 | octets[3] | _MAPPED
    size = (1 << (32 - bits)) - 1
    return None if first & size else (first, first | size)
