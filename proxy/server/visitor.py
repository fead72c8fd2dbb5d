"""Who is at the other end of a connection, and requests as coming from there."""

from __future__ import annotations

from proxy.contract import Request
from proxy.http1.forwarding import Client, direct_client, forwarded_client
from proxy.http1.headers import Headers
from proxy.http1.line import Line
from proxy.http1.message import RequestHead
from proxy.server.listener import Listener

# Of a head that can't be read, so much is looked at to name it in the log.
_GLANCE = 2048


class Visitor:
    """The peer of one connection. peer: its address; empty on a UNIX socket."""

    __slots__ = ("_direct", "_listener", "_peer", "_trusted")

    def __init__(self, listener: Listener, peer: str) -> None:
        self._listener = listener
        self._peer = peer
        self._trusted = listener.trusts(peer)
        self._direct: tuple[str, Client] | None = None

    def request(self, head: RequestHead) -> Request:
        """The request of a head that was read, with no body yet."""
        target = head.target
        authority = head.authority
        if self._trusted and head.forwarded:
            client = self._client(authority, head.forwarded)
        else:
            # Requests of one connection nearly always name the same host.
            known = self._direct
            if known is None or known[0] != authority:
                known = self._direct = authority, self._client(authority, head.forwarded)
            client = known[1]
        request = Request(
            head.method,
            target.target,
            target.path,
            target.query,
            head.headers,
            head.version,
            client.scheme,
            head.host,
            authority,
            b"",
            0,
            self._peer,
            client.ip,
            self._trusted,
            self._listener.clock(),
        )
        request.forwarded = client.lines
        request.upgrade = head.upgrade
        return request

    def unreadable(self, raw: bytes) -> Request:
        """Stands for a request that could not be read, so that it is answered and logged
        like any other."""
        line = raw[:_GLANCE].partition(b"\r\n")[0].decode("latin-1")
        method, _, rest = line.partition(" ")
        if not (method.isascii() and method.isalpha() and method.isupper() and len(method) < 17):
            method, rest = "", ""
        target = rest.partition(" ")[0]
        if not (target.isascii() and target.isprintable()):
            target = ""
        path, _, query = target.partition("?")
        return Request(
            method,
            target.encode("ascii"),
            path,
            query,
            Headers(),
            scheme=self._listener.scheme,
            peer=self._peer,
            client_ip=self._peer,
            trusted=self._trusted,
            received=self._listener.clock(),
        )

    def _client(self, authority: str, forwarded: tuple[Line, ...]) -> Client:
        listener = self._listener
        if self._trusted and forwarded:
            return forwarded_client(
                self._peer, listener.scheme, authority, listener.port, forwarded, listener.trusts,
                listener.standard,
            )  # fmt: skip
        return direct_client(
            self._peer, listener.scheme, authority, listener.port, listener.standard
        )
