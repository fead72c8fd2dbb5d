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
    coded = gzip.compress(plain, mtime=0)
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
    bomb = gzip.compress(bytes(50_000_000), mtime=0)
    entity = await read_entity(posting(bomb, ("Content-Encoding", "gzip")), 100_000)
    assert len(entity.data) == 100_000
    assert not entity.whole


async def test_the_members_of_gzip_are_one_body() -> None:
    """As services read them: what stands in the second would be overlooked."""
    coded = (
        gzip.compress(b"a", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"b", mtime=0)
    )
    entity = await read_entity(posting(coded, ("Content-Encoding", "gzip")), 100)
    assert (entity.data, entity.whole, entity.coding) == (b"ab", True, "")
    entity = await read_entity(posting(coded, ("Content-Encoding", "gzip")), 1)
    assert (entity.data, entity.whole) == (b"", False), "one byte of it is here"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("deflate", zlib.compress(b"ab")[2:-4]),
        ("gzip, gzip", gzip.compress(gzip.compress(b"ab", mtime=0), mtime=0)),
        ("deflate, identity,, gzip", gzip.compress(zlib.compress(b"ab"), mtime=0)),
    ],
    # The time stands in what gzip makes.
    ids=["bare deflate", "twice", "both"],
)
async def test_codings_as_some_services_take_them(coding: str, body: bytes) -> None:
    entity = await read_entity(posting(body, ("Content-Encoding", coding)), 100)
    assert (entity.data, entity.whole, entity.coding) == (b"ab", True, "")


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"a", mtime=0)[:-3],
        gzip.compress(b"a", mtime=0) + b"more",
        gzip.compress(b"", mtime=0) * 100,
        zlib.compress(b"a"),
    ],
    ids=["cut short", "more", "too many", "another"],
)
async def test_what_is_not_all_gzip_is_not_undone(body: bytes) -> None:
    entity = await read_entity(posting(body, ("Content-Encoding", "gzip")), 10_000)
    assert (entity.data, entity.coding) == (body, "gzip")


async def test_a_coded_body_that_is_not_all_here_is_read_so_far() -> None:
    text = bytes(range(256)) * 8
    coded = gzip.compress(text, 0, mtime=0)
    entity = await read_entity(posting(Pieces(coded), ("Content-Encoding", "gzip")), 1000)
    assert (entity.whole, entity.coding) == (False, "")
    assert text.startswith(entity.data)
    assert len(entity.data) > 900


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
