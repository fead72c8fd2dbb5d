"""The chunked coding: what is taken, what is refused, and that cuts between bytes don't matter."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.chunked import LAST_CHUNK, ChunkedDecoder, ChunkedError, encode_chunk


def decode(raw: bytes, *cuts: int, padded: bool = False) -> tuple[bytes, bytes | None]:
    """Data, and what follows the body; None while it isn't finished."""
    decoder = ChunkedDecoder(padded=padded)
    data = b""
    rest = b""
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    for begin, end in pairwise(edges):
        pieces, after = decoder.feed(raw[begin:end])
        assert all(pieces), "an empty piece would look like an end"
        assert not after or decoder.finished
        data += b"".join(pieces)
        rest += after
    return data, rest if decoder.finished else None


TAKEN = {
    "nothing": (b"0\r\n\r\n", b"", b""),
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    "two chunks": (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"hello!", b""),
    "upper case": (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", b""),
    "leading zeros": (b"0005\r\nhello\r\n000\r\n\r\n", b"hello", b""),
    "extension": (b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"hello", b""),
    "quoted extension": (b'5 ; a="b;\t\xff"\r\nhello\r\n0\r\n\r\n', b"hello", b""),
    "trailers": (b"0\r\nX: y\r\nZ:\r\n\r\n", b"", b""),
    "line ends in the data": (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n", b""),
    "a body in the data": (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n", b""),
    "what follows": (b"1\r\nx\r\n0\r\n\r\nGET /", b"x", b"GET /"),
    "an empty line follows": (b"0\r\n\r\n\r\n", b"", b"\r\n"),
    "unfinished": (b"5\r\nhel", b"hel", None),
    "no last chunk": (b"5\r\nhello\r\n", b"hello", None),
    "no end of trailers": (b"0\r\nX: y\r\n", b"", None),
    "half an end": (b"0\r\n\r", b"", None),
}


@pytest.mark.parametrize(("raw", "data", "rest"), TAKEN.values(), ids=TAKEN)
def test_a_body_is_decoded_however_it_is_cut(raw: bytes, data: bytes, rest: bytes | None) -> None:
    assert decode(raw) == (data, rest)
    assert decode(raw, *range(len(raw))) == (data, rest)
    for cut in range(len(raw)):
        assert decode(raw, cut) == (data, rest)


REFUSED = {
    "no size": b"\r\nhello",
    "no size but an extension": b";a\r\nhello",
    "sign": b"+5\r\nhello",
    "minus": b"-5\r\nhello",
    "0x": b"0x5\r\nhello",
    "underscore": b"1_0\r\n0123456789abcdef",
    "not hexadecimal": b"g\r\n",
    "blank before": b" 5\r\nhello",
    "blank after": b"5 \r\nhello",
    "two sizes": b"5 5\r\nhello",
    "size of 2^64": b"10000000000000000\r\n",
    "size of 16 digits": b"ffffffffffffffff\r\n",
    "too many zeros": b"0" * 16 + b"\r\n\r\n",
    "bare line feed": b"5\nhello\r\n",
    "bare line feed in the extension": b"5;a\nb\r\nhello\r\n",
    "bare carriage return in the extension": b"5;a\rb\r\nhello\r\n",
    "control character in the extension": b"5;a\x00\r\nhello\r\n",
    "data longer than its size": b"4\r\nhello\r\n",
    "data shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "bare line feed after the data": b"5\r\nhello\n0\r\n\r\n",
    "carriage returns after the data": b"5\r\nhello\r\r0\r\n\r\n",
    "no line end after the data": b"5\r\nhello0\r\n\r\n",
    "trailer without a colon": b"0\r\nX\r\n\r\n",
    "trailer with a blank before the colon": b"0\r\nX : y\r\n\r\n",
    "folded trailer": b"0\r\nX: y\r\n z\r\n\r\n",
    "trailer with a bare carriage return": b"0\r\nX: y\rz\r\n\r\n",
    "trailer with a bare line feed": b"0\r\nX: y\nZ: a\r\n\r\n",
    "request for a trailer": b"0\r\nGET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_a_malformed_body_is_refused_however_it_is_cut(raw: bytes) -> None:
    for cuts in ((), range(len(raw)), *((cut,) for cut in range(len(raw)))):
        with pytest.raises(ChunkedError):
            decode(raw, *cuts)


@pytest.mark.parametrize("size", [b"5 ", b"5\t", b"5  "])
def test_upstreams_that_pad_sizes_are_understood(size: bytes) -> None:
    raw = size + b"\r\nhello\r\n0 \r\n\r\n"
    assert decode(raw, padded=True) == (b"hello", b"")
    with pytest.raises(ChunkedError):
        decode(raw)


def test_chunks_of_one_byte_are_honest() -> None:
    assert decode(b"1\r\nx\r\n" * 100_000 + LAST_CHUNK) == (b"x" * 100_000, b"")


@pytest.mark.parametrize(
    "raw",
    [
        b"".join(b"1;%b\r\nx\r\n" % (b"e" * 1000) for _ in range(100)),
        b"".join(b"0001;%b\r\nx\r\n" % (b"e" * 20) for _ in range(100_000)),
        b"5;" + b"e" * 5000,
        b"0\r\n" + b"X: y\r\n" * 10_000,
        b"0\r\nX: " + b"y" * 5000,
        b"0\r\nX: " + b"y" * 5000 + b"\r\n",
        b"0\r\n" + b"X" * 5000,
    ],
    ids=[
        "long extensions", "many extensions", "a line without end", "many trailers",
        "a trailer without end", "a long trailer", "a long name",
    ],
)  # fmt: skip
def test_framing_may_not_outweigh_the_data(raw: bytes) -> None:
    with pytest.raises(ChunkedError):
        decode(raw)
    with pytest.raises(ChunkedError):
        decode(raw, *range(0, len(raw), 1000))


def test_nothing_is_kept_of_what_follows_the_body() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(LAST_CHUNK + b"GET") == ([], b"GET")
    assert decoder.feed(b" / ") == ([], b" / ")


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=12),
    st.binary(max_size=20),
    st.lists(st.integers(0, 700), max_size=20),
)
def test_what_was_encoded_is_decoded_however_it_is_cut(
    pieces: list[bytes], follows: bytes, cuts: list[int]
) -> None:
    raw = b"".join(map(encode_chunk, pieces)) + LAST_CHUNK + follows
    assert decode(raw, *cuts) == (b"".join(pieces), follows)


@given(
    st.lists(
        st.sampled_from([b"0", b"1", b"5", b"a", b"\r", b"\n", b"\r\n", b";", b" ", b"x", b":"]),
        max_size=16,
    ),
    st.lists(st.integers(0, 32), max_size=6),
)
def test_cutting_changes_nothing_of_what_is_refused(parts: list[bytes], cuts: list[int]) -> None:
    def outcome(*cuts: int) -> object:
        try:
            return decode(raw, *cuts)
        except ChunkedError:
            return "refused"

    raw = b"".join(parts)
    assert outcome(*cuts) == outcome()
