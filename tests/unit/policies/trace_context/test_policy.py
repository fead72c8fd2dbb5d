"""trace_context: what is continued, what is restarted, and what is handed on."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from proxy.contract import Request
from proxy.policies.trace_context.options import Options
from proxy.policies.trace_context.policy import Trace, kept_state
from tests.unit.policies.world import World, a_request

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def passed(world: World, *fields: tuple[str, str], trusted: bool = True, **options: Any) -> Request:
    request = a_request("/", *fields, trusted=trusted)
    Trace(Options(**options), world.toolkit).edit_request(request)
    return request


@pytest.mark.parametrize(
    ("came", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-01", 1),
        (f"00-{TRACE}-{SPAN}-02", 2),
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"00-{TRACE}-{SPAN}-ff", 3),
        (f"cc-{TRACE}-{SPAN}-01", 1),
        (f"01-{TRACE}-{SPAN}-09-what-the-future-brings", 1),
    ],
)
def test_a_valid_parent_is_continued_with_a_span_of_our_own(
    world: World, came: str, flags: int
) -> None:
    request = passed(world, ("traceparent", came), ("tracestate", "a=1"))
    trace = request.trace
    assert (trace.trace_id, trace.parent_id, trace.flags) == (TRACE, SPAN, flags)
    assert trace.span_id != SPAN
    assert re.fullmatch("[0-9a-f]{16}", trace.span_id)
    assert request.headers.get_all("traceparent") == [f"00-{TRACE}-{trace.span_id}-{flags:02x}"]
    assert request.headers.get_all("tracestate") == ["a=1"]
    assert trace.state == "a=1"


@pytest.mark.parametrize(
    "came",
    [
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-extra",
        f"00-{TRACE}-{SPAN}-01.",
        f"01-{TRACE}-{SPAN}-01extra",
        f" 00-{TRACE}-{SPAN}-01x",
        f"00-{TRACE}-{SPAN}-0\x00",
        f"00_{TRACE}_{SPAN}_01",
    ],
)
def test_an_invalid_parent_is_ignored_with_its_state(world: World, came: str) -> None:
    request = passed(world, ("traceparent", came), ("tracestate", "a=1"))
    assert_new(request)


def test_two_parents_are_none(world: World) -> None:
    one = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    assert_new(passed(world, one, one))


def test_a_request_without_trace_starts_a_random_unsampled_one(world: World) -> None:
    assert_new(passed(world))


@pytest.mark.parametrize(
    ("accept", "trusted", "continued"),
    [
        ("trusted", True, True),
        ("trusted", False, False),
        ("any", False, True),
        ("never", True, False),
    ],
)
def test_a_trace_is_continued_by_who_sent_it(
    world: World, accept: str, trusted: bool, continued: bool
) -> None:
    request = passed(
        world,
        ("traceparent", f"00-{TRACE}-{SPAN}-01"),
        ("tracestate", "a=1"),
        trusted=trusted,
        accept=accept,
    )
    if continued:
        assert request.trace.trace_id == TRACE
    else:
        assert_new(request)


def test_each_request_has_a_trace_of_its_own(world: World) -> None:
    policy = Trace(Options(), world.toolkit)
    seen = set()
    for _ in range(500):
        request = a_request()
        policy.edit_request(request)
        seen.add(request.trace.trace_id)
        seen.add(request.trace.span_id)
    assert len(seen) == 1000


def member(key: str, length: int) -> str:
    return f"{key}={'x' * (length - len(key) - 1)}"


@pytest.mark.parametrize(
    ("came", "kept"),
    [
        ("a=1", "a=1"),
        ("a=1,b=2", "a=1,b=2"),
        (" a=1 ,\tb=2,, ", "a=1,b=2"),
        ("tenant@vendor=x y", "tenant@vendor=x y"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a", ""),
        ("a=", ""),
        ("a=b=c", ""),
        ("a=\u00e9", ""),
        ("a=1,b=\x7f", ""),
        (",".join(f"k{n}=1" for n in range(32)), ",".join(f"k{n}=1" for n in range(32))),
        (",".join(f"k{n}=1" for n in range(33)), ""),
        ("," * 5000, ""),
    ],
)
def test_state_is_handed_on_whole_or_not_at_all(came: str, kept: str) -> None:
    assert kept_state(came.encode()) == kept.encode()


def test_state_that_is_too_long_loses_whole_members_long_ones_first() -> None:
    short = [member(f"s{n}", 100) for n in range(10)]
    state = [*short[:5], member("long", 260), *short[5:]]
    kept = kept_state(",".join(state).encode()).decode().split(",")
    assert kept == short

    many = [member(f"s{n}", 100) for n in range(30)]
    kept = kept_state(",".join(many).encode()).decode().split(",")
    assert kept == many[: len(kept)]
    assert len(",".join(kept)) >= 512


def test_state_goes_on_as_one_field(world: World) -> None:
    parent = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    request = passed(world, parent, ("tracestate", "a=1 "), ("tracestate", ",b=2"))
    assert request.headers.get_all("tracestate") == ["a=1,b=2"]
    assert request.trace.state == "a=1,b=2"


def test_bad_state_leaves_the_parent_alone(world: World) -> None:
    request = passed(world, ("traceparent", f"00-{TRACE}-{SPAN}-01"), ("tracestate", "A=1"))
    assert request.trace.trace_id == TRACE
    assert "tracestate" not in request.headers


def assert_new(request: Request) -> None:
    trace = request.trace
    assert re.fullmatch("[0-9a-f]{32}", trace.trace_id)
    assert trace.trace_id != TRACE
    assert (trace.parent_id, trace.flags, trace.state) == ("", 2, "")
    assert request.headers.get_all("traceparent") == [f"00-{trace.trace_id}-{trace.span_id}-02"]
    assert "tracestate" not in request.headers


class TestSampling:
    def test_a_trace_that_starts_here_asks_the_sampler(self, world: World) -> None:
        asked: list[str] = []

        def sampled(trace_id: str) -> bool:
            asked.append(trace_id)
            return len(asked) == 1

        world.toolkit = replace(world.toolkit, sampled=sampled)
        trace = Trace(Options(), world.toolkit)
        for flags in (3, 2):
            request = a_request("/")
            trace.edit_request(request)
            assert request.trace.flags == flags
            assert request.headers.raw("traceparent") == (
                f"00-{request.trace.trace_id}-{request.trace.span_id}-{flags:02x}".encode()
            )
            assert asked[-1] == request.trace.trace_id

    def test_the_caller_of_a_trace_has_decided(self, world: World) -> None:
        world.toolkit = replace(world.toolkit, sampled=lambda _: True)
        assert passed(world, ("traceparent", f"00-{TRACE}-{SPAN}-00")).trace.flags == 0
        assert passed(world, ("b3", f"{TRACE}-{SPAN}-0")).trace.flags == 0
        assert passed(world, ("b3", f"{TRACE}-{SPAN}")).trace.flags == 1, "it left the decision"


class TestB3:
    @pytest.mark.parametrize(
        ("value", "trace_id", "flags"),
        [
            (f"{TRACE}-{SPAN}-1", TRACE, 1),
            (f"{TRACE}-{SPAN}-0", TRACE, 0),
            (f"{TRACE}-{SPAN}-d-{SPAN}", TRACE, 1),
            (f"{TRACE}-{SPAN}", TRACE, 0),
            (f"{TRACE.upper()}-{SPAN.upper()}-1", TRACE, 1),
            (f"{TRACE[:16]}-{SPAN}-1", "0" * 16 + TRACE[:16], 1),
        ],
    )
    def test_one_field(self, world: World, value: str, trace_id: str, flags: int) -> None:
        request = passed(world, ("b3", value))
        trace = request.trace
        assert (trace.trace_id, trace.parent_id, trace.flags) == (trace_id, SPAN, flags)
        assert request.headers.get("b3") == f"{trace_id}-{trace.span_id}-{flags}"
        assert request.headers.get("traceparent") == f"00-{trace_id}-{trace.span_id}-{flags:02x}"

    @pytest.mark.parametrize(
        ("fields", "flags"),
        [
            ({"X-B3-Sampled": "1"}, 1),
            ({"X-B3-Sampled": "true"}, 1),
            ({"X-B3-Sampled": "0"}, 0),
            ({"X-B3-Flags": "1"}, 1),
            ({}, 0),
        ],
    )
    def test_several_fields(self, world: World, fields: dict[str, str], flags: int) -> None:
        came = {"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN, "X-B3-ParentSpanId": "a" * 16, **fields}
        request = passed(world, *came.items())
        trace = request.trace
        assert (trace.trace_id, trace.parent_id, trace.flags) == (TRACE, SPAN, flags)
        sent = {name: value for name, value in request.headers.items() if "b3" in name}
        assert sent == {
            "x-b3-traceid": TRACE,
            "x-b3-spanid": trace.span_id,
            "x-b3-parentspanid": SPAN,
            "x-b3-sampled": str(flags),
        }

    @pytest.mark.parametrize(("value", "flags"), [("0", 2), ("1", 3), ("d", 3)])
    def test_a_decision_without_a_trace(self, world: World, value: str, flags: int) -> None:
        request = passed(world, ("b3", value))
        assert (request.trace.parent_id, request.trace.flags) == ("", flags)
        assert request.trace.trace_id in (request.headers.get("b3") or "")

    @pytest.mark.parametrize(
        "value", ["", "x", f"{'0' * 32}-{SPAN}-1", f"{TRACE}-{'0' * 16}-1", f"{TRACE}-{SPAN}-7"]
    )
    def test_nonsense_starts_a_new_trace(self, world: World, value: str) -> None:
        request = passed(world, ("b3", value))
        assert request.trace.parent_id == ""
        assert request.trace.trace_id not in (TRACE, "")
        assert "traceparent" in request.headers

    def test_traceparent_goes_before(self, world: World) -> None:
        request = passed(
            world, ("traceparent", f"00-{TRACE}-{SPAN}-01"), ("b3", f"{'b' * 32}-{SPAN}-0")
        )
        assert request.trace.trace_id == TRACE
        assert request.headers.get("b3") == f"{TRACE}-{request.trace.span_id}-1"

    @pytest.mark.parametrize(
        "field", ["b3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-Sampled", "X-B3-Flags"]
    )
    def test_a_stranger_names_no_trace(self, world: World, field: str) -> None:
        request = passed(world, (field, f"{TRACE}-{SPAN}-1"), trusted=False)
        assert request.trace.trace_id != TRACE
        assert field.lower() not in request.headers
