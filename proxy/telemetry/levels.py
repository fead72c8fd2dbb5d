"""Which lines are severe enough to be written: by the configuration, and for a while by an
operator's word, everywhere or for one route or one client alone.

May live here: the rules, and the class of loggers that follows them. A level that nobody
asked for costs what it always does, a call of a function that does nothing: the methods of
the class are exchanged when levels change. Must not live here: how lines are written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, Final, Literal, NamedTuple

import structlog

from proxy.contract import Request
from proxy.http1.networks import Networks, range_of

Level = Literal["debug", "info", "warning", "error"]

_RANKS: Final = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}
EXCEPTIONS_MAX: Final = 32
"""Most exceptions at a time; one more ends the oldest."""


class Exemption(NamedTuple):
    """A level that holds for a while in place of the configured one.

    until: monotonic seconds. route: a name, empty for all. client: an address or a network,
    empty for all.
    """

    level: Level
    until: float
    route: str
    client: str
    network: Networks | None

    def covers(self, request: Request | None) -> bool:
        """Whether it holds for what is done for this request."""
        if not self.route and self.network is None:
            return True
        if request is None or (self.route and request.route.name != self.route):
            return False
        return self.network is None or request.client_ip in self.network


class Levels:
    """The levels of one process. clock: monotonic seconds.

    logger: the class of its loggers. configured: the level of the configuration.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._exemptions: list[Exemption] = []
        self._changed: Callable[[], None] = _nothing
        self.configured: Level = "info"
        self.narrow = False
        """Levels differ between requests, so that `allows` has to be asked."""
        self.logger: type[Any] = type(
            "Logger", (structlog.make_filtering_bound_logger("debug"),), {}
        )
        self._apply()

    def configure(self, level: Level) -> None:
        """Take the level of a configuration."""
        self.configured = level
        self._apply()

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call this whenever another level holds somewhere."""
        self._changed = changed

    def exempt(self, level: Level, seconds: float, route: str = "", client: str = "") -> None:
        """Have a level hold for so long, in place of any that was given for the same before.

        Raises ValueError when `client` is neither an address nor a network.
        """
        network = Networks([range_of(ip_network(client, strict=False))]) if client else None
        exemption = Exemption(level, self._clock() + seconds, route, client, network)
        others = [one for one in self._exemptions if (one.route, one.client) != (route, client)]
        self._exemptions = [*others, exemption][-EXCEPTIONS_MAX:]
        self._apply()

    def clear(self) -> None:
        """End all exceptions."""
        self._exemptions = []
        self._apply()

    def settle(self) -> None:
        """End the exceptions whose time is over."""
        now = self._clock()
        left = [one for one in self._exemptions if one.until > now]
        if len(left) < len(self._exemptions):
            self._exemptions = left
            self._apply()

    def exempted_for(self, request: Request | None) -> Level | None:
        """The level that an exception gives a request, the most talkative of several."""
        now = self._clock()
        found = [one.level for one in self._exemptions if one.until > now and one.covers(request)]
        return min(found, key=_RANKS.__getitem__, default=None)

    def of(self, request: Request | None) -> Level:
        """The level that holds for what is done for a request, None for the rest."""
        return self.exempted_for(request) or self.configured

    def allows(self, level: str, request: Request | None) -> bool:
        """Whether a line of this level is written."""
        return _RANKS[level] >= _RANKS[self.of(request)]

    def exempted(self) -> list[dict[str, Any]]:
        """The exceptions that hold, with the seconds that they have left."""
        now = self._clock()
        return [
            {
                "level": one.level,
                "route": one.route,
                "client": one.client,
                "seconds_left": round(one.until - now, 1),
            }
            for one in self._exemptions
            if one.until > now
        ]

    def _apply(self) -> None:
        levels = [self.configured, *(one.level for one in self._exemptions)]
        floor = min(levels, key=_RANKS.__getitem__)
        self.narrow = bool(self._exemptions)
        source = structlog.make_filtering_bound_logger(floor)
        for name, value in vars(source).items():
            if callable(value):
                setattr(self.logger, name, value)
        logging.getLogger().setLevel(floor.upper())
        self._changed()


def _nothing() -> None:
    return None
