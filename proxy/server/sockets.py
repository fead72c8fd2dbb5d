"""Sockets bound to the addresses of a configuration, before anybody accepts from them.

May live here: how an address becomes listening sockets, and how they are shared out. Must
not live here: what is served on them (`ports`, `admin.site`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from proxy.config.address import Address, parse_address
from proxy.wire.accept import BACKLOG

_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104
_TRIES: Final = 20
_PAUSE_SECONDS: Final = 0.05
_UNPRIVILEGED: Final = 1024


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
            sock = await _in_turn(partial(_listen_unix, address.host))
            return Bound(((sock,),), text)
        return await _bind_tcp(loop, address, count, held)
    except (OSError, UnicodeError) as error:
        raise ListenError(f"can't listen on {text}: {_explain(error, address)}") from None


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
            at = _at(place, port)
            try:
                if port in held:
                    first = _listen(family, at, shared=True)
                else:
                    first = await _in_turn(partial(_listen, family, at, shared=False))
            except OSError as error:
                # A name such as `localhost` may stand for an IPv6 address without there
                # being IPv6.
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                unusable = error
                continue
            port = first.getsockname()[1]
            groups.append([first])
            at = _at(place, port)
            groups[-1] += [_listen(family, at, shared=True) for _ in range(count - 1)]
        if not groups:
            raise unusable or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except BaseException:
        for group in groups:
            for sock in group:
                sock.close()
        raise
    return Bound(tuple(map(tuple, groups)), _shown(address, port))


async def _in_turn(listen: Callable[[], socket.socket]) -> socket.socket:
    """Try again while another instance is about to listen at the same place.

    Of two that begin in the same instant both may be refused, so each waits for a while of
    its own.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            return listen()
        await asyncio.sleep((os.getpid() % 16 + 1) / 16 * _PAUSE_SECONDS)
    return listen()


def _explain(error: OSError | UnicodeError, address: Address) -> str:
    """Why an address can't be used, and what to do about it."""
    number = error.errno if isinstance(error, OSError) else None
    more = ""
    if number == errno.EADDRINUSE:
        which = "ss -lxp" if address.scheme == "unix" else f"ss -ltnp sport = :{address.port}"
        more = f"; stop what listens there (`{which}` tells what) or choose another"
    elif number == errno.EACCES and 0 < address.port < _UNPRIVILEGED:
        more = f"; a port below {_UNPRIVILEGED} needs CAP_NET_BIND_SERVICE"
    elif number == errno.EADDRNOTAVAIL:
        more = "; this machine has no such address, 0.0.0.0 stands for all that it has"
    elif number == errno.ENOENT:
        more = "; the socket's folder must exist"
    elif number == errno.EEXIST:
        more = "; remove it or choose another path"
    return describe(error) + more


def _shown(address: Address, port: int) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{address.scheme}://{host}:{port}"


def _at(place: tuple[Any, ...], port: int) -> tuple[Any, ...]:
    """A socket address with another port."""
    return (place[0], port, *place[2:])


def _listen(family: int, place: tuple[Any, ...], *, shared: bool) -> socket.socket:
    """Raises OSError when somebody listens there; a shared one lets its own user's in.

    A group lets every process of the same user in, another instance too. So its first socket
    is one that listens alone, which the kernel lets only one have, and is shared afterwards.
    """
    sock = _socket(family)
    try:
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(place)
        try:
            sock.listen(BACKLOG)
        except OSError as error:
            # Somebody has begun to since this one was bound, and may have been refused too.
            raise BlockingIOError(error.errno, error.strerror) from None
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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
    with _alone_in(os.path.dirname(path) or "."):
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


@contextlib.contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Keep other instances from taking the socket of this one, which doesn't listen yet, for
    one that was left behind. Raises BlockingIOError while another one is in there."""
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            # A folder that may not be read can still be listened in.
            pass
        yield


def _remove_stale_socket(path: str) -> None:
    """A socket file outlives a killed process, and would make binding fail for ever.

    Raises OSError when somebody listens on it, or it is something else.
    """
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "what stands there is no socket")
        probe.setblocking(False)
        try:
            # It would block where more wait already than may.
            with contextlib.suppress(BlockingIOError):
                probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
