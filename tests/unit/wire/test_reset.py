"""Breaking a connection off so that the other side can tell."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from proxy.wire.reset import reset
from tests.unit.transport import Wire

DISCARD = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Socket:
    """Remembers the options that were set."""

    def __init__(self, family: int) -> None:
        self.family = family
        self.options: list[tuple[Any, ...]] = []

    def setsockopt(self, *option: Any) -> None:
        self.options.append(option)


class Plugged(Wire):
    """A transport that has a socket."""

    def __init__(self, sock: Socket) -> None:
        super().__init__()
        self._sock = sock

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._sock if name == "socket" else default


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_what_is_unsent_is_discarded_with_a_reset(family: int) -> None:
    sock = Socket(family)
    wire = Plugged(sock)
    reset(wire)
    assert sock.options == [DISCARD]
    assert wire.aborted


def test_a_unix_socket_is_just_closed() -> None:
    sock = Socket(socket.AF_UNIX)
    wire = Plugged(sock)
    reset(wire)
    assert sock.options == []
    assert wire.aborted


def test_a_transport_that_is_closing_already_has_no_socket_to_ask() -> None:
    sock = Socket(socket.AF_INET)
    wire = Plugged(sock)
    wire.close()
    reset(wire)
    assert sock.options == []
    assert wire.aborted


def test_a_transport_without_a_socket_is_just_closed() -> None:
    wire = Wire()
    reset(wire)
    assert wire.aborted
