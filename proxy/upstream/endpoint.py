"""Where an upstream is, and how a connection to it is opened."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from proxy.config.address import Address, parse_address
from proxy.config.upstream import UpstreamTimeouts, UpstreamTls
from proxy.errors import Unsent
from proxy.upstream.connection import Owner, UpstreamConnection
from proxy.wire.deadlines import Deadlines
from proxy.wire.tls import load_pair, make_client, tell
from proxy.wire.turn import Turn


class Unreachable(Unsent):
    """No connection could be opened."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of an upstream.

    text: as configured. authority: its Host value.
    """

    text: str
    address: Address
    authority: str
    tls: ssl.SSLContext | None
    server_name: str | None
    timeouts: UpstreamTimeouts


def make_endpoint(
    text: str, tls: UpstreamTls, timeouts: UpstreamTimeouts, name: str = ""
) -> Endpoint:
    """An endpoint from its configuration. name: what it is called, if not as its address is.
    Raises ValueError for a file that can't be used."""
    address = parse_address(text, schemes=("http", "https"))
    if address.scheme == "unix":
        authority = "localhost"
    else:
        host = name or (f"[{address.host}]" if ":" in address.host else address.host)
        plain = address.port == (443 if address.scheme == "https" else 80)
        authority = host if plain else f"{host}:{address.port}"
    context = tls_context(tls) if address.scheme == "https" else None
    server = (tls.server_name or name or address.host) if context is not None else None
    return Endpoint(text, address, authority, context, server, timeouts)


def tls_context(tls: UpstreamTls) -> ssl.SSLContext:
    """What an upstream's endpoints are entered with. Raises TlsError."""
    context = make_client(tls.ca_file, verify=tls.verify)
    if tls.cert_file is not None and tls.key_file is not None:
        load_pair(context, tls.cert_file, tls.key_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def open_connection(
    endpoint: Endpoint,
    owner: Owner,
    loop: asyncio.AbstractEventLoop,
    clock: Callable[[], float],
    deadlines: Deadlines,
    turn: Turn,
) -> UpstreamConnection:
    """Connect, TLS included. Raises Unreachable (502, or 504 when it took too long)."""
    times = endpoint.timeouts
    connection = UpstreamConnection(
        loop, clock, deadlines, turn, owner, times.response, times.body_idle
    )

    def make() -> asyncio.Protocol:
        # Without its base, as in `server.ports`.
        return cast("asyncio.Protocol", connection)

    address, opened = endpoint.address, False
    try:
        async with asyncio.timeout(times.connect):
            if address.scheme == "unix":
                await loop.create_unix_connection(make, address.host)
            elif endpoint.tls is None:
                await loop.create_connection(make, address.host, address.port)
            else:
                await loop.create_connection(
                    make,
                    address.host,
                    address.port,
                    ssl=endpoint.tls,
                    server_hostname=endpoint.server_name,
                    ssl_handshake_timeout=max(times.connect, 0.1),
                )
            opened = True
    except TimeoutError:
        raise Unreachable("connect_timeout", cause=f"{endpoint.text}: timed out") from None
    except (OSError, UnicodeError) as error:
        cause = f"{endpoint.text}: {_in_words(error)}"
        raise Unreachable("upstream_unreachable", cause=cause) from None
    finally:
        if not opened:
            # Given up in the very moment in which it opened, it hears of no end from uvloop.
            deadlines.discard(connection)
    return connection


def _in_words(error: OSError | UnicodeError) -> str:
    """Without the numbers of systems and the lines of their sources."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {tell(error)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {tell(error)}"
    return getattr(error, "strerror", None) or str(error)
