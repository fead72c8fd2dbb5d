"""What Prometheus learns of a running proxy: exact counts, and rules and panels that hold.

The load generator counts what it was answered; whatever a scraper is told has to agree, with
several workers, and after one of them was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from proxy.observability.dashboard import make_dashboard
from proxy.observability.files import make_files, write_files
from proxy.observability.recording import RECORDINGS
from tests.integration.certificates import Authority
from tests.integration.client import CutShort, ask, connected, request, until
from tests.integration.collector import collecting
from tests.integration.gateway import running
from tests.integration.origins import OK, RawOrigin
from tests.integration.ports import free_port
from tests.integration.process import Process, process
from tests.integration.prometheus import Prometheus, promtool, scraping

WORKERS: Final = 4
CLIENTS: Final = 8
ROUTES: Final = [
    {"name": "canned", "match": {"path": "/canned"}, "policies": {"respond": 204}},
    {
        "name": "limited",
        "match": {"path": "/limited"},
        "policies": {"rate_limit": {"limit": "1/day", "key": "global"}, "respond": 200},
    },
]


TARGETS: Final = (
    "/canned", "/missing", "/limited", "/app/a", "/app/fail", "/half/a", "/kept/a",
)  # fmt: skip


async def load(url: str, requests: int) -> Counter[str]:
    """Ask, over several connections at once; how often each status was the answer."""
    counted: Counter[str] = Counter()
    targets = ("/canned", "/missing", "/limited", "/canned")

    async def client() -> None:
        async with connected(url) as wire:
            for number in range(requests // CLIENTS):
                await wire.send(request("GET", targets[number % len(targets)]))
                answer = await wire.answer()
                counted[str(answer.status)] += 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return counted


async def told(prometheus: Prometheus, by: str = "code") -> dict[str, float]:
    """The requests that Prometheus knows of."""
    await prometheus.scraped()
    return await prometheus.values(f"sum by ({by}) (sidegate_requests_total)", by)


@pytest.mark.parametrize("workers", [1, WORKERS])
async def test_counts_are_exact(workers: int, tmp_path: Path) -> None:
    config = {"server": {"workers": workers}, "routes": ROUTES}
    with process(config, tmp_path) as sidegate:
        async with scraping(sidegate.admin, tmp_path) as prometheus:
            counted: Counter[str] = Counter()
            for _ in range(2):
                counted += await load(sidegate.url, 800)
                assert await told(prometheus) == dict(counted)
            durations = "sum(sidegate_request_duration_seconds_count)"
            assert await prometheus.values(durations, "") == {"": counted.total()}
            assert sum((await told(prometheus, "route")).values()) == counted.total()
            refused = await prometheus.values("sidegate_refusals_total", "policy")
            assert refused == {"rate_limit": counted["429"]}


async def test_counts_are_exact_after_workers_were_killed(tmp_path: Path) -> None:
    config = {"server": {"workers": WORKERS}, "routes": ROUTES}
    with process(config, tmp_path) as sidegate:
        async with scraping(sidegate.admin, tmp_path) as prometheus:
            counted = await load(sidegate.url, 800)
            # Counting comes after answering, and a worker may be killed between them.
            assert await told(prometheus) == dict(counted)
            for line in sidegate.lines("worker serves", WORKERS)[:2]:
                os.kill(line["pid"], signal.SIGKILL)
            sidegate.lines("worker serves", WORKERS + 2)
            assert await told(prometheus) == dict(counted), "nothing went with them"
            counted += await load(sidegate.url, 800)
            assert await told(prometheus) == dict(counted), "their successors count on"
            resets = "max(resets(sidegate_requests_total[5m]))"
            assert await prometheus.values(resets, "") == {"": 0.0}
            restarts = await prometheus.values("sidegate_worker_restarts_total", "")
            assert restarts == {"": 2.0}
            connections = "sum(sidegate_connections)"
            assert await prometheus.values(connections, "") == {"": 0.0}, "that ended with them"


async def test_a_worker_that_is_killed_under_load_loses_what_it_was_just_answering(
    tmp_path: Path,
) -> None:
    config = {"server": {"workers": 2}, "routes": ROUTES}
    clients = 16
    with process(config, tmp_path) as sidegate:
        asked = answered = 0

        async def client() -> None:
            nonlocal asked, answered
            for _ in range(5):
                with contextlib.suppress(CutShort, ConnectionError):
                    async with connected(sidegate.url) as wire:
                        for _ in range(50):
                            asked += 1
                            await wire.send(request("GET", "/canned"))
                            await wire.answer()
                            answered += 1

        async def kill() -> None:
            [first, *_] = sidegate.lines("worker serves", 2)
            await until(lambda: answered >= 1000, "the load")
            os.kill(first["pid"], signal.SIGKILL)

        # So many that some of them are the killed worker's, however the kernel deals them out.
        await asyncio.gather(kill(), *(client() for _ in range(clients)))
        sidegate.lines("worker serves", 3)
        counted = await requests_counted(sidegate)
    assert 0 < answered < asked, "some requests were broken off"
    # A request may have been counted whose answer was lost on its way. A worker answers all that
    # it read in one turn of its loop before it counts them, and a connection waits for its count
    # before its next request is read: so one of each connection may go.
    assert answered - clients <= counted <= asked


async def requests_counted(sidegate: Process) -> float:
    page = await ask(sidegate.admin, request("GET", "/metrics"))
    lines = page.body.decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("sidegate_requests_total{")
    )


async def test_the_exposition_is_what_prometheus_wants(tmp_path: Path) -> None:
    async with everything(tmp_path) as (_, admin):
        page = await ask(admin, request("GET", "/metrics"))
    said = promtool("check", "metrics", given=page.body)
    # Names that the Python client gives, and that every dashboard of it knows.
    assert [
        line for line in said.splitlines() if not line.startswith(("python_", "process_"))
    ] == []


def test_the_rules_are_what_prometheus_wants(tmp_path: Path) -> None:
    write_files(tmp_path, make_files())
    for name in ("recording-rules.yaml", "alert-rules.yaml"):
        assert "SUCCESS" in promtool("check", "rules", str(tmp_path / name))


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    inside = ",".join(f'{key}="{value}"' for key, value in {"job": "s", **labels}.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def firing(name: str, at: str, *labels: dict[str, str]) -> dict[str, Any]:
    """What promtool compares; texts are left to the unit tests."""
    expected = [{"exp_labels": one} for one in labels]
    return {"eval_time": at, "alertname": name, "exp_alerts": expected}


GOOD: Final = series("sidegate_requests_total", "0+600x180", route="a", method="GET", code="200")
ALERTS: Final = {
    "SidegateErrorBudgetBurn1h": (
        [series("sidegate_requests_total", "0+60x180", route="a", method="GET", code="502"), GOOD],
        {"severity": "page", "job": "s", "route": "a"},
    ),
    "SidegateErrorBudgetBurn6h": (
        [series("sidegate_requests_total", "0+5x180", route="a", method="GET", code="502"), GOOD],
        {"severity": "ticket", "job": "s", "route": "a"},
    ),
    "SidegateSlow": (
        [
            GOOD,
            series("sidegate_request_duration_seconds_bucket", "0+1x180", route="a", le="1.0"),
            series("sidegate_request_duration_seconds_bucket", "0+9x180", route="a", le="2.5"),
            series("sidegate_request_duration_seconds_bucket", "0+9x180", route="a", le="+Inf"),
        ],
        {"severity": "ticket", "job": "s", "route": "a"},
    ),
    "SidegatePoolNearlyFull": (
        [
            series(
                "sidegate_upstream_pool_connections", "9x180", upstream="u", endpoint="e",
                state="in_use",
            ),
            series("sidegate_upstream_pool_capacity", "10x180", upstream="u", endpoint="e"),
        ],
        {"severity": "ticket", "job": "s", "upstream": "u", "endpoint": "e"},
    ),
    "SidegateBreakerOpen": (
        [series("sidegate_upstream_breaker_open", "1x180", upstream="u", endpoint="e")],
        {"severity": "page", "job": "s", "upstream": "u", "endpoint": "e"},
    ),
    "SidegateEndpointDown": (
        [series("sidegate_upstream_endpoint_up", "0x180", upstream="u", endpoint="e")],
        {"severity": "ticket", "job": "s", "upstream": "u", "endpoint": "e"},
    ),
    "SidegateUpstreamPanic": (
        [series("sidegate_upstream_panic", "1x180", upstream="u")],
        {"severity": "page", "job": "s", "upstream": "u"},
    ),
    "SidegateLimiterDegraded": (
        [
            series(
                "sidegate_rate_limit_unchecked_total", "0+1x180", policy="rate_limit",
                instead="local",
            )
        ],
        {"severity": "ticket", "job": "s", "policy": "rate_limit", "instead": "local"},
    ),
    "SidegateCertificateExpiresSoon": (
        [
            series(
                "sidegate_tls_certificate_expiry_timestamp_seconds", "900000x180",
                certificate="a.example",
            )
        ],
        {"severity": "ticket", "job": "s", "certificate": "a.example"},
    ),
    "SidegateCertificateExpiresNow": (
        [
            series(
                "sidegate_tls_certificate_expiry_timestamp_seconds", "100000x180",
                certificate="a.example",
            )
        ],
        {"severity": "page", "job": "s", "certificate": "a.example"},
    ),
    "SidegateConfigReloadFailed": (
        [series("sidegate_config_reloads_total", "0x170 1x10", result="failure")],
        {"severity": "ticket", "job": "s", "result": "failure"},
    ),
    "SidegateEventLoopLags": (
        [
            series("sidegate_event_loop_lag_seconds_bucket", "0+1x180", instance="i", le="0.25"),
            series("sidegate_event_loop_lag_seconds_bucket", "0+9x180", instance="i", le="0.5"),
            series("sidegate_event_loop_lag_seconds_bucket", "0+9x180", instance="i", le="+Inf"),
        ],
        {"severity": "ticket", "job": "s", "instance": "i"},
    ),
    "SidegateWorkersEnd": (
        [series("sidegate_worker_restarts_total", "0+1x180", instance="i")],
        {"severity": "page", "job": "s", "instance": "i"},
    ),
    "SidegateLogLinesLost": (
        [series("sidegate_log_dropped_total", "0+1x180", instance="i")],
        {"severity": "ticket", "job": "s", "instance": "i"},
    ),
    "SidegateSpansLost": (
        [series("sidegate_spans_total", "0+1x180", instance="i", outcome="failed")],
        {"severity": "ticket", "job": "s", "instance": "i"},
    ),
}  # fmt: skip
# Other ways to the same alerts.
LIKEWISE: Final = (
    (
        "SidegateBreakerOpen",
        [series("sidegate_upstream_breaker_open", "1 0.5x3 1 0.5x175", upstream="u", endpoint="e")],
        {"severity": "page", "job": "s", "upstream": "u", "endpoint": "e"},
    ),
    (
        "SidegateLimiterDegraded",
        [
            series(
                "sidegate_refusals_total",
                "0+1x180",
                policy="rate_limit",
                code="limit_unavailable",
                mode="enforce",
            )
        ],
        {"severity": "ticket", "job": "s", "policy": "rate_limit", "instead": "closed"},
    ),
)
CALM: Final = [
    GOOD,
    series("sidegate_requests_total", "0x180", route="a", method="GET", code="500"),
    series("sidegate_upstream_endpoint_up", "1x180", upstream="u", endpoint="e"),
    series("sidegate_upstream_breaker_open", "0x180", upstream="u", endpoint="e"),
    series("sidegate_upstream_panic", "0x180", upstream="u"),
    series("sidegate_config_reloads_total", "7x180", result="failure"),
    series("sidegate_config_reloads_total", "0+1x180", result="success"),
    series("sidegate_spans_total", "0+9x180", instance="i", outcome="exported"),
    series("sidegate_tls_certificate_expiry_timestamp_seconds", "2000000x180", certificate="a"),
]


def test_alerts_come_when_they_should(tmp_path: Path) -> None:
    write_files(tmp_path, make_files())
    rules = yaml.safe_load((tmp_path / "alert-rules.yaml").read_text("utf-8"))
    [group] = rules["groups"]
    assert {rule["alert"] for rule in group["rules"]} == ALERTS.keys(), "each has its case"
    for rule in group["rules"]:
        # Their words are compared as well otherwise.
        rule["annotations"] = {}
    (tmp_path / "alert-rules.yaml").write_text(yaml.safe_dump(rules), "utf-8")
    cases: list[dict[str, Any]] = [
        {
            "interval": "1m",
            "input_series": given,
            "alert_rule_test": [firing(name, "2h59m", labels)],
        }
        for name, given, labels in (
            *((name, *case) for name, case in ALERTS.items()),
            *LIKEWISE,
        )
    ]
    cases.append(
        {
            "interval": "1m",
            "input_series": CALM,
            "alert_rule_test": [firing(name, "2h59m") for name in ALERTS],
        }
    )
    test = {
        "rule_files": ["recording-rules.yaml", "alert-rules.yaml"],
        "evaluation_interval": "1m",
        "tests": cases,
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test), "utf-8")
    promtool("test", "rules", str(tmp_path / "test.yaml"))


@contextlib.asynccontextmanager
async def everything(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """A proxy that does all there is to see: its address, and that of its admin port."""

    async def failing_now_and_then(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/fail" in head:
            writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(OK)

    async with collecting() as collector, RawOrigin(failing_now_and_then) as origin:
        pair = Authority(folder).issue("DNS:gateway.example")
        config: dict[str, Any] = {
            "server": {
                "workers": 2,
                "listen": ["http://127.0.0.1:0", "https://127.0.0.1:0"],
                "tls": {"certificates": [pair.config]},
            },
            "telemetry": {"tracing": {"endpoint": collector.url, "ratio": 1.0}},
            "upstreams": {
                "half": {"endpoints": [origin.url, f"http://127.0.0.1:{free_port()}"]},
                "app": {
                    "endpoints": [origin.url, f"http://127.0.0.1:{free_port()}"],
                    "health": {"path": "/", "interval": "500ms"},
                    "breaker": {"failure_rate": None, "consecutive": 1000},
                },
            },
            "routes": [
                *ROUTES,
                {"name": "app", "match": {"path": "/app/**"}, "upstream": "app"},
                {
                    "name": "kept",
                    "match": {"path": "/kept/**"},
                    "upstream": "app",
                    "policies": {"cache": {"ttl": "1m"}},
                },
                {"name": "half", "match": {"path": "/half/**"}, "upstream": "half"},
            ],
        }
        with process(config, folder) as sidegate:
            yield sidegate.url, sidegate.admin


def panels() -> list[tuple[str, str]]:
    """Title and expression of each panel, and the rules that are computed for them."""
    return [
        *((recording.name, recording.name) for recording in RECORDINGS),
        *(
            (panel["title"], target["expr"])
            for panel in make_dashboard()["panels"]
            for target in panel.get("targets", ())
        ),
    ]


async def test_no_panel_is_empty(tmp_path: Path) -> None:
    async with everything(tmp_path) as (url, admin), scraping(admin, tmp_path) as prometheus:

        async def use() -> None:
            while True:
                for target in (
                    "/canned",
                    "/missing",
                    "/limited",
                    "/app/a",
                    "/app/fail",
                    "/half/a",
                    "/kept/a",
                ):
                    await ask(url, request("GET", target))
                await asyncio.sleep(0.05)

        work = asyncio.create_task(use())
        missing = {"anything": ""}
        try:
            async with asyncio.timeout(240):
                while missing:
                    await prometheus.scraped()
                    missing = {
                        f"{title}: {expression}": expression
                        for title, expression in panels()
                        if not await prometheus.ask(filled(expression))
                    }
        except TimeoutError:
            raise AssertionError(f"nothing to show: {json.dumps(missing, indent=1)}") from None
        finally:
            work.cancel()


def filled(expression: str) -> str:
    return (
        expression.replace("$job", ".*")
        .replace("$instance", ".*")
        .replace("$__rate_interval", "1m")
    )


async def test_exemplars_arrive(tmp_path: Path) -> None:
    async with collecting() as collector:
        telemetry = {"tracing": {"endpoint": collector.url, "ratio": 1.0}}
        async with (
            running({"telemetry": telemetry, "routes": ROUTES}, tmp_path) as gateway,
            scraping(gateway.admin, tmp_path) as prometheus,
        ):
            await ask(gateway.url, request("GET", "/canned"))
            [line] = await gateway.lines()
            await prometheus.scraped()
            found = await prometheus.exemplars("sidegate_request_duration_seconds_bucket")
    [exemplar] = found[0]["exemplars"]
    assert exemplar["labels"]["trace_id"] == line["trace_id"]
