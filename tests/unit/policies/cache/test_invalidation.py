"""What writing makes out of date: RFC 9111, 4.4; RFC 9110, 9.2.1 and 9.3.3."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from proxy.policies.cache.invalidation import resolve
from tests.unit.policies.cache.stage import FRESH, URL, Stage, read, reply, status


async def survives(method: str, code: int, *fields: tuple[str, str], **more: Any) -> bool:
    """What is stored at /a/b outlives a request of this method to `target`, with that answer."""
    stage = Stage()
    await stage.ask()
    stage.replies = [reply(code, *fields)]
    await stage.ask(more.pop("target", "/a/b"), method=method, **more)
    stage.replies = [reply(200)]
    return status(await stage.ask()).startswith("hit")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "PURGE", "FOO"])
@pytest.mark.parametrize(
    ("code", "stays"),
    [
        (200, False),
        (201, False),
        (204, False),
        (302, False),
        (304, False),
        (400, True),
        (500, True),
    ],
)
async def test_a_method_that_may_change_something(method: str, code: int, stays: bool) -> None:
    assert await survives(method, code) is stays


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH"])
async def test_a_safe_method(method: str) -> None:
    assert await survives(method, 200)


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
@pytest.mark.parametrize(
    ("value", "stays"),
    [
        ("/a/b", False),
        ("b", False),
        (URL, False),
        ("//shop.example/a/b", False),
        ("https://shop.example/a/b", False),
        ("HTTP://SHOP.example/a/b#part", False),
        ("/a/c", True),
        ("/a/b?x", True),
        ("//other.example/a/b", True),
        ("http://shop.example:81/a/b", True),
        ("http://[", True),
        ("mailto:a@b", True),
    ],
)
async def test_what_the_answer_names(name: str, value: str, stays: bool) -> None:
    assert await survives("POST", 201, (name, value), target="/a/list") is stays
    assert await survives("POST", 404, (name, value), target="/a/list")


async def test_all_variants_and_both_schemes_go() -> None:
    stage = Stage(reply(200, FRESH, ("Vary", "Foo")))
    for foo in ("1", "2"):
        await stage.ask("/a/b", ("Foo", foo))
    await stage.ask("/a/b", ("Foo", "1"), scheme="https")
    await stage.ask(method="PUT")
    for request in (("1", "http"), ("2", "http"), ("1", "https")):
        answer = await stage.ask("/a/b", ("Foo", request[0]), scheme=request[1])
        assert status(answer).startswith("fwd")


async def test_the_query_counts_as_in_keys() -> None:
    stage = Stage(key={"query": {"ignore": "utm_*"}})
    await stage.ask("/a?id=1&utm_x=y")
    await stage.ask("/a?utm_z=1&id=1", method="POST")
    assert status(await stage.ask("/a?id=1")).startswith("fwd")


async def test_other_routes_of_the_url_lose_it_too() -> None:
    from dataclasses import replace

    stage = Stage()
    await stage.ask()
    stage.toolkit = replace(stage.toolkit, identity="cache/writes/{}")
    reading = stage._handler
    stage.policy()
    await stage.ask(method="POST")
    stage._handler = reading
    assert status(await stage.ask()).startswith("fwd")


async def test_what_was_asked_for_before_is_not_stored_after() -> None:
    stage = Stage()
    stage.gate = asyncio.Event()
    asking = asyncio.ensure_future(stage.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate, stage.gate = stage.gate, None
    await stage.ask(method="DELETE")
    # It doesn't join the fetch that began before the change.
    assert status(await stage.ask()) == "fwd=uri-miss; stored; ttl=60"
    gate.set()
    first = await asking
    assert status(first) == 'fwd=uri-miss; detail="purged"'
    assert [request.method for request in stage.asked] == ["GET", "DELETE", "GET"]


# -- POST -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "fields", "stored"),
    [
        (200, [FRESH, ("Content-Location", "/a/b")], True),
        (200, [FRESH, ("Content-Location", URL)], True),
        (200, [FRESH, ("Content-Location", "/a/c")], False),
        (200, [FRESH], False),
        (200, [("Content-Location", "/a/b")], False),
        (200, [("Cache-Control", "no-store, max-age=9"), ("Content-Location", "/a/b")], False),
        (201, [FRESH, ("Content-Location", "/a/b")], False),
    ],
)
async def test_the_answer_to_a_post_may_be_that_to_a_get(
    code: int, fields: list[tuple[str, str]], stored: bool
) -> None:
    stage = Stage(reply(code, *fields, body=b"posted"), reply(200))
    answer = await stage.ask(method="POST")
    assert await read(answer.body) == b"posted"
    assert status(answer) == "fwd=method"
    assert ((await stage.ask()).body == b"posted") is stored
    await stage.ask(method="POST")
    assert stage.asked[-1].method == "POST"


@pytest.mark.parametrize(
    ("target", "fields"),
    [("/a/b", [("X-Host", "evil")]), ("/a/b?utm_x=evil", []), ("/a/b", [("X-HTTP-Method", "x")])],
)
async def test_a_post_poisons_nothing(target: str, fields: list[tuple[str, str]]) -> None:
    posted = reply(200, FRESH, ("Content-Location", "/a/b"), body=b"evil")
    stage = Stage(posted, reply(200), key={"query": {"ignore": "utm_*"}})
    await stage.ask(target, *fields, method="POST")
    assert (await stage.ask()).body != b"evil"


# -- PURGE ----------------------------------------------------------------------------------------


async def test_purge_by_those_who_may() -> None:
    stage = Stage(purge_method=["192.0.2.0/24"])
    await stage.ask()
    await stage.ask("/a/c")
    answer = await stage.ask(method="PURGE")
    assert (answer.status, orjson.loads(await read(answer.body))) == (200, {"purged": 1})
    assert len(stage.asked) == 2
    assert status(await stage.ask()).startswith("fwd")
    assert status(await stage.ask("/a/c")).startswith("hit")


@pytest.mark.parametrize("client", ["198.51.100.1", "", "nonsense"])
async def test_purge_by_others_is_the_services_business(client: str) -> None:
    stage = Stage(purge_method=["192.0.2.0/24"])
    await stage.ask()
    stage.replies = [reply(405)]
    assert (await stage.ask(method="PURGE", client_ip=client)).status == 405
    assert stage.asked[-1].method == "PURGE"
    assert status(await stage.ask()).startswith("hit")


def test_resolving() -> None:
    assert resolve("http://a/b/c?d", "") == "http://a/b/c?d"
    assert resolve("http://a/b", "../x?y") == "http://a/x?y"
    assert resolve("http://a/b", "http://a") == "http://a/"
