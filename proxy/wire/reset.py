"""How a connection is broken off so that the other side can tell, and how to tell that it was.

Merely closed, it ends as after a complete response: a body that is framed by the end of the
connection would then pass for whole though it was cut short (RFC 9112, 8).
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from typing import Final

_NO_LINGER: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Close at once, with a TCP reset; what was written and not yet sent is lost."""
    sock = transport.get_extra_info("socket")
    # A UNIX socket knows no reset, nor the option that asks for one.
    if sock is not None and sock.family != socket.AF_UNIX and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def was_reset(transport: asyncio.Transport) -> bool:
    """Whether the peer has reset the connection, which a loop that reads no more isn't told."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLERR)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
