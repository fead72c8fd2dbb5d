"""Gives a route its class, and turns its requests away while the process has too much to do."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, Field

from proxy.config.units import Duration, Size
from proxy.contract import PRIORITIES, PRIORITY, PolicyOptions, PolicySpec, Request, Toolkit
from proxy.errors import Refused

# For each class how many times the threshold it stands; critical requests are never shed here.
_LAG: Final = (float("inf"), 4.0, 2.0, 1.0)
_MEMORY: Final = (float("inf"), 1.0, 0.9, 0.8)


class Options(PolicyOptions):
    """Turn requests away with 503 `shed` in an overload, by how important their route is.

    That is when the process itself has too much to do.

    Classes are `critical`, `high`, `normal` and `low`. An upstream's `concurrency` limit lets
    later classes wait and turns them away first; here they are turned away when timers come
    late by `lag` (low), twice that (normal) or four times that (high), or at 80 %, 90 % or all
    of `memory`. Critical requests never are, so keep that for what must survive, such as logins
    and health checks.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"priority": "critical"}, {"priority": "low", "lag": "50ms"}]
        }
    )

    priority: Literal["critical", "high", "normal", "low"] = "normal"
    """The class of the route's requests."""
    lag: Duration | None = Field(default=0.1, gt=0, le=60)
    """How late timers of the event loop may come before requests of class low are turned away.
    `null` leaves it out of account."""
    memory: Size | None = Field(default=None, ge=1024 * 1024)
    """Resident memory of the process that must not be exceeded. Off by default."""


class Shed:
    """A gate that waits for nothing."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._place = PRIORITIES.index(options.priority)
        self._strain = toolkit.strain
        lag, memory = options.lag, options.memory
        self._lag = float("inf") if lag is None else lag * _LAG[self._place]
        self._memory = float("inf") if memory is None else memory * _MEMORY[self._place]

    def edit_request(self, request: Request) -> None:
        """Note the request's class."""
        request.state[PRIORITY] = self._place

    def check(self, request: Request) -> None:
        """Raise Refused `shed` while there is too much to do for this class."""
        strain = self._strain
        if strain.lag > self._lag or strain.memory > self._memory:
            raise Refused("shed", headers=(("Retry-After", "1"),))


POLICY = PolicySpec("shed", Options, Shed, after={"error_envelope"}, shorthand="priority")
