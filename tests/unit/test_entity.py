"""A request's body for several policies: read once, and forwarded as it came."""

from __future__ import annotations

import gzip
import zlib

import pytest

from proxy.content.json import JsonError
from proxy.contract import Request
from proxy.entity import read_entity
from tests.unit.policies.world import a_request
from tests.unit.test_body import Pieces


def posting(body: bytes | Pieces, *fields: tuple[str, str]) -> Request:
    request = a_request("/x", *fields, method="POST")
    request.body = body
    request.length = len(body) if isinstance(body, bytes) else None
    return request


async def test_a_body_that_came_in_pieces_is_whole_from_then_on() -> None:
    request = posting(Pieces(b'{"a"', b":1}"), ("Content-Type", "application/json"))
    entity = await read_entity(request, 100)
    assert (entity.data, entity.whole, entity.json()) == (b'{"a":1}', True, {"a": 1})
    assert (request.body, request.length) == (b'{"a":1}', 7)


async def test_the_second_to_ask_gets_the_same() -> None:
    request = posting(Pieces(b"[1]"), ("Content-Type", "application/json"))
    first = await read_entity(request, 100)
    assert await read_entity(request, 50) is first
    assert await read_entity(request, 500) is first
    assert first.json() is first.json()


async def test_a_body_that_was_replaced_is_read_anew() -> None:
    request = posting(b"[1]", ("Content-Type", "application/json"))
    assert (await read_entity(request, 100)).json() == [1]
    request.body = b"[2]"
    assert (await read_entity(request, 100)).json() == [2]


async def test_a_long_body_is_seen_in_part_and_sent_whole() -> None:
    request = posting(Pieces(b"abc", b"def", b"ghi"))
    entity = await read_entity(request, 4)
    assert (entity.data, entity.whole) == (b"abcd", False)
    assert request.length is None
    more = await read_entity(request, 7)
    assert (more.data, more.whole) == (b"abcdefg", False)
    assert not isinstance(request.body, bytes)
    assert b"".join([piece async for piece in request.body]) == b"abcdefghi"
    entity = await read_entity(posting(b"abcdef"), 4)
    assert (entity.data, entity.whole) == (b"abcd", False)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "deflate", "identity"])
async def test_a_coding_is_undone_for_the_reader_alone(coding: str) -> None:
    plain = b'{"a":[1,2,3]}'
    coded = gzip.compress(plain)
    if coding == "deflate":
        coded = zlib.compress(plain)
    elif coding == "identity":
        coded = plain
    request = posting(coded, ("Content-Encoding", coding), ("Content-Type", "application/json"))
    entity = await read_entity(request, 1000)
    assert (entity.data, entity.whole, entity.coding) == (plain, True, "")
    assert request.body == coded


@pytest.mark.parametrize(
    ("coding", "body"),
    [("br", b"x"), ("gzip, gzip", b"x"), ("gzip", b"no gzip"), ("deflate", b"\xff\xff")],
)
async def test_a_coding_that_cannot_be_undone_is_named(coding: str, body: bytes) -> None:
    entity = await read_entity(posting(body, ("Content-Encoding", coding)), 1000)
    assert entity.coding == coding


async def test_a_bomb_is_not_unpacked_beyond_the_limit() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    entity = await read_entity(posting(bomb, ("Content-Encoding", "gzip")), 100_000)
    assert len(entity.data) == 100_000
    assert not entity.whole


async def test_what_follows_the_coded_part_makes_it_incomplete() -> None:
    two = gzip.compress(b"a") + gzip.compress(b"b")
    assert not (await read_entity(posting(two, ("Content-Encoding", "gzip")), 100)).whole


async def test_a_form_is_its_pairs() -> None:
    request = posting(b"a=1&b=%C3%A9+x", ("Content-Type", "application/x-www-form-urlencoded"))
    entity = await read_entity(request, 100)
    assert entity.pairs() == [("a", "1"), ("b", "é x")]
    assert entity.pairs() is entity.pairs()


async def test_no_json_is_told_each_time() -> None:
    entity = await read_entity(posting(b"{"), 100)
    for _ in range(2):
        with pytest.raises(JsonError):
            entity.json()
