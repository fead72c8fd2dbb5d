"""Sockets bound to the addresses of a configuration, before anybody accepts from them.

May live here: how an address becomes listening sockets, and how they are shared out. Must
not live here: what is served on them (`ports`, `admin.site`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, Final

from proxy.config.address import Address, parse_address
from proxy.wire.accept import BACKLOG

_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104


class ListenError(Exception):
    """An address can't be listened on; the text says which and why."""


def describe(error: OSError | UnicodeError) -> str:
    """Why an address can't be used, in few words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


@dataclass(frozen=True, slots=True)
class Bound:
    """An address that is listened on.

    groups: for each place that its name stands for, the sockets among which the kernel
    shares out connections. shown: the address as bound, with the port that was found for 0.
    """

    groups: tuple[tuple[socket.socket, ...], ...]
    shown: str

    @property
    def sockets(self) -> Iterator[socket.socket]:
        """All of them."""
        return (sock for group in self.groups for sock in group)

    @property
    def port(self) -> str:
        """The port as text; empty for a UNIX socket."""
        return "" if self.shown.startswith("unix:") else self.shown.rpartition(":")[2]

    def share(self, index: int, count: int) -> list[socket.socket]:
        """The sockets of one of `count` processes: every socket is somebody's, and everybody
        has one at each place, if need be together with others."""
        shares: list[socket.socket] = []
        for group in self.groups:
            own = group[index::count] or (group[index % len(group)],)
            shares += own
        return shares

    def close(self) -> None:
        """Close this process's copies; those of other processes go on."""
        for sock in self.sockets:
            sock.close()


async def bind(
    loop: asyncio.AbstractEventLoop, text: str, *, count: int = 1, held: Container[int] = ()
) -> Bound:
    """Listen on `http://HOST:PORT` or `unix:/path`. Raises ListenError.

    count: of the processes that will accept. Each gets a socket of its own at each place;
    only a UNIX socket is one for all. held: ports that this process itself listens on, at
    whatever host, so that 127.0.0.1 can be followed by 0.0.0.0.
    """
    address = parse_address(text, schemes=("http", "https"))
    try:
        if address.scheme == "unix":
            return Bound(((_listen_unix(address.host),),), text)
        return await _bind_tcp(loop, address, count, held)
    except (OSError, UnicodeError) as error:
        raise ListenError(f"can't listen on {text}: {describe(error)}") from None


async def claim(
    loop: asyncio.AbstractEventLoop, text: str, loose: list[socket.socket]
) -> Bound | None:
    """Those of the sockets, which listen already, that are bound to an address; they are
    taken out of the list. A wildcard is as good as another: service managers bind `[::]`."""
    address = parse_address(text, schemes=("http", "https"))
    if address.scheme == "unix":
        names: set[Any] = {address.host}
    else:
        try:
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return None
        names = {place[:2] for _, _, _, _, place in found}
        if any(host in _WILDCARDS for host, _ in names):
            names |= {(host, address.port) for host in _WILDCARDS}
    own = [sock for sock in loose if _name(sock) in names]
    for sock in own:
        loose.remove(sock)
    shown = text if address.scheme == "unix" else _shown(address, address.port)
    return Bound(tuple((sock,) for sock in own), shown) if own else None


def _name(sock: socket.socket) -> Any:
    name = sock.getsockname()
    return name if isinstance(name, str) else name[:2]


async def _bind_tcp(
    loop: asyncio.AbstractEventLoop, address: Address, count: int, held: Container[int]
) -> Bound:
    found = await loop.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    groups: list[list[socket.socket]] = []
    port = address.port
    unusable: OSError | None = None
    try:
        for family, _, _, _, place in dict.fromkeys(found):
            try:
                if port and port not in held:
                    _claimable(family, _at(place, port))
                first = _listen(family, _at(place, port))
            except OSError as error:
                # A name such as `localhost` may stand for an IPv6 address without there
                # being IPv6.
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                unusable = error
                continue
            # For 0 the kernel finds a port that nobody has, whatever they would share.
            port = first.getsockname()[1]
            groups.append([first])
            groups[-1] += [_listen(family, _at(place, port)) for _ in range(count - 1)]
        if not groups:
            raise unusable or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except BaseException:
        for group in groups:
            for sock in group:
                sock.close()
        raise
    return Bound(tuple(map(tuple, groups)), _shown(address, port))


def _shown(address: Address, port: int) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{address.scheme}://{host}:{port}"


def _at(place: tuple[Any, ...], port: int) -> tuple[Any, ...]:
    """A socket address with another port."""
    return (place[0], port, *place[2:])


def _claimable(family: int, place: tuple[Any, ...]) -> None:
    """Raise OSError when somebody listens there.

    The sockets of a group let every process of the same user in: without this look another
    instance would silently take a share of the connections.
    """
    with _socket(family) as probe:
        probe.bind(place)


def _listen(family: int, place: tuple[Any, ...]) -> socket.socket:
    sock = _socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(place)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _socket(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


def _listen_unix(path: str) -> socket.socket:
    _remove_stale_socket(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        sock.bind(path)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale_socket(path: str) -> None:
    """A socket file outlives a killed process, and would make binding fail for ever.

    Raises OSError when somebody listens on it.
    """
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
