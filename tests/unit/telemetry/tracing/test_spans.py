"""A request as spans: names and attributes of OpenTelemetry's conventions."""

from __future__ import annotations

from itertools import count

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from proxy.config.telemetry import Tracing
from proxy.contract import Request, TraceContext
from proxy.http1.headers import Headers
from proxy.telemetry.redaction import QueryRedaction
from proxy.telemetry.tracing.attempts import Attempt, attempts_of
from proxy.telemetry.tracing.otlp import OtlpExporter
from proxy.telemetry.tracing.spans import Ending, Span, SpanWriter

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
WALL = 1795521845.0
NANO = 1_000_000_000


def described(
    request: Request, status: int = 200, error: str = "", aborted: str = ""
) -> list[Span]:
    numbers = count(1)
    writer = SpanWriter(
        QueryRedaction(["token"]),
        {("catalogue", "rate_limit"): "sidegate.yaml:12"},
        lambda size: f"{next(numbers):0{size}x}",
    )
    return writer.describe(request, Ending(status, 10, 20, 100.002, error, aborted, WALL))


def attempted(request: Request, endpoint: str, status: int = 0, error: str = "") -> Attempt:
    attempt = Attempt(endpoint, 100.0003)
    attempt.ended, attempt.status, attempt.error = 100.0013, status, error
    request.timings.attempts = [*attempts_of(request), attempt]
    return attempt


def test_the_span_of_a_request(request_in: Request) -> None:
    request_in.target = b"/api/items/42?page=2&token=canary"
    request_in.authority = "api.example.com:8443"
    request_in.scheme = "https"
    request_in.peer = "10.0.0.1"
    [span] = described(request_in)
    assert (span.name, span.kind, span.error) == ("GET /api/**", "server", "")
    assert (span.trace_id, span.span_id, span.parent_id) == (TRACE, "00f067aa0ba902b7", "")
    assert abs(span.ended - int(WALL * NANO)) < 1000
    assert abs(span.ended - span.began - 2_000_000) < 1000
    assert span.attributes == {
        "http.request.method": "GET",
        "url.path": "/api/items/42",
        "url.query": "page=2&token=…redacted",
        "url.scheme": "https",
        "http.route": "/api/**",
        "http.response.status_code": 200,
        "server.address": "api.example.com",
        "server.port": 8443,
        "client.address": "203.0.113.9",
        "network.peer.address": "10.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8.5.0",
        "sidegate.route": "catalogue",
        "sidegate.upstream": "app",
        "sidegate.request_id": request_in.id,
    }


def test_a_trace_that_came_from_elsewhere(request_in: Request) -> None:
    request_in.trace = TraceContext(TRACE, "1" * 16, "2" * 16, 1, "a=1")
    [span] = described(request_in)
    assert (span.parent_id, span.remote, span.flags, span.state) == ("2" * 16, True, 1, "a=1")


def test_decisions_are_events_that_name_their_place(request_in: Request) -> None:
    request_in.decide("redirect", "answered", "https://user:pw@a.test/?token=canary")
    [span] = described(request_in)
    first, second = span.events
    assert first.attributes == {
        "sidegate.policy": "rate_limit",
        "sidegate.outcome": "admitted",
        "sidegate.configured_at": "sidegate.yaml:12",
    }
    assert span.began <= first.at <= span.ended
    assert second.attributes["sidegate.outcome"] == "answered"
    assert "canary" not in str(second)
    assert "pw" not in str(second.attributes["sidegate.detail"])


@pytest.mark.parametrize(
    ("status", "error", "aborted", "failed", "type_"),
    [
        (404, "route_not_found", "", "", "route_not_found"),
        (404, "", "", "", None),
        (502, "upstream_closed", "", "upstream_closed", "upstream_closed"),
        (500, "", "", "500", "500"),
        (200, "", "upstream_closed", "upstream_closed", "upstream_closed"),
        (0, "", "client_closed", "client_closed", "client_closed"),
    ],
)
def test_only_failures_of_servers_are_errors(
    request_in: Request, status: int, error: str, aborted: str, failed: str, type_: str | None
) -> None:
    [span] = described(request_in, status, error, aborted)
    assert span.error == failed
    assert span.attributes.get("error.type") == type_
    assert span.attributes.get("http.response.status_code", 0) == status


def test_names_stay_few() -> None:
    request = Request("BREW", b"/pot/7", "/pot/7", "", Headers())
    request.trace = TraceContext(TRACE, "1" * 16, "", 1, "")
    [span] = described(request, 404)
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"
    assert "http.route" not in span.attributes


def test_what_could_not_be_read_has_a_span_as_well() -> None:
    request = Request("", b"", "", "", Headers())
    request.trace = TraceContext(TRACE, "1" * 16, "", 1, "")
    [span] = described(request, 400, "bad_request")
    assert (span.name, span.error) == ("HTTP", "")


def test_each_attempt_is_a_client_span_under_it(request_in: Request) -> None:
    attempted(request_in, "http://10.0.0.1:3000", error="upstream_unreachable")
    attempted(request_in, "https://[::1]", 404).span_id = "a" * 16
    request_in.target = b"/api?token=canary&x=1"
    server, first, second = described(request_in)
    assert {span.parent_id for span in (first, second)} == {server.span_id}
    assert first.span_id != second.span_id == "a" * 16
    assert (first.kind, first.name, first.remote) == ("client", "GET", False)
    assert server.began < first.began < first.ended < server.ended
    assert first.attributes == {
        "http.request.method": "GET",
        "url.full": "http://10.0.0.1:3000/api?token=…redacted&x=1",
        "server.address": "10.0.0.1",
        "server.port": 3000,
        "error.type": "upstream_unreachable",
        "network.protocol.version": "1.1",
    }
    assert second.error == "404", "to a client, 4xx is a failure"
    assert second.attributes["http.request.resend_count"] == 1
    assert (second.attributes["server.address"], second.attributes["server.port"]) == (
        "[::1]",
        443,
    )


def test_an_attempt_that_nobody_wanted_any_more_is_no_failure(request_in: Request) -> None:
    attempted(request_in, "http://a:1", error="cancelled")
    attempted(request_in, "http://b:1", 200)
    _, lost, won = described(request_in)
    assert (lost.error, won.error) == ("", "")
    assert lost.attributes["sidegate.cancelled"] is True
    assert "error.type" not in lost.attributes


@pytest.mark.parametrize("began", [100.001, 100.003])
def test_what_goes_on_for_others_has_no_end_before_its_beginning(
    request_in: Request, began: float
) -> None:
    """The request ended at 100.002, when its client left and others waited for the same."""
    attempt = attempted(request_in, "http://a:1")
    attempt.began, attempt.ended = began, 0.0
    server, client = described(request_in)
    assert client.ended == max(client.began, server.ended)


def test_a_socket_is_an_address_without_a_port(request_in: Request) -> None:
    attempted(request_in, "unix:/run/app.sock", 200)
    _, span = described(request_in)
    assert span.attributes["server.address"] == "/run/app.sock"
    assert "server.port" not in span.attributes


def test_tokens_are_hidden_wherever_they_stand(request_in: Request) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
    attempted(request_in, "http://10.0.0.1:3000", 200)
    request_in.target = f"/verify/{token}?x={token}".encode()
    request_in.headers.set("User-Agent", token)
    request_in.decide("custom", "refused", token)
    assert "eyJzdWIi" not in str(described(request_in))


@pytest.mark.parametrize("text", ["\udcff\ud800", "é€😀", "\x00\x1b[31m\r\n", "x" * 100_000])
def test_whatever_a_client_sends_can_be_encoded(request_in: Request, text: str) -> None:
    """One span that can't be would take the whole batch with it."""
    attempted(request_in, "http://10.0.0.1:3000", 200)
    request_in.target = b"/\xff?\xfe=" + text.encode("utf-8", "surrogatepass")
    request_in.headers = Headers([(b"User-Agent", text.encode("utf-8", "surrogatepass"))])
    request_in.decide("custom", "refused", text)
    request_in.id = text
    exporter = OtlpExporter(Tracing(endpoint="http://127.0.0.1:9"), "0")
    made = [exporter.convert(span) for span in described(request_in)]
    assert 100 < len(encode_spans(made).SerializeToString()) < 20_000


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_ca_file_that_can_not_be_read_is_told_in_words(protocol: str) -> None:
    options = Tracing.model_validate(
        {"endpoint": "https://127.0.0.1:9", "protocol": protocol, "ca_file": "none.pem"}
    )
    with pytest.raises(ValueError, match=r"^none\.pem: can't be read: No such file"):
        OtlpExporter(options, "0")
