"""Heads in one pass: what is passed on, what is taken out, what is refused."""

from __future__ import annotations

import pytest

from proxy.config.model import Paths
from proxy.errors import GatewayError
from proxy.http1 import message as module
from proxy.http1.framing import Framing
from proxy.http1.line import Line, lines_of
from proxy.http1.message import (
    HeadRules,
    RequestHead,
    ResponseHead,
    Underscores,
    connection_options,
    read_request_head,
    read_response_head,
)

RULES = HeadRules(100, 8192, "drop", Paths())
HOST = "Host: a.example"


def lines(fault: str, *texts: str) -> list[Line]:
    """Lines from `Name: value` texts."""
    pairs = (text.encode("latin-1").partition(b": ") for text in texts)
    return lines_of([(name, value) for name, _, value in pairs], fault)


def request(
    *texts: str,
    method: str = "GET",
    target: str = "/",
    version: tuple[int, int] = (1, 1),
    rules: HeadRules = RULES,
    host: bool = True,
) -> RequestHead:
    fields = lines("invalid_header", *((HOST,) if host else ()), *texts)
    return read_request_head(method, target, version, fields, rules)


def refused(*texts: str, **how: object) -> tuple[int, str]:
    with pytest.raises(GatewayError) as refusal:
        request(*texts, **how)  # type: ignore[arg-type]
    assert refusal.value.close, "what follows can't be read safely"
    return refusal.value.status, refusal.value.code


def response(
    *texts: str, status: int = 200, version: tuple[int, int] = (1, 1), method: str = "GET"
) -> ResponseHead:
    return read_response_head(status, version, lines("upstream_invalid", *texts), method)


def left(head: RequestHead | ResponseHead) -> list[str]:
    return [f"{name.decode()}: {value.decode()}" for name, value in head.headers.fields()]


# -- requests: fields -------------------------------------------------------------------------


def test_end_to_end_fields_pass_in_order_and_case_and_those_of_a_name_together() -> None:
    head = request("X-B: 2", "accept: */*", "X-A: 1", "x-b: 3", "Cookie: a=b", "Cookie: c")
    assert left(head) == [
        "X-B: 2", "x-b: 3", "accept: */*", "X-A: 1", "Cookie: a=b", "Cookie: c",
    ]  # fmt: skip
    assert head.headers.get("x-b") == "2, 3"
    assert head.headers.get("cookie") == "a=b; c"


@pytest.mark.parametrize(
    "text",
    [
        "Host: a.example",
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic secret",
        "Proxy-Authenticate: Basic",
        "Proxy: http://evil.example",
        "TE: trailers",
        "Trailer: X",
        "Upgrade: h2c",
        "HTTP2-Settings: x",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Forwarded: for=1.2.3.4",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /a",
        "X-Real-IP: 1.2.3.4",
        "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin",
        "X_Forwarded_For: 1.2.3.4",
        "Content_Length: 5",
    ],
)
def test_what_belongs_to_one_hop_or_is_written_anew_doesn_t_pass(text: str) -> None:
    name, _, value = text.partition(": ")
    for spelt in (name, name.lower(), name.upper()):
        head = request(f"{spelt}: {value}", "X: y", method="POST", host=spelt.lower() != "host")
        assert left(head) == ["X: y"]


@pytest.mark.parametrize(
    ("nominates", "passes"),
    [
        ("X-A", ["X-B: 2", "Cookie: c", "Authorization: z", "Via: v"]),
        ("x-a, X-b", ["Cookie: c", "Authorization: z", "Via: v"]),
        ("close, X-A,,", ["X-B: 2", "Cookie: c", "Authorization: z", "Via: v"]),
        # What frames or addresses the message, or what the next server decides by, stays.
        (
            "Host, Content-Length, Transfer-Encoding, Cookie, Authorization, Via",
            ["X-A: 1", "X-B: 2", "Cookie: c", "Authorization: z", "Via: v"],
        ),
    ],
)
def test_connection_names_fields_away(nominates: str, passes: list[str]) -> None:
    head = request(
        f"Connection: {nominates}", "X-A: 1", "X-B: 2", "Cookie: c", "Authorization: z", "Via: v",
        "Content-Length: 3", method="POST",
    )  # fmt: skip
    assert left(head) == passes
    assert [key for key, _ in head.headers.items() if key.startswith("x-")] == [
        text.partition(":")[0].lower() for text in passes if text.startswith("X-")
    ]
    assert head.framing == 3
    assert head.host == "a.example"


def test_connection_may_stand_on_several_lines() -> None:
    head = request("Connection: X-A", "X-A: 1", "Connection: close", "X-B: 2")
    assert left(head) == ["X-B: 2"]
    assert head.keep_alive is False


def test_forwarding_fields_are_taken_out_and_kept_apart() -> None:
    head = request("X-Forwarded-For: 1.1.1.1", "A: b", "x-real-ip: 2.2.2.2", "Forwarded: for=x")
    assert left(head) == ["A: b"]
    assert [key for _, key, _, _ in head.forwarded] == ["x-forwarded-for", "x-real-ip", "forwarded"]


@pytest.mark.parametrize(
    ("rule", "passes"), [("drop", ["X-Y: 2"]), ("pass", ["X_Y: 1", "x_y: 3", "X-Y: 2"])]
)
def test_underscores_by_rule(rule: Underscores, passes: list[str]) -> None:
    head = request("X_Y: 1", "X-Y: 2", "x_y: 3", rules=RULES._replace(underscores=rule))
    assert left(head) == passes
    assert head.headers.get("x_y") == (None if rule == "drop" else "1, 3")


def test_underscores_refused() -> None:
    assert refused("X_Y: 1", rules=RULES._replace(underscores="refuse")) == (400, "invalid_header")


# -- requests: limits, versions, methods ------------------------------------------------------


@pytest.mark.parametrize("version", [(0, 9), (1, 2), (2, 0), (3, 0), (0, 0)])
def test_other_versions_are_refused(version: tuple[int, int]) -> None:
    assert refused(version=version) == (505, "unknown_version")


@pytest.mark.parametrize(("method", "target"), [("CONNECT", "a:443"), ("TRACE", "/")])
def test_methods_for_proxies_themselves_are_refused(method: str, target: str) -> None:
    assert refused(method=method, target=target) == (501, "method_not_supported")


def test_the_number_of_fields_is_limited() -> None:
    rules = RULES._replace(fields=10)
    request(*["X: y"] * 9, rules=rules)
    assert refused(*["X: y"] * 10, rules=rules) == (431, "head_too_large")


def test_the_length_of_the_target_is_limited() -> None:
    rules = RULES._replace(target=256)
    request(target="/" + "a" * 255, rules=rules)
    assert refused(target="/" + "a" * 256, rules=rules) == (414, "target_too_long")


# -- requests: host ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "authority"),
    [
        ("Host: A.Example:8080", "a.example", "A.Example:8080"),
        ("Host: [::1]:80", "[::1]", "[::1]:80"),
        ("hOST: a.", "a", "a."),
    ],
)
def test_the_host_is_read_for_routes_and_kept_for_the_upstream(
    text: str, host: str, authority: str
) -> None:
    head = request(text, host=False)
    assert (head.host, head.authority) == (host, authority)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["Host: "],
        ["Host: a", "Host: a"],
        ["Host: a", "host: b"],
        ["Host: a, b"],
        ["Host: a b"],
        ["Host: u@a"],
        ["Host: a/b"],
        ["Host: \xff"],
        ["Host: a:99999"],
    ],
)
def test_a_missing_repeated_or_malformed_host_is_refused(texts: list[str]) -> None:
    assert refused(*texts, host=False) == (400, "invalid_host")
    if texts:
        assert refused(*texts, host=False, version=(1, 0)) == (400, "invalid_host")


def test_http_1_0_needs_no_host() -> None:
    head = request(host=False, version=(1, 0))
    assert (head.host, head.authority) == ("", "")
    head = request(host=False, version=(1, 0), target="http://b.example:81/x")
    assert (head.host, head.authority, head.target.path) == ("b.example", "b.example:81", "/x")


@pytest.mark.parametrize("host", ["\xe9a.test", "a b", "a:99999", "u@a"])
def test_a_malformed_host_in_a_target_is_refused_too(host: str) -> None:
    with pytest.raises(GatewayError) as refusal:
        request(host=False, version=(1, 0), target=f"http://{host}/x")
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://a/", "a"),
        ("http://A/", "a"),
        ("http://a:80/", "a"),
        ("http://a/", "a:80"),
        ("https://a/", "a:443"),
        ("http://a./", "a"),
        ("http://a:/", "a"),
        ("http://[0::1]/", "[::1]"),
    ],
)
def test_host_and_absolute_target_may_say_the_same_differently(target: str, host: str) -> None:
    assert request(f"Host: {host}", host=False, target=target).authority == host


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://b/", "a"),
        ("http://a:81/", "a"),
        ("http://a/", "a:81"),
        ("http://a/", "a:443"),
        ("https://a/", "a:80"),
        ("http://a,b/", "a"),
        ("http://a%2eb/", "a.b"),
    ],
)
def test_host_and_absolute_target_may_not_disagree(target: str, host: str) -> None:
    assert refused(f"Host: {host}", host=False, target=target) == (400, "invalid_host")


# -- requests: what the connection and the body are about -------------------------------------


@pytest.mark.parametrize(
    ("version", "texts", "keep_alive"),
    [
        ((1, 1), [], True),
        ((1, 1), ["Connection: close"], False),
        ((1, 1), ["Connection: Close"], False),
        ((1, 1), ["Connection: keep-alive, close"], False),
        ((1, 1), ["Connection: keep-alive", "Connection: x , CLOSE"], False),
        ((1, 1), ["Connection: x-close"], True),
        ((1, 0), [], False),
        ((1, 0), ["Connection: keep-alive"], True),
        ((1, 0), ["Connection: Keep-Alive, close"], False),
        ((1, 0), ["Proxy-Connection: keep-alive"], False),
    ],
)
def test_whether_another_request_may_follow(
    version: tuple[int, int], texts: list[str], keep_alive: bool
) -> None:
    assert request(*texts, version=version).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("texts", "framing"),
    [
        ([], 0),
        (["Content-Length: 12"], 12),
        (["Transfer-Encoding: chunked"], "chunked"),
        (["Content_Length: 12"], 0),
    ],
)
def test_the_framing_is_read_from_the_fields(texts: list[str], framing: Framing) -> None:
    assert request(*texts, method="POST").framing == framing


@pytest.mark.parametrize(
    ("texts", "outcome"),
    [
        (["Content-Length: 5", "Content-Length: 5"], (400, "invalid_framing")),
        (["Content-Length: 5", "content-length: 6"], (400, "invalid_framing")),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], (400, "invalid_framing")),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], (400, "invalid_framing")),
        (["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], (501, "unknown_coding")),
    ],
)
def test_framing_fields_on_several_lines_are_refused(
    texts: list[str], outcome: tuple[int, str]
) -> None:
    assert refused(*texts, method="POST") == outcome


@pytest.mark.parametrize(
    ("texts", "version", "expects"),
    [
        (["Expect: 100-continue", "Content-Length: 5"], (1, 1), True),
        (["Expect: 100-Continue", "Transfer-Encoding: chunked"], (1, 1), True),
        # With no body to wait for there is nothing to say.
        (["Expect: 100-continue"], (1, 1), False),
        (["Expect: 100-continue", "Content-Length: 0"], (1, 1), False),
        (["Expect: 100-continue", "Content-Length: 5"], (1, 0), False),
        (["Content-Length: 5"], (1, 1), False),
    ],
)
def test_whether_the_client_waits_for_100(
    texts: list[str], version: tuple[int, int], expects: bool
) -> None:
    assert request(*texts, version=version, method="POST").expects is expects


@pytest.mark.parametrize(
    "texts",
    [
        ["Expect: x"],
        ["Expect: "],
        ["Expect: 100-continue, x"],
        ["Expect: x", "Expect: 100-continue"],
    ],
)
def test_other_expectations_are_refused(texts: list[str]) -> None:
    assert refused(*texts, "Content-Length: 5", method="POST") == (417, "expectation_failed")


@pytest.mark.parametrize(
    ("texts", "how", "upgrade"),
    [
        (["Connection: Upgrade", "Upgrade: websocket"], {}, "websocket"),
        (["Connection: keep-alive, upgrade", "Upgrade: WebSocket"], {}, "websocket"),
        (["Connection: Upgrade", "Upgrade: websocket", "Content-Length: 0"], {}, "websocket"),
        (["Upgrade: websocket"], {}, ""),
        (["Connection: Upgrade"], {}, ""),
        (["Connection: Upgrade", "Upgrade: h2c"], {}, ""),
        (["Connection: Upgrade", "Upgrade: websocket, h2c"], {}, ""),
        (["Connection: Upgrade", "Upgrade: websocket"], {"version": (1, 0)}, ""),
        (["Connection: Upgrade", "Upgrade: websocket"], {"method": "POST"}, ""),
        (["Connection: Upgrade", "Upgrade: websocket", "Content-Length: 5"], {}, ""),
    ],
)
def test_only_websocket_is_taken_for_an_upgrade(
    texts: list[str], how: dict[str, object], upgrade: str
) -> None:
    head = request(*texts, **how)  # type: ignore[arg-type]
    assert head.upgrade == upgrade
    assert "upgrade" not in head.headers


# -- responses --------------------------------------------------------------------------------


def test_end_to_end_fields_of_a_response_pass() -> None:
    head = response("Server: x", "Set-Cookie: a", "Set-Cookie: b", "X_Y: z", "Expect: e")
    assert left(head) == ["Server: x", "Set-Cookie: a", "Set-Cookie: b", "X_Y: z", "Expect: e"]
    assert head.headers.get_all("set-cookie") == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: close",
        "Trailer: X",
        "TE: x",
        "Upgrade: h2c",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
    ],
)
def test_hop_by_hop_fields_of_a_response_don_t_pass(text: str) -> None:
    assert left(response(text, "X: y")) == ["X: y"]


def test_a_challenge_for_the_client_passes() -> None:
    head = response("Proxy-Authenticate: Basic", status=407)
    assert left(head) == ["Proxy-Authenticate: Basic"]


def test_an_accepted_upgrade_keeps_its_field() -> None:
    head = response(
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: x", status=101
    )
    assert left(head) == ["Upgrade: websocket", "Sec-WebSocket-Accept: x"]


def test_connection_names_fields_of_a_response_away() -> None:
    head = response("X-A: 1", "Connection: X-A, Set-Cookie, Cache-Control", "Set-Cookie: a",
                    "Cache-Control: no-store")  # fmt: skip
    assert left(head) == ["Set-Cookie: a", "Cache-Control: no-store"]


@pytest.mark.parametrize("status", [0, 1, 99, 600, 999])
def test_impossible_statuses_are_refused(status: int) -> None:
    with pytest.raises(GatewayError, match="upstream_invalid"):
        response(status=status)


@pytest.mark.parametrize("text", ["Content-Length : 0", "X Y: z", "X\xe9: z", "X(: z"])
def test_names_that_the_parser_forgives_are_refused(text: str) -> None:
    with pytest.raises(GatewayError, match="upstream_invalid"):
        response(text)
    # Nor is it learnt for the next time.
    with pytest.raises(GatewayError, match="upstream_invalid"):
        response(text)


@pytest.mark.parametrize("version", [(0, 9), (1, 2), (2, 0)])
def test_impossible_versions_of_responses_are_refused(version: tuple[int, int]) -> None:
    with pytest.raises(GatewayError, match="upstream_invalid"):
        response(version=version)


@pytest.mark.parametrize(
    ("texts", "method", "status", "framing", "length"),
    [
        (["Content-Length: 5"], "GET", 200, 5, 5),
        (["Content-Length: 5"], "HEAD", 200, 0, 5),
        (["Content-Length: 5"], "GET", 304, 0, 5),
        ([], "HEAD", 200, 0, None),
        ([], "GET", 304, 0, None),
        ([], "GET", 200, "close", None),
        (["Transfer-Encoding: chunked"], "GET", 200, "chunked", None),
    ],
)
def test_a_response_tells_its_length_even_without_a_body(
    texts: list[str], method: str, status: int, framing: Framing, length: int | None
) -> None:
    head = response(*texts, method=method, status=status)
    assert (head.framing, head.length) == (framing, length)


@pytest.mark.parametrize(
    "texts",
    [
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Content-Length: 05"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ],
)
def test_ambiguous_framing_of_a_response_is_refused(texts: list[str]) -> None:
    with pytest.raises(GatewayError, match="upstream_invalid"):
        response(*texts)


@pytest.mark.parametrize(
    ("version", "texts", "reuse"),
    [
        ((1, 1), ["Content-Length: 0"], True),
        ((1, 1), ["Transfer-Encoding: chunked"], True),
        ((1, 1), ["Content-Length: 0", "Connection: close"], False),
        ((1, 1), ["Content-Length: 0", "Connection: keep-alive, CLOSE"], False),
        ((1, 1), [], False),
        ((1, 1), ["Connection: keep-alive"], False),
        ((1, 0), ["Content-Length: 0"], False),
        ((1, 0), ["Content-Length: 0", "Connection: keep-alive"], True),
        # A coding that its version doesn't have: whatever comes after is nobody's.
        ((1, 0), ["Transfer-Encoding: chunked", "Connection: keep-alive"], False),
    ],
)
def test_whether_the_connection_may_be_used_again(
    version: tuple[int, int], texts: list[str], reuse: bool
) -> None:
    assert response(*texts, version=version).reuse is reuse


@pytest.mark.parametrize(
    ("text", "idle"),
    [
        ("Keep-Alive: timeout=5", 5),
        ("Keep-Alive: max=100, Timeout=15", 15),
        ("Keep-Alive: timeout=0", 0),
        ("Keep-Alive: timeout=", -1),
        ("Keep-Alive: timeout=-1", -1),
        ("Keep-Alive: timeout=9999999999", -1),
        ("Keep-Alive: x", -1),
        ("X: y", -1),
    ],
)
def test_how_long_the_upstream_stays(text: str, idle: int) -> None:
    assert response(text).idle == idle


# -- both -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (b"close", {"close"}),
        (b" Keep-Alive ,\tX-A", {"keep-alive", "x-a"}),
        (b"\xe9", {"\xe9"}),
    ],
)
def test_connection_options(value: bytes, options: set[str]) -> None:
    assert connection_options(value) == options


def test_options_of_connections_are_remembered_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory: dict[bytes, frozenset[str]] = {}
    monkeypatch.setattr(module, "_OPTIONS", memory)
    for number in range(1000):
        assert connection_options(b"Close, X-%d" % number) == {"close", f"x-{number}"}
    assert len(memory) < 1000
    memory.clear()
    connection_options(b"x" * 30_000)
    assert not memory


@pytest.mark.parametrize("name", ["Content-Type", "User-Agent", "Server", "ETag", "Max-Forwards"])
def test_a_field_of_one_value_is_refused_when_it_is_repeated(name: str) -> None:
    assert refused(f"{name}: a", f"{name.lower()}: a") == (400, "invalid_header")
