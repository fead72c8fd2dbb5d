"""server_timing: where the time went, for browsers."""

from __future__ import annotations

from typing import Any

from proxy.contract import Request, TraceContext
from proxy.policies.server_timing import Options, ServerTiming
from tests.unit.policies.world import World, a_request, upstream_response


def told(world: World, request: Request, *fields: tuple[str, str], **options: Any) -> list[str]:
    response = upstream_response(200, *fields)
    ServerTiming(Options(**options), world.toolkit).edit_response(request, response)
    return response.headers.get_all("server-timing")


def forwarded(world: World) -> Request:
    request = a_request()
    request.timings.received = world.now
    request.timings.forwarded = world.now + 0.0005
    request.timings.connected = world.now + 0.00125
    request.timings.first_byte = world.now + 0.02425
    world.now += 0.025
    return request


def test_each_station_has_its_share(world: World) -> None:
    assert told(world, forwarded(world)) == [
        "policy;dur=0.5, connect;dur=0.75, upstream;dur=23, total;dur=25"
    ]


def test_stations_that_were_not_reached_are_left_out(world: World) -> None:
    request = a_request()
    request.timings.received = world.now
    world.now += 0.001
    assert told(world, request) == ["total;dur=1"]


def test_the_service_keeps_its_word(world: World) -> None:
    lines = told(world, forwarded(world), ("Server-Timing", "db;dur=4"))
    assert lines[0] == "db;dur=4"
    assert len(lines) == 2


def test_the_trace_is_named_unless_unwanted(world: World) -> None:
    request = forwarded(world)
    request.trace = TraceContext("1" * 32, "2" * 16, "", 3, "")
    named = f'traceparent;desc="00-{"1" * 32}-{"2" * 16}-03"'
    assert told(world, request)[0].endswith(named)
    assert "traceparent" not in told(world, request, trace=False)[0]
