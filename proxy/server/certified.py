"""Who a connection is from: visitors, and those who have shown a certificate."""

from __future__ import annotations

import asyncio

from proxy.contract import CERTIFICATE, Request
from proxy.http1.certificate import ClientCertificate, read_certificate
from proxy.http1.forwarding import Client
from proxy.http1.line import CERTIFICATE_FIELDS, Line
from proxy.http1.message import RequestHead
from proxy.server.listener import Listener
from proxy.server.visitor import Visitor


def make_visitor(
    listener: Listener, transport: asyncio.BaseTransport, source: str | None
) -> Visitor:
    """Who is at the other end of a transport. source: its address, if another than that of
    who connects."""
    peer = source
    if peer is None:
        name = transport.get_extra_info("peername")
        # A socket for both families, as service managers open, writes IPv4 in IPv6.
        peer = name[0].removeprefix("::ffff:") if isinstance(name, tuple) else ""
    if listener.certifies:
        connection = transport.get_extra_info("ssl_object")
        der = None if connection is None else connection.getpeercert(True)
        if der:
            certificate = read_certificate(connection.getpeercert(), der)
            return CertifiedVisitor(listener, peer, certificate)
    return Visitor(listener, peer)


class CertifiedVisitor(Visitor):
    """The peer of a connection, whose certificate was verified."""

    __slots__ = ("_certificate", "_line")

    def __init__(self, listener: Listener, peer: str, certificate: ClientCertificate) -> None:
        super().__init__(listener, peer)
        self._certificate = certificate
        self._line = certificate.line if listener.tells_certificates else b""

    def request(self, head: RequestHead) -> Request:
        """As of any visitor, with what the certificate says."""
        request = super().request(head)
        request.state[CERTIFICATE] = self._certificate
        return request

    def _client(self, authority: str, forwarded: tuple[Line, ...]) -> Client:
        if not self._line:
            return super()._client(authority, forwarded)
        # A trusted proxy's word for another certificate would contradict this one.
        others = tuple(line for line in forwarded if line[1] not in CERTIFICATE_FIELDS)
        client = super()._client(authority, others)
        return client._replace(lines=client.lines + self._line)
