"""Conditional requests in both directions: RFC 9111, 3.2, 4.3; RFC 9110, 13."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.policies.cache.stage import FRESH, Stage, field, read, reply, status, streaming

CC = "Cache-Control"
Field = tuple[str, str]


# -- clients ask conditionally --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "asked", "code"),
    [
        ([("ETag", '"a"')], [("If-None-Match", '"a"')], 304),
        ([("ETag", '"a"')], [("If-None-Match", '"b", "a"')], 304),
        ([("ETag", 'W/"a"')], [("If-None-Match", '"a"')], 304),
        ([("ETag", '"a"')], [("If-None-Match", "*")], 304),
        ([("ETag", '"a"')], [("If-None-Match", '"b"')], 200),
        ([("ETag", '"a"')], [("If-None-Match", '"a"'), ("If-Modified-Since", "-99")], 304),
        ([("Last-Modified", "-30")], [("If-Modified-Since", "-30")], 304),
        ([("Last-Modified", "-30")], [("If-Modified-Since", "-20")], 304),
        ([("Last-Modified", "-30")], [("If-Modified-Since", "-40")], 200),
        ([], [("If-Modified-Since", "0")], 304),
        ([], [("If-Modified-Since", "-1")], 200),
    ],
)
async def test_a_fresh_response_answers_conditions(
    stored: list[Field], asked: list[Field], code: int
) -> None:
    stage = Stage()

    def dated(fields: list[Field]) -> list[Field]:
        return [(n, stage.date(float(v)) if v.lstrip("-").isdigit() else v) for n, v in fields]

    stage.replies = [reply(200, FRESH, ("Content-Type", "text/css"), *dated(stored))]
    await stage.ask()
    answer = await stage.ask("/a/b", *dated(asked))
    assert answer.status == code
    assert status(answer) == "hit; ttl=60"
    assert answer.body == (b"" if code == 304 else b"body")
    assert (field(answer, "content-type") is None) is (code == 304)
    assert field(answer, "etag") == dict(stored).get("ETag")
    assert field(answer, "cache-control") == "max-age=60"
    assert len(stage.asked) == 1


async def test_only_a_200_is_not_modified() -> None:
    stage = Stage(reply(404, FRESH, ("ETag", '"a"')))
    await stage.ask()
    assert (await stage.ask("/a/b", ("If-None-Match", '"a"'))).status == 404


async def test_conditions_are_passed_on_when_nothing_is_stored() -> None:
    stage = Stage(reply(304, FRESH, ("ETag", '"a"'), body=b""), reply(200, FRESH))
    answer = await stage.ask("/a/b", ("If-None-Match", '"a"'))
    assert answer.status == 304
    assert field_of(stage, 0, "if-none-match") == '"a"'
    # Nothing is stored of it, and nobody is kept from fetching by it.
    assert status(await stage.ask()) == "fwd=uri-miss; stored; ttl=60"


async def test_a_whole_answer_to_a_condition_is_stored() -> None:
    stage = Stage(reply(200, FRESH, ("ETag", '"b"')))
    await stage.ask("/a/b", ("If-None-Match", '"a"'))
    assert status(await stage.ask()) == "hit; ttl=60"


@pytest.mark.parametrize("name", ["If-Match", "If-Unmodified-Since"])
async def test_conditions_for_the_origin_go_there(name: str) -> None:
    stage = Stage()
    await stage.ask()
    assert status(await stage.ask("/a/b", (name, "x"))) == "fwd=bypass"
    assert field_of(stage, 1, name.lower()) == "x"


def field_of(stage: Stage, number: int, key: str) -> str | None:
    """A field of a request that the service got."""
    return stage.asked[number].headers.get(key)


# -- the service is asked conditionally -----------------------------------------------------------

LAST = "Mon, 23 Nov 2020 00:00:00 GMT"


@pytest.mark.parametrize(
    ("validators", "conditions"),
    [
        ([("ETag", '"a"')], {"if-none-match": '"a"', "if-modified-since": None}),
        ([("ETag", 'W/"a"')], {"if-none-match": 'W/"a"', "if-modified-since": None}),
        ([("Last-Modified", LAST)], {"if-none-match": None, "if-modified-since": LAST}),
        (
            [("ETag", '"a"'), ("Last-Modified", LAST)],
            {"if-none-match": '"a"', "if-modified-since": LAST},
        ),
        ([], {"if-none-match": None, "if-modified-since": None}),
    ],
)
async def test_what_is_stale_is_validated(
    validators: list[Field], conditions: dict[str, str | None]
) -> None:
    stage = Stage(reply(200, FRESH, *validators), reply(304, FRESH, *validators, body=b""))
    await stage.ask()
    stage.wait(61)
    answer = await stage.ask("/a/b", ("Range", "bytes=0-0") if not validators else ("X", "y"))
    assert {key: field_of(stage, 1, key) for key in conditions} == conditions
    if validators:
        assert (answer.status, answer.body) == (200, b"body")
        assert status(answer) == "fwd=stale; fwd-status=304; stored; ttl=60"
        assert status(await stage.ask()) == "hit; ttl=60"
        assert stage.count("requests", "shop", "revalidated") == 1


@pytest.mark.parametrize(
    ("asked", "code"),
    [('"a"', 304), ('"b"', 200)],
)
async def test_the_clients_condition_is_judged_after_validation(asked: str, code: int) -> None:
    tag = ("ETag", '"a"')
    stage = Stage(reply(200, FRESH, tag), reply(304, FRESH, tag, body=b""))
    await stage.ask()
    stage.wait(61)
    assert (await stage.ask("/a/b", ("If-None-Match", asked))).status == code
    assert field_of(stage, 1, "if-none-match") == '"a"'


@pytest.mark.parametrize("control", ["no-cache", "max-age=60, no-cache", "max-age=0"])
async def test_what_must_be_validated_is_each_time(control: str) -> None:
    tag = ("ETag", '"a"')
    stage = Stage(reply(200, (CC, control), tag), reply(304, (CC, control), tag, body=b""))
    await stage.ask()
    for _ in range(3):
        answer = await stage.ask()
        assert (answer.status, answer.body) == (200, b"body")
    assert len(stage.asked) == 4


async def test_a_new_response_takes_the_place_of_the_stale_one() -> None:
    stage = Stage(
        reply(200, FRESH, ("ETag", '"a"'), body=b"old"),
        reply(200, FRESH, ("ETag", '"b"'), body=b"new"),
    )
    await stage.ask()
    stage.wait(61)
    assert (await stage.ask()).body == b"new"
    assert (await stage.ask()).body == b"new"
    assert len(stage.asked) == 2


async def test_a_response_that_is_not_stored_removes_the_stale_one() -> None:
    stage = Stage(
        reply(200, (CC, "max-age=60, stale-if-error=600"), body=b"old"),
        reply(200, (CC, "no-store"), body=b"new"),
        reply(503),
    )
    await stage.ask()
    stage.wait(61)
    assert (await stage.ask()).body == b"new"
    assert (await stage.ask()).status == 503


UPDATED = ["Test-Header", "X-Test", "Content-Foo", "Cache-Control", "Content-Location",
           "Content-Type", "Content-Security-Policy", "Expires", "Set-Cookie",
           "X-Frame-Options"]  # fmt: skip
KEPT = ["Content-Encoding", "Content-Range", "Content-MD5", "Content-Digest"]


@pytest.mark.parametrize("name", [*UPDATED, *KEPT])
async def test_a_304_renews_fields(name: str) -> None:
    tag = ("ETag", '"a"')
    old, new = ("max-age=60", "max-age=120") if name == CC else ("old", "new")
    control = () if name == CC else (FRESH,)
    stage = Stage(
        reply(200, *control, tag, (name, old), ("Other", "stays")),
        reply(304, *control, tag, (name, new), ("More", "comes"), body=b""),
    )
    await stage.ask()
    stage.wait(61)
    answer = await stage.ask()
    expected = new if name in UPDATED else old
    for response in (answer, await stage.ask()):
        assert field(response, name.lower()) == expected
        assert (field(response, "other"), field(response, "more")) == ("stays", "comes")
        assert response.body == b"body"
    assert len(stage.asked) == 2


async def test_the_date_and_age_are_those_of_the_304() -> None:
    stage = Stage()
    tag = ("ETag", '"a"')
    first = stage.date()
    stage.replies = [
        reply(200, FRESH, tag, ("Date", first), ("Age", "40")), reply(304, tag, body=b""),
    ]  # fmt: skip
    await stage.ask()
    stage.wait(61)
    answer = await stage.ask()
    assert (field(answer, "age"), field(answer, "date")) == ("0", stage.date())
    assert status(await stage.ask()) == "hit; ttl=60"


async def test_the_bytes_keep_the_tag_that_they_came_with() -> None:
    stage = Stage(reply(200, FRESH, ("ETag", '"a"')), reply(304, FRESH, ("ETag", '"b"'), body=b""))
    await stage.ask()
    stage.wait(61)
    assert field(await stage.ask(), "etag") == '"a"'
    assert field(await stage.ask(), "etag") == '"a"'


@pytest.mark.parametrize("control", ["no-store", "private"])
async def test_a_304_may_end_the_storing(control: str) -> None:
    tag = ("ETag", '"a"')
    stage = Stage(reply(200, FRESH, tag), reply(304, (CC, control), tag, body=b""), reply(200))
    await stage.ask()
    stage.wait(61)
    assert (await stage.ask()).body == b"body"
    assert status(await stage.ask()).startswith("fwd=uri-miss")


# -- HEAD -----------------------------------------------------------------------------------------


async def test_head_is_answered_from_a_stored_get() -> None:
    stage = Stage(reply(200, FRESH, ("X", "y")))
    await stage.ask()
    answer = await stage.ask(method="HEAD")
    assert (answer.status, answer.body, answer.length) == (200, b"", 4)
    assert (field(answer, "x"), status(answer)) == ("y", "hit; ttl=60")
    assert (await stage.ask("/a/b", ("Range", "bytes=0-0"), method="HEAD")).status == 200


async def test_a_head_is_never_stored_as_a_get() -> None:
    stage = Stage(reply(200, FRESH, body=b""), reply(200, FRESH))
    await stage.ask(method="HEAD")
    assert (await stage.ask()).body == b"body"
    assert [request.method for request in stage.asked] == ["HEAD", "GET"]


@pytest.mark.parametrize(
    ("news", "length", "fresh"),
    [
        ([FRESH], 4, True),
        ([FRESH, ("ETag", '"a"')], 4, True),
        ([FRESH, ("ETag", 'W/"a"')], None, True),
        ([FRESH, ("ETag", '"b"')], 4, False),
        ([FRESH, ("Last-Modified", LAST)], 4, False),
        ([FRESH], 5, False),
    ],
)
async def test_the_answer_to_a_head_renews_what_it_is_of(
    news: list[Field], length: int | None, fresh: bool
) -> None:
    head = reply(200, *news, ("X", "new"), body=b"")
    head.length = length
    stage = Stage(reply(200, FRESH, ("ETag", '"a"'), ("X", "old"), ("Y", "stays")), head)
    await stage.ask()
    stage.wait(61)
    answer = await stage.ask(method="HEAD")
    assert field(answer, "x") == "new"
    assert stage.asked[1].method == "HEAD"
    stage.replies.append(reply(500))
    after = await stage.ask()
    if fresh:
        assert (status(after), field(after, "x"), field(after, "y")) == (
            "hit; ttl=60", "new", "stays",
        )  # fmt: skip
    else:
        assert len(stage.asked) == 3


async def test_a_head_that_fails_says_nothing_of_what_is_stored() -> None:
    stage = Stage(reply(200, (CC, "max-age=60, stale-if-error=600")), reply(410, body=b""))
    await stage.ask()
    stage.wait(61)
    assert (await stage.ask(method="HEAD")).status == 410
    stage.replies = [reply(500)]
    assert (await stage.ask()).status == 200


# -- bodies ---------------------------------------------------------------------------------------


async def test_a_body_in_pieces_is_stored_when_it_has_come() -> None:
    whole = reply(200, FRESH)
    whole.length = 6
    stage = Stage(streaming(whole, b"abc", b"def"))
    answer = await stage.ask()
    assert await read(answer.body) == b"abcdef"
    await stage.settle()
    second = await stage.ask()
    assert (await read(second.body), second.length) == (b"abcdef", 6)
    assert status(second) == "hit; ttl=60"


async def test_a_body_of_unknown_length_too() -> None:
    whole = reply(200, FRESH)
    whole.length = None
    stage = Stage(streaming(whole, b"abc", b"def"))
    assert await read((await stage.ask()).body) == b"abcdef"
    await stage.settle()
    assert (await stage.ask()).body == b"abcdef"


async def test_a_large_body_stays_in_pieces() -> None:
    whole: Any = reply(200, FRESH)
    whole.length = 200_000
    stage = Stage(streaming(whole, bytes(100_000), bytes(100_000)))
    await read((await stage.ask()).body)
    await stage.settle()
    second = await stage.ask()
    assert not isinstance(second.body, bytes)
    assert len(await read(second.body)) == second.length == 200_000
    assert len(await read((await stage.ask()).body)) == 200_000
