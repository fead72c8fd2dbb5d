"""A request that waits for nothing but its upstream takes no task."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop

from tests.benchmarks.pipeline import CONFIGURATION, Pipeline
from tests.benchmarks.requests import POST, SMALL, unique

_ORIGIN: Final = ["http://127.0.0.1:9", "http://127.0.0.2:9"]
_STICKY: Final = {"by": "round_robin", "sticky": {"secret": "0123456789abcdef"}}


def tasks_of(configuration: dict[str, Any], request: bytes, requests: int = 100) -> int:
    """How many tasks so many requests took, once there are connections."""
    loop = uvloop.new_event_loop()
    made = 0

    def make(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        nonlocal made
        made += 1
        return asyncio.Task(work, loop=loop, **options)

    with (
        tempfile.TemporaryDirectory() as folder,
        closing(loop),
        # One after another, as connections are opened when there are more at a time.
        closing(Pipeline(loop, Path(folder), {**CONFIGURATION, **configuration}, 1)) as pipeline,
    ):
        loop.run_until_complete(pipeline.run(200, request))
        loop.set_task_factory(make)
        loop.run_until_complete(pipeline.run(requests, request))
    # One is the run itself.
    return made - 1


@pytest.mark.parametrize("request_", [SMALL, POST], ids=["GET", "POST"])
@pytest.mark.parametrize(
    "upstream",
    [
        pytest.param({"endpoints": _ORIGIN[:1]}, id="one endpoint"),
        pytest.param({"endpoints": _ORIGIN}, id="several"),
        pytest.param({"endpoints": _ORIGIN, "balance": _STICKY}, id="sticky"),
        pytest.param({"endpoints": _ORIGIN, "balance": "ewma"}, id="ewma"),
        pytest.param(
            {"endpoints": _ORIGIN, "breaker": {"scope": "endpoint"}, "concurrency": {}},
            id="breakers and a limit",
        ),
        pytest.param({"endpoints": _ORIGIN, "timeouts": {"per_try": "5s"}}, id="per try"),
        pytest.param(
            {"endpoints": _ORIGIN[:1], "breaker": {"scope": "upstream"}}, id="one with a breaker"
        ),
    ],
)
def test_no_task_for_an_upstream(upstream: dict[str, Any], request_: bytes) -> None:
    assert tasks_of({"upstreams": {"origin": upstream}}, request_) == 0


@pytest.mark.parametrize(
    "policies",
    [
        pytest.param({"retry": {"attempts": 3, "on": ["connect", "503"]}}, id="retry"),
        pytest.param({"deadline": "10s"}, id="deadline"),
        pytest.param({"fallback": {"respond": {"status": 200}}}, id="fallback"),
        pytest.param({"validate": {"size": "64KiB"}}, id="validate"),
        pytest.param({"sanitize": True}, id="sanitize"),
        pytest.param({"retry": True, "headers": {"request": {"set": {"X-A": "b"}}}}, id="headers"),
    ],
)
def test_no_task_for_policies_that_wait_for_nothing(policies: dict[str, Any]) -> None:
    assert tasks_of({"policies": policies}, SMALL) == 0


_CACHED: Final = b"GET /cached HTTP/1.1\r\nHost: a.example\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "options"),
    [
        pytest.param(_CACHED, {"ttl": "0s"}, id="what can't be kept"),
        pytest.param(_CACHED.replace(b"\r\n\r\n", b"\r\nAuthorization: Basic eDp5\r\n\r\n"), {},
                     id="for its client alone"),
        pytest.param(POST, {}, id="another method"),
        pytest.param(_CACHED, {"mode": "shadow"}, id="shadow"),
    ],
)  # fmt: skip
def test_no_task_for_what_a_cache_has_not(request_: bytes, options: dict[str, Any]) -> None:
    assert tasks_of({"policies": {"cache": options}}, request_) == 0


def test_no_task_for_a_miss() -> None:
    assert tasks_of({"policies": {"cache": True}}, unique(SMALL)) == 0


def test_one_for_each_that_has_to_wait() -> None:
    hedged = {"retry": {"hedge": "10s"}}
    assert tasks_of({"policies": hedged}, SMALL) >= 100
