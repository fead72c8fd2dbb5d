"""Each policy once, from the configuration to what client and service see."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.client import Answer, ask, request
from tests.integration.gateway import Gateway, running
from tests.integration.origins import OK, RawOrigin, aiohttp_app, answering

HTML_ERROR = (
    b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 14\r\n"
    b'ETag: "a"\r\nX-Kept: yes\r\n\r\n<h1>trace</h1>'
)


@contextlib.asynccontextmanager
async def applying(folder: Path, **policies: Any) -> AsyncIterator[Gateway]:
    """Sidegate with these policies before a service that tells what it was asked."""
    async with aiohttp_app() as service:
        config = {"upstreams": {"service": service}, "policies": policies}
        async with running(config, folder) as gateway:
            yield gateway


def seen(answer: Answer) -> dict[str, str]:
    """The fields that the service was sent, by lower-case name."""
    return {name.lower(): value for name, value in answer.json["headers"]}


# -- the default ones --------------------------------------------------------------------------


async def test_request_id_by_another_name_from_anybody(tmp_path: Path) -> None:
    options = {"header": "X-Correlation-ID", "accept": "any"}
    async with applying(tmp_path, request_id=options) as gateway:
        answer = await ask(gateway.url, request(x_correlation_id="abc-1"))
        assert answer.headers["x-correlation-id"] == "abc-1"
        assert seen(answer)["x-correlation-id"] == "abc-1"
        assert "x-request-id" not in answer.headers
        forged = await ask(gateway.url, request(x_correlation_id="abc 1"))
        assert forged.headers["x-correlation-id"] == seen(forged)["x-correlation-id"] != "abc 1"
        first, second = await gateway.lines(count=2)
        assert first["request_id"] == "abc-1"
        assert second["request_id"] == forged.headers["x-correlation-id"]


async def test_default_policies_can_be_left_out(tmp_path: Path) -> None:
    off = {"request_id": False, "security_headers": False, "trace_context": {"mode": "off"}}
    async with applying(tmp_path, **off) as gateway:
        answer = await ask(gateway.url, request())
        assert "x-request-id" not in answer.headers
        assert "x-frame-options" not in answer.headers
        assert answer.headers["x-powered-by"] == "echo"
        assert "traceparent" not in seen(answer)


async def test_trace_context_is_continued_from_trusted_peers_alone(tmp_path: Path) -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with applying(tmp_path) as gateway:
        restarted = seen(await ask(gateway.url, request(traceparent=parent, tracestate="a=b")))
        assert "a" * 32 not in restarted["traceparent"]
        assert "tracestate" not in restarted


async def test_security_headers_by_preset_and_by_name(tmp_path: Path) -> None:
    options = {"preset": "strict", "set": {"X-Frame-Options": "DENY", "Cache-Control": False}}
    async with applying(tmp_path, security_headers=options) as gateway:
        headers = (await ask(gateway.url, request())).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "cache-control" not in headers
        error = await ask(gateway.url, b"GET / HTTP/1.1\r\n\r\n")
        assert error.status == 400
        assert error.headers["x-frame-options"] == "DENY", "errors carry them too"


async def test_security_headers_leave_what_the_service_says(tmp_path: Path) -> None:
    own = b"HTTP/1.1 200 OK\r\nX-Frame-Options: ALLOW\r\nContent-Length: 0\r\n\r\n"
    for override, value in ((False, "ALLOW"), (True, "SAMEORIGIN")):
        async with RawOrigin(answering(own)) as origin:
            config = {
                "upstreams": {"service": origin.url},
                "policies": {"security_headers": {"override": override}},
            }
            async with running(config, tmp_path) as gateway:
                answer = await ask(gateway.url, request())
                assert answer.headers["x-frame-options"] == value, "once, never doubled"


# -- the error envelope ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "content_type", "start"),
    [
        (None, "application/json", b'{"error":"route_not_found"'),
        ("*/*", "application/json", b'{"error":'),
        ("application/json", "application/json", b'{"error":'),
        (
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/html; charset=utf-8",
            b"<!doctype html>",
        ),
        ("text/plain", "text/plain; charset=utf-8", b"404 Not Found: "),
        ("image/png", "application/json", b'{"error":'),
    ],
)
async def test_an_error_comes_in_the_form_that_the_client_prefers(
    accept: str | None, content_type: str, start: bytes, tmp_path: Path
) -> None:
    routes = [{"name": "only", "match": {"path": "/only"}, "policies": {"respond": 204}}]
    fields = {} if accept is None else {"accept": accept}
    async with running({"routes": routes}, tmp_path) as gateway:
        answer = await ask(gateway.url, request("GET", "/other", **fields))
        assert (answer.status, answer.headers["content-type"]) == (404, content_type)
        assert answer.body.startswith(start)
        assert answer.headers["x-request-id"].encode() in answer.body
        head = await ask(gateway.url, request("HEAD", "/other", **fields))
        assert (head.status, head.body) == (404, b"")
        assert head.headers["content-type"] == content_type
        assert head.headers["content-length"] == answer.headers["content-length"]


async def test_an_error_as_a_problem(tmp_path: Path) -> None:
    config = {
        "policies": {"error_envelope": {"format": "problem"}},
        "routes": [{"name": "only", "match": {"path": "/only"}, "policies": {"respond": 204}}],
    }
    async with running(config, tmp_path) as gateway:
        answer = await ask(gateway.url, request("GET", "/other"))
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["title"] == "Not Found"
        assert answer.json["status"] == 404
        assert answer.error == "route_not_found"


@pytest.mark.parametrize(
    ("upstream", "replaced"), [("never", False), ("non_json", True), ("always", True)]
)
async def test_an_error_of_the_service(upstream: str, replaced: bool, tmp_path: Path) -> None:
    async with RawOrigin(answering(HTML_ERROR)) as origin:
        config = {
            "upstreams": {"service": origin.url},
            "policies": {"error_envelope": {"upstream": upstream}},
        }
        async with running(config, tmp_path) as gateway:
            answer = await ask(gateway.url, request())
            assert answer.status == 500
            assert answer.headers["x-kept"] == "yes"
            assert (b"trace" not in answer.body) == replaced
            assert ("etag" not in answer.headers) == replaced
            if replaced:
                assert answer.error == "upstream_error"
            # Either way the connection to it is in step.
            assert (await ask(gateway.url, request())).status == 500
            assert origin.connections == 1


# -- what requests and responses are changed by ------------------------------------------------


async def test_headers_are_set_added_and_removed(tmp_path: Path) -> None:
    async with aiohttp_app() as service:
        edits = {
            "request": {
                "set": {"X-Tenant": "{path.tenant}", "X-From": "{client_ip} {host} {request_id}"},
                "add": {"X-Many": ["a", "b"]},
                "remove": ["X-Debug"],
            },
            "response": {
                "set": {"X-Served": "{scheme} {method} {path}"},
                "remove": ["X-Powered-By"],
            },
        }
        config = {
            "upstreams": {"service": service},
            "routes": [
                {
                    "name": "tenants",
                    "match": {"path": "/t/{tenant}/**"},
                    "policies": {"headers": edits},
                }
            ],
        }
        async with running(config, tmp_path) as gateway:
            answer = await ask(
                gateway.url, request("GET", "/t/blue/x", x_debug="1", x_tenant="forged")
            )
    headers = seen(answer)
    assert headers["x-tenant"] == "blue"
    assert headers["x-from"] == f"127.0.0.1 service.test {answer.headers['x-request-id']}"
    assert [value for name, value in answer.json["headers"] if name == "X-Many"] == ["a", "b"]
    assert "x-debug" not in headers
    assert answer.headers["x-served"] == "http GET /t/blue/x"


@pytest.mark.parametrize(
    ("options", "target", "sent"),
    [
        ({"strip_prefix": "/api"}, "/api/v1/a%20b?x=%2F", "/v1/a%20b?x=%2F"),
        ({"strip_prefix": "/api"}, "/apis", "/apis"),
        ({"add_prefix": "/v2"}, "/a?b", "/v2/a?b"),
        ({"path": "/fixed/{path.rest}"}, "/a/b", "/fixed/a/b"),
        ({"regex": "^/(\\w+)/old$", "replacement": "/\\1/new"}, "/a/old", "/a/new"),
        ({"query": {"set": {"v": "2"}, "remove": ["debug"]}}, "/a?debug=1&v=1&x=y", "/a?x=y&v=2"),
    ],
)
async def test_the_service_is_asked_for_another_path(
    options: dict[str, Any], target: str, sent: str, tmp_path: Path
) -> None:
    async with applying(tmp_path, rewrite=options) as gateway:
        assert (await ask(gateway.url, request("GET", target))).json["target"] == sent
        [line] = await gateway.lines()
        assert line["status"] == 200


async def test_a_redirect(tmp_path: Path) -> None:
    routes = [
        {
            "name": "old",
            "match": {"path": "/old/**"},
            "policies": {"redirect": {"to": "/new/{path.rest}", "status": 301}},
        },
        {"name": "https", "policies": {"redirect": "https://{host}{path}"}},
    ]
    async with running({"routes": routes}, tmp_path) as gateway:
        moved = await ask(gateway.url, request("GET", "/old/a?b=c"))
        assert (moved.status, moved.headers["location"]) == (301, "/new/a?b=c")
        secured = await ask(gateway.url, request("POST", "/x", b"body"))
        assert (secured.status, secured.headers["location"]) == (308, "https://service.test/x")
        assert (secured.body, secured.headers["content-length"]) == (b"", "0")
        assert "connection" not in secured.headers, "a body that came whole is no reason to close"


async def test_a_canned_response(tmp_path: Path) -> None:
    answer = {"status": 503, "json": {"back": "noon"}, "headers": {"Retry-After": "3600"}}
    async with running({"routes": [{"name": "a", "policies": {"respond": answer}}]}, tmp_path) as (
        gateway
    ):
        got = await ask(gateway.url, request())
        assert (got.status, got.json) == (503, {"back": "noon"})
        assert got.headers["retry-after"] == "3600"
        head = await ask(gateway.url, request("HEAD"))
        assert (head.body, head.headers["content-length"]) == (b"", "15")


# -- limits ------------------------------------------------------------------------------------


async def test_the_rate_is_limited_exactly(tmp_path: Path) -> None:
    limit = {"limit": "10/day", "burst": 25, "key": "global"}
    async with RawOrigin(answering(OK)) as origin:
        config = {"upstreams": {"service": origin.url}, "policies": {"rate_limit": limit}}
        async with running(config, tmp_path) as gateway:
            async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:

                async def one() -> int:
                    async with session.get(gateway.url) as response:
                        return response.status

                tasks = [group.create_task(one()) for _ in range(100)]
            statuses = [task.result() for task in tasks]
            assert (statuses.count(200), statuses.count(429)) == (25, 75)
            refused = await ask(gateway.url, request())
            assert (refused.status, refused.error) == (429, "rate_limited")
            assert 8000 < int(refused.headers["retry-after"]) <= 8640
            assert origin.bytes_received.count(b"GET / ") == 25


async def test_each_client_and_each_route_has_an_allowance(tmp_path: Path) -> None:
    def route(name: str, **limit: Any) -> dict[str, Any]:
        policies = {"respond": 204, **limit}
        return {"name": name, "match": {"path": f"/{name}"}, "policies": policies}

    config = {
        "server": {"trusted_proxies": ["127.0.0.1"]},
        "policies": {"rate_limit": "2/day"},
        "routes": [
            route("a"),
            route("b", rate_limit={"limit": "1/day", "key": "header:X-Key"}),
            route("free", rate_limit=False),
        ],
    }
    async with running(config, tmp_path) as gateway:

        async def status(target: str, **fields: str) -> int:
            return (await ask(gateway.url, request("GET", target, **fields))).status

        assert [await status("/a", x_forwarded_for="192.0.2.1") for _ in range(3)] == [
            204, 204, 429,
        ]  # fmt: skip
        assert await status("/a", x_forwarded_for="192.0.2.2") == 204
        assert [await status("/b", x_key=key) for key in "xxyy"] == [204, 429, 204, 429]
        assert [await status("/free") for _ in range(5)] == [204] * 5


# -- shadow mode -------------------------------------------------------------------------------


async def test_shadow_mode_decides_and_does_nothing(tmp_path: Path) -> None:
    shadow = {
        "rate_limit": {"limit": "1/day", "mode": "shadow"},
        "headers": {"mode": "shadow", "response": {"set": {"X-Shadow": "1"}}},
        "rewrite": {"mode": "shadow", "path": "/elsewhere"},
        "redirect": {"mode": "shadow", "to": "/gone"},
        "respond": {"mode": "shadow", "status": 503},
    }
    async with applying(tmp_path, **shadow) as gateway:
        for _ in range(2):
            answer = await ask(gateway.url, request("GET", "/asked"))
            assert answer.status == 200
            assert answer.json["target"] == "/asked"
            assert "x-shadow" not in answer.headers
        first, second = await gateway.lines(count=2)
        metrics = await gateway.metrics()
    assert first["decisions"] == {
        "headers": "would_change",
        "redirect": "would_answer",
        "respond": "would_answer",
        "rewrite": "would_change",
        "rate_limit": "admitted",
    }
    assert second["decisions"]["rate_limit"] == "would_refuse"
    assert second["details"]["redirect"] == "/gone"
    refusals = [
        (series, value)
        for series, value in metrics.items()
        if series.startswith("sidegate_refusals_total{")
    ]
    assert len(refusals) == 1
    series, value = refusals[0]
    assert value == 1
    for label in ('policy="rate_limit"', 'code="rate_limited"', 'mode="shadow"'):
        assert label in series


async def test_trusted_callers_are_told_why(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "policies": {"why": {"clients": "127.0.0.0/8"}},
        "routes": [
            {
                "name": "limited",
                "match": {"path": "/limited"},
                "policies": {"rate_limit": "1/day", "respond": 204},
            },
        ],
    }
    async with running(config, tmp_path) as gateway:
        told = [
            (await ask(gateway.url, request("GET", target, sidegate_why="1"))).headers[
                "sidegate-why"
            ]
            for target in ("/limited", "/limited", "/missing")
        ]
        unasked = await ask(gateway.url, request("GET", "/limited"))
        lines = (tmp_path / "sidegate.yaml").read_text(encoding="utf-8").splitlines()
    place = next(number for number, line in enumerate(lines, 1) if "rate_limit:" in line)
    assert all('why;at="' in answer for answer in told)
    assert f'rate_limit;admitted;at="{tmp_path}/sidegate.yaml:{place}"' in told[0]
    assert "respond;answered" in told[0]
    assert 'rate_limit;limited;by="1/day for ' in told[1]
    assert ';refused;by="rate_limited"' in told[1]
    assert told[2].startswith("no_route, ")
    assert told[2].endswith('error;code="route_not_found"')
    assert "sidegate-why" not in unasked.headers
