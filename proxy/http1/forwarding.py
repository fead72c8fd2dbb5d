"""Who the client is, and what the upstream is told about it.

X-Forwarded-* are believed only from trusted proxies, and hops are counted from the right:
the first address that is not a trusted proxy's is the client. Everything that others sent
under these names is replaced, so an upstream may believe what it reads. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final, NamedTuple

from proxy.http1.headers import Headers, decode, encode
from proxy.http1.host import read_authority
from proxy.http1.line import Line

VIA: Final = b"1.1 sidegate"
VIA_LINE: Final = b"Via: " + VIA
"""What is sent where none came, without its end."""
_MAX_HOPS: Final = 64
_PORT: Final = re.compile("[0-9]{1,5}").fullmatch

Trusts = Callable[[str], bool]
"""Whether an address is a trusted proxy's."""


class Client(NamedTuple):
    """The client as far as trusted hops tell.

    ip: its address. scheme: `http` or `https`, as it used it. lines: what the upstream is
    told of it, as finished field lines.
    """

    ip: str
    scheme: str
    lines: bytes


def direct_client(
    peer: str, scheme: str, authority: str, port: str, standard: bool = False
) -> Client:
    """The client is the peer itself, or the peer isn't trusted to say otherwise.

    standard: also tell it in the `Forwarded` field (RFC 7239).
    """
    return Client(peer, scheme, _lines([peer], scheme, authority, port, standard))


def forwarded_client(
    peer: str,
    scheme: str,
    authority: str,
    port: str,
    came: tuple[Line, ...],
    trusts: Trusts,
    standard: bool = False,
) -> Client:
    """The client behind a trusted peer, from the forwarding lines that came."""
    values: dict[str, list[bytes]] = {}
    passed = b""
    for text, key, _, value in came:
        values.setdefault(key, []).append(value)
        if key not in _REPLACED:
            passed += text + b"\r\n"
    chain = decode(b",".join(values.get("x-forwarded-for", []))).split(",")
    hops = [hop.strip() for hop in chain[-_MAX_HOPS:] if hop.strip()]
    told = [peer]
    for hop in reversed(hops):
        address = _address(hop)
        if address is None:
            break
        told.insert(0, address)
        if not trusts(address):
            break
    for key in ("x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"):
        # A list means that an untrusted hop prepended its own: the last is the peer's.
        last = decode(values[key][-1]).rpartition(",")[2].strip() if key in values else ""
        if key == "x-forwarded-proto" and last.lower() in ("http", "https"):
            scheme = last.lower()
        elif key == "x-forwarded-host" and read_authority(last) is not None:
            authority = last
        elif key == "x-forwarded-port" and _PORT(last) and 0 < int(last) < 65536:
            port = last
    if "x-real-ip" in values:
        # Most load balancers hand on what clients send under this name.
        passed += b"X-Real-IP: %b\r\n" % encode(told[0])
    return Client(told[0], scheme, _lines(told, scheme, authority, port, standard) + passed)


def append_via(value: bytes | None) -> bytes:
    """The Via value with this hop at its end (RFC 9110, 7.6.3)."""
    return VIA if value is None else value + b", " + VIA


def extended_via(headers: Headers) -> tuple[Iterable[bytes], bytes]:
    """All lines but Via, and the one that takes its place, without its end."""
    rest = headers.copy()
    rest.remove("via")
    return rest.lines.values(), b"Via: " + append_via(headers.raw("via"))


_REPLACED: Final = {
    "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded",
    "x-real-ip",
    # These tell frameworks of another path than the one that routes have matched.
    "x-original-url", "x-rewrite-url",
}  # fmt: skip


def _lines(hops: list[str], scheme: str, authority: str, port: str, standard: bool) -> bytes:
    # The peer of a UNIX socket has no address.
    known = ", ".join(filter(None, hops))
    lines = [f"X-Forwarded-For: {known}"] if known else []
    lines.append(f"X-Forwarded-Proto: {scheme}")
    if port:
        lines.append(f"X-Forwarded-Port: {port}")
    if authority:
        lines.append(f"X-Forwarded-Host: {authority}")
    if standard:
        # One element a hop; what is known of the client's own request goes with the first.
        nodes = [f"for={_node(hop)}" for hop in hops]
        nodes[0] += f";proto={scheme}" + (f';host="{authority}"' if authority else "")
        lines.append(f"Forwarded: {', '.join(nodes)}")
    return encode("\r\n".join(lines)) + b"\r\n"


def _address(hop: str) -> str | None:
    """An address in canonical form; ports and brackets are dropped, anything else is None."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    # The zone of a link-local address is free text, and means nothing on another host.
    if "%" in hop:
        return None
    try:
        return str(ip_address(hop))
    except ValueError:
        return None


def _node(address: str) -> str:
    return f'"[{address}]"' if ":" in address else address or "unknown"
