"""Each request can be found again: its ID and its trace are in its log line and its response,
whatever became of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.client import Answer, connected, request, until
from tests.integration.gateway import Gateway, running
from tests.integration.origins import OK, RawOrigin
from tests.integration.ports import free_port

HOST: Final = b"Host: a\r\n"
UPGRADE: Final = {
    "connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13",
    "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA==",
}  # fmt: skip


async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A service that does what the path says."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"Content-Length: 5" in head:
        await reader.readexactly(5)
    path = head.split(b" ")[1]
    if path == b"/up/garbage":
        writer.write(b"\x00\x01\r\n\r\n")
    elif path == b"/up/silent":
        await reader.read()
    elif path == b"/up/hangup":
        writer.close()
    elif path == b"/up/cut":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        writer.close()
    elif path == b"/up/no-upgrade":
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    elif path == b"/up/half-upgrade":
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    elif path == b"/up/500":
        writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
    elif path == b"/up/foreign":
        lines = b"X-Request-ID: upstream's\r\ntraceresponse: upstream's\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")
    else:
        writer.write(OK)


def route(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "match": {"path": f"/{name}/**"}, **more}


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Gateway]:
    """A proxy that has a reason for every refusal."""
    async with RawOrigin(misbehave) as origin:
        config: dict[str, Any] = {
            "server": {
                "limits": {"head": "2KiB", "target": "1KiB", "fields": 20, "body": "1KiB"},
                "timeouts": {"head": "300ms", "body_idle": "300ms"},
            },
            "upstreams": {
                "up": {"endpoints": [origin.url], "timeouts": {"response": "300ms"}},
                "down": f"http://127.0.0.1:{free_port()}",
                "broken": {
                    "endpoints": [f"http://127.0.0.1:{free_port()}"],
                    "breaker": {"consecutive": 1, "rest": "1h", "longest": "1h"},
                },
            },
            "routes": [
                route("up", upstream="up"),
                route("down", upstream="down"),
                route("bare", upstream="down", policies={"error_envelope": False}),
                route("broken", upstream="broken"),
                route(
                    "hurried",
                    upstream="up",
                    policies={
                        "deadline": "100ms",
                        "rewrite": {"strip_prefix": "/hurried", "add_prefix": "/up"},
                    },
                ),
                route("limited", policies={"rate_limit": "1/day", "respond": 204}),
                route("canned", policies={"respond": 204}),
                route("moved", policies={"redirect": "/canned/"}),
                {
                    "name": "get",
                    "match": {"path": "/get", "methods": ["GET"]},
                    "policies": {"respond": 204},
                },
            ],
        }
        async with running(config, folder) as gateway:
            yield gateway


CASES: Final = {
    # What is answered as it should be.
    "canned": (request("GET", "/canned/a"), 204),
    "redirect": (request("GET", "/moved/a"), 308),
    "service": (request("GET", "/up/ok"), 200),
    "HEAD": (request("HEAD", "/canned/a"), 204),
    "HTTP/1.0": (b"GET /canned/a HTTP/1.0\r\n\r\n", 204),
    "service with IDs of its own": (request("GET", "/up/foreign"), 200),
    # What can't be read.
    "garbage": (b"\x00\x01\x02\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "method": (b'G"T / HTTP/1.1\r\n' + HOST + b"\r\n", 400),
    "version": (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", 505),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST * 2 + b"\r\n", 400),
    "field name": (b"GET / HTTP/1.1\r\n" + HOST + b"A b: c\r\n\r\n", 400),
    "target": (b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "dot segments": (request("GET", "/a/../b"), 400),
    "lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 2\r\n\r\n", 400),
    "length and chunks": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "coding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "expectation": (b"POST / HTTP/1.1\r\n" + HOST + b"Expect: cake\r\n\r\n", 417),
    "TRACE": (request("TRACE", "/"), 501),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501),
    "long target": (request("GET", "/" + "a" * 1500), 414),
    "many fields": (request("GET", "/", **{f"x_{number}": "1" for number in range(30)}), 431),
    "large head": (request("GET", "/", x="1" * 3000), 431),
    "slow head": (b"GET / HTTP/1.1\r\n" + HOST, 408),
    # What is refused.
    "no route": (request("GET", "/missing"), 404),
    "wrong method": (request("DELETE", "/get"), 405),
    "rate": (request("GET", "/limited/a"), 429),
    "large body": (request("POST", "/up/ok", b"x" * 2000), 413),
    "slow body": (b"POST /up/ok HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n", 408),
    "bad chunk": (
        b"POST /up/ok HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
    ),
    # What fails behind.
    "down": (request("GET", "/down/a"), 502),
    "down without envelopes": (request("GET", "/bare/a"), 502),
    "garbage from the service": (request("GET", "/up/garbage"), 502),
    "hang-up": (request("POST", "/up/hangup", b"x"), 502),
    "silence": (request("GET", "/up/silent"), 504),
    "error of the service": (request("GET", "/up/500"), 500),
    "cut response": (request("GET", "/up/cut"), 200),
    "upgrade refused": (request("GET", "/up/no-upgrade", **UPGRADE), 403),
    "upgrade that nobody asked for": (request("GET", "/up/half-upgrade"), 502),
    "upgrade in part": (request("GET", "/up/half-upgrade", **UPGRADE), 502),
    "open circuit": (request("GET", "/broken/a"), 503),
    "deadline": (request("GET", "/hurried/silent"), 504),
}  # fmt: skip


# What the second of two gets.
SECOND: Final = ("rate", "open circuit")


async def answered(gateway: Gateway, data: bytes, *, half_close: bool = False) -> Answer:
    async with connected(gateway.url) as wire:
        await wire.send(data)
        if half_close:
            wire.end()
        return await wire.head()


@pytest.mark.parametrize("case", CASES)
async def test_what_is_answered(case: str, tmp_path: Path) -> None:
    data, status = CASES[case]
    async with standing(tmp_path) as gateway:
        count = 1
        if case in SECOND:
            await answered(gateway, data)
            count = 2
        answer = await answered(gateway, data)
        line = (await gateway.lines(count=count))[-1]
    assert answer.status == line["status"] == status
    assert 0 < line["bytes_in"] <= len(data)
    assert_found_again(line, answer)


def assert_found_again(line: dict[str, Any], answer: Answer) -> None:
    assert re.fullmatch("[0-9a-f-]{36}", line["request_id"])
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
    assert answer.headers["x-request-id"] == line["request_id"]
    _, trace_id, span_id, _ = answer.headers["traceresponse"].split("-")
    assert (trace_id, span_id) == (line["trace_id"], line["span_id"])


async def test_a_body_that_ends_early(tmp_path: Path) -> None:
    data = b"POST /up/ok HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nab"
    async with standing(tmp_path) as gateway:
        answer = await answered(gateway, data, half_close=True)
        [line] = await gateway.lines()
    assert answer.status == line["status"] == 400
    assert_found_again(line, answer)


async def test_a_client_too_many(tmp_path: Path) -> None:
    config = {
        "server": {"limits": {"connections": 1}},
        "routes": [{"name": "all", "policies": {"respond": 204}}],
    }
    async with running(config, tmp_path) as gateway, connected(gateway.url) as first:
        await first.send(request())
        await first.answer()
        async with connected(gateway.url) as second:
            answer = await second.answer()
        lines = await gateway.lines(count=2)
    [line] = [line for line in lines if line["status"] == 503]
    assert answer.headers["x-request-id"] == line["request_id"]
    assert line["trace_id"] in answer.headers["traceresponse"]


async def test_a_client_that_is_gone(tmp_path: Path) -> None:
    async with standing(tmp_path) as gateway:
        async with connected(gateway.url) as wire:
            await wire.send(request("GET", "/up/silent"))
            await until(lambda: gateway.app.status()["in_flight"] == 1)
            wire.abort()
        [line] = await gateway.lines()
    assert line["status"] == 0
    assert re.fullmatch("[0-9a-f-]{36}", line["request_id"])
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
