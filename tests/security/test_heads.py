"""Request lines, field lines, versions, methods and the host: one reading, or none.

A head that two programs could read differently is refused, and none of it reaches the
origin. What a row asserts is therefore the bytes at the origin, beside the answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.security.stage import Stage, get, read_answers, staged

LINE: Final = b"GET / HTTP/1.1\r\n"
HOST: Final = b"Host: service.test\r\n"
HIDDEN: Final = b"GET /smuggled HTTP/1.1\r\nHost: service.test\r\n\r\n"

LINES: Final = [
    ("bare LF behind the request line", b"GET / HTTP/1.1\nHost: service.test\r\n\r\n",
     "bad_request"),
    ("bare LF everywhere", b"GET / HTTP/1.1\nHost: service.test\n\n", "bad_request"),
    ("bare CR behind the request line", b"GET / HTTP/1.1\rHost: service.test\r\n\r\n",
     "bad_request"),
    ("bare LF behind a field", LINE + b"Host: service.test\nX: y\r\n\r\n", "invalid_header"),
    ("bare CR behind a field", LINE + b"Host: service.test\rX: y\r\n\r\n", "invalid_header"),
    ("bare LF at the end", LINE + b"Host: service.test\r\n\n", "invalid_header"),
    ("bare CR within a value", LINE + HOST + b"X: a\rb\r\n\r\n", "invalid_header"),
    ("CR CR LF", LINE + HOST + b"X: y\r\r\n\r\n", "invalid_header"),
    ("folded by a blank", LINE + HOST + b"X: y\r\n z\r\n\r\n", "invalid_header"),
    ("folded by a tab", LINE + HOST + b"X: y\r\n\tz\r\n\r\n", "invalid_header"),
    ("folded Host", LINE + b"Host: service\r\n .test\r\n\r\n", "invalid_header"),
    ("blank before the first field", LINE + b" " + HOST + b"\r\n", "invalid_header"),
    ("blank line of blanks", LINE + HOST + b" \r\n\r\n", "invalid_header"),
    ("blank before the colon", LINE + b"Host : service.test\r\n\r\n", "invalid_header"),
    ("tab before the colon", LINE + HOST + b"X\t: y\r\n\r\n", "invalid_header"),
    ("no colon", LINE + HOST + b"XY\r\n\r\n", "invalid_header"),
    ("no name", LINE + HOST + b": y\r\n\r\n", "invalid_header"),
    *(
        (f"name with {letter!r}", LINE + HOST + b"X" + letter + b"Y: z\r\n\r\n", "invalid_header")
        for letter in (b" ", b"(", b"@", b"/", b"[", b"\\", b'"', b"{", b"\x80", b"\xc3\xa9",
                       b"\x00", b"\x01", b"\x7f", b",", b";", b"=", b"?")
    ),
    *(
        (f"value with {byte:#04x}", LINE + HOST + b"X: a" + bytes([byte]) + b"b\r\n\r\n",
         "invalid_header")
        for byte in (*range(0, 9), *range(11, 13), *range(14, 32), 127)
    ),
    ("NUL in the target", b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
     ("bad_request", "invalid_target")),
    ("escape sequence in the target", b"GET /\x1b[2J HTTP/1.1\r\n" + HOST + b"\r\n",
     ("bad_request", "invalid_target")),
    ("byte beyond ASCII in the target", b"GET /\xe9 HTTP/1.1\r\n" + HOST + b"\r\n",
     ("bad_request", "invalid_target")),
    ("blank in the target", b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", "bad_request"),
    ("two blanks", b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", "bad_request"),
    ("two blanks before the version", b"GET /  HTTP/1.1\r\n" + HOST + b"\r\n", "bad_request"),
    ("tabs for blanks", b"GET\t/\tHTTP/1.1\r\n" + HOST + b"\r\n", "bad_request"),
    ("blank behind the version", b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", "bad_request"),
    ("blank before the method", b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", "bad_request"),
    ("byte order mark", b"\xef\xbb\xbfGET / HTTP/1.1\r\n" + HOST + b"\r\n", "bad_request"),
    ("no target", b"GET HTTP/1.1\r\n" + HOST + b"\r\n", "bad_request"),
    ("five empty lines", b"\r\n" * 5 + LINE + HOST + b"\r\n", "bad_request"),
    ("an empty line of LF", b"\n" + LINE + HOST + b"\r\n", "bad_request"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), "bad_request"),
    ("a response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
     ("bad_request", "unknown_version")),
    ("Content-Type twice", LINE + HOST + b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n",
     "invalid_header"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "head", "code"), LINES, ids=[name for name, *_ in LINES])
async def test_a_malformed_head_reaches_nobody(
    tmp_path: Path, name: str, head: bytes, code: str | tuple[str, ...]
) -> None:
    async with staged(tmp_path) as stage:
        answer = await stage.play(head + HIDDEN)
        codes = (code,) if isinstance(code, str) else code
        assert len(answer) == 1
        assert answer[0].error in codes
        # 505 is for the row that begins with a version and not a method.
        assert answer[0].status == (505 if answer[0].error == "unknown_version" else 400)
        assert answer[0].headers["connection"] == "close"
        assert stage.witness.raw.bytes_received == b""


@pytest.mark.parametrize(
    "version",
    [
        b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.10", b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0", b"HTTP/9.9",
        b"HTTP/11.1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1,1", b"http/1.1", b"Http/1.1", b"HTTPS/1.1",
        b"RTSP/1.0", b"ICE/1.0", b"HTTP/1.1.1", b"HTTP/+1.1", b"HTTP/01.1", b"HTTP/1.01", b"1.1",
        b"HTTP", b"HTTP1.1", b"HTTP/-1.1", b"XTTP/1.1", b"AHTTP/1.1",
    ],
)  # fmt: skip
async def test_only_two_versions_exist(tmp_path: Path, version: bytes) -> None:
    async with staged(tmp_path) as stage:
        await stage.refused(
            b"GET / " + version + b"\r\n" + HOST + b"\r\n" + HIDDEN, 505, "unknown_version"
        )
        assert stage.witness.raw.bytes_received == b""


@pytest.mark.parametrize("line", [b"GET /\r\n", b"GET / \r\n", b"GET /\n"])
async def test_http_0_9_is_no_version(tmp_path: Path, line: bytes) -> None:
    """An answer without a head would let the client's bytes stand where a head belongs."""
    async with staged(tmp_path) as stage:
        [answer] = await stage.play(line + HIDDEN)
        assert answer.status in (400, 505)
        assert stage.witness.raw.bytes_received == b""


async def test_the_preface_of_http_2_is_no_request(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        [answer] = await stage.play(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert answer.status in (501, 505)
        assert stage.witness.raw.bytes_received == b""


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        (b"CONNECT internal.test:22 HTTP/1.1", 501, "method_not_supported"),
        (b"CONNECT / HTTP/1.1", 501, "method_not_supported"),
        (b"CONNECT http://internal.test/ HTTP/1.1", 400, "invalid_target"),
        # It would show the client what was added to its request on the way.
        (b"TRACE / HTTP/1.1", 501, "method_not_supported"),
        (b"TRACK / HTTP/1.1", 501, "method_not_supported"),
        (b"get / HTTP/1.1", 501, "method_not_supported"),
        (b"GeT / HTTP/1.1", 501, "method_not_supported"),
        (b"GETT / HTTP/1.1", 501, "method_not_supported"),
        (b"DESCRIBE / HTTP/1.1", 400, "bad_request"),
        (b"GET * HTTP/1.1", 400, "invalid_target"),
        (b"POST * HTTP/1.1", 400, "invalid_target"),
        (b"OPTIONS ** HTTP/1.1", 400, "invalid_target"),
    ],
)
async def test_methods_that_are_not_for_services(
    tmp_path: Path, line: bytes, status: int, code: str
) -> None:
    async with staged(tmp_path) as stage:
        await stage.refused(line + b"\r\n" + HOST + b"\r\n" + HIDDEN, status, code)
        assert stage.witness.raw.bytes_received == b""


async def test_the_asterisk_asks_for_the_whole_server_and_no_path(tmp_path: Path) -> None:
    """`OPTIONS *` must not slip past a route for every path, nor become one."""
    config = {"routes": [
        {"name": "api", "match": {"path": "/api/**"}, "upstream": "app"},
        {"name": "root", "match": {"path": "/"}, "upstream": "app"},
    ]}  # fmt: skip
    request = b"OPTIONS * HTTP/1.1\r\nHost: service.test\r\nConnection: close\r\n\r\n"
    async with staged(tmp_path, config=config) as stage:
        [answer] = await stage.play(request, "OPTIONS")
        assert (answer.status, answer.error) == (404, "route_not_found")
        assert stage.witness.heard == []
    async with staged(tmp_path) as stage:
        [answer] = await stage.play(request, "OPTIONS")
        assert (answer.status, stage.witness.targets) == (200, ["*"])


HOSTS: Final = [
    b"", b" ", b"a b", b"user@service.test", b"user:pw@service.test", b"service.test/path",
    b"service.test?x", b"service.test#x", b"service.test,evil.test", b"service.test, evil.test",
    b"service.test:80:80", b"service.test:port", b"service.test:-1", b"service.test:+80",
    b"service.test:65536", b"service.test:999999", b"service.test: 80", b"service.test:8\x300a",
    b":80", b"http://service.test", b"[::1", b"::1", b"[::1]x", b"[::1]:", b"[::1%25eth0]:80",
    b"[service.test]", b"[]", b"[v1.x]", b"service.test\\evil.test", b"service.test|evil",
    b"<script>", b'"service.test"', b"service..test", b".service.test", b".", b"service.test%00",
    b"service.test%2eevil.test", b"service%0d%0a.test", b"\xff", b"s\xc3\xa9rvice.test",
    b"\xe2\x80\xaeservice.test", b"a" * 256, b"service.test:80@evil.test", b"{host}", b"^",
    b"service.test\tevil.test", b"`id`", b"127.0.0.1:80#@evil.test",
]  # fmt: skip


@pytest.mark.parametrize("value", [value for value in HOSTS if value != b"[::1]:"])
async def test_a_malformed_host_reaches_nobody(tmp_path: Path, value: bytes) -> None:
    async with staged(tmp_path) as stage:
        data = LINE + b"Host: " + value + b"\r\n\r\n" + HIDDEN
        await stage.refused(data, 400, "invalid_host")
        assert stage.witness.raw.bytes_received == b""


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Host: service.test\r\nHost: service.test\r\n",
        b"Host: service.test\r\nHost: evil.test\r\n",
        b"Host: service.test\r\nhOsT: evil.test\r\n",
        b"Host: service.test\r\nX: y\r\nHost:\r\n",
        b"Host:\r\nHost: service.test\r\n",
    ],
)
async def test_there_is_exactly_one_host(tmp_path: Path, head: bytes) -> None:
    async with staged(tmp_path) as stage:
        await stage.refused(LINE + head + b"\r\n" + HIDDEN, 400, "invalid_host")
        assert stage.witness.raw.bytes_received == b""


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://evil.test/", "service.test"),
        ("http://service.test/", "evil.test"),
        ("http://service.test:81/", "service.test"),
        ("http://service.test/", "service.test:81"),
        ("https://service.test/", "service.test:80"),
        ("http://service.test:443/", "service.test:80"),
        ("http://service.test./", "evil.test."),
        ("http://[::1]/", "[::2]"),
    ],
)
async def test_the_host_and_an_absolute_target_must_agree(
    tmp_path: Path, target: str, host: str
) -> None:
    async with staged(tmp_path) as stage:
        await stage.refused(get(target, host=host) + HIDDEN, 400, "invalid_host")
        assert stage.witness.raw.bytes_received == b""


@pytest.mark.parametrize(
    "target",
    [
        "http://", "http:///", "http:/service.test/", "http:service.test", "http://user@service.test/",
        "http://user:pw@service.test/", "http://service.test@evil.test/", "ftp://service.test/",
        "file:///etc/passwd", "gopher://service.test/", "javascript:alert(1)", "ws://service.test/",
        "service.test/", "service.test:80", "/path#fragment", "#", "?x", "http://service.test/#x",
        "http://service.test\\@evil.test/", "http://[::1]:80@/", "http://[::1/", "/a<b", '/a"b',
        "/a>b", "//service.test:80@/", "http://ser vice.test/", "unix:/run/app.sock",
    ],
)  # fmt: skip
async def test_a_target_of_a_doubtful_form_reaches_nobody(tmp_path: Path, target: str) -> None:
    async with staged(tmp_path) as stage:
        [answer] = await stage.play(get(target) + HIDDEN)
        assert answer.status == 400
        assert answer.error in ("invalid_target", "bad_request", "invalid_host")
        assert stage.witness.raw.bytes_received == b""


@pytest.mark.parametrize(
    ("target", "host", "sent"),
    [
        ("http://service.test/a?b=c", "service.test", "/a?b=c"),
        ("HTTP://service.test/a", "service.test", "/a"),
        ("http://SERVICE.test:80/a", "service.test", "/a"),
        ("http://service.test", "service.test:80", "/"),
        ("http://service.test?b=c", "service.test", "/?b=c"),
    ],
)
async def test_an_absolute_target_is_forwarded_as_a_path(
    tmp_path: Path, target: str, host: str, sent: str
) -> None:
    """The origin gets one host and one path, so nothing is left to disagree about."""
    async with staged(tmp_path) as stage:
        await stage.play(get(target, host=host))
        [heard] = stage.witness.heard
        assert (heard.target, heard.one("host")) == (sent, host)


def _route_by_host() -> dict[str, object]:
    denied = {"name": "internal", "match": {"host": "internal.test"}, "policies": {"respond": 403}}
    return {"routes": [denied, {"name": "rest", "upstream": "app"}]}


@pytest.mark.parametrize(
    "data",
    [
        get(host="internal.test"),
        get(host="INTERNAL.test"),
        get(host="internal.test."),
        get(host="internal.test:8080"),
        get(host="internal.test:"),
        get("http://internal.test/", host="internal.test"),
        get("http://internal.test/", host="service.test"),
        get("http://service.test/", host="internal.test"),
        get("/", "Host: internal.test"),
        get("/", "X-Forwarded-Host: internal.test", host="internal.test"),
        b"GET http://internal.test/ HTTP/1.0\r\n\r\n",
        b"GET http://internal.test/ HTTP/1.0\r\nHost: service.test\r\n\r\n",
    ],
)
async def test_no_spelling_of_a_host_gets_past_its_route(tmp_path: Path, data: bytes) -> None:
    async with staged(tmp_path, config=_route_by_host()) as stage:
        [answer] = await stage.play(data, half_close=True)
        assert answer.status in (400, 403)
        assert stage.witness.raw.bytes_received == b""


async def _limits(stage: Stage, data: bytes) -> tuple[int, str]:
    [answer] = read_answers(await stage.gateway.raw(data))
    assert stage.witness.raw.bytes_received == b""
    return answer.status, answer.error


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (get("/" + "a" * 9000), (414, "target_too_long")),
        (b"GET /" + b"a" * 100_000, (414, "target_too_long")),
        (b"A" * 100_000, (414, "target_too_long")),
        (get("/", "X: " + "y" * 40_000), (431, "head_too_large")),
        (LINE + HOST + b"X" * 100_000, (431, "head_too_large")),
        (get("/", *(f"X-{n}: y" for n in range(200))), (431, "head_too_large")),
        (LINE + HOST + b"X: y\r\n" * 20_000, (431, "head_too_large")),
        (LINE + HOST + b"X:\r\n" * 20_000, (431, "head_too_large")),
        (get("/", "Cookie: " + "a=b; " * 8000), (431, "head_too_large")),
    ],
)
async def test_heads_are_bounded(tmp_path: Path, data: bytes, expected: tuple[int, str]) -> None:
    async with staged(tmp_path) as stage:
        assert await _limits(stage, data) == expected
