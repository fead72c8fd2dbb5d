"""Parts of responses: RFC 9110, 14 and 15.3.7; RFC 9111, 3.3 and 3.4."""

from __future__ import annotations

import re

import pytest

from proxy.contract import Response
from proxy.errors import GatewayError
from tests.unit.policies.cache.stage import FRESH, Stage, field, read, reply, status, streaming

DIGITS = b"0123456789"
TAG = ("ETag", '"a"')


def part(first: int, last: int, complete: str = "10", *fields: tuple[str, str]) -> Response:
    """A 206 of the digits."""
    told = ("Content-Range", f"bytes {first}-{last}/{complete}")
    return reply(206, FRESH, told, *fields, body=DIGITS[first : last + 1])


@pytest.mark.parametrize(
    ("asked", "body", "told"),
    [
        ("bytes=0-1", b"01", "bytes 0-1/10"),
        ("bytes=1-", b"123456789", "bytes 1-9/10"),
        ("bytes=-1", b"9", "bytes 9-9/10"),
        ("bytes=5-99", b"56789", "bytes 5-9/10"),
        ("bytes=0-", DIGITS, "bytes 0-9/10"),
        ("bytes=2-3,4-5", b"2345", "bytes 2-5/10"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 4])
async def test_a_part_of_a_whole(asked: str, body: bytes, told: str, pieces: int) -> None:
    whole = reply(200, FRESH, TAG, body=DIGITS)
    stage = Stage(whole if pieces == 1 else streaming(whole, b"012", b"345", b"6", b"789"))
    await read((await stage.ask()).body)
    await stage.settle()
    answer = await stage.ask("/a/b", ("Range", asked))
    assert (answer.status, await read(answer.body), answer.length) == (206, body, len(body))
    assert field(answer, "content-range") == told
    assert (field(answer, "etag"), field(answer, "cache-control")) == ('"a"', "max-age=60")
    assert status(answer) == "hit; ttl=60"


async def test_several_parts_in_one_body() -> None:
    stage = Stage(reply(200, FRESH, ("Content-Type", "text/plain"), body=DIGITS))
    await stage.ask()
    answer = await stage.ask("/a/b", ("Range", "bytes=0-1, -2"))
    media = field(answer, "content-type") or ""
    assert media.startswith("multipart/byteranges; boundary=")
    boundary = media.partition("=")[2]
    body = await read(answer.body)
    assert answer.length == len(body)
    parts = re.findall(
        rf"\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes (.*?)\r\n\r\n(..)",
        body.decode(),
    )
    assert parts == [("0-1/10", "01"), ("8-9/10", "89")]
    assert body.endswith(f"\r\n--{boundary}--\r\n".encode())
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=-0", "bytes=99-100"])
async def test_what_is_not_there(asked: str) -> None:
    stage = Stage(reply(200, FRESH, body=DIGITS))
    await stage.ask()
    answer = await stage.ask("/a/b", ("Range", asked))
    assert (answer.status, answer.body) == (416, b"")
    assert field(answer, "content-range") == "bytes */10"


@pytest.mark.parametrize(
    "asked", ["lines=0-1", "bytes=x", "bytes=2-1", "bytes=" + ",".join(["0-0"] * 17)]
)
async def test_ranges_that_are_ignored(asked: str) -> None:
    stage = Stage(reply(200, FRESH, body=DIGITS))
    await stage.ask()
    answer = await stage.ask("/a/b", ("Range", asked))
    assert (answer.status, answer.body) == (200, DIGITS)


@pytest.mark.parametrize(
    ("condition", "code"), [('"a"', 206), ('"b"', 200), ('W/"a"', 200), ("nonsense", 200)]
)
async def test_if_range(condition: str, code: int) -> None:
    stage = Stage(reply(200, FRESH, TAG, body=DIGITS))
    await stage.ask()
    answer = await stage.ask("/a/b", ("Range", "bytes=0-1"), ("If-Range", condition))
    assert answer.status == code


async def test_only_a_200_has_parts() -> None:
    stage = Stage(reply(404, FRESH, body=DIGITS))
    await stage.ask()
    assert (await stage.ask("/a/b", ("Range", "bytes=0-1"))).status == 404


# -- what the service sends in part ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "body"),
    [("bytes=4-7", b"4567"), ("bytes=5-6", b"56"), ("bytes=7-7", b"7")],
)
async def test_a_part_answers_for_what_lies_in_it(asked: str, body: bytes) -> None:
    stage = Stage(part(4, 7))
    first = await stage.ask("/a/b", ("Range", "bytes=4-7"))
    assert status(first) == "fwd=uri-miss; stored"
    assert stage.asked[0].headers.get("range") == "bytes=4-7"
    answer = await stage.ask("/a/b", ("Range", asked))
    assert (answer.status, answer.body, len(stage.asked)) == (206, body, 1)
    assert field(answer, "content-range") == f"bytes {asked[6:]}/10"


@pytest.mark.parametrize("asked", ["bytes=3-4", "bytes=6-8", "bytes=-1", "bytes=0-", "bytes=8-"])
async def test_and_for_nothing_else(asked: str) -> None:
    stage = Stage(part(4, 7))
    await stage.ask("/a/b", ("Range", "bytes=4-7"))
    assert status(await stage.ask("/a/b", ("Range", asked))).startswith("fwd=partial")


async def test_a_part_to_the_end_answers_for_the_end() -> None:
    stage = Stage(part(4, 9))
    await stage.ask("/a/b", ("Range", "bytes=4-9"))
    for asked, body in (("bytes=-1", b"9"), ("bytes=6-", b"6789"), ("bytes=-6", b"456789")):
        assert (await stage.ask("/a/b", ("Range", asked))).body == body
    assert len(stage.asked) == 1


async def test_a_part_that_claims_to_reach_the_end_ends_where_its_bytes_do() -> None:
    told = ("Content-Range", "bytes 4-9/10")
    stage = Stage(reply(206, FRESH, told, body=b"45678"))
    await stage.ask("/a/b", ("Range", "bytes=-5"))
    answer = await stage.ask("/a/b", ("Range", "bytes=-1"))
    assert (answer.body, field(answer, "content-range")) == (b"8", "bytes 8-8/9")


@pytest.mark.parametrize(
    "bad",
    [
        reply(206, FRESH, body=b"45"),
        reply(206, FRESH, ("Content-Range", "bytes 4-6/10"), body=b"45"),
        reply(206, FRESH, ("Content-Range", "bytes 4-4/10"), body=b"45"),
        reply(206, FRESH, ("Content-Range", "bytes 4-5/*"), body=b"45"),
        reply(206, ("Cache-Control", "no-store"), ("Content-Range", "bytes 4-5/10"), body=b"45"),
        reply(206, FRESH, ("Content-Type", "multipart/byteranges; boundary=x"), body=b"45"),
    ],
)
async def test_a_part_that_is_not_plain_is_not_stored(bad: Response) -> None:
    stage = Stage(bad)
    await stage.ask("/a/b", ("Range", "bytes=4-5"))
    await stage.ask("/a/b", ("Range", "bytes=4-5"))
    assert len(stage.asked) == 2


async def test_parts_of_the_same_whole_are_put_together() -> None:
    stage = Stage(part(2, 4, "10", TAG), part(5, 7, "10", TAG), part(0, 3, "10", TAG),
                  part(8, 9, "10", TAG))  # fmt: skip
    for asked in ("bytes=2-4", "bytes=5-7"):
        await stage.ask("/a/b", ("Range", asked))
    assert (await stage.ask("/a/b", ("Range", "bytes=3-6"))).body == b"3456"
    await stage.ask("/a/b", ("Range", "bytes=0-3"))
    assert (await stage.ask("/a/b", ("Range", "bytes=0-7"))).body == b"01234567"
    await stage.ask("/a/b", ("Range", "bytes=8-9"))
    assert (await stage.ask()).body == DIGITS
    assert len(stage.asked) == 4


@pytest.mark.parametrize("tags", [('"a"', '"b"'), ('W/"a"', 'W/"a"'), (None, None)])
async def test_parts_of_perhaps_another_whole_are_not(
    tags: tuple[str | None, str | None],
) -> None:
    one, other = ([("ETag", tag)] if tag else [] for tag in tags)
    stage = Stage(part(0, 4, "10", *one), part(5, 9, "10", *other))
    await stage.ask("/a/b", ("Range", "bytes=0-4"))
    await stage.ask("/a/b", ("Range", "bytes=5-9"))
    stage.replies = [reply(200, body=DIGITS)]
    assert status(await stage.ask()).startswith("fwd=partial")


# -- what is stored in part is completed ----------------------------------------------------------


async def test_the_rest_is_asked_for() -> None:
    stage = Stage(part(0, 4, "10", TAG), part(5, 9, "10", TAG))
    await stage.ask("/a/b", ("Range", "bytes=0-4"))
    answer = await stage.ask()
    assert stage.asked[1].headers.get("range") == "bytes=5-"
    assert stage.asked[1].headers.get("if-range") == '"a"'
    assert (answer.status, answer.body) == (200, DIGITS)
    assert field(answer, "content-range") is None
    assert status(answer) == "fwd=partial; fwd-status=206; stored; ttl=60"
    assert status(await stage.ask()) == "hit; ttl=60"


async def test_the_rest_may_come_in_pieces() -> None:
    stage = Stage(part(0, 4, "10", TAG), streaming(part(5, 9, "10", TAG), b"56", b"789"))
    await stage.ask("/a/b", ("Range", "bytes=0-4"))
    assert await read((await stage.ask()).body) == DIGITS
    await stage.settle()
    assert (await stage.ask()).body == DIGITS
    assert len(stage.asked) == 2


@pytest.mark.parametrize(
    "rest",
    [
        part(5, 9, "10", ("ETag", '"b"')),
        part(5, 9),
        part(5, 8, "10", TAG),
        part(4, 9, "10", TAG),
        reply(206, FRESH, TAG, ("Content-Range", "bytes 5-10/11"), body=b"56789x"),
        reply(416, body=b""),
    ],
)
async def test_a_rest_that_does_not_fit_is_no_use(rest: Response) -> None:
    stage = Stage(part(0, 4, "10", TAG), rest, reply(200, FRESH, body=b"another"))
    await stage.ask("/a/b", ("Range", "bytes=0-4"))
    answer = await stage.ask()
    assert answer.body == b"another"
    assert [request.headers.get("range") for request in stage.asked] == [
        "bytes=0-4", "bytes=5-", None,
    ]  # fmt: skip
    assert (await stage.ask()).body == b"another"


async def test_a_service_may_send_it_whole() -> None:
    stage = Stage(part(0, 4), reply(200, FRESH, body=DIGITS))
    await stage.ask("/a/b", ("Range", "bytes=0-4"))
    assert (await stage.ask()).body == DIGITS
    assert stage.asked[1].headers.get("range") == "bytes=5-"
    assert stage.asked[1].headers.get("if-range") is None
    assert len(stage.asked) == 2


async def test_a_stale_or_later_part_is_not_completed() -> None:
    for first, age in ((0, 61), (5, 0)):
        stage = Stage(part(first, first + 4, "10", TAG), reply(200, FRESH, body=DIGITS))
        await stage.ask("/a/b", ("Range", f"bytes={first}-{first + 4}"))
        stage.wait(age)
        assert (await stage.ask()).body == DIGITS
        assert stage.asked[1].headers.get("range") is None


async def test_what_broke_off_is_never_stored_as_a_whole() -> None:
    whole = reply(200, FRESH, body=DIGITS)
    for length in (10, None):
        whole.length = length
        stage = Stage(
            streaming(whole, b"01234", error=GatewayError("upstream_closed")),
            reply(200, FRESH, body=DIGITS),
        )
        with pytest.raises(GatewayError):
            await read((await stage.ask()).body)
        await stage.settle()
        assert (await stage.ask()).body == DIGITS
        assert stage.asked[1].headers.get("range") is None


async def test_what_broke_off_is_completed_if_it_can_be() -> None:
    whole = reply(200, FRESH, TAG, body=DIGITS)
    stage = Stage(
        streaming(whole, b"01", b"234", error=GatewayError("upstream_closed")),
        part(5, 9, "10", TAG),
    )
    with pytest.raises(GatewayError):
        await read((await stage.ask()).body)
    await stage.settle()
    answer = await stage.ask()
    assert (answer.status, answer.body) == (200, DIGITS)
    assert stage.asked[1].headers.get("range") == "bytes=5-"


async def test_a_body_shorter_than_it_said_is_not_whole() -> None:
    whole = reply(200, FRESH, body=DIGITS)
    stage = Stage(streaming(whole, b"01234"), reply(200, FRESH, body=DIGITS))
    await read((await stage.ask()).body)
    await stage.settle()
    assert (await stage.ask()).body == DIGITS
    assert len(stage.asked) == 2
