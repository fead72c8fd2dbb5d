"""Request heads that say once more what another one said, but for the target.

A client sends the same fields with most of its requests, and a connection is one client's: what
the last head came to is kept for the next one, as HTTP/2 keeps fields in a table of each
connection (RFC 7541, 2.3.2). Comparing takes a fifth of reading.

May live here: when a head is a repetition, and what it then says. Must not live here: what
fields mean (`message`), or whose heads these are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.http1.message import HeadRules, RequestHead
from proxy.http1.target import plain_target

# What an idle connection may hold.
_KEPT_MAX: Final = 4096


class Repeat:
    """What a head said, for those that repeat it.

    data: begins with the head, read by these rules, in the plainest form (`plain`). end: where
    the empty line begins that ends it.
    """

    __slots__ = ("_head", "_rest", "_rules", "_start")

    def __init__(self, data: bytes, end: int, head: RequestHead, rules: HeadRules) -> None:
        self._start = head.method.encode("ascii") + b" "
        self._rest = data[data.find(b" ", len(self._start)) : end]
        self._rules = rules
        # The fields of the request itself are changed on its way.
        self._head = replace(head, headers=head.headers.copy())

    def read(self, data: bytes, end: int, rules: HeadRules) -> RequestHead | None:
        """The head at the beginning of `data`, if it is a repetition with a harmless target."""
        start, rest = self._start, self._rest
        at = data.find(b" ", len(start), end)
        if (
            at + len(rest) != end
            or rules is not self._rules
            or not data.startswith(rest, at)
            or not data.startswith(start)
        ):
            return None
        target = plain_target(data[len(start) : at])
        if target is None or at - len(start) > rules.target:
            return None
        known = self._head
        return RequestHead(
            known.method, target, known.version, known.host,
            known.authority, known.headers.copy(), known.framing, known.keep_alive, False, "",
            known.forwarded, end + 4,
        )  # fmt: skip


def repeat_of(data: bytes, end: int, head: RequestHead, rules: HeadRules) -> Repeat | None:
    """As `Repeat`; None for a head that isn't worth keeping."""
    if end > _KEPT_MAX or head.expects or head.upgrade:
        return None
    return Repeat(data, end, head, rules)
