"""The access line: what it tells, what it hides, and what can't be done to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy.config.telemetry import Logging
from proxy.contract import Decision, Request
from proxy.http1.headers import Headers
from proxy.telemetry.access_log import AccessLog
from proxy.telemetry.console import Console
from tests.unit.telemetry.conftest import Lines

Wall = Callable[[], float]
CANARY = "canary-4711-hunter2"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLWNhbmFyeQ"


def write(
    lines: Lines,
    wall: Wall,
    request: Request,
    *,
    error: str = "",
    aborted: str = "",
    **options: Any,
) -> dict[str, Any]:
    AccessLog(Logging(**options), lines.sink, wall).line(
        request, 200, 1534, 321, 100.0025, error, aborted
    )
    [line] = lines.json()
    return line


def test_the_line_of_a_forwarded_request(lines: Lines, wall: Wall, request_in: Request) -> None:
    line = write(lines, wall, request_in)
    assert line == {
        "timestamp": "2026-11-24T12:04:05.123Z",
        "level": "info",
        "event": "request",
        "request_id": "0198f7a1-2b3c-7d4e-8f00-112233445566",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        "client_ip": "203.0.113.9",
        "method": "GET",
        "host": "api.example.com",
        "path": "/api/items/42",
        "query": "",
        "protocol": "HTTP/1.1",
        "route": "catalogue",
        "upstream": "app",
        "endpoint": "http://127.0.0.1:3000",
        "status": 200,
        "bytes_in": 321,
        "bytes_out": 1534,
        "user_agent": "curl/8.5.0",
        "decisions": {"rate_limit": "admitted"},
        "total_ms": 2.5,
        "policy_ms": 0.25,
        "connect_ms": 0.05,
        "upstream_ms": 1.0,
    }
    assert list(line)[:3] == ["timestamp", "level", "event"], "the order of every log line"


def test_a_refused_request_has_no_times_of_stations_it_never_reached(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    timings = request_in.timings
    timings.forwarded = timings.connected = timings.first_byte = 0.0
    request_in.decisions[:] = [Decision("rate_limit", "refused", "rate_limited")]
    line = write(lines, wall, request_in, error="rate_limited")
    assert line["error"] == "rate_limited"
    assert line["decisions"] == {"rate_limit": "refused"}
    assert line["details"] == {"rate_limit": "rate_limited"}
    assert line["total_ms"] == 2.5
    assert not {"policy_ms", "connect_ms", "upstream_ms", "aborted"} & set(line)


def test_details_of_several_decisions_of_one_policy_are_told_in_order(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    request_in.decisions[:] = [
        Decision("rate_limit", "limited", "5/minute for 3fa2c41b"),
        Decision("rate_limit", "refused", "rate_limited"),
    ]
    line = write(lines, wall, request_in, error="rate_limited")
    assert line["decisions"] == {"rate_limit": "refused"}
    assert line["details"] == {"rate_limit": "5/minute for 3fa2c41b; rate_limited"}


def test_a_failed_connection_has_the_time_of_the_policies_only(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    request_in.timings.connected = request_in.timings.first_byte = 0.0
    line = write(lines, wall, request_in, error="upstream_unreachable")
    assert line["policy_ms"] == 0.25
    assert not {"connect_ms", "upstream_ms"} & set(line)


def test_a_broken_exchange_says_why(lines: Lines, wall: Wall, request_in: Request) -> None:
    line = write(lines, wall, request_in, aborted="upstream_closed")
    assert line["aborted"] == "upstream_closed"
    assert line["upstream_ms"] == 1.0


def test_one_line_leaves_nothing_in_the_next(lines: Lines, wall: Wall, request_in: Request) -> None:
    log = AccessLog(Logging(headers=("accept",)), lines.sink, wall)
    odd = request_in.copy()
    odd.target = b"/odd?x=1"
    odd.headers = Headers([(b"Accept", b"text/html")])
    odd.decide("redirect", "answered", "/elsewhere")
    odd.timings = type(odd.timings)(100.0)
    plain = request_in.copy()
    plain.decisions.clear()
    for request, error, aborted in ((plain, "", ""), (odd, "e", "a"), (plain, "", "")):
        log.line(request, 200, 1, 2, 100.0025, error, aborted)
    first, middle, last = lines.json()
    assert {"error", "aborted", "details", "headers"} < set(middle)
    assert middle["decisions"] == {"rate_limit": "admitted", "redirect": "answered"}
    assert first == last


def test_a_request_that_could_not_be_read_has_a_line_too(lines: Lines, wall: Wall) -> None:
    line = write(lines, wall, Request("", b"", "", "", Headers()), error="bad_request")
    assert (line["method"], line["path"], line["host"], line["route"]) == ("", "", "", "")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a?b=1", "/a", "b=1"),
        (b"/a?", "/a", ""),
        (b"/a%2fb%zz?%=%zz", "/a%2fb%zz", "%=%zz"),
        (b"*", "*", ""),
        (b"/a?b?c", "/a", "b?c"),
        (b"/a?token=" + CANARY.encode(), "/a", "token=…redacted"),
        (b"/a?b=1&ACCESS_TOKEN=" + CANARY.encode() + b"&c", "/a", "b=1&ACCESS_TOKEN=…redacted&c"),
        (b"/" + b"p" * 3000 + b"?" + b"q" * 3000, "/" + "p" * 2047 + "…", "q" * 2048 + "…"),
        (b"/a?x=" + b"y" * 3000 + b"&token=1", "/a", "x=" + "y" * 2046 + "…"),
        (b"/\xff", "/ÿ", ""),
    ],
)
def test_targets_are_shown_raw_bounded_and_redacted(
    lines: Lines, wall: Wall, request_in: Request, target: bytes, path: str, query: str
) -> None:
    request_in.target = target
    line = write(lines, wall, request_in)
    assert (line["path"], line["query"]) == (path, query)


def test_planted_secrets_never_reach_the_log(lines: Lines, wall: Wall, request_in: Request) -> None:
    request_in.headers = Headers(
        [
            (name, CANARY.encode())
            for name in (b"Authorization", b"Cookie", b"X-Api-Key", b"X-Auth-Token")
        ]
        + [(b"Referer", b"https://a/b?secret=" + CANARY.encode()), (b"Accept", b"text/html")]
    )
    request_in.target = b"/a?password=" + CANARY.encode()
    request_in.decide("redirect", "answered", f"https://b/?code={CANARY}")
    names = ("Authorization", "cookie", "X-API-KEY", "x-auth-token", "Referer", "Accept", "X-No")
    AccessLog(Logging(headers=names), lines.sink, wall).line(request_in, 302, 1, 2, 101.0)
    AccessLog(Logging(headers=names), lines.sink, wall, Console(colour=False)).line(
        request_in, 302, 1, 2, 101.0
    )
    raw = lines.raw().decode()
    assert CANARY not in raw
    assert json.loads(raw.splitlines()[0])["headers"] == {
        "authorization": "…redacted",
        "cookie": "…redacted",
        "x-api-key": "…redacted",
        "x-auth-token": "…redacted",
        "referer": "https://a/b?secret=…redacted",
        "accept": "text/html",
    }


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        (b'x" , "status": 500, "y": "', 'x" , "status": 500, "y": "'),
        (b"a\n\r{}\x00\x1b[2J", r"a\n\r{}\x00\x1b[2J"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("世界".encode(), "世界"),
        (b"u" * 300, "u" * 256),
        (b"u" * 255 + "é".encode(), "u" * 255 + "\\xc3"),
        (b"", ""),
    ],
)
def test_no_header_can_forge_or_break_a_line(
    lines: Lines, wall: Wall, request_in: Request, agent: bytes, shown: str
) -> None:
    request_in.headers = Headers([(b"User-Agent", agent)])
    AccessLog(Logging(), lines.sink, wall).line(request_in, 200, 1, 2, 101.0)
    raw = lines.raw()
    assert raw.count(b"\n") == 1
    assert json.loads(raw)["user_agent"] == shown
    assert json.loads(raw)["status"] == 200


@pytest.mark.parametrize("field", ["id", "host", "client_ip", "method", "endpoint"])
def test_broken_text_anywhere_is_escaped(
    lines: Lines, wall: Wall, request_in: Request, field: str
) -> None:
    setattr(request_in, field, "a\udcff\nb")
    AccessLog(Logging(), lines.sink, wall).line(request_in, 200, 1, 2, 101.0)
    raw = lines.raw()
    assert raw.count(b"\n") == 1
    assert "a\\udcff\nb" in json.loads(raw).values()


def test_a_decision_with_broken_text_is_escaped(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    request_in.decide("custom", "refused", "\ud800" + "x" * 400)
    line = write(lines, wall, request_in)
    assert line["details"]["custom"] == "\\ud800" + "x" * 255 + "…"


def test_a_long_host_is_cut(lines: Lines, wall: Wall, request_in: Request) -> None:
    request_in.host = "h" * 5000
    assert write(lines, wall, request_in)["host"] == "h" * 256 + "…"


def test_fields_that_the_user_names_are_hidden(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    request_in.headers.set("X-Person", CANARY)
    line = write(lines, wall, request_in, headers=("X-Person",), redact_headers=("x-person",))
    assert line["headers"] == {"x-person": "…redacted"}


def test_tokens_are_hidden_wherever_they_stand(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    request_in.target = f"/verify/{JWT}?x={JWT}".encode()
    request_in.headers.set("User-Agent", f"app {JWT}")
    line = write(lines, wall, request_in)
    assert line["path"] == "/verify/…redacted"
    assert line["query"] == "x=…redacted"
    assert line["user_agent"] == "app …redacted"


def test_credentials_are_hidden_wherever_they_stand(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    url = f"https://alice:{CANARY}@a.test/"
    request_in.target = f"/fetch/{url}x?next=%2Fback%3Ftoken%3D{CANARY}".encode()
    request_in.headers.set("User-Agent", f"bot (+{url})")
    request_in.headers.set("Referer", url)
    request_in.headers.set("X-Note", f"Bearer {CANARY}")
    request_in.decide("redirect", "redirected", url)
    line = write(lines, wall, request_in, headers=("Referer", "X-Note"))
    assert CANARY not in str(line)
    assert line["path"] == "/fetch/https://…redacted@a.test/x"
    assert line["user_agent"] == "bot (+https://…redacted@a.test/)"
    assert line["headers"]["referer"] == "https://…redacted@a.test/"


def test_nothing_that_a_terminal_obeys_is_written(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    evil = "a\x9b31m\u2028\u202eb\x7f"
    request_in.headers = Headers([(b"User-Agent", evil.encode()), (b"Referer", evil.encode())])
    request_in.decide("custom", "refused", evil)
    write(lines, wall, request_in, headers=("Referer",))
    assert lines.raw().decode().rstrip("\n").isprintable()


def test_agents_that_were_made_up_do_not_fill_the_memory(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    log = AccessLog(Logging(), lines.sink, wall)
    for number in range(1100):
        request_in.headers = Headers([(b"User-Agent", b"%d" % number)])
        log.line(request_in, 200, 1, 2, 101.0)
    assert [line["user_agent"] for line in lines.json()] == [str(number) for number in range(1100)]
    assert len(log._agents) <= 1024


def test_on_a_terminal_it_is_a_line_for_people(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    request_in.version = "1.0"
    AccessLog(Logging(), lines.sink, wall, Console(colour=False)).line(
        request_in, 200, 1, 2, 100.0025
    )
    assert lines.text() == [
        "12:04:05.123 GET /api/items/42 200 2.5ms  route=catalogue upstream=app "
        "endpoint=http://127.0.0.1:3000 client=203.0.113.9 "
        "id=0198f7a1-2b3c-7d4e-8f00-112233445566"
    ]


def test_what_policies_decide_is_remembered_within_bounds(
    lines: Lines, wall: Wall, request_in: Request
) -> None:
    log = AccessLog(Logging(), lines.sink, wall)
    for number in range(3000):
        request_in.decisions[:] = [Decision(f"policy{number}", "admitted")]
        log.line(request_in, 200, 1, 2, 101.0)
    assert len(log._outcomes) <= 1024
    assert lines.json()[-1]["decisions"] == {"policy2999": "admitted"}


def test_the_time_is_read_anew_for_each_millisecond(lines: Lines, request_in: Request) -> None:
    walls = iter([1795521845.100, 1795521845.102])
    log = AccessLog(Logging(), lines.sink, lambda: next(walls))
    for ended in (100.5001, 100.5009, 100.5021):
        log.line(request_in, 200, 1, 2, ended)
    assert [line["timestamp"][20:23] for line in lines.json()] == ["100", "100", "102"]
