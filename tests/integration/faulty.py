"""A service that fails as it is told: `python faulty.py PORT`.

It speaks just enough HTTP/1.1 for a proxy. `POST /_mode/NAME` changes how it behaves from
then on, `GET /_seen` tells what it was asked: how often in all, how often by the value of
X-Number, and how many at most at once since `POST /_forget`. Modes: `ok`, `slow` (a fifth of
a second), `busy` (eight at once in 50 to 150 ms each, the others wait), `reset`, `close`,
`stall` (no answer), `trickle` (a body that never ends), `cut` (a body that ends too soon),
`garbage` (no HTTP), `error` (503).
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections import Counter

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ERROR = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


class Service:
    def __init__(self) -> None:
        self.mode = "ok"
        self.asked = 0
        self.now = self.most = 0
        self.seen: Counter[str] = Counter()
        self.places = asyncio.Semaphore(8)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                fields = dict(
                    line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
                )
                await reader.readexactly(int(fields.get("content-length", "0")))
                path = head.split(" ")[1]
                if path.startswith("/_"):
                    writer.write(self.control(path))
                elif not await self.answer(fields.get("x-number", ""), writer):
                    return
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def control(self, path: str) -> bytes:
        if path.startswith("/_mode/"):
            self.mode = path.removeprefix("/_mode/")
        if path == "/_forget":
            self.most = self.now
        facts = {"asked": self.asked, "seen": self.seen, "most": self.most}
        body = json.dumps(facts).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def answer(self, number: str, writer: asyncio.StreamWriter) -> bool:
        """Answer or fail; whether the connection goes on."""
        self.asked += 1
        self.seen[number] += 1
        if self.mode == "slow":
            await asyncio.sleep(0.2)
        if self.mode == "busy":
            self.now += 1
            self.most = max(self.most, self.now)
            pause = (50 + self.asked * 37 % 101) / 1000
            async with self.places:
                await asyncio.sleep(pause)
            self.now -= 1
        if self.mode in ("ok", "slow", "busy"):
            writer.write(OK)
            return True
        if self.mode == "error":
            writer.write(ERROR)
            return True
        if self.mode == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        elif self.mode == "garbage":
            writer.write(b"\x00\x01 nothing that anybody knows\r\n\r\n")
        elif self.mode == "trickle":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            for _ in range(600):
                writer.write(b".")
                await asyncio.sleep(0.05)
        elif self.mode == "cut":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbut")
            await writer.drain()
            await asyncio.sleep(0.02)
        elif self.mode == "stall":
            await asyncio.sleep(30)
        return False


async def main(port: int) -> None:
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
