"""Who shares an allowance with whom."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.contract import NO_ROUTE, Request
from proxy.policies.rate_limit.keys import Key, Missing, check_part, network
from tests.unit.policies.world import a_request

ONE = "192.0.2.1"
TWO = "192.0.2.2"


def key_of(request: Request, *parts: str, missing: Missing = "client_ip") -> str | None:
    return Key(parts, missing, 32, 64)(request)


def with_state(**state: Any) -> Request:
    request = a_request()
    request.state.update(state)
    return request


def on_route(name: str) -> Request:
    request = a_request()
    request.route = NO_ROUTE._replace(name=name)
    return request


@pytest.mark.parametrize(
    ("part", "first", "second", "shared"),
    [
        ("client_ip", a_request(client_ip=ONE), a_request(client_ip=ONE), True),
        ("client_ip", a_request(client_ip=ONE), a_request(client_ip=TWO), False),
        ("client_ip", a_request(client_ip="2001:db8::1"), a_request(client_ip="2001:db8::2"), True),
        (
            "client_ip",
            a_request(client_ip="2001:db8::1"),
            a_request(client_ip="2001:db8:0:1::1"),
            False,
        ),
        ("client_ip", a_request(client_ip=ONE), a_request(client_ip=f"::ffff:{ONE}"), True),
        ("client_ip", a_request(client_ip=""), a_request(client_ip=""), True),
        ("global", a_request(client_ip=ONE), a_request(client_ip=TWO), True),
        ("route", on_route("a"), on_route("a"), True),
        ("route", on_route("a"), on_route("b"), False),
        (
            "header:X-Key",
            a_request("/", ("x-key", "a"), client_ip=ONE),
            a_request("/", ("X-Key", "a"), client_ip=TWO),
            True,
        ),
        ("header:X-Key", a_request("/", ("X-Key", "a")), a_request("/", ("X-Key", "b")), False),
        ("header:X-Key", a_request(client_ip=ONE), a_request(client_ip=ONE), True),
        ("header:X-Key", a_request(client_ip=ONE), a_request(client_ip=TWO), False),
        (
            "header:X-Key",
            a_request("/", ("X-Key", ONE), client_ip=TWO),
            a_request(client_ip=ONE),
            False,
        ),
        ("header:X-Key", a_request("/", ("X-Key", f"~{ONE}")), a_request(client_ip=ONE), False),
        (
            "header:X-Key",
            a_request("/", ("X-Key", "a" * 200)),
            a_request("/", ("X-Key", "a" * 201)),
            False,
        ),
        (
            "cookie:session",
            a_request("/", ("Cookie", "a=b; session=7")),
            a_request("/", ("Cookie", "session=7; b=c")),
            True,
        ),
        (
            "cookie:session",
            a_request("/", ("Cookie", "session=7")),
            a_request("/", ("Cookie", "Session=7; ession=7")),
            False,
        ),
        ("query:user", a_request("/?user=a%20b&x=1"), a_request("/?x=2&user=a+b&user=c"), True),
        ("query:user", a_request("/?user=a"), a_request("/?user=b"), False),
        ("path:id", a_request(captures={"id": "7"}), a_request(captures={"id": "7"}), True),
        ("path:id", a_request(captures={"id": "7"}), a_request(captures={"id": "8"}), False),
        ("claim:sub", with_state(claims={"sub": "a"}), with_state(claims={"sub": "a"}), True),
        ("claim:sub", with_state(claims={"sub": 7}), with_state(claims={"sub": 8}), False),
        (
            "claim:org.id",
            with_state(claims={"org": {"id": True}}),
            with_state(claims={"org": {"id": True}}),
            True,
        ),
        (
            "claim:org.id",
            with_state(claims={"org": {"id": True}}),
            with_state(claims={"org": [1]}),
            False,
        ),
        ("identity", with_state(identity="acme"), with_state(identity="acme"), True),
        ("identity", with_state(identity="acme"), with_state(identity="other"), False),
        ("identity", with_state(identity="192.0.2.7"), a_request(), False),
    ],
)
def test_who_shares_an_allowance(part: str, first: Request, second: Request, shared: bool) -> None:
    assert (key_of(first, part) == key_of(second, part)) is shared


def test_a_key_of_several_parts_is_one_for_each_combination() -> None:
    parts = ("header:A", "header:B")
    seen = {
        key_of(a_request("/", ("A", a), ("B", b)), *parts)
        for a, b in (("x", "y"), ("y", "x"), ("x", "x"), ("xy", ""), ("", "xy"), ("1:x", "y"))
    }
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("missing", "alike", "none"),
    [("client_ip", False, False), ("shared", True, False), ("exempt", True, True)],
)
def test_who_lacks_a_part(missing: Missing, alike: bool, none: bool) -> None:
    first = key_of(a_request(client_ip=ONE), "header:K", "client_ip", missing=missing)
    again = key_of(a_request(client_ip=ONE), "header:K", missing=missing)
    other = key_of(a_request(client_ip=TWO), "header:K", missing=missing)
    assert (first is None) is none
    assert (again == other) is alike


@pytest.mark.parametrize(
    ("address", "bits", "alike"),
    [
        ("192.0.2.200", (24, 64), True),
        ("192.0.3.1", (24, 64), False),
        ("::ffff:192.0.2.99", (24, 64), True),
    ],
)
def test_prefixes_are_settable(address: str, bits: tuple[int, int], alike: bool) -> None:
    key = Key(("client_ip",), "client_ip", *bits)
    same = key(a_request(client_ip=address)) == key(a_request(client_ip=ONE))
    assert same is alike


def test_a_long_ipv6_prefix() -> None:
    key = Key(("client_ip",), "client_ip", 32, 128)
    assert key(a_request(client_ip="2001:db8::1")) != key(a_request(client_ip="2001:db8::2"))


def test_an_odd_address_is_a_key_of_bounded_length() -> None:
    assert network("fe80::1%eth0") == network("fe80::2%eth0")
    assert network(":" * 1000) == ":" * 64


@pytest.mark.parametrize(
    ("parts", "request_", "values"),
    [
        (("client_ip",), a_request(client_ip=ONE), [ONE]),
        (("client_ip",), a_request(client_ip="2001:db8::5"), ["2001:db8::9"]),
        (("header:K",), a_request("/", ("K", "a")), ["a"]),
        (("header:K", "client_ip"), a_request("/", ("K", "a"), client_ip=ONE), ["a", ONE]),
        (("global",), a_request(), []),
        (("global", "route"), on_route("r"), ["r"]),
    ],
)
def test_an_operator_names_the_same_key_by_its_values(
    parts: tuple[str, ...], request_: Request, values: list[str]
) -> None:
    key = Key(parts, "client_ip", 32, 64)
    assert key.of_values(values) == key(request_)


def test_values_that_don_t_fit_are_told() -> None:
    with pytest.raises(ValueError, match="the key is client_ip and header:K"):
        Key(("client_ip", "header:K"), "client_ip", 32, 64).of_values(["a"])


def test_values_for_the_log_tell_what_stood_in() -> None:
    request = a_request("/", ("A", "a"), client_ip=ONE)
    parts = ("header:A", "header:B")
    assert Key(parts, "client_ip", 32, 64).values(request) == ["a", ONE]
    assert Key(parts, "shared", 32, 64).values(request) == ["a", "none"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("whatever", "no part of a key; there are client_ip"),
        ("claims:sub", r"no part of a key; did you mean claim:sub\?"),
        ("client-ip", r"did you mean client_ip\?"),
        ("client_ip:x", "no part of a key"),
        ("header", "names no header; write header:NAME"),
        ("header:", "names no header"),
        ("header:a b", "not a field name"),
        ("cookie:a=b", "no name of a cookie"),
        ("query:\n", "is not one"),
        ("claim:" + "x" * 200, "is not one"),
    ],
)
def test_what_is_no_part_of_a_key(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_part(text)
