"""Endpoints by DNS: addresses of a name, or SRV records (RFC 2782), with the TTL they came with.

Asks name servers itself, since what the system's resolver gives has no TTL and no SRV;
names of /etc/hosts are for static endpoints. Must not live here: when to ask again
(`discovery`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from proxy.config.address import parse_address, parse_server
from proxy.config.units import show_duration
from proxy.config.upstream import Discovery
from proxy.upstream.discovery import PATIENCE, Answer, Found, Source
from proxy.upstream.listing import FileSource

_KINDS: Final = ("A", "AAAA")

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver
    from dns.resolver import Answer as Records


class DnsSource:
    """Addresses of one name. url: with the scheme and the port that all of them have."""

    patience = PATIENCE

    def __init__(self, url: str, options: Discovery) -> None:
        self._options = options
        self._address = parse_address(url, schemes=("http", "https"))
        self._last: dict[str, list[str]] = {}

    async def look(self) -> Answer:
        """All addresses of the name, of both families; while one of those can't be had, the ones
        that it had last."""
        address = self._address
        both = await asyncio.gather(
            *(_ask(self._options, address.host, kind) for kind in _KINDS),
            return_exceptions=True,
        )
        hosts: list[str] = []
        ttls: list[float] = []
        problems: list[BaseException] = []
        for kind, records in zip(_KINDS, both, strict=True):
            if isinstance(records, BaseException):
                problems.append(records)
            elif records.rrset is None:
                self._last[kind] = []
            else:
                self._last[kind] = [_bracketed(record.address) for record in records]
                ttls.append(records.rrset.ttl)
            hosts += self._last.get(kind, ())
        if not hosts or len(problems) == len(_KINDS):
            raise LookupError(f"{address.host}: {problems[0] if problems else 'no address'}")
        found = (
            Found(f"{address.scheme}://{host}:{address.port}", name=address.host) for host in hosts
        )
        return _answer(found, min(ttls, default=0.0), self._options)


class SrvSource:
    """SRV records of one name, and the addresses of their targets."""

    patience = PATIENCE

    def __init__(self, name: str, options: Discovery) -> None:
        self._options = options
        self._name = name
        self._targets: dict[str, DnsSource] = {}

    async def look(self) -> Answer:
        """One endpoint for each record and address; the record's priority and weight hold."""
        options = self._options
        try:
            records = await _ask(options, self._name, "SRV")
        except LookupError as error:
            raise LookupError(f"{self._name}: {error}") from None
        if records.rrset is None:
            raise LookupError(f"{self._name}: no record")
        found: list[Found] = []
        ttl = float(records.rrset.ttl)
        before, self._targets = self._targets, {}
        # Priorities of SRV go to 65535; here only their order counts.
        order = sorted({record.priority for record in records})
        for record in records:
            target = record.target.to_text(omit_final_dot=True)
            url = f"{options.scheme}://{target}:{record.port}"
            source = self._targets[url] = before.get(url) or DnsSource(url, options)
            answer = await source.look()
            ttl = min(ttl, answer.ttl)
            priority = min(order.index(record.priority), 9)
            # A weight of 0 means hardly ever.
            found += [
                endpoint._replace(weight=max(1, record.weight), priority=priority)
                for endpoint in answer.endpoints
            ]
        return _answer(found, ttl, options)


def make_source(options: Discovery) -> Source:
    """The source that the options name."""
    if options.endpoints_file is not None:
        return FileSource(options.endpoints_file)
    if options.dns is not None:
        return DnsSource(options.dns, options)
    return SrvSource(options.srv or "", options)


def _answer(found: Iterable[Found], ttl: float, options: Discovery) -> Answer:
    bounded = min(options.most, max(options.least, ttl))
    return Answer(tuple(sorted(set(found))), bounded)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _ask(options: Discovery, name: str, kind: str) -> Records:
    # Half a tenth of a second to import, which upstreams without DNS are spared.
    from dns.exception import DNSException
    from dns.resolver import NXDOMAIN, LifetimeTimeout

    try:
        resolver = _resolver(options)
        return await resolver.resolve(name, kind, raise_on_no_answer=False, search=True)
    except NXDOMAIN:
        raise LookupError("there is no such name") from None
    except LifetimeTimeout:
        within = show_duration(options.timeout)
        raise LookupError(f"no name server answered within {within}") from None
    except (DNSException, OSError) as error:
        raise LookupError(" ".join(str(error).split()) or type(error).__name__) from None


def _resolver(options: Discovery) -> Resolver:
    from dns.asyncresolver import Resolver

    resolver = Resolver(configure=not options.servers)
    if options.servers:
        servers = [parse_server(text) for text in options.servers]
        resolver.nameservers = [host for host, _ in servers]
        resolver.nameserver_ports = dict(servers)
    resolver.lifetime = options.timeout
    return resolver
