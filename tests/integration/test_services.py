"""Services that know nothing of Sidegate, each used as an ordinary client would.

The service itself is the oracle: whatever it answers when asked directly, the client gets
through Sidegate as well, but for what Sidegate is there to add and to strip.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import pytest

from tests.integration.certificates import Authority
from tests.integration.gateway import Gateway, running
from tests.integration.origins import aiohttp_app, python_process
from tests.integration.ports import free_port

MEBIBYTE: Final = 1024 * 1024
# Fields that say something of the representation, and that nobody in between may change.
KEPT: Final = (
    "Accept-Ranges", "Allow", "Content-Length", "Content-Range", "Content-Type", "ETag",
    "Last-Modified", "Location", "Vary",
)  # fmt: skip
UUID7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Ask(NamedTuple):
    """A request of the tables below."""

    method: str
    path: str
    headers: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default, and never written to
    data: bytes | None = None


FILES: Final = [
    Ask("GET", "/files/hello.txt"),
    Ask("HEAD", "/files/hello.txt"),
    Ask("GET", "/files/big.bin"),
    Ask("GET", "/files/nothing"),
    Ask("HEAD", "/files/nothing"),
    Ask("GET", "/files/a%20name%C3%A9.txt"),
    Ask("GET", "/files/hello.txt?a=1&a=%2F&b"),
]
CONDITIONAL: Final = [
    Ask("GET", "/files/hello.txt", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
    Ask("GET", "/files/hello.txt", {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}),
]
RANGES: Final = [
    Ask("GET", "/files/big.bin", {"Range": "bytes=100-299"}),
    Ask("GET", "/files/big.bin", {"Range": "bytes=-5"}),
    Ask("GET", "/files/big.bin", {"Range": "bytes=99999999-"}),
]
AIOHTTP: Final = [
    *FILES,
    *CONDITIONAL,
    *RANGES,
    Ask("POST", "/upload", data=b"x" * 5 * MEBIBYTE),
    Ask("GET", f"/download?size={5 * MEBIBYTE}"),
    Ask("GET", f"/download?size={5 * MEBIBYTE}&chunked"),
    *[Ask("GET", f"/status/{code}") for code in (200, 204, 301, 304, 400, 401, 404, 409)],
    Ask("HEAD", "/status/200"),
]
FASTAPI: Final = [
    *FILES,
    *RANGES,
    Ask("POST", "/orders", {"Content-Type": "application/json"}, b'{"item":"tea","count":2}'),
    Ask("POST", "/orders", {"Content-Type": "application/json"}, b'{"item":"tea","count":0}'),
    Ask("POST", "/orders", {"Content-Type": "application/json"}, b"no json"),
    Ask("PUT", "/upload", data=b"x" * 3 * MEBIBYTE),
    Ask("DELETE", "/orders/7"),
    Ask("DELETE", "/orders/seven"),
    Ask("PATCH", "/orders"),
    Ask("GET", "/old"),
    Ask("POST", "/orders/", {"Content-Type": "application/json"}, b"{}"),
    Ask("GET", "/openapi.json"),
    Ask("GET", "/docs"),
]
HTTP_SERVER: Final = [*FILES, *CONDITIONAL, Ask("GET", "/files"), Ask("GET", "/files/")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to serve: `files/hello.txt` and others."""
    root = tmp_path_factory.mktemp("service")
    files = root / "files"
    files.mkdir()
    (files / "hello.txt").write_text("hello\n")
    (files / "a nameé.txt").write_text("a name\n")
    (files / "big.bin").write_bytes(os.urandom(2 * MEBIBYTE))
    return root


@pytest.fixture(scope="module")
def http_server(folder: Path) -> Iterator[str]:
    """`python -m http.server`, which speaks HTTP/1.0."""
    port = free_port()
    arguments = ("-m", "http.server", "--bind", "127.0.0.1", str(port))
    with python_process(*arguments, port=port, cwd=folder) as address:
        yield address


@pytest.fixture(scope="module")
def fastapi(folder: Path) -> Iterator[str]:
    """A FastAPI application behind uvicorn."""
    port = free_port()
    os.environ["FOLDER"] = str(folder / "files")
    arguments = (
        "-m", "uvicorn", "--app-dir", str(Path(__file__).parent), "fastapi_service:app",
        "--port", str(port),
    )  # fmt: skip
    with python_process(*arguments, port=port, cwd=folder) as address:
        yield address
    del os.environ["FOLDER"]


class Seen(NamedTuple):
    """What a client sees of an answer."""

    status: int
    fields: dict[str, str]
    cookies: list[str]
    body: bytes


async def see(session: aiohttp.ClientSession, base: str, ask: Ask) -> Seen:
    data = None if ask.data is None else BytesIO(ask.data)
    async with session.request(
        ask.method, base + ask.path, headers=ask.headers, data=data, allow_redirects=False
    ) as response:
        fields = {
            name: response.headers[name].replace(base, "")
            for name in KEPT
            if name in response.headers
        }
        cookies = response.headers.getall("Set-Cookie", [])
        return Seen(response.status, fields, cookies, await response.read())


async def compare(service: str, table: list[Ask], folder: Path) -> None:
    """Each request of the table, asked both ways."""
    async with (
        running({"upstreams": {"service": service}}, folder) as gateway,
        aiohttp.ClientSession(auto_decompress=False) as session,
    ):
        for ask in table:
            direct = await see(session, service, ask)
            through = await see(session, gateway.url, ask)
            if "Content-Length" not in direct.fields:
                # A chunked body that came all at once may be sent by its length.
                through.fields.pop("Content-Length", None)
            assert through == direct, ask[:3]


async def test_an_aiohttp_application(folder: Path, tmp_path: Path) -> None:
    async with aiohttp_app(folder=folder / "files") as service:
        await compare(service, AIOHTTP, tmp_path)


async def test_a_fastapi_application_behind_uvicorn(fastapi: str, tmp_path: Path) -> None:
    await compare(fastapi, FASTAPI, tmp_path)


async def test_the_http_server_of_python(http_server: str, tmp_path: Path) -> None:
    await compare(http_server, HTTP_SERVER, tmp_path)


async def test_conditional_requests_by_entity_tag(fastapi: str, tmp_path: Path) -> None:
    """FastAPI's files carry a tag; Sidegate passes it and what is asked with it."""
    async with (
        running({"upstreams": {"service": fastapi}}, tmp_path) as gateway,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(f"{gateway.url}/files/big.bin") as whole:
            tag = whole.headers["ETag"]
            body = await whole.read()
        headers = {"Range": "bytes=0-9", "If-Range": tag}
        async with session.get(f"{gateway.url}/files/big.bin", headers=headers) as part:
            assert (part.status, await part.read()) == (206, body[:10])
        headers = {"Range": "bytes=0-9", "If-Range": '"another"'}
        async with session.get(f"{gateway.url}/files/big.bin", headers=headers) as other:
            assert (other.status, await other.read()) == (200, body)


@contextlib.asynccontextmanager
async def before(
    service: str, folder: Path, **options: Any
) -> AsyncIterator[tuple[Gateway, aiohttp.ClientSession]]:
    """Sidegate before a service with options of its upstream, and a client."""
    config = {"upstreams": {"service": {"endpoints": [service], **options}}}
    async with running(config, folder) as gateway, aiohttp.ClientSession() as session:
        yield gateway, session


async def test_what_sidegate_adds_and_strips(tmp_path: Path) -> None:
    async with aiohttp_app() as service, before(service, tmp_path) as (gateway, session):
        sent = {"X-Request-ID": "mine", "X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6"}
        async with session.get(f"{gateway.url}/a?b=c", headers=sent) as response:
            seen = await response.json()
        got = response.headers
        upstream = {name.lower(): value for name, value in seen["headers"]}
        assert UUID7.fullmatch(got["X-Request-ID"])
        assert upstream["x-request-id"] == got["X-Request-ID"]
        assert upstream["x-forwarded-for"] == "127.0.0.1"
        assert upstream["x-forwarded-proto"] == "http"
        assert upstream["x-forwarded-host"] == f"127.0.0.1:{gateway.port}"
        assert upstream["x-forwarded-port"] == str(gateway.port)
        assert "x-real-ip" not in upstream
        assert upstream["host"] == f"127.0.0.1:{gateway.port}"
        assert upstream["via"] == "1.1 sidegate"
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]", upstream["traceparent"])
        assert got.getall("Via") == ["1.1 sidegate"]
        assert got["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in got
        assert "X-Powered-By" not in got
        assert "Strict-Transport-Security" not in got, "the client didn't come over TLS"


async def test_a_trusted_proxy_is_believed(tmp_path: Path) -> None:
    async with aiohttp_app() as service:
        config = {
            "server": {"trusted_proxies": ["127.0.0.0/8"], "forwarded": True},
            "upstreams": {"service": service},
        }
        sent = {
            "X-Request-ID": "theirs-1",
            "X-Forwarded-For": "6.6.6.6, 203.0.113.9, 127.0.0.2",
            "X-Forwarded-Proto": "https",
            "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        }
        async with running(config, tmp_path) as gateway, aiohttp.ClientSession() as session:
            async with session.get(f"{gateway.url}/", headers=sent) as response:
                seen = await response.json()
            upstream = {name.lower(): value for name, value in seen["headers"]}
            [line] = await gateway.lines()
        assert response.headers["X-Request-ID"] == upstream["x-request-id"] == "theirs-1"
        assert upstream["x-forwarded-for"] == "203.0.113.9, 127.0.0.2, 127.0.0.1"
        assert upstream["forwarded"].startswith("for=203.0.113.9;proto=https;host=")
        assert upstream["traceparent"].startswith(f"00-{'a' * 32}-")
        assert "b" * 16 not in upstream["traceparent"]
        assert "Strict-Transport-Security" in response.headers
        assert (line["client_ip"], line["trace_id"]) == ("203.0.113.9", "a" * 32)


async def test_an_error_page_of_the_service_becomes_an_envelope(tmp_path: Path) -> None:
    async with aiohttp_app() as service, before(service, tmp_path) as (gateway, session):
        async with session.get(f"{gateway.url}/status/503") as response:
            body = await response.json()
        assert response.status == body["status"] == 503
        assert body["error"] == "upstream_error"
        assert body["request_id"] == response.headers["X-Request-ID"]
        async with session.head(f"{gateway.url}/status/503") as head:
            assert await head.read() == b""
        assert (head.status, head.content_type) == (503, "application/json")


async def test_a_service_on_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    async with aiohttp_app(path) as service, before(service, tmp_path) as (gateway, session):
        data = BytesIO(bytes(MEBIBYTE))
        async with session.post(f"{gateway.url}/upload", data=data) as response:
            assert await response.json() == {"received": MEBIBYTE}
        async with session.get(f"{gateway.url}/") as echo:
            headers = dict((await echo.json())["headers"])
        assert headers["Host"] == f"127.0.0.1:{gateway.port}"


async def test_sidegate_listens_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "sidegate.sock"
    async with aiohttp_app() as service:
        config = {"server": {"listen": f"unix:{path}"}, "upstreams": {"service": service}}
        connector = aiohttp.UnixConnector(str(path))
        async with (
            running(config, tmp_path),
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://service.test/") as response,
        ):
            headers = {name.lower(): value for name, value in (await response.json())["headers"]}
    assert headers["host"] == headers["x-forwarded-host"] == "service.test"
    assert "x-forwarded-for" not in headers, "a peer on a UNIX socket has no address"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts unless told to."""
    return Authority(tmp_path_factory.mktemp("authority"))


async def test_a_service_over_https(authority: Authority, tmp_path: Path) -> None:
    tls = authority.server("IP:127.0.0.1")
    trust = {"tls": {"ca_file": str(authority.ca_file)}}
    async with (
        aiohttp_app(tls=tls) as service,
        before(service, tmp_path, **trust) as (
            gateway,
            session,
        ),
    ):
        size = 3 * MEBIBYTE
        async with session.post(f"{gateway.url}/upload", data=BytesIO(bytes(size))) as response:
            assert await response.json() == {"received": size}
        async with session.get(f"{gateway.url}/download?size={size}") as download:
            assert len(await download.read()) == size
        async with session.get(f"{gateway.url}/") as echo:
            headers = dict((await echo.json())["headers"])
        assert headers["X-Forwarded-Proto"] == "http", "as the client came"


@pytest.mark.parametrize(
    ("names", "tls", "status"),
    [
        pytest.param("IP:127.0.0.1", {}, 502, id="nobody trusts the authority"),
        pytest.param("DNS:other.test", {"ca_file": True}, 502, id="another name"),
        pytest.param(
            "DNS:service.test",
            {"ca_file": True, "server_name": "service.test"},
            200,
            id="the name that is asked for",
        ),
        pytest.param(
            "DNS:service.test",
            {"ca_file": True, "server_name": "wrong.test"},
            502,
            id="a name that it isn't",
        ),
        pytest.param("DNS:other.test", {"verify": False}, 200, id="verification is off"),
    ],
)
async def test_the_certificate_is_verified(
    authority: Authority, tmp_path: Path, names: str, tls: dict[str, Any], status: int
) -> None:
    asked: list[str | None] = []

    def remember(connection: object, name: str | None, context: ssl.SSLContext) -> None:
        asked.append(name)

    context = authority.server(names)
    context.sni_callback = remember
    if "ca_file" in tls:
        tls = {**tls, "ca_file": str(authority.ca_file)}
    async with (
        aiohttp_app(tls=context) as service,
        before(service, tmp_path, tls=tls) as (
            gateway,
            session,
        ),
    ):
        async with session.get(f"{gateway.url}/") as response:
            body = await response.json()
            assert response.status == status
        if status == 502:
            assert body["error"] == "upstream_unreachable"
            assert "certificate" not in str(body), "internal facts are for the log"
            [note] = await gateway.lines("request failed")
            assert f"{service}: certificate verify failed: " in note["cause"]
            assert ".c:" not in note["cause"], "a line of OpenSSL's source says nothing to a user"
        assert asked[0] == tls.get("server_name"), "an address is no server name"


async def test_many_clients_at_once(tmp_path: Path) -> None:
    """Answers go to those who asked."""
    async with aiohttp_app() as service, before(service, tmp_path) as (gateway, session):

        async def one(number: int) -> None:
            async with session.post(f"{gateway.url}/{number}", data=str(number) * 50) as response:
                seen = await response.json()
            assert (seen["target"], seen["body"]) == (f"/{number}", str(number) * 50)

        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(one(number))
