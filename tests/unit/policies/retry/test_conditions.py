"""Which failures may be answered by sending again."""

from __future__ import annotations

import pytest

from proxy.errors import GatewayError, Unanswered, Unsent
from proxy.http1.method import IDEMPOTENT
from proxy.policies.retry.conditions import FAILURES, Conditions, check_condition
from tests.unit.policies.world import upstream_response

UNREACHABLE = Unsent("upstream_unreachable")
LATE = Unsent("connect_timeout")
BUSY = Unsent("pool_exhausted")
CLOSED = Unanswered("upstream_closed")
TIMEOUT = Unanswered("upstream_timeout")
GARBAGE = GatewayError("upstream_invalid")
CUT = GatewayError("upstream_closed")


@pytest.mark.parametrize(
    ("error", "method", "reason"),
    [
        (UNREACHABLE, "GET", "connect"),
        (UNREACHABLE, "POST", "connect"),
        (LATE, "POST", "connect"),
        (BUSY, "GET", ""),
        (CLOSED, "GET", "reset"),
        (CLOSED, "PUT", "reset"),
        (CLOSED, "POST", ""),
        (CLOSED, "PATCH", ""),
        (TIMEOUT, "GET", "timeout"),
        (TIMEOUT, "POST", ""),
        (GARBAGE, "GET", "invalid"),
        (GARBAGE, "POST", ""),
        (CUT, "GET", ""),
        (GatewayError("body_too_large"), "PUT", ""),
        (GatewayError("incomplete_body"), "PUT", ""),
    ],
)
def test_failures(error: GatewayError, method: str, reason: str) -> None:
    assert Conditions(FAILURES, IDEMPOTENT).of_error(error, method) == reason
    assert Conditions((), IDEMPOTENT).of_error(error, method) == ""


def test_a_method_that_is_named_may_be_sent_twice() -> None:
    conditions = Conditions(("reset", "503"), ("POST",))
    assert conditions.of_error(CLOSED, "POST") == "reset"
    assert conditions.of_response(upstream_response(503), "POST") == "503"
    assert conditions.of_error(CLOSED, "GET") == ""


@pytest.mark.parametrize(
    ("conditions", "status", "method", "reason"),
    [
        (("503",), 503, "GET", "503"),
        (("503",), 502, "GET", ""),
        (("5xx",), 500, "GET", "500"),
        (("5xx",), 429, "GET", ""),
        (("429", "5xx"), 429, "GET", "429"),
        (("5xx",), 200, "GET", ""),
        (("503",), 503, "POST", ""),
        ((), 503, "GET", ""),
    ],
)
def test_statuses(conditions: tuple[str, ...], status: int, method: str, reason: str) -> None:
    chosen = Conditions(conditions, IDEMPOTENT)
    assert chosen.of_response(upstream_response(status), method) == reason


@pytest.mark.parametrize("text", ["connect", "reset", "timeout", "invalid", "503", "429", "5xx"])
def test_what_may_be_written(text: str) -> None:
    assert check_condition(text) == text


@pytest.mark.parametrize("text", ["", "conect", "200", "3xx", "5XX", "50x", "600"])
def test_what_may_not(text: str) -> None:
    with pytest.raises(ValueError, match="nothing to retry on; write connect, reset"):
        check_condition(text)
