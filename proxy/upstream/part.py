"""What an upstream is made of besides its endpoints: parts that are watched while in use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from proxy.upstream.member import Member


class Part(Protocol):
    """Something that decides about the requests of one upstream. name: the upstream's."""

    name: str

    def start(self) -> None:
        """It is in use from now on."""
        ...

    def stop(self) -> None:
        """It is in use no more; requests that it has finish."""
        ...

    def facts(self) -> dict[str, Any]:
        """What an operator is told of it."""
        ...

    def members(self) -> Iterable[Member]:
        """The endpoints that it needs."""
        ...
