"""The proxy that one writes in an afternoon with aiohttp: `web.Application` and `ClientSession`.

`python -m tests.benchmarks.plain_proxy PORT ORIGIN_PORT`. It runs on uvloop, logs nothing, has
no policies, reads bodies whole and leaves compression alone: all in its favour.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Final

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

# Those that concern one connection, and what aiohttp writes itself.
DROPPED: Final = frozenset({
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade", "content-length",
})  # fmt: skip
SESSION: Final = web.AppKey("session", ClientSession)


def kept(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The fields that go on to the other side."""
    return [(name, value) for name, value in headers.items() if name.lower() not in DROPPED]


def application(origin_port: int) -> web.Application:
    """Forwards every request to the origin."""
    origin = f"http://127.0.0.1:{origin_port}"

    async def session(app: web.Application) -> AsyncIterator[None]:
        connector = TCPConnector(limit=128, keepalive_timeout=60)
        async with ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=DummyCookieJar()
        ) as client:
            app[SESSION] = client
            yield

    async def forward(request: web.Request) -> web.Response:
        body = await request.read() if request.can_read_body else None
        async with request.app[SESSION].request(
            request.method,
            origin + request.path_qs,
            headers=kept(request.headers),
            data=body,
            allow_redirects=False,
        ) as response:
            return web.Response(
                status=response.status,
                reason=response.reason,
                headers=kept(response.headers),
                body=await response.read(),
            )

    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    web.run_app(
        application(int(sys.argv[2])),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )
