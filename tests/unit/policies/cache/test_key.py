"""What counts in a key, and what is kept from the service because it doesn't."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.contract import CERTIFICATE, ClientCertificate, Request
from proxy.policies.cache.key import read_cookies
from proxy.policies.cache.options import Options
from tests.unit.policies.cache.stage import Stage, status
from tests.unit.policies.world import a_request, some_headers


async def shared(key: dict[str, Any], one: Request, other: Request) -> bool:
    """Two requests get the same response."""
    stage = Stage(key=key)
    await stage.send(one)
    return status(await stage.send(other)).startswith("hit")


def with_state(**state: Any) -> Request:
    """A request of a client that was authenticated."""
    request = a_request()
    request.state = state
    return request


def certified(fingerprint: str, **state: Any) -> Request:
    """A request of a client that has shown a certificate."""
    certificate = ClientCertificate("CN=x", "x", (), "1", fingerprint, b"")
    return with_state(**{CERTIFICATE: certificate}, **state)


def at(authority: str, target: str = "/a/b") -> Request:
    """A request for a host as the client wrote it."""
    request = a_request(target)
    request.authority = authority
    return request


def told(forwarded: bytes, *, trusted: bool = True) -> Request:
    """A request that came through a proxy."""
    request = a_request(trusted=trusted)
    request.forwarded = forwarded
    return request


FROM = b"X-Forwarded-For: 192.0.2.%d\r\nX-Forwarded-Proto: http\r\n%b"


@pytest.mark.parametrize(
    ("key", "one", "other", "same"),
    [
        ({}, a_request("/a?x=1"), a_request("/a?x=1"), True),
        ({}, a_request("/a?x=1"), a_request("/a?x=2"), False),
        ({}, a_request("/a?x=1"), a_request("/a"), False),
        ({}, a_request("/a?x=1&y=2"), a_request("/a?y=2&x=1"), False),
        ({}, a_request(scheme="http"), a_request(scheme="https"), False),
        ({}, at("shop.example"), at("SHOP.example"), True),
        ({}, at("shop.example"), at("shop.example:8080"), False),
        ({}, at("shop.example"), at("other.example"), False),
        ({}, a_request(client_ip="192.0.2.1"), a_request(client_ip="192.0.2.2"), True),
        ({"query": {"sort": True}}, a_request("/a?x=1&y=2"), a_request("/a?y=2&x=1"), True),
        ({"query": {"sort": True}}, a_request("/a?x=1&x=2"), a_request("/a?x=2&x=1"), False),
        ({"query": {"ignore": "utm_*"}}, a_request("/a?utm_x=1&y=2"), a_request("/a?y=2"), True),
        ({"query": {"ignore": "utm_*"}}, a_request("/a?utm_x=1"), a_request("/a"), True),
        ({"query": {"ignore": "utm_*"}}, a_request("/a?utm=1"), a_request("/a"), False),
        ({"query": {"ignore": ["a.b"]}}, a_request("/?a.b=1"), a_request("/"), True),
        ({"query": {"ignore": ["a.b"]}}, a_request("/?axb=1"), a_request("/"), False),
        ({"query": {"ignore": ["x"]}}, a_request("/?%78=1"), a_request("/"), True),
        ({"query": {"only": ["id"]}}, a_request("/?id=1&x=2"), a_request("/?id=1&x=3"), True),
        ({"query": {"only": ["id"]}}, a_request("/?id=1"), a_request("/?id=2"), False),
        ({"query": {"only": []}}, a_request("/?id=1"), a_request("/"), True),
        ({"headers": "X-T"}, a_request("/", ("X-T", "1")), a_request("/", ("x-t", "1")), True),
        ({"headers": "X-T"}, a_request("/", ("X-T", "1")), a_request("/", ("x-t", "2")), False),
        ({"headers": "X-T"}, a_request("/", ("X-T", "-")), a_request("/"), False),
        (
            {"headers": ["A", "B"]},
            a_request("/", ("A", "1"), ("B", "2")),
            a_request("/", ("A", "12"), ("B", "")),
            False,
        ),
        (
            {"cookies": "lang"},
            a_request("/", ("Cookie", "x=1; lang=de")),
            a_request("/", ("Cookie", "lang=de; x=2")),
            True,
        ),
        (
            {"cookies": "lang"},
            a_request("/", ("Cookie", "lang=de")),
            a_request("/", ("Cookie", "lang=en")),
            False,
        ),
        ({"cookies": "lang"}, a_request("/", ("Cookie", "lang=de")), a_request("/"), False),
        # Who has been authenticated has responses of its own unless said otherwise.
        ({}, with_state(identity="a"), with_state(identity="a"), True),
        ({}, with_state(identity="a"), with_state(identity="b"), False),
        ({}, with_state(identity="a"), a_request(), False),
        ({"identity": False}, with_state(identity="a"), with_state(identity="b"), True),
        (
            {"identity": False, "claims": "tenant"},
            with_state(identity="a", claims={"tenant": 1}),
            with_state(identity="b", claims={"tenant": 1}),
            True,
        ),
        (
            {"identity": False, "claims": "tenant"},
            with_state(identity="a", claims={"tenant": 1}),
            with_state(identity="a", claims={"tenant": 2}),
            False,
        ),
        (
            {"identity": False, "claims": "tenant"},
            with_state(claims={"tenant": 1}),
            a_request(),
            False,
        ),
        # So has who has shown a certificate, of which services may be told.
        ({}, certified("a"), certified("a"), True),
        ({}, certified("a"), certified("b"), False),
        ({}, certified("a"), a_request(), False),
        ({}, certified("a", identity=""), certified("b", identity=""), False),
        ({}, certified("a", identity="both"), certified("b", identity="both"), True),
        ({"identity": False}, certified("a"), certified("b"), True),
        # A trusted proxy has the service told about the URL.
        ({}, told(FROM % (1, b"")), told(FROM % (2, b"")), True),
        ({}, told(FROM % (1, b"")), told(FROM % (1, b"X-Forwarded-Host: evil\r\n")), False),
        ({}, told(FROM % (1, b"")), told(FROM % (1, b"X-Forwarded-Prefix: /x\r\n")), False),
    ],
)
async def test_who_shares(key: dict[str, Any], one: Request, other: Request, same: bool) -> None:
    assert await shared(key, one, other) is same


async def test_policies_of_other_options_routes_and_upstreams_share_nothing() -> None:
    from dataclasses import replace

    from proxy.contract import Target

    stage = Stage()
    await stage.ask()
    for change in (
        {"identity": "cache/other/{}"},
        {"target": Target("other", False)},
    ):
        kept, stage.toolkit = stage.toolkit, replace(stage.toolkit, **change)
        stage.policy()
        assert status(await stage.ask()).startswith("fwd=uri-miss")
        stage.toolkit = kept
    stage.policy()
    assert status(await stage.ask()).startswith("hit")


@pytest.mark.parametrize(
    ("query", "target", "sent"),
    [
        ({}, "/a?utm_x=1", "/a?utm_x=1"),
        ({"ignore": "utm_*"}, "/a?utm_x=1&b=%20&c", "/a?b=%20&c"),
        ({"ignore": "utm_*"}, "/a?utm_x=1", "/a"),
        ({"sort": True}, "/a?c&b=2&b=1", "/a?b=2&b=1&c"),
        ({"only": ["b"]}, "/a?c&b=2&b=1", "/a?b=2&b=1"),
    ],
)
async def test_what_does_not_count_is_not_sent(
    query: dict[str, Any], target: str, sent: str
) -> None:
    stage = Stage(key={"query": query})
    await stage.ask(target)
    assert stage.asked[0].target.decode() == sent
    assert stage.asked[0].query == sent.partition("?")[2]
    await stage.ask(target, method="POST")
    assert stage.asked[1].target.decode() == target


async def test_services_are_told_what_caches_they_write_for() -> None:
    stage = Stage()
    await stage.ask("/a/b", ("Surrogate-Capability", 'evil="ESI/1.0"'))
    assert stage.asked[0].headers.get("surrogate-capability") == 'sidegate="Surrogate/1.0"'


@pytest.mark.parametrize("name", ["X-Host", "X-Original-Host", "X-HTTP-Method-Override"])
async def test_fields_that_mislead_services_are_not_sent(name: str) -> None:
    stage = Stage()
    await stage.ask("/a/b", (name, "evil"))
    assert name.lower() not in stage.asked[0].headers
    keyed = Stage(key={"headers": [name]})
    await keyed.ask("/a/b", (name, "x"))
    assert keyed.asked[0].headers.get(name.lower()) == "x"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ({"query": {"ignore": ["a"], "only": ["b"]}}, "not both"),
        ({"query": {"ignore": ["*a"]}}, "no query parameter"),
        ({"query": {"ignore": ["a&b"]}}, "no query parameter"),
        ({"headers": ["a b"]}, "not a field name"),
        ({"colour": 1}, "Extra inputs"),
    ],
)
def test_options_that_cannot_work_are_refused(key: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate({"key": key})
    assert words in str(raised.value)


def test_cookies() -> None:
    jar = read_cookies(some_headers(("Cookie", "a=1; b=2;c;  a=3; d=e=f")))
    assert jar == {"a": "1", "b": "2", "d": "e=f"}
