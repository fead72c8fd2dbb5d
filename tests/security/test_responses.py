"""A hostile origin: nothing it sends becomes a second response, or another client's.

The first request of each case is answered with the row's bytes, every later one honestly
with its own target, over a pool that has room for a single connection: so a response that
is left behind would be found by the next client.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.client import CutShort, connected, until
from tests.security.stage import Heard, Last, Reply, Stage, get, staged

ONE: Final[dict[str, Any]] = {"size": 1, "overflow": 0}
FINE: Final = b"HTTP/1.1 200 OK\r\n"
CODED: Final = FINE + b"Transfer-Encoding: chunked\r\n\r\n"
SWITCHED: Final = b"HTTP/1.1 101 Switching Protocols\r\n"
EVIL: Final = FINE + b"Content-Length: 4\r\n\r\nevil"


def _honest(heard: Heard) -> bytes:
    body = heard.target.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head if heard.method == "HEAD" else head + body


def _first(data: bytes) -> Reply:
    said = False

    def reply(heard: Heard) -> bytes:
        nonlocal said
        if said:
            return _honest(heard)
        said = True
        return data

    return reply


def _pool() -> dict[str, Any]:
    # `staged` adds the endpoint.
    return {"app": {"pool": ONE, "timeouts": {"response": "2s"}}}


async def _victims(stage: Stage) -> None:
    for number in range(3):
        [answer] = await stage.play(get(f"/victim-{number}"))
        assert (answer.status, answer.body) == (200, b"/victim-%d" % number)


INVALID: Final = [
    ("bare LF everywhere", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("bare LF in a field", FINE + b"A: b\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n"),
    ("bare CR in a value", FINE + b"A: b\rSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in a value", FINE + b"A: b\x00c\r\nContent-Length: 0\r\n\r\n"),
    ("escape in a value", FINE + b"A: \x1b[2J\r\nContent-Length: 0\r\n\r\n"),
    ("DEL in a value", FINE + b"A: \x7f\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in the reason", b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n"),
    ("CR in the reason", b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"),
    ("folded", FINE + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
    ("folded length", FINE + b"Content-Length:\r\n 0\r\n\r\n"),
    ("blank before the colon", FINE + b"Content-Length : 0\r\n\r\n"),
    ("blank in a name", FINE + b"X Y: z\r\nContent-Length: 0\r\n\r\n"),
    ("name beyond ASCII", FINE + b"X\xe9: z\r\nContent-Length: 0\r\n\r\n"),
    ("no name", FINE + b": z\r\nContent-Length: 0\r\n\r\n"),
    ("no colon", FINE + b"nonsense\r\nContent-Length: 0\r\n\r\n"),
    ("CL and TE", FINE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"0\r\n\r\n" + EVIL),
    ("unequal lengths", FINE + b"Content-Length: 0\r\nContent-Length: 9\r\n\r\n" + EVIL),
    ("a list of lengths", FINE + b"Content-Length: 0, 9\r\n\r\n" + EVIL),
    ("signed length", FINE + b"Content-Length: +4\r\n\r\nevil"),
    ("negative length", FINE + b"Content-Length: -1\r\n\r\nevil"),
    ("hexadecimal length", FINE + b"Content-Length: 0x4\r\n\r\nevil"),
    ("empty length", FINE + b"Content-Length:\r\n\r\nevil"),
    ("huge length", FINE + b"Content-Length: 18446744073709551615\r\n\r\nevil"),
    ("gzip coding", FINE + b"Transfer-Encoding: gzip\r\n\r\nevil"),
    ("gzip, chunked", FINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked, gzip", FINE + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("chunked twice", FINE + b"Transfer-Encoding: chunked\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("identity", FINE + b"Transfer-Encoding: identity\r\n\r\nevil"),
    ("version 2", b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n"),
    ("version 1.2", b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("another protocol", b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("no status line", b"Content-Length: 0\r\n\r\n"),
    ("a request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("an empty line ahead", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("HTML alone", b"<html>evil</html>\r\n\r\n"),
    ("status 000", b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status 99", b"HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status 600", b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status 999", b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status 2000", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status -200", b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status in letters", b"HTTP/1.1 OK 200\r\nContent-Length: 0\r\n\r\n"),
    ("101 unasked", SWITCHED + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"
     + EVIL),
    ("101 for h2c", SWITCHED + b"Upgrade: h2c\r\nConnection: upgrade\r\n\r\n" + EVIL),
    ("101 without Upgrade", SWITCHED + b"\r\n" + EVIL),
    ("interim without end", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100 + EVIL),
    ("100 without end", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + EVIL),
    ("a head without end", FINE + b"A: b\r\n" * 100_000),
    ("a line without end", FINE + b"A: " + b"b" * 600_000),
    ("a status line without end", b"HTTP/1.1 200 " + b"O" * 600_000),
    ("garbage", bytes(range(256)) * 8 + b"\r\n\r\n"),
]  # fmt: skip


@pytest.mark.parametrize("close", [False, True], ids=["stays open", "closes"])
@pytest.mark.parametrize(("name", "data"), INVALID, ids=[name for name, _ in INVALID])
async def test_a_malformed_response_is_a_502_and_leaves_nothing_behind(
    tmp_path: Path, name: str, data: bytes, close: bool
) -> None:
    reply = _first(Last(data) if close else data)
    async with staged(tmp_path, reply, {"upstreams": _pool()}) as stage:
        [answer] = await stage.play(get("/attack"))
        if name == "bare LF everywhere" and not close:
            # Its head has no end, so there is only the time that tells.
            assert (answer.status, answer.error) == (504, "upstream_timeout")
        else:
            assert (answer.status, answer.error) == (502, "upstream_invalid")
        assert "set-cookie" not in answer.headers
        assert len(answer.interim) <= 16
        assert b"evil" not in answer.body
        await _victims(stage)


SPLIT: Final = [
    ("two responses", EVIL + EVIL, b"evil"),
    ("ten responses", EVIL * 10, b"evil"),
    ("two responses, the second cut short", EVIL + EVIL[:30], b"evil"),
    ("no body, and a response", FINE + b"Content-Length: 0\r\n\r\n" + EVIL, b""),
    ("chunked, and a response",
     CODED + b"4\r\nevil\r\n0\r\n\r\n" + EVIL, b"evil"),
    ("trailers, and a response",
     CODED + b"4\r\nevil\r\n0\r\nSet-Cookie: a=b\r\n\r\n"
     + EVIL, b"evil"),
    ("more than the length", FINE + b"Content-Length: 2\r\n\r\nevil", b"ev"),
    ("204 with a body", b"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nevil" + EVIL, b""),
    ("204, chunked", b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
     b""),
    ("304 with a body", b"HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\nevil" + EVIL, b""),
    ("a line end too many", EVIL + b"\r\n", b"evil"),
    ("stray NUL", EVIL + b"\x00", b"evil"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "body"), SPLIT, ids=[name for name, *_ in SPLIT])
async def test_what_follows_a_response_belongs_to_nobody(
    tmp_path: Path, name: str, data: bytes, body: bytes
) -> None:
    async with staged(tmp_path, _first(data), {"upstreams": _pool()}) as stage:
        # Pipelined: the second request waits on the very connection of the first.
        follow = b"GET /same HTTP/1.1\r\nHost: service.test\r\n\r\n"
        first, second, third = await stage.play(follow + follow + get("/third"))
        assert (first.body, second.body, third.body) == (body, b"/same", b"/third")
        # Whatever else might come on the first connection is nobody's either.
        assert stage.witness.raw.connections == 2
        assert "set-cookie" not in first.headers
        await _victims(stage)


@pytest.mark.parametrize(
    "data",
    [
        EVIL,
        EVIL + EVIL,
        CODED + b"4\r\nevil\r\n0\r\n\r\n" + EVIL,
        b"HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nevil" + EVIL,
    ],
)
async def test_the_body_of_an_answer_to_head_goes_nowhere(tmp_path: Path, data: bytes) -> None:
    """It looks like the beginning of the next response."""
    head = b"HEAD / HTTP/1.1\r\nHost: service.test\r\n\r\n"
    async with staged(tmp_path, _first(data), {"upstreams": _pool()}) as stage:
        first, second = await stage.play(head + get("/second"), "HEAD", "GET")
        assert (first.body, second.body) == (b"", b"/second")
        await _victims(stage)


async def test_a_response_that_nobody_asked_for_is_not_kept_for_the_next(tmp_path: Path) -> None:
    """Sent on an idle connection, where the next client's request would find it."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        target = head.split(b" ")[1]
        writer.write(FINE + b"Content-Length: %d\r\n\r\n%b" % (len(target), target))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(EVIL)
        await reader.read()

    async with staged(tmp_path, script=script, config={"upstreams": _pool()}) as stage:
        for number in range(4):
            [answer] = await stage.play(get(f"/{number}"))
            assert answer.body == b"/%d" % number
            await asyncio.sleep(0.04)
        assert stage.witness.raw.connections == 4


CUT: Final = [
    ("length not reached", FINE + b"Content-Length: 100\r\n\r\nevil"),
    ("chunk not reached", CODED + b"ff\r\nevil"),
    ("no last chunk", CODED + b"4\r\nevil\r\n"),
    ("no final line", CODED + b"4\r\nevil\r\n0\r\n"),
    ("malformed chunk",
     CODED + b"4\r\nevil\r\n0x4\r\nevil\r\n0\r\n\r\n"),
    ("chunk too long",
     CODED + b"4\r\nevil!!\r\n0\r\n\r\n"),
    ("chunk of bare LF", CODED + b"4\nevil\n0\n\n"),
    ("chunk of 2^64", CODED + b"10000000000000004\r\nevil\r\n0\r\n\r\n"),
    ("extension without end",
     CODED + b"4;" + b"x" * 9000 + b"\r\nevil\r\n"),
    ("trailers without end", CODED + b"4\r\nevil\r\n0\r\n"
     + b"A: b\r\n" * 9000 + b"\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data"), CUT, ids=[name for name, _ in CUT])
async def test_a_response_cut_short_is_never_whole(tmp_path: Path, name: str, data: bytes) -> None:
    async with staged(tmp_path, _first(Last(data)), {"upstreams": _pool()}) as stage:
        async with connected(stage.gateway.url) as wire:
            await wire.send(get("/attack"))
            try:
                answer = await wire.answer()
            except CutShort:
                pass
            else:
                assert answer.error in ("upstream_invalid", "upstream_closed")
        await _victims(stage)


@pytest.mark.parametrize(("name", "data"), CUT, ids=[name for name, _ in CUT])
async def test_a_client_without_chunks_learns_of_it_by_a_reset(
    tmp_path: Path, name: str, data: bytes
) -> None:
    """An HTTP/1.0 client reads to the end of the connection; an ordinary one would be a lie."""
    async with staged(tmp_path, _first(Last(data)), {"upstreams": _pool()}) as stage:
        async with connected(stage.gateway.url) as wire:
            await wire.send(b"GET / HTTP/1.0\r\nHost: service.test\r\n\r\n")
            received = b""
            with pytest.raises(CutShort):  # noqa: PT012
                while more := await wire.some():
                    received += more
                # It was answered with a 502, or told how long the body should have been.
                head, _, body = received.partition(b"\r\n\r\n")
                if b" 502 " not in head:
                    assert b"Content-Length: 100" in head
                    assert len(body) < 100
                raise CutShort
        await _victims(stage)


HOSTILE_FIELDS: Final = [
    b"Connection: close, Set-Cookie, Content-Type", b"Keep-Alive: timeout=99999999999999",
    b"Proxy-Connection: keep-alive", b"TE: trailers",
    b"Trailer: Set-Cookie", b"Upgrade: h2c", b"Via: 1.1 evil", b"X-Request-ID: evil",
    b"Server: Evil/1.0", b"X-Powered-By: Evil",
]  # fmt: skip


async def test_the_fields_of_a_hop_end_there(tmp_path: Path) -> None:
    data = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\n"
    )
    data += b"".join(field + b"\r\n" for field in HOSTILE_FIELDS) + b"\r\nok"
    async with staged(tmp_path, _first(data)) as stage:
        [answer] = await stage.play(get())
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers["set-cookie"] == "a=b"
        assert answer.headers["via"] == "1.1 evil, 1.1 sidegate"
        assert answer.headers["connection"] == "close"
        assert "evil" not in answer.headers["x-request-id"]
        gone = {"keep-alive", "proxy-connection", "te", "trailer", "upgrade", "server",
                "x-powered-by"}  # fmt: skip
        assert gone.isdisjoint(answer.headers)


async def test_an_early_answer_takes_the_upload_with_it(tmp_path: Path) -> None:
    """What is left of the upload must not be read as a request, here or at the origin."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nevil")
        await reader.read()

    hidden = b"GET /smuggled HTTP/1.1\r\nHost: service.test\r\n\r\n"
    head = b"POST /upload HTTP/1.1\r\nHost: service.test\r\nContent-Length: 100000\r\n\r\n"
    async with staged(tmp_path, script=script) as stage, connected(stage.gateway.url) as wire:
        await wire.send(head)
        answer = await wire.answer()
        assert (answer.status, answer.headers["connection"]) == (403, "close")
        await wire.send(hidden * 100)
        assert await wire.ended()
        assert b"/smuggled" not in stage.witness.raw.bytes_received
        [line] = await stage.gateway.lines()
        assert line["status"] == 403


async def test_a_client_that_stalls_does_not_hold_an_early_answer_for_ever(tmp_path: Path) -> None:
    """The upload times out while the response is still coming: both have to end."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10)
        await reader.read()

    config = {"server": {"timeouts": {"body_idle": "300ms"}}}
    head = b"POST / HTTP/1.1\r\nHost: service.test\r\nContent-Length: 100\r\n\r\nx"
    async with staged(tmp_path, script=script, config=config) as stage:
        async with connected(stage.gateway.url) as wire:
            await wire.send(head)
            with pytest.raises(CutShort):
                await wire.answer()
        [line] = await stage.gateway.lines()
        assert line["aborted"]
        await until(lambda: all(pool["in_use"] == 0 for pool in stage.gateway.app.upstreams()))
