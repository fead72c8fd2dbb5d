"""Active checks: asks an endpoint how it is, on a connection of its own.

May live here: what is asked and what a good answer is. Must not live here: what a result
means for the endpoint (`health`), or when the next check is due (`cluster`).
"""

from __future__ import annotations

import asyncio
from typing import Final

from proxy.asking import Awaited
from proxy.config.protection import HealthCheck
from proxy.contract import NO_EXCHANGE, Response
from proxy.errors import GatewayError
from proxy.http1.status import read_statuses
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.endpoint import Endpoint, open_connection
from proxy.upstream.means import Means

_BODY_MAX: Final = 64 * 1024


class _Nobody:
    """Owns the connections of checks: none is kept."""

    def release(self, connection: UpstreamConnection) -> None:
        connection.close("checked")

    def joined(self, connection: UpstreamConnection) -> None:
        raise AssertionError("checks ask for no tunnel")

    def discard(self, connection: UpstreamConnection, reason: str) -> None:
        return None


class Probe:
    """Checks one endpoint by the options of its upstream."""

    def __init__(self, endpoint: Endpoint, options: HealthCheck, means: Means) -> None:
        self._endpoint = endpoint
        self._options = options
        self._means = means
        self._statuses = read_statuses(options.status)
        self._body = None if options.body is None else options.body.encode()
        host = options.host or endpoint.authority
        self._request = (
            f"GET {options.path or '/'} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: sidegate-health\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        ).encode("ascii")

    async def check(self) -> str:
        """Why the endpoint isn't well, empty when it is. Raises nothing but cancellation."""
        started = self._means.clock()
        try:
            async with asyncio.timeout(self._options.timeout):
                connection = await open_connection(
                    self._endpoint,
                    _Nobody(),
                    self._means.loop,
                    self._means.clock,
                    self._means.deadlines,
                    self._means.turn,
                )
                try:
                    return await self._ask(connection, started)
                finally:
                    connection.close("checked")
        except TimeoutError:
            return "no answer in time"
        except GatewayError as error:
            return error.cause or error.code

    async def _ask(self, connection: UpstreamConnection, started: float) -> str:
        options = self._options
        if options.path is None:
            return ""
        asker = Awaited(self._means.loop, NO_EXCHANGE)
        connection.ask("GET", self._request, True, False, asker, self._means.clock())
        response = await asker.future
        if response.status not in self._statuses:
            return f"status {response.status}"
        if self._body is not None and self._body not in await _beginning(response):
            return "the body has not the text"
        if options.latency is not None and self._means.clock() - started > options.latency:
            return "slow"
        return ""


async def _beginning(response: Response) -> bytes:
    """The first part of a body."""
    if isinstance(response.body, bytes):
        return response.body[:_BODY_MAX]
    data = b""
    async for piece in response.body:
        data += piece
        if len(data) >= _BODY_MAX:
            break
    return data[:_BODY_MAX]
