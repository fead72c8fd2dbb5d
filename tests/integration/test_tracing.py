"""Traces of a running proxy, read by a collector: what belongs together, and what is told.

And what a collector that is down, slow or back does to traffic: nothing.
"""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.client import TIMEOUT, ask, request, until
from tests.integration.collector import Collector, collecting
from tests.integration.gateway import before, running
from tests.integration.origins import OK, Holding, RawOrigin, answering
from tests.integration.ports import free_port
from tests.integration.process import process
from tests.integration.test_telemetry import sent_upstream, total

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def tracing(collector: Collector, **options: Any) -> dict[str, Any]:
    """The section of the configuration."""
    return {"tracing": {"endpoint": collector.url, "ratio": 1.0, **options}}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_a_sampled_request(protocol: str, compression: str, tmp_path: Path) -> None:
    async with collecting(protocol) as collector:
        telemetry = tracing(
            collector,
            protocol=protocol,
            compression=compression,
            headers={"X-Api-Key": "k"},
            service="shop",
        )
        config: dict[str, Any] = {
            "telemetry": telemetry,
            "policies": {"rate_limit": {"limit": "100/s"}},
        }
        async with before(answering(OK), tmp_path, **config) as (origin, gateway):
            answer = await ask(gateway.url, request("GET", "/a/b?token=canary&x=1"))
            [line] = await gateway.lines()
            server, client = await collector.trace(line["trace_id"], 2)
            sent = sent_upstream(origin, "traceparent")
    assert (server.kind, client.kind) == ("server", "client")
    assert (server.parent_id, client.parent_id) == ("", server.span_id)
    assert server.span_id == line["span_id"]
    assert sent == f"00-{server.trace_id}-{client.span_id}-03", "the service's spans go below"
    assert server.name == "GET /**"
    assert server.attributes["http.response.status_code"] == answer.status == 200
    assert server.attributes["url.query"] == "token=…redacted&x=1"
    assert server.attributes["sidegate.request_id"] == answer.headers["x-request-id"]
    assert client.attributes["url.full"] == f"{origin.url}/a/b?token=…redacted&x=1"
    assert client.attributes["server.port"] == int(origin.url.rpartition(":")[2])
    assert 0 < client.seconds < server.seconds < 5
    [event] = server.events
    assert event["sidegate.policy"] == "rate_limit"
    assert re.fullmatch(r".*sidegate\.yaml:\d+", event["sidegate.configured_at"])
    assert server.resource["service.name"] == "shop"
    assert collector.headers["x-api-key"] == "k"
    assert [span.failed for span in (server, client)] == [False, False]


async def test_a_trace_of_a_trusted_caller_goes_on(tmp_path: Path) -> None:
    fields = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1,b=2"}
    async with collecting() as collector:
        config: dict[str, Any] = {
            "telemetry": tracing(collector, ratio=0.0),
            "server": {"trusted_proxies": ["127.0.0.0/8"]},
        }
        async with before(answering(OK), tmp_path, **config) as (_, gateway):
            await ask(gateway.url, request("GET", "/", **fields))
            server, client = await collector.trace(TRACE, 2)
    assert (server.parent_id, server.state) == (SPAN, "a=1,b=2")
    assert client.parent_id == server.span_id


async def test_errors_and_slow_requests_are_kept_of_those_not_sampled(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/slow" in head:
            await asyncio.sleep(0.3)
        writer.write(OK)

    routes = [
        {"name": "down", "match": {"path": "/down"}, "upstream": "down"},
        {"name": "rest", "upstream": "service"},
    ]
    async with collecting() as collector, RawOrigin(script) as origin:
        config: dict[str, Any] = {
            "telemetry": tracing(collector, ratio=0.0, slow="250ms"),
            "upstreams": {"service": origin.url, "down": f"http://127.0.0.1:{free_port()}"},
            "routes": routes,
        }
        async with running(config, tmp_path) as gateway:
            for path in ("/quick", "/slow", "/down"):
                await ask(gateway.url, request("GET", path))
            lines = {line["path"]: line for line in await gateway.lines(count=3)}
            slow = await collector.trace(lines["/slow"]["trace_id"], 2)
            failed = await collector.trace(lines["/down"]["trace_id"], 2)
            assert sent_upstream(origin, "traceparent").endswith("-02"), "nobody was told"
            # On a busy machine the quick one may be slow as well.
            kept = {
                line["trace_id"]
                for path, line in lines.items()
                if path == "/down" or line["total_ms"] >= 250
            }
            for trace_id in kept:
                await collector.trace(trace_id, 2)
            metrics = await gateway.metrics()
    # The timer of the service may be a millisecond early.
    assert slow[0].seconds > 0.29
    assert slow[1].seconds > 0.29
    assert [span.failed for span in failed] == [True, True]
    assert failed[0].attributes["error.type"] == "upstream_unreachable"
    assert {span.trace_id for span in collector.spans} == kept
    assert total(metrics, "sidegate_spans_total", outcome="exported") == 2 * len(kept)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x00\x01\r\n\r\n", id="garbage"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(request("GET", "/missing"), id="no route"),
    ],
)
async def test_what_is_refused_has_a_span_too(data: bytes, tmp_path: Path) -> None:
    routes = [{"name": "a", "match": {"path": "/a"}, "policies": {"respond": 204}}]
    async with collecting() as collector:
        config: dict[str, Any] = {"telemetry": tracing(collector), "routes": routes}
        async with running(config, tmp_path) as gateway:
            answer = await ask(gateway.url, data)
            [line] = await gateway.lines()
            [span] = await collector.trace(line["trace_id"], 1)
    assert span.attributes["http.response.status_code"] == answer.status
    assert span.attributes["error.type"] == answer.error
    assert not span.failed, "the client is at fault"


async def test_a_collector_that_is_down_costs_spans_only(tmp_path: Path) -> None:
    port = free_port()
    down = Collector()
    down.port = port
    config: dict[str, Any] = {"telemetry": tracing(down, timeout="300ms")}
    async with before(answering(OK), tmp_path, **config) as (_, gateway):
        for _ in range(5):
            assert (await ask(gateway.url, request())).status == 200
        [line] = await gateway.lines("spans are lost; sidegate_spans_total counts them")
        assert line["level"] == "warning"
        assert total(await gateway.metrics(), "sidegate_spans_total", outcome="failed") > 0
        async with collecting(port=port) as collector:
            # The thread may be in the midst of giving a batch up.
            async with asyncio.timeout(TIMEOUT):
                while not collector.spans:
                    await ask(gateway.url, request())
                    await asyncio.sleep(0.1)
            assert await gateway.lines("spans are exported again")
            log = (tmp_path / "sidegate.log").read_text(encoding="utf-8")
    assert "Traceback" not in log


async def test_a_collector_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    async with collecting() as collector:
        collector.delay = 600.0
        config: dict[str, Any] = {"telemetry": tracing(collector, queue=64, timeout="600s")}
        async with before(answering(OK), tmp_path, **config) as (_, gateway):
            for _ in range(400):
                assert (await ask(gateway.url, request())).status == 200
            metrics = await gateway.metrics()
            lines = await gateway.lines(count=400)
            closing = time.monotonic()
        assert time.monotonic() - closing < 60, "nor does it hold up the end"
        assert max(line["total_ms"] for line in lines) < 60_000
        dropped = total(metrics, "sidegate_spans_total", outcome="dropped")
        # What waits, and one batch that is on its way.
        assert 800 - 64 - 256 <= dropped < 800


async def test_a_reload_takes_another_collector(tmp_path: Path) -> None:
    async with collecting() as first, collecting() as second:
        config: dict[str, Any] = {"upstreams": {}, "telemetry": tracing(first)}
        config["routes"] = [{"name": "a", "policies": {"respond": 204}}]
        async with running(config, tmp_path) as gateway:
            await ask(gateway.url, request())
            gateway.rewrite({**config, "telemetry": tracing(second)})
            assert (await gateway.reload())[0] == 200
            assert len(await first.have(1)) == 1, "what waited was sent"
            await ask(gateway.url, request())
            await second.have(1)
            gateway.rewrite({**config, "telemetry": {}})
            assert (await gateway.reload())[0] == 200
            await ask(gateway.url, request())
            await gateway.lines(count=3)
    assert (len(first.spans), len(second.spans)) == (1, 1)


async def test_exemplars_name_recorded_traces(tmp_path: Path) -> None:
    async with collecting() as collector:
        config: dict[str, Any] = {
            "telemetry": tracing(collector, ratio=0.0),
            "server": {"trusted_proxies": ["127.0.0.0/8"]},
        }
        async with before(answering(OK), tmp_path, **config) as (_, gateway):
            for flags in ("01", "00"):
                parent = f"00-{TRACE[:-2]}{flags}-{SPAN}-{flags}"
                await ask(gateway.url, request("GET", "/", traceparent=parent))
            accept = {"Accept": "application/openmetrics-text"}
            async with (
                aiohttp.ClientSession(headers=accept) as session,
                session.get(gateway.admin + "/metrics") as page,
            ):
                text = await page.text()
    assert set(re.findall('trace_id="([0-9a-f]+)"', text)) == {TRACE[:-2] + "01"}


async def test_each_endpoint_that_was_asked_has_a_span_of_its_own(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with (
        collecting() as collector,
        RawOrigin(hang_up) as bad,
        RawOrigin(answering(OK)) as good,
    ):
        config: dict[str, Any] = {
            "telemetry": tracing(collector),
            "upstreams": {"service": {"endpoints": [bad.url, good.url]}},
            "policies": {"retry": {"attempts": 3}},
        }
        async with running(config, tmp_path) as gateway:
            # Whichever is asked first, one of a few requests meets the bad one.
            while not bad.connections:
                assert (await ask(gateway.url, request())).status == 200
            line = (await gateway.lines())[-1]
            server, *clients = await collector.trace(line["trace_id"], 3)
    first, second = sorted(
        clients, key=lambda span: int(span.attributes.get("http.request.resend_count", 0))
    )
    assert {first.parent_id, second.parent_id} == {server.span_id}
    assert (first.failed, first.attributes["error.type"]) == (True, "upstream_closed")
    assert second.attributes["http.response.status_code"] == 200
    assert second.attributes["http.request.resend_count"] == 1
    assert not server.failed
    for span, origin in ((first, bad), (second, good)):
        assert span.attributes["url.full"] == f"{origin.url}/"
        assert f"00-{server.trace_id}-{span.span_id}-03" in origin.bytes_received.decode()


def parent_of(head: bytes) -> str:
    """The span that a service was told to be asked by."""
    found = re.search(rb"traceparent: 00-[0-9a-f]{32}-([0-9a-f]{16})-03", head)
    assert found is not None
    return found[1].decode()


async def test_what_is_done_aside_belongs_to_the_request_that_began_it(tmp_path: Path) -> None:
    """A refresh and a copy go on after it, so what the service records hangs from its span."""
    asked: list[bytes] = []
    free = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            if len(asked) > 1:
                await free.wait()
            fields = b"Cache-Control: max-age=0, stale-while-revalidate=60\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % fields)

    async with (
        collecting() as collector,
        RawOrigin(script) as origin,
        RawOrigin(answering(OK)) as candidate,
    ):
        config: dict[str, Any] = {
            "telemetry": tracing(collector),
            "upstreams": {
                "service": {"endpoints": [origin.url]},
                "candidate": {"endpoints": [candidate.url]},
            },
            "routes": [{"name": "all", "match": {"path": "/**"}, "upstream": "service"}],
            "policies": {"cache": {}, "mirror": "candidate"},
        }
        async with running(config, tmp_path) as gateway:
            for _ in range(2):
                assert (await ask(gateway.url, request())).status == 200
            await until(lambda: len(asked) == 2 and candidate.bytes_received, "both")
            first, second = await gateway.lines(count=2)
            server, client = await collector.trace(first["trace_id"], 2)
            assert parent_of(asked[0]) == client.span_id
            assert parent_of(candidate.bytes_received) == server.span_id
            free.set()
            [alone] = await collector.trace(second["trace_id"], 1)
            assert parent_of(asked[1]) == alone.span_id
            await until(lambda: not any(pool["in_use"] for pool in gateway.app.upstreams()))
    assert len(collector.spans) == 3


async def test_a_hedge_that_overtakes_one_that_waits_for_a_place_has_a_span(tmp_path: Path) -> None:
    script = Holding()
    async with collecting() as collector, RawOrigin(script) as origin:
        patience = {"most": 1, "start": 1, "least": 1, "patience": "1s", "target": "1s"}
        config: dict[str, Any] = {
            "telemetry": tracing(collector),
            "upstreams": {"service": {"endpoints": [origin.url], "concurrency": patience}},
            "policies": {"retry": {"hedge": "500ms"}},
        }
        async with running(config, tmp_path) as gateway:

            async def queue_of(count: int) -> None:
                async with asyncio.timeout(TIMEOUT):
                    while True:
                        [upstream] = (await gateway.page("/upstreams"))["balance"]
                        if upstream["concurrency"]["waiting"] == count:
                            return

            async with asyncio.TaskGroup() as group:
                # No hedge, as it can't be repeated.
                group.create_task(ask(gateway.url, request("POST", "/", b"x")))
                await until(lambda: script.asked == 1, "the first")
                hedged = group.create_task(ask(gateway.url, request()))
                for count in (1, 2, 1):
                    await queue_of(count)
                script.free.set()
            assert hedged.result().status == 200
            [line] = [line for line in await gateway.lines(count=2) if line["method"] == "GET"]
            server, client = await collector.trace(line["trace_id"], 2)
    assert client.attributes["http.response.status_code"] == 200
    assert client.parent_id == server.span_id


def test_requests_that_are_not_recorded_do_not_even_load_the_sdk(tmp_path: Path) -> None:
    tracing = {"endpoint": "http://127.0.0.1:9", "ratio": 0.0, "errors": False, "slow": "1h"}
    config = {
        "telemetry": {"tracing": tracing},
        "routes": [{"name": "a", "policies": {"respond": 204}}],
    }
    with process(config, tmp_path) as sidegate:
        for _ in range(20):
            asyncio.run(ask(sidegate.url, request()))
        sidegate.lines("request", 20)
        loaded = Path(f"/proc/{sidegate.pid}/maps").read_text(encoding="utf-8")
    assert "uvloop" in loaded
    assert "cygrpc" not in loaded
    assert "google/_upb" not in loaded


@pytest.mark.parametrize(
    ("config", "code"),
    [
        pytest.param({"per_try": "100ms"}, "upstream_timeout", id="of a try"),
        pytest.param({}, "deadline_exceeded", id="of all tries"),
    ],
)
async def test_who_takes_too_long_is_told_as_late(
    config: dict[str, str], code: str, tmp_path: Path
) -> None:
    """And not as if nobody had wanted the answer."""
    async with collecting() as collector, RawOrigin(Holding()) as origin:
        everything: dict[str, Any] = {
            "telemetry": tracing(collector),
            "upstreams": {"service": {"endpoints": [origin.url], "timeouts": config}},
            "policies": {"deadline": {"timeout": "30s" if config else "100ms"}},
        }
        async with running(everything, tmp_path) as gateway:
            answer = await ask(gateway.url, request())
            [line] = await gateway.lines()
            spans = await collector.trace(line["trace_id"], 2)
    assert (answer.status, answer.error, line["error"]) == (504, code, code)
    assert [span.failed for span in spans] == [True, True]
    assert [span.attributes["error.type"] for span in spans] == [code, code]
    assert "sidegate.cancelled" not in spans[1].attributes
