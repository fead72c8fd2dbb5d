"""The proxy that one writes with aiohttp: `web.Application` and `ClientSession`, on uvloop.

`python -m tests.benchmarks.plain_proxy PORT ORIGIN_PORT` only forwards, as one has it after an
afternoon: no policies, no log. With `LIMIT SECONDS` behind that it does what `plain_policies`
says, as one has it in production. Small bodies are read whole, and compression is left alone:
both in its favour.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Final

import uvloop
from aiohttp import ClientResponse, ClientSession, DummyCookieJar, TCPConnector, web

from tests.benchmarks.plain_policies import SENT, AccessLines, Policies

# Those that concern one connection, and what aiohttp writes itself.
DROPPED: Final = frozenset({
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade", "content-length",
})  # fmt: skip
SESSION: Final = web.AppKey("session", ClientSession)
WHOLE_MAX: Final = 256 * 1024
"""Bytes of a body that is still read whole."""


def kept(headers: Mapping[str, str], dropped: frozenset[str]) -> list[tuple[str, str]]:
    """The fields that go on to the other side."""
    return [(name, value) for name, value in headers.items() if name.lower() not in dropped]


def application(origin_port: int, policies: Policies | None = None) -> web.Application:
    """Forwards every request to the origin."""
    origin = f"http://127.0.0.1:{origin_port}"
    asked, answered = DROPPED, DROPPED
    if policies is not None:
        asked, answered = asked | policies.owned, answered | policies.hidden

    async def session(app: web.Application) -> AsyncIterator[None]:
        connector = TCPConnector(limit=128, keepalive_timeout=60)
        async with ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=DummyCookieJar()
        ) as client:
            app[SESSION] = client
            yield

    async def forward(request: web.Request) -> web.StreamResponse:
        body = await request.read() if request.can_read_body else None
        headers = kept(request.headers, asked)
        if policies is not None:
            headers += request[SENT]
        async with request.app[SESSION].request(
            request.method,
            origin + request.path_qs,
            headers=headers,
            data=body,
            allow_redirects=False,
        ) as response:
            headers = kept(response.headers, answered)
            if (response.content_length or 0) > WHOLE_MAX:
                return await stream(request, response, headers)
            return web.Response(
                status=response.status,
                reason=response.reason,
                headers=headers,
                body=await response.read(),
            )

    app = web.Application(middlewares=policies.middlewares if policies else ())
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", forward)
    if policies is not None:
        app.on_response_prepare.append(policies.protect)
    return app


async def stream(
    request: web.Request, answer: ClientResponse, headers: list[tuple[str, str]]
) -> web.StreamResponse:
    """Pass on a large body as it comes."""
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    response.content_length = answer.content_length
    await response.prepare(request)
    async for piece in answer.content.iter_any():
        await response.write(piece)
    return response


def main(port: int, origin_port: int, policies: Policies | None) -> None:
    """Serve until the process is ended."""
    if policies is None:
        logging.disable(logging.CRITICAL)
    web.run_app(
        application(origin_port, policies),
        host="127.0.0.1",
        port=port,
        access_log_class=AccessLines,
        access_log=logging.getLogger("access") if policies else None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    listens, asks, *rest = map(int, sys.argv[1:])
    main(listens, asks, Policies(listens, *rest) if rest else None)
