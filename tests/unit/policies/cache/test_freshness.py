"""How old and how fresh: RFC 9111, 4.2 and 5.1 and 5.3."""

from __future__ import annotations

import pytest

from proxy.http1.date import show_date
from proxy.http1.headers import Headers
from proxy.policies.cache.control import control_of
from proxy.policies.cache.freshness import explicit_lifetime, in_disguise, initial_age
from tests.unit.policies.cache.stage import Stage, field, reply, status

NOW = 1795446245.0
Value = str | float


def fields(*pairs: tuple[str, Value]) -> Headers:
    """Fields; a number is a date so many seconds from now."""
    return Headers(
        (name.encode(), value.encode() if isinstance(value, str) else show_date(NOW + value))
        for name, value in pairs
    )


@pytest.mark.parametrize(
    ("headers", "age"),
    [
        (fields(), 0),
        (fields(("Date", 0)), 0),
        (fields(("Date", -30)), 30),
        (fields(("Date", 30)), 0),
        (fields(("Age", "20")), 20),
        (fields(("Age", "20"), ("Date", -30)), 30),
        (fields(("Age", "40"), ("Date", -30)), 40),
        (fields(("Age", "0")), 0),
        (fields(("Age", "7, 0")), 7),
        (fields(("Age", "0, 7")), 0),
        (fields(("Age", "7"), ("Age", "0")), 7),
        (fields(("Age", "0"), ("Age", "7")), 0),
        (fields(("Age", "7;foo=bar")), 7),
        (fields(("Age", "7.5")), 7),
        (fields(("Age", "99999999999999999999999")), 2**31),
        # What isn't a number may mean any age.
        (fields(("Age", "abc")), 2**31),
        (fields(("Age", "-7")), 2**31),
        (fields(("Age", "")), 2**31),
        (fields(("Age", "a7")), 2**31),
        (fields(("Date", "yesterday"), ("Age", "3")), 3),
    ],
)
def test_the_age_that_it_came_with(headers: Headers, age: int) -> None:
    assert initial_age(headers, NOW, NOW) == age


def test_the_time_of_the_fetch_counts_as_age() -> None:
    assert initial_age(fields(("Age", "5")), NOW - 3, NOW) == 8
    assert initial_age(fields(("Date", -10)), NOW - 3, NOW) == 10


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (fields(), None),
        (fields(("Cache-Control", "max-age=60")), 60),
        (fields(("Cache-Control", "s-maxage=5, max-age=60")), 5),
        (fields(("Cache-Control", "max-age=60, s-maxage=5")), 5),
        (fields(("Cache-Control", "max-age=60"), ("Cache-Control", "s-maxage=5")), 5),
        (fields(("Cache-Control", "max-age=x"), ("Expires", 60)), 0),
        (fields(("Cache-Control", "s-maxage=x, max-age=60")), 0),
        (fields(("Expires", 60)), 60),
        (fields(("Expires", 60), ("Date", 0)), 60),
        (fields(("Expires", 60), ("Date", 20)), 40),
        (fields(("Expires", 60), ("Date", "foo")), 60),
        (fields(("Expires", -60), ("Date", 0)), -60),
        (fields(("Expires", 0), ("Date", 0)), 0),
        (fields(("Cache-Control", "max-age=60"), ("Expires", -9)), 60),
        (fields(("Cache-Control", "max-age=60"), ("Expires", "0")), 60),
        (fields(("Cache-Control", "max-age=0"), ("Expires", 60)), 0),
        (fields(("Cache-Control", "public"), ("Expires", 60)), 60),
        (fields(("Expires", "0")), 0),
        (fields(("Expires", "-1")), 0),
        (fields(("Expires", "")), 0),
        (fields(("Expires", "Thu, 18 Aug 2050 02:01:18 UTC")), 0),
        (fields(("Expires", "Thu, 18 Aug 50 02:01:18 GMT")), 0),
        (fields(("Expires", "Thu, 18 Aug 2050 2:01:18 GMT")), 0),
        (fields(("Expires", 60), ("Expires", 60)), 0),
        (fields(("CDN-Cache-Control", "max-age=5"), ("Cache-Control", "max-age=60")), 5),
        (fields(("CDN-Cache-Control", "no-cache"), ("Expires", 60)), None),
    ],
)
def test_the_lifetime_that_it_says(headers: Headers, seconds: float | None) -> None:
    assert explicit_lifetime(headers, control_of(headers), NOW) == seconds


@pytest.mark.parametrize("code", [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
@pytest.mark.parametrize(("modified", "ttl"), [(-1000, 99), (-10_000_000, 86399), (100, None)])
async def test_a_tenth_of_the_time_since_its_last_change(
    code: int, modified: int, ttl: int | None
) -> None:
    stage = Stage()
    stage.replies = [reply(code, ("Last-Modified", stage.date(modified)), ("Date", stage.date()))]
    await stage.ask()
    stage.wait(0.9)
    second = await stage.ask()
    if ttl is None:
        assert status(second).startswith("fwd=stale")
    else:
        assert status(second) == f"hit; ttl={ttl}"


@pytest.mark.parametrize(
    ("code", "fields_", "request_fields", "fresh"),
    [
        (201, (), (), False),
        (202, (), (), False),
        (302, (), (), False),
        (403, (), (), False),
        (502, (), (), False),
        (503, (), (), False),
        (504, (), (), False),
        (599, (), (), False),
        (599, (("Cache-Control", "public"),), (), True),
        (403, (("Cache-Control", "public"),), (), True),
        (200, (), (("Cookie", "session=1"),), False),
        (200, (("Cache-Control", "max-age=60"),), (("Cookie", "session=1"),), True),
        (200, (("Expires", "0"),), (), False),
    ],
)
async def test_where_nothing_is_guessed(
    code: int,
    fields_: tuple[tuple[str, str], ...],
    request_fields: tuple[tuple[str, str], ...],
    fresh: bool,
) -> None:
    stage = Stage()
    stage.replies = [reply(code, ("Last-Modified", stage.date(-86400)), *fields_)]
    await stage.ask("/a/b", *request_fields)
    assert status(await stage.ask("/a/b")).startswith("hit") is fresh


async def test_no_more_is_guessed_than_the_options_say() -> None:
    stage = Stage(heuristic_max="0")
    stage.replies = [reply(200, ("Last-Modified", stage.date(-86400)))]
    await stage.ask()
    assert status(await stage.ask()).startswith("fwd=stale")


async def test_freshness_runs_out_and_age_is_told() -> None:
    stage = Stage()
    stage.replies = [
        reply(200, ("Cache-Control", "max-age=60"), ("Age", "30"), ("Date", stage.date()))
    ]
    first = await stage.ask()
    assert field(first, "age") == "30"
    stage.wait(10.5)
    second = await stage.ask()
    assert field(second, "age") == "40"
    assert status(second) == "hit; ttl=19"
    assert field(second, "date") == field(first, "date")
    stage.wait(19.4)
    assert status(await stage.ask()) == "hit; ttl=0"
    stage.wait(0.2)
    assert status(await stage.ask()).startswith("fwd=stale")


async def test_a_response_without_a_date_gets_one_when_it_is_stored() -> None:
    stage = Stage()
    came = stage.date()
    assert field(await stage.ask(), "date") is None
    stage.wait(9)
    assert field(await stage.ask(), "date") == came


@pytest.mark.parametrize(
    ("path", "media", "answer"),
    [
        ("/x.css", b"text/css", False),
        ("/x.css", b"text/html", True),
        ("/x.css/", b"text/html", False),
        ("/x.JPG", b"image/png", False),
        ("/x.woff2", b"font/woff2", False),
        ("/x.html", b"text/html", False),
        ("/css", b"text/html", False),
        ("/", b"", False),
    ],
)
def test_what_its_name_promises(path: str, media: bytes, answer: bool) -> None:
    assert in_disguise(path, media) is answer
