"""What operators are told: a line and a count for every request, whatever became of it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

import pytest

from tests.integration.client import TIMEOUT, ask, connected, request, until
from tests.integration.gateway import before, running
from tests.integration.origins import OK, RawOrigin, answering
from tests.integration.ports import free_port

# Fields of every access line.
ALWAYS: Final = {
    "timestamp", "level", "event", "request_id", "trace_id", "span_id", "client_ip", "method",
    "host", "path", "query", "protocol", "route", "upstream", "endpoint", "status", "bytes_in",
    "bytes_out", "user_agent", "decisions", "total_ms",
}  # fmt: skip
CANARY: Final = "hunter2-4711"


def sent_upstream(origin: RawOrigin, name: str) -> str:
    """The value of a field that the origin was sent."""
    found = re.search(rf"(?im)^{name}: (.+)\r$", origin.bytes_received.decode("latin-1"))
    assert found is not None
    return found[1]


def total(metrics: dict[str, float], name: str, **labels: str) -> float:
    """The sum of the series that have these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        value
        for series, value in metrics.items()
        if series.partition("{")[0] == name and all(part in series for part in wanted)
    )


async def test_the_line_of_an_ordinary_request(tmp_path: Path) -> None:
    async with before(answering(OK), tmp_path) as (origin, gateway):
        data = request("POST", "/a/b?c=d", b"body", user_agent="tests/1")
        answer = await ask(gateway.url, data)
        [line] = await gateway.lines()
    assert line.keys() == ALWAYS | {"policy_ms", "connect_ms", "upstream_ms"}
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["request_id"] == sent_upstream(origin, "X-Request-ID")
    _, trace_id, span_id, _ = sent_upstream(origin, "traceparent").split("-")
    assert (line["trace_id"], line["span_id"]) == (trace_id, span_id)
    expected = {
        "level": "info", "client_ip": "127.0.0.1", "method": "POST", "host": "service.test",
        "path": "/a/b", "query": "c=d", "protocol": "HTTP/1.1", "route": "default",
        "upstream": "service", "endpoint": origin.url, "status": 200, "bytes_in": len(data),
        "user_agent": "tests/1", "decisions": {},
    }  # fmt: skip
    assert {name: line[name] for name in expected} == expected
    parts = line["policy_ms"] + line["connect_ms"] + line["upstream_ms"]
    assert 0 < parts <= line["total_ms"] + 0.01
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])


async def test_bytes_are_those_on_the_wire(tmp_path: Path) -> None:
    chunked = (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    )
    async with before(answering(OK), tmp_path) as (_, gateway), connected(gateway.url) as wire:
        await wire.send(chunked + request())
        got = b""
        async with asyncio.timeout(TIMEOUT):
            while got.count(b"\r\n\r\nok") < 2:
                got += await wire.some()
        first, second = await gateway.lines(count=2)
        assert (first["bytes_in"], second["bytes_in"]) == (len(chunked), len(request()))
        assert first["bytes_out"] + second["bytes_out"] == len(got)


@pytest.mark.parametrize(
    ("data", "status", "error"),
    [
        pytest.param(request("GET", "/missing"), 404, "route_not_found", id="no route"),
        pytest.param(request("DELETE", "/get"), 405, "method_not_allowed", id="no method"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, "invalid_host", id="no host"),
        pytest.param(b"GET /get HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n", 400, None, id="field"),
        pytest.param(b"\x00\x01\x02\r\n\r\n", 400, "bad_request", id="garbage"),
        pytest.param(b'G"T / HTTP/1.1\r\nHost: a\r\n\r\n', 400, "bad_request", id="method"),
        pytest.param(b"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n", 400, None, id="escape codes"),
        pytest.param(request("GET", "/limited"), 429, "rate_limited", id="refused"),
        pytest.param(request("GET", "/down"), 502, "upstream_unreachable", id="down"),
    ],
)
async def test_the_line_of_a_failure(
    data: bytes, status: int, error: str | None, tmp_path: Path
) -> None:
    config = {
        "upstreams": {"down": f"http://127.0.0.1:{free_port()}"},
        "routes": [
            {"name": "get", "match": {"path": "/get", "methods": ["GET"]}},
            {"name": "down", "match": {"path": "/down"}},
            {
                "name": "limited",
                "match": {"path": "/limited"},
                "policies": {"rate_limit": {"limit": "1/day"}, "respond": {"status": 200}},
            },
        ],
    }
    async with running(config, tmp_path) as gateway:
        if status == 429:
            assert (await ask(gateway.url, data)).status == 200
        answer = await ask(gateway.url, data)
        line = (await gateway.lines(count=2 if status == 429 else 1))[-1]
        metrics = await gateway.metrics()
    assert answer.status == line["status"] == status
    assert line["error"] == answer.error
    assert error is None or answer.error == error
    assert line.keys() >= ALWAYS
    assert line["request_id"] == answer.headers["x-request-id"] == answer.json["request_id"]
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
    assert "\x1b" not in str(line)
    assert total(metrics, "sidegate_errors_total", code=answer.error) == 1
    if status == 429:
        assert line["decisions"] == {"rate_limit": "refused"}
        assert total(metrics, "sidegate_refusals_total", policy="rate_limit", mode="enforce") == 1


async def test_the_line_of_a_client_that_left(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()

    async with before(script, tmp_path) as (origin, gateway):
        async with connected(gateway.url) as wire:
            await wire.send(request())
            await until(lambda: b"\r\n\r\n" in origin.bytes_received)
            wire.abort()
        [line] = await gateway.lines()
        metrics = await gateway.metrics()
    assert (line["status"], line["aborted"], line["bytes_out"]) == (0, "client_closed", 0)
    assert line["request_id"] == sent_upstream(origin, "X-Request-ID")
    assert line["trace_id"] in sent_upstream(origin, "traceparent")
    assert "upstream_ms" not in line
    assert total(metrics, "sidegate_requests_total", code="0", route="default") == 1


async def test_a_line_says_where_the_time_went(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.write(OK)

    async with before(script, tmp_path) as (_, gateway):
        await ask(gateway.url, request())
        [line] = await gateway.lines()
    assert 190 < line["upstream_ms"] <= line["total_ms"]


@pytest.mark.parametrize(
    ("head", "metric", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "overhead", 200),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n",
            "duration",
            101,
        ),
    ],
)
async def test_what_goes_on_after_the_head_is_no_time_of_ours(
    head: bytes, metric: str, status: int, tmp_path: Path
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await asyncio.sleep(0.3)
        writer.write(b"ok")
        writer.close()

    upgrade = {
        "connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13",
        "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }  # fmt: skip
    async with before(script, tmp_path) as (_, gateway):
        async with connected(gateway.url) as wire:
            await wire.send(request(**upgrade if status == 101 else {}))
            assert (await wire.head()).status == status
            assert await wire.exactly(2) == b"ok"
        [line] = await gateway.lines()
        metrics = await gateway.metrics()
    assert line["status"] == status
    assert line["total_ms"] > 290
    counted = total(metrics, f"sidegate_request_{metric}_seconds_sum")
    assert counted * 1000 < line["total_ms"] - 250


async def test_the_numbers_are_exact(tmp_path: Path) -> None:
    routes = [
        {"name": "api", "match": {"path": "/api/**"}},
        {"name": "canned", "match": {"path": "/canned"}, "policies": {"respond": 204}},
    ]
    async with before(answering(OK), tmp_path, routes=routes) as (_, gateway):
        async with connected(gateway.url) as wire:
            for number in range(100):
                data = request("GET", f"/api/{number}")
                if number % 4 == 1:
                    data = request("POST", f"/api/{number}", b"body")
                elif number % 4 == 2:
                    data = request("GET", "/canned")
                elif number % 4 == 3:
                    data = request("PROPFIND", "/missing")
                await wire.send(data)
                await wire.answer()
        await until(lambda: gateway.app.status()["connections"] == 0)
        lines = await gateway.lines(count=100)
        metrics = await gateway.metrics()

    def requests(**labels: str) -> float:
        return total(metrics, "sidegate_requests_total", **labels)

    assert requests() == 100
    assert requests(route="api", method="GET", code="200") == 25
    assert requests(route="api", method="POST", code="200") == 25
    assert requests(route="canned", method="GET", code="204") == 25
    assert requests(route="none", method="_OTHER", code="404") == 25
    assert total(metrics, "sidegate_request_duration_seconds_count") == 100
    assert total(metrics, "sidegate_request_duration_seconds_count", route="api") == 50
    assert total(metrics, "sidegate_upstream_duration_seconds_count", upstream="service") == 50
    assert total(metrics, "sidegate_errors_total", code="route_not_found") == 25
    for name, field in (("request", "bytes_in"), ("response", "bytes_out")):
        counted = total(metrics, f"sidegate_{name}_bytes_total", route="api")
        assert counted == sum(line[field] for line in lines if line["route"] == "api")
    assert total(metrics, "sidegate_requests_in_flight") == 0
    assert total(metrics, "sidegate_connections_accepted_total") == 1
    assert total(metrics, "sidegate_connections") == 0
    assert total(metrics, "sidegate_upstream_pool_opened_total") == 1
    assert total(metrics, "sidegate_upstream_pool_connections", state="idle") == 1
    assert total(metrics, "sidegate_upstream_pool_acquire_seconds_count") == 50
    assert "/api/7" not in str(metrics), "paths are no labels"


async def test_what_goes_on_is_counted_while_it_does(tmp_path: Path) -> None:
    free = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await free.wait()
        writer.write(OK)

    async with before(script, tmp_path) as (origin, gateway):
        async with connected(gateway.url) as wire, connected(gateway.url) as idle:
            await wire.send(request())
            await until(lambda: origin.connections == 1)
            metrics = await gateway.metrics()
            assert total(metrics, "sidegate_requests_in_flight") == 1
            assert total(metrics, "sidegate_connections", state="active") == 1
            assert total(metrics, "sidegate_connections", state="idle") == 1
            assert total(metrics, "sidegate_upstream_pool_connections", state="in_use") == 1
            free.set()
            await wire.answer()
            idle.abort()
        metrics = await gateway.metrics()
        assert total(metrics, "sidegate_requests_in_flight") == 0


async def test_secrets_are_not_written(tmp_path: Path) -> None:
    logging = {"headers": ["Authorization", "Cookie", "Referer", "X-Tenant"]}
    telemetry = {"log": logging}
    async with before(answering(OK), tmp_path, telemetry=telemetry) as (origin, gateway):
        target = f"/a?page=2&token={CANARY}&user%5Bpassword%5D={CANARY}&x=1"
        await ask(
            gateway.url,
            request(
                "GET",
                target,
                authorization=f"Bearer {CANARY}",
                cookie=f"session={CANARY}",
                referer=f"https://a.test/?access_token={CANARY}",
                x_tenant="blue",
            ),
        )
        [line] = await gateway.lines()
        text = (tmp_path / "sidegate.log").read_text(encoding="utf-8")
    assert CANARY not in text
    assert line["query"].startswith("page=2&token=")
    assert line["query"].endswith("&x=1")
    assert line["headers"]["x-tenant"] == "blue"
    assert origin.bytes_received.count(CANARY.encode()) == 5, "the service needs them"


async def test_the_log_can_be_quiet(tmp_path: Path) -> None:
    telemetry = {"log": {"access": False}}
    async with before(answering(OK), tmp_path, telemetry=telemetry) as (_, gateway):
        await ask(gateway.url, request())
        gateway.rewrite({"routes": [{"name": "all", "policies": {"respond": 204}}]})
        assert (await gateway.reload())[0] == 200
        await ask(gateway.url, request())
        [line] = await gateway.lines()
        assert line["status"] == 204, "the first was not written, and a reload took the change"
