"""A shop with every hole in the book, to be attacked: never put it anywhere but on loopback.

Each resource does what tutorials warn of: SQL pasted together, values put into pages as they
came, a path joined with a name, a command line handed to a shell, fields and operators of a
query taken from the client. The shell runs in an empty folder and knows one command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from aiohttp import web

SECRET: Final = "canary-5f1d7c"
"""What an attacker must not see."""

_ITEMS: Final = [(1, "lamp", 20), (2, "table", 150), (3, "O'Hara's chair", 90)]


class Shop:
    """The application. folder: holds a public file, and beside it one that isn't."""

    def __init__(self, folder: Path) -> None:
        self._public = folder / "public"
        self._public.mkdir()
        (self._public / "readme.txt").write_text("hello")
        (folder / "secret.txt").write_text(SECRET)
        self._empty = folder / "empty"
        self._empty.mkdir()
        self._comments: list[str] = []
        self._base = sqlite3.connect(":memory:")
        self._base.executescript(
            "CREATE TABLE items (id INTEGER, name TEXT, price INTEGER);"
            "CREATE TABLE users (name TEXT, password TEXT);"
            f"INSERT INTO users VALUES ('admin', '{SECRET}'), ('ann', 'x');"
        )
        self._base.executemany("INSERT INTO items VALUES (?, ?, ?)", _ITEMS)

    def application(self) -> web.Application:
        """The resources."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/item", self._item),
                web.get("/find", self._find),
                web.post("/find", self._find_json),
                web.get("/sorted", self._sorted),
                web.get("/hello", self._hello),
                web.get("/attribute", self._attribute),
                web.get("/script", self._script),
                web.get("/link", self._link),
                web.post("/comments", self._comment),
                web.get("/comments", self._all_comments),
                web.get("/file", self._file),
                web.get("/ping", self._ping),
                web.post("/login", self._login),
                web.get("/fetch", self._fetch),
                web.get("/go", self._go),
                web.get("/log", self._log),
            ]
        )
        return app

    def _select(self, query: str) -> web.Response:
        try:
            rows = self._base.execute(query).fetchall()
        except sqlite3.Error as error:
            return web.Response(status=500, text=f"sqlite3.OperationalError: {error}")
        return web.json_response(rows, status=200 if rows else 404)

    async def _item(self, request: web.Request) -> web.Response:
        return self._select(f"SELECT * FROM items WHERE id = {request.query.get('id', '1')}")

    async def _find(self, request: web.Request) -> web.Response:
        name = request.query.get("name", "lamp")
        return self._select(f"SELECT * FROM items WHERE name = '{name}' AND price > 0")

    async def _find_json(self, request: web.Request) -> web.Response:
        name = (await request.json())["name"]
        return self._select(f"SELECT * FROM items WHERE name LIKE '%{name}%'")

    async def _sorted(self, request: web.Request) -> web.Response:
        return self._select(f"SELECT * FROM items ORDER BY {request.query.get('by', 'id')}")

    async def _hello(self, request: web.Request) -> web.Response:
        return _page(f"<p>Hello {request.query.get('name', '')}</p>")

    async def _attribute(self, request: web.Request) -> web.Response:
        return _page(f'<input name="q" value="{request.query.get("q", "")}">')

    async def _script(self, request: web.Request) -> web.Response:
        return _page(f"<script>var q = '{request.query.get('q', '')}';</script>")

    async def _link(self, request: web.Request) -> web.Response:
        return _page(f'<a href="{request.query.get("to", "")}">on</a>')

    async def _comment(self, request: web.Request) -> web.Response:
        self._comments.append(str((await request.post()).get("text", "")))
        return web.Response(status=201)

    async def _all_comments(self, _: web.Request) -> web.Response:
        shown, self._comments = "".join(f"<li>{text}</li>" for text in self._comments), []
        return _page(f"<ul>{shown}</ul>")

    async def _file(self, request: web.Request) -> web.Response:
        try:
            return web.Response(text=(self._public / request.query["name"]).read_text())
        except (OSError, KeyError, ValueError):
            return web.Response(status=404)

    async def _ping(self, request: web.Request) -> web.Response:
        process = await asyncio.create_subprocess_shell(
            f"echo {request.query.get('host', '')} answers",
            cwd=self._empty,
            env={"PATH": "", "SECRET": SECRET},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        return web.Response(text=output.decode("utf-8", "replace"))

    async def _login(self, request: web.Request) -> web.Response:
        given: Any = (await request.json()).get("password")
        # As a document database would understand it.
        if given == SECRET or (isinstance(given, dict) and ("$ne" in given or "$gt" in given)):
            return web.Response(text=SECRET)
        return web.Response(status=401)

    async def _fetch(self, request: web.Request) -> web.Response:
        inside = ("127.", "localhost", "169.254.", "[::1]", "0x7f", "2130706433")
        host = request.query.get("url", "").partition("://")[2]
        return web.Response(text=SECRET if host.startswith(inside) else "a page")

    async def _go(self, request: web.Request) -> web.Response:
        # A server that takes line ends would have sent them.
        lines = f"Location: {request.query.get('to', '')}".replace("\r", "").split("\n")
        split = any(line.lower().startswith("set-cookie:") for line in lines[1:])
        return web.Response(text=SECRET if split else "on you go")

    async def _log(self, request: web.Request) -> web.Response:
        looked_up = "${jndi:" in request.headers.get("User-Agent", "").lower()
        return web.Response(text=SECRET if looked_up else "noted")


def _page(body: str) -> web.Response:
    return web.Response(text=f"<!doctype html><body>{body}</body>", content_type="text/html")


@contextlib.asynccontextmanager
async def open_shop(folder: Path) -> AsyncIterator[str]:
    """Run the shop on a free port of loopback; its address."""
    runner = web.AppRunner(Shop(folder).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def as_json(value: object) -> bytes:
    """The body of a request."""
    return json.dumps(value).encode()
