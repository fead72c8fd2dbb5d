"""One fetch: what is asked and for whom it is kept. Nothing is done here."""

from __future__ import annotations

from proxy.contract import Request, Ticket
from proxy.policies.cache.entry import Entry
from proxy.policies.cache.reuse import Wish


class Errand:
    """One fetch.

    key: of the URL. place: where the answer is looked for. ask: the request as it is sent.
    held: what is stored already, stale or in part. others: as in `Case`. wish: what the client
    wants of the cache. ticket: void when the URL was purged meanwhile. keep: the answer may be
    stored. mark: what was known to be purged when it began. collecting: it will be stored, once
    its body has been read. recalled: another instance has it. claim: who fetches it, for all
    instances. kept: it is being written for them. unshared: seconds for which its like can't be
    shared.
    """

    __slots__ = (
        "ask", "claim", "collecting", "held", "keep", "kept", "key", "mark", "others", "place",
        "recalled", "ticket", "unshared", "wish",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        place: str,
        ask: Request,
        held: Entry | None,
        wish: Wish,
        ticket: Ticket,
        keep: bool = True,
        mark: str = "",
        others: tuple[Entry, ...] = (),
    ) -> None:
        self.key = key
        self.place = place
        self.ask = ask
        self.held = held
        self.wish = wish
        self.ticket = ticket
        self.keep = keep
        self.mark = mark
        self.others = others
        self.collecting = False
        self.recalled = False
        self.claim = ""
        self.kept = False
        self.unshared = 0.0
