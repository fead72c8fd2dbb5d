"""The admin API over a real socket, with an operator of our own behind it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from proxy.admin.api import ReloadReport, make_admin
from proxy.admin.site import open_site
from proxy.store.purge import Purge

CANARY = "canary-4711-hunter2"
Client = TestClient[Any, Any]


@dataclass
class Log:
    """Keeps what was logged."""

    lines: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def debug(self, event: str, **facts: Any) -> None:
        self.lines.append((event, facts))

    info = warning = error = debug


@dataclass
class Gateway:
    """Stands for the gateway."""

    reason: str = ""
    report: ReloadReport = field(default_factory=lambda: ReloadReport(True, "def456", []))
    reloads: int = 0
    purges: list[Purge] = field(default_factory=list)
    accepted: str = ""
    broken: bool = False
    exempted: list[tuple[str, float, str, str]] = field(default_factory=list)

    def ready(self) -> tuple[bool, str]:
        return not self.reason, self.reason

    async def status(self) -> dict[str, Any]:
        return {"version": "0.1.0", "digest": "abc123"}

    def config(self) -> dict[str, Any]:
        if self.broken:
            raise RuntimeError(f"internal: {CANARY}")
        return {"store": f"redis://:{CANARY}@redis/0", "policies": {"auth": {"token": CANARY}}}

    def routes(self) -> list[dict[str, Any]]:
        return [{"name": "a", "match": {"headers": {"X-Api-Key": CANARY}}, "upstream": "app"}]

    async def upstreams(self) -> dict[str, Any]:
        return {
            "upstreams": [{"name": "app", "endpoints": [{"address": "http://a:80", "idle": 3}]}],
            "balance": [{"upstream": "app", "balance": "ewma"}],
        }

    async def limits(self) -> list[dict[str, Any]]:
        return []

    async def limit(
        self, policy: str, key: Sequence[str], tier: str, *, reset: bool
    ) -> Mapping[str, Any]:
        return {"problem": "there are no limits"}

    async def cache(self) -> dict[str, Any]:
        return {"objects": 3, "removed": {"capacity": 2}}

    async def purge(self, purge: Purge) -> dict[str, Any]:
        self.purges.append(purge)
        return {"purged": 7}

    async def reload(self) -> ReloadReport:
        self.reloads += 1
        return self.report

    async def log_levels(self) -> dict[str, Any]:
        return {"configured": "info", "exceptions": self.exempted}

    async def change_log_level(
        self, level: str, seconds: float, route: str, client: str
    ) -> dict[str, Any]:
        if route == "missing":
            raise ValueError('there is no route "missing"')
        self.exempted.append((level, seconds, route, client))
        return await self.log_levels()

    async def clear_log_levels(self) -> dict[str, Any]:
        self.exempted = []
        return await self.log_levels()

    async def metrics(self, accept: str) -> tuple[str, bytes]:
        self.accepted = accept
        return "text/plain; version=0.0.4; charset=utf-8", b"sidegate_up 1\n"


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def client(gateway: Gateway, log: Log) -> AsyncIterator[Client]:
    app = make_admin(gateway, wall=lambda: 1795521845.123, log=log)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_the_index_lists_what_there_is(client: Client) -> None:
    response = await client.get("/")
    index = await response.json()
    assert index["sidegate"] == {"version": "0.1.0", "digest": "abc123"}
    for resource in index["resources"]:
        method, path = resource.split()
        bodies = {"POST /log": {"level": "debug"}, "POST /cache/purge": {"all": True}}
        answer = await client.request(method, path, json=bodies.get(resource))
        assert answer.status == 200, resource


async def test_health_is_about_the_process_alone(client: Client, gateway: Gateway) -> None:
    gateway.reason = "draining"
    response = await client.get("/healthz")
    assert (response.status, await response.text()) == (200, "alive\n")
    assert response.content_type == "text/plain"


async def test_readiness_says_why_not(client: Client, gateway: Gateway) -> None:
    assert (await client.get("/readyz")).status == 200
    gateway.reason = "draining"
    response = await client.get("/readyz")
    assert (response.status, await response.text()) == (503, "not ready: draining\n")


async def test_metrics_pass_the_accept_field_on(client: Client, gateway: Gateway) -> None:
    response = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert gateway.accepted == "application/openmetrics-text"
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert await response.read() == b"sidegate_up 1\n"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "/config",
            {"store": "redis://…redacted@redis/0", "policies": {"auth": "…redacted"}},
        ),
        (
            "/routes",
            {
                "routes": [
                    {
                        "name": "a",
                        "match": {"headers": {"X-Api-Key": "…redacted"}},
                        "upstream": "app",
                    }
                ]
            },
        ),
        (
            "/upstreams",
            {
                "upstreams": [
                    {"name": "app", "endpoints": [{"address": "http://a:80", "idle": 3}]}
                ],
                "balance": [{"upstream": "app", "balance": "ewma"}],
            },
        ),
    ],
)
async def test_facts_are_shown_without_secrets(
    client: Client, path: str, expected: dict[str, Any]
) -> None:
    response = await client.get(path)
    assert CANARY not in await response.text()
    assert await response.json() == expected


async def test_a_good_reload_tells_the_new_digest(client: Client, gateway: Gateway) -> None:
    response = await client.post("/reload")
    assert response.status == 200
    assert await response.json() == {"ok": True, "digest": "def456", "problems": []}
    assert gateway.reloads == 1


async def test_a_bad_reload_tells_every_problem(client: Client, gateway: Gateway) -> None:
    problems = ["sidegate.yaml:3:5: routes: unknown key 'nmae'", f"store: redis://:{CANARY}@x"]
    gateway.report = ReloadReport(False, "abc123", problems)
    response = await client.post("/reload")
    envelope = await response.json()
    assert response.status == 409
    assert envelope["error"] == "config_invalid"
    assert envelope["digest"] == "abc123"
    assert envelope["problems"] == [problems[0], "store: redis://…redacted@x"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "rebound.example", "Origin": "http://rebound.example"},
    ],
)
async def test_pages_of_other_sites_cannot_reload(
    client: Client, gateway: Gateway, log: Log, headers: dict[str, str]
) -> None:
    response = await client.post("/reload", headers=headers)
    assert response.status == 403
    assert (await response.json())["error"] == "forbidden"
    assert gateway.reloads == 0
    assert log.lines[0][0] == "admin request refused"


async def test_reload_is_no_link(client: Client, gateway: Gateway) -> None:
    response = await client.get("/reload")
    assert response.status == 405
    assert response.headers["Allow"] == "POST"
    told = await response.json()
    assert told["error"] == "method_not_allowed"
    assert told["detail"] == "/reload takes POST, not GET."
    assert gateway.reloads == 0


async def test_what_does_not_exist_is_an_envelope(client: Client) -> None:
    response = await client.get("/nothing%20here?x=1")
    assert response.status == 404
    assert await response.json() == {
        "error": "route_not_found",
        "detail": "There is no such resource; GET / lists them.",
        "status": 404,
        "timestamp": "2026-11-24T12:04:05.123Z",
        "path": "/nothing%20here",
        "request_id": "admin-1",
    }


@pytest.mark.parametrize(
    ("fields", "body", "status", "detail"),
    [
        ({}, bytes(70_000), 413, "The body is larger than 64KiB."),
        ({"Content-Encoding": "gzip"}, b"plain", 400,
         "The body is cut short, or not coded as it says."),
        ({"Expect": "a miracle"}, b"", 417, "Of expectations only 100-continue is known."),
    ],
)  # fmt: skip
async def test_what_comes_wrong_is_an_envelope_too(
    client: Client, log: Log, fields: dict[str, str], body: bytes, status: int, detail: str
) -> None:
    response = await client.post("/cache/purge", data=body, headers=fields)
    told = await response.json()
    assert (response.status, told["status"], told["detail"]) == (status, status, detail)
    assert log.lines == [], "what clients do wrong is no failure of ours"


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (f"{CANARY} / HTTP/1.1\r\n\r\n", "This is no request that can be read."),
        (f"POST /log HTTP/1.1\r\nHost: a\r\nContent-Length: {CANARY}\r\n\r\n",
         "This is no request that can be read."),
        (f"GET /{CANARY * 1000} HTTP/1.1\r\nHost: a\r\n\r\n",
         "A line at the beginning of the request is too long."),
    ],
)  # fmt: skip
async def test_what_is_no_request_is_not_repeated(
    gateway: Gateway, log: Log, sent: str, detail: str
) -> None:
    app = make_admin(gateway, wall=lambda: 1795521845.123, log=log)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    site = await open_site(app, [sock], "")
    try:
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        writer.write(sent.encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
    finally:
        await site.close()
    told = json.loads(body)
    assert " 400 " in head.splitlines()[0]
    assert (told["error"], told["status"], told["detail"]) == ("bad_request", 400, detail)
    assert "Server: sidegate" in head.splitlines()
    assert "X-Content-Type-Options: nosniff" in head.splitlines()
    [(event, facts)] = log.lines
    assert event == "admin request refused"
    assert CANARY not in f"{head} {body} {facts}"


async def test_a_body_may_wait_until_it_is_asked_for(client: Client, gateway: Gateway) -> None:
    response = await client.post("/cache/purge", data=b'{"all": true}', expect100=True)
    assert response.status == 200
    assert gateway.purges == [Purge("all")]


async def test_a_failure_is_in_the_log_and_not_in_the_answer(
    client: Client, gateway: Gateway, log: Log
) -> None:
    gateway.broken = True
    response = await client.get("/config")
    text = await response.text()
    assert response.status == 500
    assert "RuntimeError" not in text
    assert CANARY not in text
    [(event, facts)] = log.lines
    assert event == "admin request failed"
    assert isinstance(facts["exc_info"], RuntimeError)
    assert facts["request_id"] in text


@pytest.mark.parametrize("path", ["/", "/healthz", "/config", "/nothing", "/reload"])
async def test_every_answer_is_safe_in_a_browser_and_anonymous(client: Client, path: str) -> None:
    headers = (await client.get(path)).headers
    assert "Server" not in headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "deny"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


class TestLogLevels:
    async def test_one_holds_for_a_while(self, client: Client, gateway: Gateway, log: Log) -> None:
        change = {"level": "debug", "for": "5m", "route": "api", "client": "203.0.113.0/24"}
        answer = await client.post("/log", json=change)
        assert answer.status == 200
        expected = [["debug", 300.0, "api", "203.0.113.0/24"]]
        assert (await answer.json())["exceptions"] == expected
        assert (await (await client.get("/log")).json())["exceptions"] == expected
        assert "log level changed" in [event for event, _ in log.lines], "it is told"
        assert (await client.delete("/log")).status == 200
        assert gateway.exempted == []

    async def test_ten_minutes_by_default(self, client: Client, gateway: Gateway) -> None:
        await client.post("/log", json={"level": "warning"})
        assert gateway.exempted == [("warning", 600.0, "", "")]

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            (b"", 'The body must be JSON, such as {"level": "debug", "for": "10m"}.'),
            (b"[1]", 'The body must be an object, such as {"level": "debug", "for": "10m"}.'),
            (b"{}", "Give `level`: debug, info, warning or error."),
            (b'{"level": "loud"}', '`level`: must be debug, info, warning or error, not "loud".'),
            (
                b'{"level": "debug", "for": 5}',
                "`for`: a duration needs a unit, such as 5s or 5ms.",
            ),
            (b'{"level": "debug", "for": "48h"}', "`for`: must be at most 1d, not 48h."),
            (
                b'{"level": "debug", "client": "nobody"}',
                '`client`: "nobody" is no address; write 203.0.113.7 or 10.0.0.0/8.',
            ),
            (b'{"level": "debug", "rout": "a"}', 'Unknown key "rout"; did you mean "route"?'),
            (b'{"level": "debug", "route": "missing"}', 'There is no route "missing".'),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, client: Client, gateway: Gateway, body: bytes, named: str
    ) -> None:
        answer = await client.post("/log", data=body)
        told = await answer.json()
        assert (answer.status, told["error"]) == (400, "bad_request")
        assert told["detail"] == named
        assert gateway.exempted == []

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    async def test_pages_of_others_change_nothing(self, client: Client, method: str) -> None:
        headers = {"Origin": "https://evil.test"}
        answer = await client.request(method, "/log", headers=headers, json={"level": "debug"})
        assert answer.status == 403


async def test_what_the_cache_holds(client: Client) -> None:
    response = await client.get("/cache")
    assert await response.json() == {"objects": 3, "removed": {"capacity": 2}}


async def test_purging(client: Client, gateway: Gateway, log: Log) -> None:
    response = await client.post("/cache/purge", json={"tag": "news", "soft": True})
    assert (response.status, await response.json()) == (200, {"purged": 7})
    assert gateway.purges == [Purge("tag", "news", soft=True)]
    assert log.lines[-1] == ("cache purged", {"kind": "tag", "soft": True, "purged": 7})


async def test_a_purge_that_means_nothing_is_refused(client: Client, gateway: Gateway) -> None:
    response = await client.post("/cache/purge", json={"urls": ["/"]})
    assert response.status == 400
    answer = await response.json()
    assert answer["error"] == "bad_request"
    assert answer["detail"] == "'urls' is unknown; known are url, prefix, glob, tag, all and soft."
    assert gateway.purges == []


async def test_another_sites_page_purges_nothing(client: Client, gateway: Gateway) -> None:
    fields = {"Origin": "https://evil.example"}
    response = await client.post("/cache/purge", data=b'{"all": true}', headers=fields)
    assert response.status == 403
    assert gateway.purges == []
