"""Which text some bytes are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.charset import codec_of, text_of

CODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le",
           "utf-32-be"]  # fmt: skip


@pytest.mark.parametrize("coding", CODINGS)
def test_a_text_tells_its_coding(coding: str) -> None:
    for text in ('{"é": "東京"}', "ab", "hello"):
        assert text_of(text.encode(coding)) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"", ""), (b"a", "a"), (b"a\x00", "a\x00"), (b"a\x00b", "a\x00b"), (b"\xff", "\ufffd"),
     (b"\x00\x00\x00\x00", "\x00" * 4), (b"ab\x00c", "ab\x00c")],
)  # fmt: skip
def test_what_tells_nothing_is_utf_8(data: bytes, text: str) -> None:
    assert text_of(data) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"\xc0\xa7", "'"), (b"\xc1\x9c", "\\"), (b"\xe0\x80\xaf", "/"), (b"\xe0\x81\xa1", "a"),
     (b"\xf0\x80\x80\xa2", '"'), (b"\xf0\x80\x81\xa1", "a"), (b"\xe0\xa0\x80", "\u0800"),
     ("<?xml?>".encode("cp037"), "<?xml?>")],
)  # fmt: skip
def test_ascii_in_disguise(data: bytes, text: str) -> None:
    assert text_of(data) == text


@given(st.binary(max_size=40))
def test_any_bytes_are_some_text(data: bytes) -> None:
    assert isinstance(text_of(data), str)


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("IBM037", "cp037"), ("ebcdic-cp-us", "cp037"), ("x-IBM500", ""), ("UTF-7", "utf-7"),
     ("utf_16le", "utf-16-le"), ("utf-8", ""), ("latin1", ""), ("", ""), ("../os", ""),
     ("rot13", ""), ("idna", "")],
)  # fmt: skip
def test_only_what_hides_ascii_is_known(charset: str, codec: str) -> None:
    assert codec_of(charset) == codec
    assert b"abc".decode(codec or "utf-8", "replace")
