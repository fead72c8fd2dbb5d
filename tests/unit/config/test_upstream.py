"""What the model takes and refuses of upstreams."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.config.address import parse_server
from proxy.config.upstream import Upstream

URL = "http://a:1"


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("10.0.0.10", ("10.0.0.10", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_name_servers(text: str, server: tuple[str, int]) -> None:
    assert parse_server(text) == server


@pytest.mark.parametrize("text", ["", "ns.example.com", "127.0.0.1:x", "[::1]:0", "1:2"])
def test_what_is_no_name_server(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 10\.0\.0\.10 or 127\.0\.0\.1:5353"):
        parse_server(text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "has no endpoints"),
        ({"endpoints": []}, "at least 1 entry"),
        ({"endpoints": [URL, URL]}, "is listed twice"),
        ({"endpoints": URL, "balance": "least"}, "least_request"),
        ({"endpoints": URL, "balance": {"by": "hash", "key": "ip"}}, "is no key; write client_ip"),
        ({"endpoints": URL, "health": {"status": 200}}, "are of a GET; give its `path`"),
        ({"endpoints": URL, "health": {"path": "healthz"}}, "is no path"),
        ({"endpoints": URL, "health": {"path": "/", "host": "a\r\nb"}}, "no value of a Host"),
        ({"endpoints": URL, "health": {"path": "/", "status": "ok"}}, "is no status"),
        ({"endpoints": URL, "breaker": {"failure_rate": None}}, "would never open"),
        ({"endpoints": URL, "outliers": {"most": 0.5}}, "percent sign"),
        ({"endpoints": URL, "host": "a b"}, "is no value of a Host field"),
        ({"discovery": {}}, "needs one of"),
        ({"discovery": {"dns": URL, "endpoints_file": "x"}}, "needs one of"),
        ({"discovery": {"dns": "unix:/a"}}, "no name server knows"),
        ({"discovery": {"dns": "users"}}, "is not an address"),
        ({"discovery": {"srv": "users"}}, "write _http._tcp.NAME"),
        ({"discovery": {"dns": URL, "servers": "ns"}}, "is no name server"),
        ({"discovery": {"dns": URL, "least": "2m", "most": "1m"}}, "`least` is more than `most`"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Upstream.model_validate(options)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({"endpoints": URL}, (URL,)),
        ({"discovery": {"dns": URL}}, (f"{URL} by DNS",)),
        ({"endpoints": URL, "discovery": {"srv": "_a._tcp.b.c"}}, (URL, "_a._tcp.b.c by SRV")),
        ({"discovery": {"endpoints_file": "/x"}}, ("in /x",)),
    ],
)
def test_it_says_where_endpoints_are(options: dict[str, Any], places: tuple[str, ...]) -> None:
    assert Upstream.model_validate(options).places == places
