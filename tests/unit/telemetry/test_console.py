"""Lines for people, which hostile texts can't bend."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.telemetry.console import Console, printable

HEAD: dict[str, Any] = {"timestamp": "2026-11-24T12:04:05.123Z", "level": "info"}
ACCESS: dict[str, Any] = {
    **HEAD, "event": "request", "request_id": "0198f7a1", "client_ip": "203.0.113.9",
    "method": "GET", "path": "/a", "query": "", "status": 200, "total_ms": 1.234,
    "route": "catalogue", "upstream": "app", "endpoint": "", "decisions": {},
}  # fmt: skip


def test_an_access_line_begins_with_what_happened() -> None:
    assert Console(colour=False).access(ACCESS).decode() == (
        "12:04:05.123 GET /a 200 1.2ms  route=catalogue upstream=app client=203.0.113.9 "
        "id=0198f7a1\n"
    )


def test_an_access_line_tells_query_error_and_refusals() -> None:
    record = {
        **ACCESS, "query": "x=1", "status": 429, "error": "rate_limited",
        "decisions": {"rate_limit": "refused", "audit": "admitted"},
    }  # fmt: skip
    line = Console(colour=False).access(record).decode()
    assert " GET /a?x=1 429 " in line
    assert "error=rate_limited" in line
    assert "rate_limit=refused" in line
    assert "audit" not in line, "what was merely admitted is not worth a person's attention"


def test_a_malformed_request_has_neither_method_nor_path() -> None:
    line = Console(colour=False).access({**ACCESS, "method": "", "path": ""}).decode()
    assert line.startswith("12:04:05.123 - - 200 ")


def test_an_event_shows_its_facts() -> None:
    record = {**HEAD, "event": "configuration loaded", "routes": 3, "file": "a b.yaml", "no": ""}
    assert Console(colour=False).event(record).decode() == (
        '12:04:05.123 info    configuration loaded  routes=3 file="a b.yaml" no=""\n'
    )


def test_an_exception_follows_indented() -> None:
    record = {**HEAD, "event": "oops", "exception": "Traceback\n  File x\nKeyError: 'a'\n"}
    assert Console(colour=False).event(record).decode().splitlines() == [
        "12:04:05.123 info    oops ",
        "    Traceback ",
        "      File x ",
        "    KeyError: 'a'",
    ]


def test_colours_are_for_terminals_that_want_them() -> None:
    assert b"\x1b[32m200\x1b[0m" in Console(colour=True).access(ACCESS)
    assert b"\x1b[31m502\x1b[0m" in Console(colour=True).access({**ACCESS, "status": 502})
    assert b"\x1b" not in Console(colour=False).access(ACCESS)
    assert b"\x1b[33mwarning" in Console(colour=True).event(
        {**HEAD, "level": "warning", "event": ""}
    )


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J", "a\r\nfake line", "\x00", "\u202egnp.exe", "\udcff", "\u2028", "\x9b31m"]
)
def test_hostile_texts_stay_on_their_line(hostile: str) -> None:
    console = Console(colour=False)
    for line in (
        console.access({**ACCESS, "path": f"/{hostile}", "method": hostile, "error": hostile}),
        console.event({**HEAD, "event": hostile, hostile: hostile}),
    ):
        text = line.decode()
        assert text.endswith("\n")
        assert text[:-1].isprintable()


def test_printable_text_is_left_alone() -> None:
    assert printable("grüezi 世界") == "grüezi 世界"
    assert printable("a\nb\ud800") == "a\\nb\\ud800"
