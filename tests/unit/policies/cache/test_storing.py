"""Which responses are stored: RFC 9111, 3, 3.1, 3.5 and 5.2.2."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.policies.cache.stage import FRESH, Stage, field, read, reply, status

Field = tuple[str, str]
CC = "Cache-Control"


async def reused(stage: Stage, *fields: Field, **more: Any) -> bool:
    """A second request is answered without the service."""
    await read((await stage.ask("/a/b", *fields, **more)).body)
    await read((await stage.ask("/a/b")).body)
    return len(stage.asked) == 1


@pytest.mark.parametrize(
    ("control", "stored"),
    [
        ("max-age=60", True),
        ("s-maxage=60", True),
        ("public, max-age=60", True),
        ("max-age=60, no-store", False),
        ("No-StOrE, max-age=60", False),
        ("private, max-age=60", False),
        ('private="x", max-age=60', True),
        ("max-age=60, must-understand", True),
        ("max-age=60, must-understand, no-store", True),
        ("max-age=60, foo", True),
        ("max-age=0", False),
        ("max-age=0, s-maxage=60", True),
        ("max-age=60, s-maxage=0", False),
        ("no-cache, max-age=60", False),
        ("max-age=60, must-revalidate", True),
        ("max-age=60, proxy-revalidate", True),
        ("max-age=60, immutable", True),
        ("foo", False),
    ],
)
async def test_cache_control(control: str, stored: bool) -> None:
    assert await reused(Stage(reply(200, (CC, control)))) is stored


@pytest.mark.parametrize("code", [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 403, 404, 410])
@pytest.mark.parametrize("control", ["max-age=60", ""])
async def test_any_final_status_may_be_stored_by_its_own_word(code: int, control: str) -> None:
    fields = [(CC, control)] if control else []
    assert await reused(Stage(reply(code, *fields))) is bool(control)


@pytest.mark.parametrize("code", [499, 500, 501, 502, 503, 504, 599])
async def test_failures_and_unknown_statuses_too(code: int) -> None:
    assert await reused(Stage(reply(code, FRESH)))
    assert not await reused(Stage(reply(code)))


@pytest.mark.parametrize("code", [206, 304])
async def test_parts_and_news_are_not_stored_as_responses(code: int) -> None:
    assert not await reused(Stage(reply(code, FRESH)))


@pytest.mark.parametrize(
    ("code", "control", "stored"),
    [
        (599, "max-age=60, must-understand", False),
        (299, "max-age=60, must-understand, no-store", False),
        (200, "max-age=60, must-understand, no-store", True),
        (404, "max-age=60, must-understand", True),
    ],
)
async def test_must_understand(code: int, control: str, stored: bool) -> None:
    assert await reused(Stage(reply(code, (CC, control)))) is stored


@pytest.mark.parametrize(
    ("control", "stored"),
    [
        ("max-age=60", False),
        ("max-age=60, public", True),
        ("max-age=60, must-revalidate", True),
        ("s-maxage=60", True),
        ("max-age=60, private", False),
        ("max-age=60, proxy-revalidate", False),
    ],
)
async def test_authorization(control: str, stored: bool) -> None:
    stage = Stage(reply(200, (CC, control)))
    assert await reused(stage, ("Authorization", "Basic eDp5")) is stored
    assert field_of(stage, "authorization") == "Basic eDp5"


def field_of(stage: Stage, key: str) -> str | None:
    """A field of the first request that the service got."""
    return stage.asked[0].headers.get(key)


@pytest.mark.parametrize(
    ("fields", "stored"),
    [
        ([("Sidegate-Cache-Control", "max-age=60")], True),
        ([("CDN-Cache-Control", "max-age=60")], True),
        ([("CDN-Cache-Control", "max-age=60"), (CC, "no-store")], True),
        ([("CDN-Cache-Control", "no-store"), (CC, "max-age=60")], False),
        ([("CDN-Cache-Control", "private"), (CC, "max-age=60")], False),
        ([("CDN-Cache-Control", "no-cache"), (CC, "max-age=60")], False),
        ([("CDN-Cache-Control", "max-age=0"), (CC, "max-age=60")], False),
        ([("CDN-Cache-Control", "max-age=0"), ("Expires", "later")], False),
        ([("Sidegate-Cache-Control", "max-age=60"), ("CDN-Cache-Control", "no-store")], True),
        ([("Sidegate-Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=60")], False),
        # What is no dictionary is as good as absent.
        ([("CDN-Cache-Control", "max-age=60, &&&"), (CC, "no-store")], False),
        ([("CDN-Cache-Control", 'max-age="60"'), (CC, "no-store")], False),
        ([("CDN-Cache-Control", ""), (CC, "max-age=60")], True),
        ([("Sidegate-Cache-Control", "&"), ("CDN-Cache-Control", "max-age=60")], True),
        ([("CDN-Cache-Control", "foo"), (CC, "max-age=60")], False),
        # So is what Surrogate-Control says to another cache.
        ([("Surrogate-Control", "max-age=60"), (CC, "no-store")], True),
        ([("Surrogate-Control", "no-store"), (CC, "max-age=60")], False),
        ([("Surrogate-Control", "max-age=0"), ("Expires", "later")], False),
        ([("Surrogate-Control", 'max-age=60, content="ESI/1.0"')], True),
        ([("Surrogate-Control", "max-age=60;sidegate")], True),
        ([("Surrogate-Control", "max-age=60 ; sidegate, max-age=0")], True),
        ([("Surrogate-Control", "max-age=60;other")], False),
        ([("Surrogate-Control", "no-store;other"), (CC, "max-age=60")], True),
        ([("Surrogate-Control", "max-age=60;other, max-age=0"), (CC, "max-age=60")], False),
        ([("Surrogate-Control", "max-age =60"), (CC, "no-store")], False),
        ([("CDN-Cache-Control", "no-store"), ("Surrogate-Control", "max-age=60")], False),
    ],
)
async def test_targeted_control(fields: list[Field], stored: bool) -> None:
    stage = Stage()
    stage.replies = [reply(200, *((n, stage.date(60) if v == "later" else v) for n, v in fields))]
    assert await reused(stage) is stored


async def test_fields_that_may_not_be_reused_are_left_out() -> None:
    fields = [
        (CC, 'max-age=60, no-cache="a, B"'),
        (CC, 'private="c"'),
        *((name, "1") for name in ("A", "B", "C", "D")),
        ("Proxy-Authenticate", "Basic"),
        ("Proxy-Authentication-Info", "x"),
    ]
    stage = Stage(reply(200, *fields))
    first, second = await stage.ask(), await stage.ask()
    assert [field(first, key) for key in "abcd"] == ["1", "1", "1", "1"]
    assert [field(second, key) for key in "abcd"] == [None, None, None, "1"]
    assert field(second, "proxy-authenticate") is None
    assert field(second, "proxy-authentication-info") is None
    assert field(second, "cache-control") == f"{fields[0][1]}, {fields[1][1]}"


COOKIE = ("Set-Cookie", "a=b; Path=/")


@pytest.mark.parametrize(
    ("policy", "fields", "stored", "cookie"),
    [
        ("explicit", [FRESH], True, "a=b; Path=/"),
        ("explicit", [("Last-Modified", "old")], False, None),
        ("explicit", [], False, None),
        ("never", [FRESH], False, None),
        ("strip", [FRESH], True, None),
        ("strip", [("Last-Modified", "old")], False, None),
    ],
)
async def test_set_cookie(
    policy: str, fields: list[Field], stored: bool, cookie: str | None
) -> None:
    stage = Stage(set_cookie=policy, ttl="1m")
    fields = [(n, stage.date(-9e6) if v == "old" else v) for n, v in fields]
    stage.replies = [reply(200, COOKIE, *fields)]
    assert await reused(stage) is stored
    if stored:
        assert field(await stage.ask(), "set-cookie") == cookie


@pytest.mark.parametrize("value", ["*", "*, *", ", *", "Foo, *", "*, Foo"])
async def test_vary_star(value: str) -> None:
    assert not await reused(Stage(reply(200, FRESH, ("Vary", value))))


async def test_a_request_with_a_body_is_none_of_its_business() -> None:
    """A body is in no key, so whatever it did to the response would go to everybody."""
    stage = Stage()
    for _ in range(2):
        from_body = await stage.send(with_body(b"x=1"))
        assert status(from_body) == "fwd=bypass"
    assert status(await stage.ask()) == "fwd=uri-miss; stored; ttl=60"
    assert status(await stage.send(with_body(b"x=1"))) == "fwd=bypass"


def with_body(body: bytes) -> Any:
    from tests.unit.policies.world import a_request

    request = a_request()
    request.body, request.length = body, len(body)
    return request


@pytest.mark.parametrize(
    ("options", "code", "fields", "stored"),
    [
        ({"ttl": "1m"}, 200, [], True),
        ({"ttl": "1m"}, 404, [], False),
        ({"ttl": "1m"}, 200, [(CC, "no-store")], False),
        ({"ttl": "1m"}, 200, [(CC, "max-age=0")], False),
        ({"ttl": "1m"}, 200, [(CC, "private")], False),
        ({"ttl": "1m"}, 200, [("Expires", "0")], False),
        ({"ttl": "1m"}, 200, [(CC, "foo")], True),
        ({"negative": "10s"}, 404, [], True),
        ({"negative": "10s"}, 503, [], True),
        ({"negative": "10s"}, 403, [], False),
        ({"negative": "10s"}, 200, [], False),
        ({"ttl_by": [{"status": 404, "ttl": "9s"}]}, 404, [], True),
        ({"ttl_by": [{"status": 404, "ttl": "9s"}]}, 410, [], False),
        ({"ttl_by": [{"type": "text/*", "ttl": "9s"}]}, 200, [("Content-Type", "text/css")], True),
        ({"ttl_by": [{"type": "text/*", "ttl": "9s"}]}, 200, [("Content-Type", "a/b")], False),
        ({"ttl_by": [{"type": "text/css", "ttl": "9s"}]}, 200,
         [("Content-Type", "TEXT/CSS; charset=utf-8")], True),
        ({"ttl_by": [{"path": "/a/*", "ttl": "9s"}]}, 200, [], True),
        ({"ttl_by": [{"path": "/*", "ttl": "9s"}]}, 200, [], False),
        ({"ttl_by": [{"path": "/**", "ttl": "9s"}]}, 200, [], True),
        ({"ttl_by": [{"path": "/a/*", "ttl": "0"}], "ttl": "1m"}, 200, [], False),
        ({"ttl": "1m", "override": "freshness"}, 200, [(CC, "max-age=0")], True),
        ({"ttl": "1m", "override": "freshness"}, 200, [(CC, "no-store")], False),
        ({"ttl": "1m", "override": "freshness"}, 200, [(CC, "no-cache")], False),
        ({"ttl": "1m", "override": "all"}, 200, [(CC, "no-store")], True),
        ({"ttl": "1m", "override": "all"}, 200, [(CC, "no-cache, private")], True),
        ({"ttl": "1m", "override": "all"}, 404, [(CC, "no-store, max-age=9")], False),
        ({"ttl": "1m", "override": "all"}, 200, [(CC, "no-store"), COOKIE], False),
    ],
)  # fmt: skip
async def test_times_of_the_options(
    options: dict[str, Any], code: int, fields: list[Field], stored: bool
) -> None:
    assert await reused(Stage(reply(code, *fields), **options)) is stored


async def test_the_first_rule_that_fits_counts() -> None:
    rules = [{"path": "/a/**", "ttl": "10s"}, {"path": "/**", "ttl": "1h"}]
    stage = Stage(reply(200), ttl_by=rules)
    assert status(await stage.ask("/a/b")) == "fwd=uri-miss; stored; ttl=10"
    assert status(await stage.ask("/b")) == "fwd=uri-miss; stored; ttl=3600"


async def test_jitter_only_shortens() -> None:
    stage = Stage(reply(200, FRESH), jitter=0.5)
    times = []
    for number in range(40):
        await stage.ask(f"/{number}")
        times.append(int(status(await stage.ask(f"/{number}")).rpartition("=")[2]))
    assert 30 <= min(times) < 35
    assert 55 < max(times) <= 60


@pytest.mark.parametrize(
    ("path", "media", "stored"),
    [
        ("/account/x.css", "text/html", False),
        ("/account/x.css", "text/css", True),
        ("/account/x.js", "application/json", False),
        ("/a.PNG", "text/html; charset=utf-8", False),
        ("/a.png", "image/webp", True),
        ("/account", "text/html", True),
        ("/report.2026", "text/html", True),
    ],
)
async def test_a_page_in_the_disguise_of_a_file_gets_no_time_by_its_path(
    path: str, media: str, stored: bool
) -> None:
    stage = Stage(reply(200, ("Content-Type", media)), ttl="1m")
    await stage.ask(path)
    await stage.ask(path)
    assert (len(stage.asked) == 1) is stored
    guessed = Stage()
    guessed.replies = [reply(200, ("Content-Type", media), ("Last-Modified", guessed.date(-86400)))]
    await guessed.ask(path)
    await guessed.ask(path)
    assert (len(guessed.asked) == 1) is stored


async def test_too_large_a_body_is_passed_on_and_not_stored() -> None:
    body = bytes(300 * 1024)
    stage = Stage(reply(200, FRESH, body=body))
    assert (await stage.ask()).body == body
    assert status(await stage.ask()) == 'fwd=uri-miss; detail="too-large"'
    assert len(stage.asked) == 2


async def test_what_is_stored_and_why_not_is_told() -> None:
    assert status(await Stage(reply(200, (CC, "no-store"))).ask()) == (
        'fwd=uri-miss; detail="no-store"'
    )
    assert status(await Stage(reply(200)).ask()) == 'fwd=uri-miss; detail="no-freshness"'
    stage = Stage(status=False)
    assert field(await stage.ask(), "cache-status") is None
    assert field(await stage.ask(), "cache-status") is None
