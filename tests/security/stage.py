"""Where attacks are played: a client of raw bytes, Sidegate, and an origin that witnesses.

Both ends read strictly and with code of their own, so that nothing Sidegate believes about a
message is taken from Sidegate. A row of bytes that one end can't read is a finding.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.integration.client import Answer, connected, until
from tests.integration.gateway import Gateway, running
from tests.integration.origins import OK, RawOrigin, Script

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*"
_REQUEST: Final = re.compile(
    rb"([A-Z-]+) ([\x21-\x7e]+) HTTP/1\.1\r\n((?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*)\r\n"
)
_RESPONSE: Final = re.compile(
    rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\x20-\x7e]*\r\n((?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*)\r\n"
)
_CHUNK: Final = re.compile(rb"([0-9a-f]{1,16})\r\n")
_END: Final = b"\r\n\r\n"


class Malformed(Exception):
    """Bytes that are no HTTP/1.1 message, by a strict reading."""


@dataclass(frozen=True)
class Heard:
    """A request as the origin read it. fields: in wire order, names in lower case."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of a field, one for each line."""
        return [value for key, value in self.fields if key == name]

    def one(self, name: str) -> str:
        """The value of a field that has to be there exactly once."""
        [value] = self.all(name)
        return value

    @property
    def names(self) -> set[str]:
        """The names of all fields."""
        return {name for name, _ in self.fields}


def _fields(block: bytes) -> tuple[tuple[str, str], ...]:
    lines = block.decode("latin-1").split("\r\n")[:-1]
    pairs = [line.partition(":") for line in lines]
    return tuple((name.lower(), value.strip(" \t")) for name, _, value in pairs)


def _values(fields: tuple[tuple[str, str], ...], name: str) -> list[str]:
    return [value for key, value in fields if key == name]


def _chunks(data: bytes) -> tuple[bytes, bytes] | None:
    """A chunked body and what follows it; None when it isn't complete. No trailers."""
    body = b""
    while True:
        if b"\r\n" not in data:
            return None
        match = _CHUNK.match(data)
        if match is None:
            raise Malformed(f"chunk size: {data[:40]!r}")
        size = int(match[1], 16)
        data = data[match.end() :]
        if len(data) < size + 2:
            return None
        if data[size : size + 2] != b"\r\n":
            raise Malformed(f"chunk end: {data[size : size + 40]!r}")
        body += data[:size]
        data = data[size + 2 :]
        if size == 0:
            return body, data


def _body(fields: tuple[tuple[str, str], ...], data: bytes) -> tuple[bytes, bytes] | None:
    lengths = _values(fields, "content-length")
    codings = _values(fields, "transfer-encoding")
    if lengths and codings:
        raise Malformed("Content-Length beside Transfer-Encoding")
    if codings:
        if codings != ["chunked"]:
            raise Malformed(f"Transfer-Encoding: {codings}")
        return _chunks(data)
    if not lengths:
        return b"", data
    if len(lengths) > 1 or not re.fullmatch("0|[1-9][0-9]*", lengths[0]):
        raise Malformed(f"Content-Length: {lengths}")
    size = int(lengths[0])
    return None if len(data) < size else (data[:size], data[size:])


def read_request(data: bytes) -> tuple[Heard, bytes] | None:
    """The first request, and what follows it; None when it isn't complete.

    Raises Malformed for anything but what a careful proxy writes.
    """
    if _END not in data:
        return None
    match = _REQUEST.match(data)
    if match is None:
        raise Malformed(f"request head: {data[:200]!r}")
    fields = _fields(match[3])
    if len(_values(fields, "host")) != 1:
        raise Malformed(f"Host: {_values(fields, 'host')}")
    read = _body(fields, data[match.end() :])
    if read is None:
        return None
    return Heard(match[1].decode(), match[2].decode(), fields, read[0]), read[1]


def read_answers(data: bytes, methods: tuple[str, ...] = ()) -> list[Answer]:
    """All responses on a connection that has ended; methods: of the requests, GET beyond.

    Raises Malformed when any byte is left that is no response, or the last is cut short.
    """
    answers: list[Answer] = []
    interim: list[Answer] = []
    while data:
        match = _RESPONSE.match(data)
        if match is None:
            raise Malformed(f"response head: {data[:200]!r}")
        status, fields = int(match[1]), _fields(match[2])
        headers: dict[str, str] = {}
        for name, value in fields:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        data = data[match.end() :]
        if 100 < status < 200 or status == 100:
            interim.append(Answer(status, headers))
            continue
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif "content-length" in headers or "transfer-encoding" in headers:
            read = _body(fields, data)
            if read is None:
                raise Malformed(f"cut short: {data[:200]!r}")
            body, data = read
        else:
            body, data = data, b""
        answers.append(Answer(status, headers, body, interim))
        interim = []
    if interim:
        raise Malformed("interim responses and no final one")
    return answers


class Last(bytes):
    """An answer after which the origin closes the connection."""

    __slots__ = ()


Reply = Callable[[Heard], bytes]


class Witness:
    """An origin that writes down each request it understands, and whatever it does not.

    heard: complete requests in order. faults: why bytes could not be read. The rest of a
    request that never became complete is in `unfinished`.
    """

    def __init__(self, reply: Reply | None = None, script: Script | None = None) -> None:
        self._reply = reply or (lambda _: OK)
        self.raw = RawOrigin(script or self._script)
        self.heard: list[Heard] = []
        self.faults: list[str] = []
        self.unfinished: list[bytes] = []

    @property
    def targets(self) -> list[str]:
        """The targets asked for."""
        return [heard.target for heard in self.heard]

    async def _script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        while piece := await reader.read(65536):
            data += piece
            while True:
                try:
                    read = read_request(data)
                except Malformed as fault:
                    self.faults.append(str(fault))
                    return
                if read is None:
                    break
                heard, data = read
                self.heard.append(heard)
                answer = self._reply(heard)
                writer.write(answer)
                if isinstance(answer, Last):
                    await writer.drain()
                    return
        if data:
            self.unfinished.append(data)


@dataclass
class Stage:
    """A running proxy before a witness."""

    gateway: Gateway
    witness: Witness

    async def play(self, data: bytes, *methods: str, half_close: bool = False) -> list[Answer]:
        """Send bytes, and read until Sidegate closes the connection: all its answers."""
        return read_answers(await self.gateway.raw(data, half_close=half_close), methods)

    async def play_in_pieces(self, pieces: list[bytes]) -> list[Answer]:
        """As `play`, each piece sent once the origin has got something of the one before."""
        async with connected(self.gateway.url) as wire:
            for piece in pieces:
                received = len(self.witness.raw.bytes_received)
                await wire.send(piece)
                if piece is not pieces[-1]:
                    await until(lambda: len(self.witness.raw.bytes_received) > received)  # noqa: B023
            data = b""
            while more := await wire.some():
                data += more
            return read_answers(data)

    async def refused(self, data: bytes, status: int, code: str | tuple[str, ...]) -> Answer:
        """Send bytes that must be answered once, with an error, and end the connection."""
        [answer] = await self.play(data)
        codes = (code,) if isinstance(code, str) else code
        assert (answer.status, answer.error in codes) == (status, True), answer
        assert answer.headers["connection"] == "close"
        return answer


@contextlib.asynccontextmanager
async def staged(
    folder: Path,
    reply: Reply | None = None,
    config: dict[str, Any] | None = None,
    *,
    script: Script | None = None,
) -> AsyncIterator[Stage]:
    """Run Sidegate before a witness, its upstream `app`.

    reply: what the witness answers. script: what it does, in place of reading and answering.

    At the end, whatever was played: the origin could read every byte it was sent, and
    nothing failed inside the proxy (`running` sees to that).
    """
    witness = Witness(reply, script)
    async with witness.raw:
        settings = {**(config or {})}
        options = settings.get("upstreams", {}).get("app", {})
        settings["upstreams"] = {"app": {**options, "endpoints": [witness.raw.url]}}
        async with running(settings, folder) as gateway:
            yield Stage(gateway, witness)
        assert witness.faults == []


def get(target: str = "/", *lines: str, host: str = "service.test") -> bytes:
    """A GET that ends its connection."""
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n".encode(
        "latin-1"
    )
