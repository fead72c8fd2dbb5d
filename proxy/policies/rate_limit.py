"""Refuses requests beyond a rate, for each client or for all of them together."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address
from math import ceil
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from proxy.config.units import Rate, show_duration
from proxy.contract import PolicyOptions, PolicySpec, Request, Toolkit
from proxy.errors import Refused
from proxy.http1.field import check_name

_PERIODS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}


def _key(text: str) -> str:
    if text.startswith("header:"):
        check_name(text.removeprefix("header:"))
    elif text not in ("client_ip", "global"):
        raise ValueError(f"{text!r} is no key; write client_ip, global or header:NAME")
    return text


class Options(PolicyOptions):
    """Admit so many requests in a period; refuse the rest with 429 and `Retry-After`.

    Requests are counted by the generic cell rate algorithm: the allowance comes back
    steadily, not at the end of a window, so `limit: 60/min` with `burst: 1` admits one
    each second.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"limit": "100/s", "burst": 200},
                {"limit": "5/min", "key": "header:X-Api-Key"},
            ]
        }
    )

    limit: Rate
    """The rate that is admitted in the long run, such as `100/s`, `5/min` or `10/30s`."""
    burst: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many may come at once after a rest; by default as many as `limit` names."""
    key: Annotated[str, AfterValidator(_key)] = "client_ip"
    """Who shares an allowance: `client_ip` (IPv6 by /64), `global`, or `header:NAME` by the
    value of a field, for fields that something before has verified: a client that may
    choose the value chooses its allowance. Without the field, the client's address counts.
    """


class RateLimit:
    """A gate. Allowances are kept in the store under the policy's identity."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        limit = options.limit
        self._gcra = toolkit.store.gcra
        self._interval = limit.period / limit.count
        self._burst = limit.count if options.burst is None else options.burst
        self._by_address = f"{toolkit.identity}:ip:"
        self._by_header = f"{toolkit.identity}:field:"
        self._global = f"{toolkit.identity}:global" if options.key == "global" else ""
        self._header = options.key.partition(":")[2].lower()
        period = _PERIODS.get(limit.period) or show_duration(limit.period)
        requests = "request" if limit.count == 1 else "requests"
        self._detail = f"Limit of {limit.count} {requests} per {period} exceeded."

    async def check(self, request: Request) -> None:
        """Raise Refused `rate_limited` when the allowance is used up."""
        verdict = await self._gcra(self._key(request), self._interval, self._burst)
        if not verdict.allowed:
            wait = max(1, ceil(verdict.retry_after))
            raise Refused("rate_limited", self._detail, headers=(("Retry-After", str(wait)),))

    def _key(self, request: Request) -> str:
        if self._global:
            return self._global
        if self._header:
            value = request.headers.raw(self._header)
            if value is not None:
                # Hashed: it may be long, and it may be a credential.
                return self._by_header + blake2b(value, digest_size=16).hexdigest()
        address = request.client_ip
        return self._by_address + (network(address) if ":" in address else address)


@lru_cache(maxsize=4096)
def network(address: str) -> str:
    """The /64 of an IPv6 address, which is what one client is given; IPv4 inside as it is."""
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address[:64]
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> 64:016x}"


POLICY = PolicySpec("rate_limit", Options, RateLimit, after={"error_envelope"}, shorthand="limit")
