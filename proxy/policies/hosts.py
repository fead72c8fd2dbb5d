"""Admits requests by the host that they ask for."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict

from proxy.config.listing import ONE_OR_MANY, at_least_one
from proxy.contract import PolicyOptions, PolicySpec, Request, Toolkit
from proxy.errors import Refused
from proxy.http1.host_pattern import read_host_pattern
from proxy.memo import Memo

_MEMORY_MAX: Final = 1024


def _pattern(text: str) -> str:
    read_host_pattern(text)
    return text


class Options(PolicyOptions):
    """Admit requests for these hosts; 421 `host_not_allowed` for any other.

    Services that build links from the Host field can't be made to point elsewhere, and
    pages whose name was rebound to this address get nothing. A request that names no host
    (HTTP/1.0) is refused too.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"allow": ["example.com", "*.example.com"]}]}
    )

    allow: Annotated[
        tuple[Annotated[str, AfterValidator(_pattern)], ...],
        AfterValidator(at_least_one),
        ONE_OR_MANY,
    ]
    """Names without port, or `*.` and a suffix for every name below it."""


class Hosts:
    """A gate. Hosts that came lately are remembered, up to a bound."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._patterns = tuple(map(read_host_pattern, options.allow))
        self._memory: Memo[str, bool] = Memo(_MEMORY_MAX)

    def check(self, request: Request) -> None:
        """Raise Refused `host_not_allowed` for other hosts."""
        host = request.host
        allowed = self._memory.get(host)
        if allowed is None:
            allowed = any(pattern.matches(host) for pattern in self._patterns)
            self._memory[host] = allowed
        if not allowed:
            raise Refused("host_not_allowed")


POLICY = PolicySpec(
    "hosts",
    Options,
    Hosts,
    after={"error_envelope", "ip_filter"},
    before={"rate_limit", "cache", "redirect"},
    shorthand="allow",
)
