"""Forms in parts, in pieces of any size, and those that two readers would part differently."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.multipart import MultipartError, MultipartReader, Part

B = "XyZ"


def form(*parts: tuple[str, bytes], end: str = f"--{B}--\r\n") -> bytes:
    """A body. Each part: the rest of its Content-Disposition with further fields, and data."""
    body = b""
    for head, data in parts:
        body += f"--{B}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
    return body + end.encode()


def read(body: bytes, size: int = 10**9) -> list[tuple[str, str | None, bytes]]:
    """Name, file name and data of each part, read in pieces of a size. Raises MultipartError."""
    reader = MultipartReader(B)
    found: list[tuple[str, str | None, bytes]] = []
    ended = 0
    for start in range(0, len(body), size):
        for event in reader.feed(body[start : start + size]):
            if isinstance(event, Part):
                found.append((event.name, event.file, b""))
            elif isinstance(event, bytes):
                name, file, data = found[-1]
                found[-1] = (name, file, data + event)
            else:
                ended += 1
    reader.finish()
    assert ended == len(found) == reader.parts
    return found


TWO = form(
    ('name="a"', b"1"), ('name="f"; filename="x.png"\r\nContent-Type: image/png', b"\x89PNG")
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
def test_parts_come_whatever_the_pieces(size: int) -> None:
    assert read(TWO, size) == [("a", None, b"1"), ("f", "x.png", b"\x89PNG")]


DATA = st.binary(max_size=40).filter(lambda data: f"\r\n--{B}".encode() not in b"\r\n" + data)


@given(st.lists(DATA, max_size=4), st.integers(1, 50))
def test_any_data_survives(datas: list[bytes], size: int) -> None:
    parts = [(f'name="p{place}"', data) for place, data in enumerate(datas)]
    found = read(form(*parts), size)
    assert [data for _, _, data in found] == datas


@pytest.mark.parametrize(
    ("head", "name", "file"),
    [
        ('name="a"', "a", None),
        ("name=a", "a", None),
        ('name="a b"; filename=""', "a b", ""),
        ('NAME="a"; FileName="b"', "a", "b"),
        ('name="a%22b"', 'a"b', None),
        ('name="a\\"b"', 'a"b', None),
        ('name="ä"; filename="ö.txt"', "ä", "ö.txt"),
        ("name=\"a\"; filename*=UTF-8''%e2%82%ac.txt", "a", "€.txt"),
        ("name=\"a\"; filename=b.txt; filename*=utf-8''b.txt", "a", "b.txt"),
        ('name="a"; filename="C:\\dir\\x.txt"', "a", "C:\\dir\\x.txt"),
        ('name="a";filename="b;c=d"', "a", "b;c=d"),
    ],
)
def test_names(head: str, name: str, file: str | None) -> None:
    assert read(form((head, b"x"))) == [(name, file, b"x")]


def test_the_type_of_a_part() -> None:
    [part, *_] = MultipartReader(B).feed(form(('name="a"\r\nContent-Type: image/png; x=y', b"")))
    assert isinstance(part, Part)
    assert part.media is not None
    assert part.media.name == "image/png"


def test_a_form_of_nothing() -> None:
    assert read(f"--{B}--\r\n".encode()) == []
    assert read(f"\r\n--{B}--".encode()) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"preamble\r\n" + TWO, "doesn't begin with its delimiter"),
        (b"x", "doesn't begin with its delimiter"),
        (TWO + b"epilogue", "follows its last delimiter"),
        (TWO + TWO, "follows its last delimiter"),
        (TWO[:-8], "ends before its last delimiter"),
        (b"", "ends before its last delimiter"),
        (TWO.replace(b"\r\n", b"\n"), "delimiter"),
        (form(('name="a"', b"1")).replace(b"data; name", b"data;\r\n name"), "malformed"),
        (form(("filename=x", b"")), "has no name"),
        (form(('name="a"; name="b"', b"")), "two names"),
        (form(('name="a"; filename="b"; filename="c"', b"")), "two file names"),
        (form(('name="a"; filename="b"; filename*=UTF-8\'\'c', b"")), "two file names"),
        (form(('name="a"; filename*=b', b"")), "a file name is malformed"),
        (form(("name='a'; filename='", b"")), "malformed"),
        (form(('name="a', b"")), "malformed"),
        (form(('name="a"\r\nX y: z', b"")), "malformed"),
        (form(('name="a"\r\nContent-Type: a/b\r\nContent-Type: c/d', b"")), "a field twice"),
        (form(('name="a"\r\nContent-Transfer-Encoding: base64', b"")), "a transfer encoding"),
        (form(('name="a"' + "".join(f"\r\nX-{n}: y" for n in range(9)), b"")), "too many fields"),
        (form((f'name="a"\r\nX: {"y" * 5000}', b"")), "too long"),
        (form(('name="a"', b"1"), end=f"--{B} x\r\n"), "follows a delimiter"),
        (form(('name="a"', b"1"), end=f"--{B}x--\r\n"), "follows a delimiter"),
        (
            b"--XyZ\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n--XyZ--",
            "no field of a form",
        ),
        (b"--XyZ\r\nX: y\r\n\r\n\r\n--XyZ--", "no field of a form"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_can_be_read_in_two_ways_is_refused(body: bytes, words: str, size: int) -> None:
    with pytest.raises(MultipartError) as raised:
        read(body, size)
    assert words in str(raised.value)


@pytest.mark.parametrize("boundary", [None, "", "a" * 71, "a ", 'a"b', "a\r\n", "ä"])
def test_a_boundary_that_is_none(boundary: str | None) -> None:
    with pytest.raises(MultipartError, match="boundary"):
        MultipartReader(boundary)


def test_nothing_is_kept_of_data() -> None:
    reader = MultipartReader(B)
    reader.feed(form(('name="a"', b""), end="")[:-2])
    for _ in range(100):
        reader.feed(b"x" * 10_000)
        assert len(reader._data) < 100


@pytest.mark.parametrize(
    "unit", ["\r\n", "--", f"\r\n--{B}", "\r\n--", ";", '="', " ", "\r", "a=b;"]
)
def test_no_body_is_costly(
    unit: str, linear: Callable[[Callable[[str], object], str], None]
) -> None:
    def feed(text: str) -> None:
        for begin in (b"", form(('name="a"', b""), end="")[:-2], f"--{B}\r\nA: ".encode()):
            reader = MultipartReader(B)
            try:
                reader.feed(begin)
                for start in range(0, len(text), 100):
                    reader.feed(text[start : start + 100].encode())
            except MultipartError:
                continue

    linear(feed, unit)
