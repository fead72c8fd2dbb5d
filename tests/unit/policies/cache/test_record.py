"""Stored responses as bytes, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.headers import Headers
from proxy.policies.cache.chunks import CHUNK, cut
from proxy.policies.cache.entry import Entry
from proxy.policies.cache.record import (
    Sign,
    pack,
    read,
    read_sign,
    record_of,
    unpack,
    worth_packing,
    write,
    write_sign,
)
from proxy.policies.cache.storing import Terms

KEY = "https://shop.example/ü zone 3:x"
TERMS = Terms(60.0, "explicit", 1.5, 10.0, 600.0, False, True, ("accept",), frozenset({"x-a"}))


def entry(body: bytes = b"body", *fields: tuple[bytes, bytes]) -> Entry:
    """A stored response."""
    return Entry(
        KEY, "https://shop.example/ü", 404, Headers(list(fields)), body, TERMS, 5.0, 7e8, 0.25, 1.0
    )


# No head holds a line end in a value.
VALUES = st.binary(max_size=20).filter(lambda value: b"\r\n" not in value)


@given(
    st.binary(max_size=200),
    st.lists(st.tuples(st.sampled_from([b"X-A", b"ETag"]), VALUES), max_size=5),
)
def test_there_and_back(body: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    one = entry(body, *fields)
    record = record_of(one, "mark", False)
    again = read(write(record, body), KEY)
    assert again is not None
    other, kept = again
    assert kept == body
    assert other.headers.fields() == one.headers.fields()
    assert (other.status, other.terms, other.made, other.cost, other.mark, other.size) == (
        404,
        TERMS,
        7e8,
        0.25,
        "mark",
        len(body),
    )


WHOLE = write(record_of(entry(), "mark", False), b"body")


@pytest.mark.parametrize("length", [0, 3, 4, 20, len(WHOLE) - 10])
def test_what_was_cut_off_is_no_record(length: int) -> None:
    assert read(WHOLE[:length], KEY) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"version":1', b'"version":2'), (b'"status":404', b'"status":"x"'), (b'"key"', b'"kee"'),
     (b'"lifetime"', b'"lifetimes"'), (b"{", b"["), (b'"fields":[', b'"fields":[1')],
)  # fmt: skip
def test_what_is_written_otherwise_is_no_record(old: bytes, new: bytes) -> None:
    assert read(WHOLE.replace(old, new, 1), KEY) is None


def test_a_record_of_another_place_is_none() -> None:
    assert read(WHOLE, KEY + "x") is None


@given(st.binary(max_size=100))
def test_anything_else_is_no_record(data: bytes) -> None:
    assert read(data, KEY) is None


def test_a_sign_there_and_back() -> None:
    sign = Sign(7e8, (("accept", "accept-language"), ("accept",)))
    assert read_sign(write_sign(sign)) == sign


@pytest.mark.parametrize(
    "data", [None, b"", b"[", b"1", b"[1]", b"[1,2]", b'["x",[["a"]]]', b"[1,[]]", b"[1,[[]]]"]
)
def test_anything_else_is_no_sign(data: bytes | None) -> None:
    assert read_sign(data) is None


@pytest.mark.parametrize(
    ("media", "coded", "size", "worth"),
    [
        ("text/html; charset=utf-8", False, 1000, True),
        ("application/json", False, 1000, True),
        ("application/problem+json", False, 1000, True),
        ("image/svg+xml", False, 1000, True),
        ("text/html", False, 999, False),
        ("text/html", True, 1000, False),
        ("image/png", False, 1000, False),
        ("", False, 1000, False),
    ],
)
def test_what_is_worth_compressing(media: str, coded: bool, size: int, worth: bool) -> None:
    headers = Headers([(b"Content-Type", media.encode())])
    if coded:
        headers.append(b"Content-Encoding", b"gzip")
    assert worth_packing(headers, size, 1000) is worth


def test_nothing_grows_beyond_what_was_told() -> None:
    body = b"a" * 100_000
    assert unpack(pack(body), 100_000) == body
    assert unpack(pack(body), 99_999) is None
    assert unpack(b"no zlib", 100) is None
    assert unpack(pack(body)[:-3], 100_000) is None


@pytest.mark.parametrize("size", [1, CHUNK, CHUNK + 1, 3 * CHUNK - 1])
@pytest.mark.parametrize("step", [1000, 300_000])
def test_chunks(size: int, step: int) -> None:
    body = bytes(size)
    pieces = tuple(body[place : place + step] for place in range(0, size, step))
    for whole in (body, pieces):
        chunks = list(cut(whole))
        assert b"".join(chunks) == body
        assert [len(chunk) for chunk in chunks[:-1]] == [CHUNK] * (len(chunks) - 1)
