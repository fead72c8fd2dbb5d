"""Responses that depend on the request: RFC 9111, 4.1."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.contract import Request, Response
from proxy.policies.cache.shelf import variant_key
from proxy.policies.cache.vary import favourite_language, rank, read_vary, selection
from tests.unit.policies.cache.stage import FRESH, Stage, reply, status
from tests.unit.policies.world import some_headers

Field = tuple[str, str]


@pytest.mark.parametrize(
    ("vary", "first", "second", "same"),
    [
        ("Foo", [("Foo", "1")], [("Foo", "1")], True),
        ("Foo", [("Foo", "1")], [("foo", "1")], True),
        ("Foo", [("Foo", "1")], [("Foo", "2")], False),
        ("Foo", [("Foo", "1")], [], False),
        ("Foo", [], [("Foo", "1")], False),
        ("Foo", [], [], True),
        ("Foo", [], [("Foo", "")], False),
        ("Foo", [("Foo", "-")], [], False),
        ("Foo", [("Foo", "1"), ("Bar", "1")], [("Foo", "1"), ("Bar", "2")], True),
        ("Foo, Bar", [("Foo", "1"), ("Bar", "1")], [("Bar", "1"), ("Foo", "1")], True),
        ("Foo, Bar", [("Foo", "1"), ("Bar", "1")], [("Foo", "1"), ("Bar", "2")], False),
        ("Foo, Bar", [("Foo", "1")], [("Foo", "1")], True),
        ("Foo, Bar", [("Foo", "1")], [("Bar", "1")], False),
        ("foo,,bar ,", [("Foo", "1")], [("Foo", "1")], True),
        # Alike by the rules of lists.
        ("Foo", [("Foo", "1, 2")], [("Foo", "1"), ("Foo", "2")], True),
        ("Foo", [("Foo", "1,2")], [("Foo", " 1 ,  2 ")], True),
        ("Foo", [("Foo", "1,2")], [("Foo", "2,1")], False),
        ("Foo", [("Foo", "a")], [("Foo", "A")], False),
        # Alike by the rules of preferences.
        ("Accept-Encoding", [("Accept-Encoding", "gzip, br")], [("Accept-Encoding", "BR,gzip")],
         True),
        ("Accept-Encoding", [("Accept-Encoding", "gzip")], [("Accept-Encoding", "br")], False),
        ("Accept-Encoding", [("Accept-Encoding", "gzip;q=0.5, br")],
         [("Accept-Encoding", "br;q=1.0,gzip ; q=0.5")], True),
        ("Accept-Encoding", [("Accept-Encoding", "gzip;q=0.5, br")],
         [("Accept-Encoding", "gzip, br;q=0.5")], False),
        ("Accept-Encoding", [("Accept-Encoding", "gzip, identity;q=0")],
         [("Accept-Encoding", "gzip")], False),
        ("Accept-Language", [("Accept-Language", "en, de")], [("Accept-Language", "de, eN")], True),
        ("Accept-Language", [("Accept-Language", "en, de;q=0.9")],
         [("Accept-Language", "en,de")], False),
    ],
)  # fmt: skip
async def test_which_requests_get_the_same(
    vary: str, first: list[Field], second: list[Field], same: bool
) -> None:
    stage = Stage(reply(200, FRESH, ("Vary", vary)))
    await stage.ask("/a/b", *first)
    answer = await stage.ask("/a/b", *second)
    assert status(answer) == ("hit; ttl=60" if same else "fwd=vary-miss; stored; ttl=60")


async def test_variants_are_kept_side_by_side() -> None:
    stage = Stage(*(reply(200, FRESH, ("Vary", "Foo"), body=b"%d" % n) for n in (1, 2)))
    for _ in range(2):
        assert (await stage.ask("/a/b", ("Foo", "1"))).body == b"1"
        assert (await stage.ask("/a/b", ("Foo", "2"))).body == b"2"
    assert len(stage.asked) == 2


async def test_a_response_may_depend_on_more_than_the_one_before() -> None:
    stage = Stage(
        reply(200, FRESH, ("Vary", "Foo"), body=b"1"),
        reply(200, FRESH, ("Vary", "Foo, Bar"), body=b"2"),
    )
    await stage.ask("/a/b", ("Foo", "1"))
    await stage.ask("/a/b", ("Foo", "2"), ("Bar", "x"))
    assert (await stage.ask("/a/b", ("Foo", "1"))).body == b"1"
    assert (await stage.ask("/a/b", ("Foo", "2"), ("Bar", "x"))).body == b"2"
    assert len(stage.asked) == 2
    await stage.ask("/a/b", ("Foo", "2"), ("Bar", "y"))
    assert len(stage.asked) == 3


async def test_a_response_that_depends_on_nothing_is_for_all() -> None:
    stage = Stage(reply(200, FRESH, ("Vary", "Foo")), reply(200, FRESH, body=b"all"))
    await stage.ask("/a/b", ("Foo", "1"))
    await stage.ask("/a/b", ("Foo", "2"))
    assert (await stage.ask("/a/b", ("Foo", "1"))).body == b"all"


async def test_a_stale_variant_is_validated_by_its_own_tag() -> None:
    def tagged(tag: str) -> list[Field]:
        return [FRESH, ("Vary", "Foo"), ("ETag", tag)]

    stage = Stage(reply(200, *tagged('"1"')), reply(200, *tagged('"2"')), reply(304, body=b""))
    await stage.ask("/a/b", ("Foo", "1"))
    await stage.ask("/a/b", ("Foo", "2"))
    stage.wait(61)
    await stage.ask("/a/b", ("Foo", "1"))
    assert stage.asked[2].headers.get("if-none-match") == '"1"'
    assert stage.asked[2].headers.get("foo") == "1"
    await stage.ask("/a/b", ("Foo", "3"))
    assert stage.asked[3].headers.get("if-none-match") == '"1", "2"'


@pytest.mark.parametrize(
    ("asked", "hit"),
    [
        ("fr;q=0.5, de;q=1.0", True),
        ("de", True),
        ("DE, *;q=0.1", True),
        ("de, fr", False),
        ("fr, de;q=0.9", False),
        ("de-AT", False),
        ("*", False),
    ],
)
async def test_a_language_may_be_chosen_among_what_is_stored(asked: str, hit: bool) -> None:
    fields = [FRESH, ("Vary", "Accept-Language"), ("Content-Language", "de")]
    stage = Stage(reply(200, *fields))
    await stage.ask("/a/b", ("Accept-Language", "en, de"))
    await stage.ask("/a/b", ("Accept-Language", asked))
    assert (len(stage.asked) == 1) is hit


async def test_the_choice_of_a_language_minds_the_other_fields() -> None:
    fields = [FRESH, ("Vary", "Accept-Language, Foo"), ("Content-Language", "de")]
    stage = Stage(reply(200, *fields))
    await stage.ask("/a/b", ("Accept-Language", "en, de"), ("Foo", "1"))
    await stage.ask("/a/b", ("Accept-Language", "de"), ("Foo", "2"))
    assert len(stage.asked) == 2


async def test_variants_of_one_url_are_bounded() -> None:
    stage = Stage(reply(200, FRESH, ("Vary", "Foo")), variants=3)
    for number in range(10):
        await stage.ask("/a/b", ("Foo", str(number)))
    kept = [status(await stage.ask("/a/b", ("Foo", str(n)))) == "hit; ttl=60" for n in (9, 8, 7)]
    assert kept == [True] * 3
    # Three and the way to them.
    assert len(stage.world.trove) == 4


def test_a_long_value_is_no_long_key() -> None:
    one, other = (
        variant_key("key", ("foo",), some_headers(("Foo", "x" * 5000 + end))) for end in "ab"
    )
    assert one != other
    assert len(one) < 100


@pytest.mark.parametrize(
    ("value", "ranked"),
    [
        ("", ""),
        ("gzip", "gzip"),
        ("b, a", "a,b"),
        ("b, a;q=0.5", "b>a"),
        ("a;q=0.50, b;q=0.5", "a,b"),
        ("a;q=0, b", "b!a"),
        ("a;q=5", "a;q=5"),
        ("a;q=x", "a;q=x"),
        ("text/html;level=1;q=0.3, */*", "*/*>text/html;level=1"),
        ('a;x="q,y";q=0.1, b', 'b>a;x="q,y"'),
    ],
)
def test_ranking(value: str, ranked: str) -> None:
    assert rank(value) == ranked


def test_what_is_read_of_vary() -> None:
    assert read_vary(some_headers()) == ()
    assert read_vary(some_headers(("Vary", "B, a"), ("Vary", "b"))) == ("a", "b")
    many = ",".join(f"x{number}" for number in range(17))
    assert read_vary(some_headers(("Vary", many))) is None


def test_rows_of_values_are_told_apart() -> None:
    one = selection(("a", "b"), some_headers(("A", "1"), ("B", "2")))
    assert one != selection(("a", "b"), some_headers(("A", "1")))
    assert one != selection(("a", "b"), some_headers(("B", "1"), ("A", "2")))


def test_the_favourite_language() -> None:
    assert favourite_language(some_headers()) == ""
    assert favourite_language(some_headers(("Accept-Language", "de;q=0.5, FR"))) == "fr"


LANGUAGES = {"de": '"1"', "fr": '"2"', "nl": '"1"'}


def speaking(*more: tuple[str, str], weak: bool = False) -> Callable[[Request], Response]:
    """A service that has two texts for three languages, and tells them by their ETags."""

    def answer(request: Request) -> Response:
        tag = LANGUAGES[request.headers.get("accept-language") or ""]
        told = "W/" + tag if weak else tag
        fields = [FRESH, ("Vary", "Accept-Language"), ("ETag", told), *more]
        if tag in (request.headers.get("if-none-match") or ""):
            return reply(304, *fields, body=b"")
        return reply(200, *fields, body=tag.encode())

    return answer


async def test_a_variant_may_be_a_copy_of_another() -> None:
    stage = Stage(speaking())
    for language in ("de", "fr"):
        await stage.ask("/", ("Accept-Language", language))
    response = await stage.ask("/", ("Accept-Language", "nl"))
    assert stage.asked[-1].headers.get("if-none-match") == '"2", "1"'
    assert (response.status, response.body) == (200, b'"1"')
    assert status(response) == "fwd=vary-miss; fwd-status=304; stored; ttl=60"
    # All three have one of their own now.
    for language, tag in LANGUAGES.items():
        response = await stage.ask("/", ("Accept-Language", language))
        assert (status(response), response.body) == ("hit; ttl=60", tag.encode())
    assert len(stage.asked) == 3


@pytest.mark.parametrize(
    ("service", "own"),
    [
        (speaking(weak=True), []),
        # A client must not get a coding that it may not know.
        (speaking(("Content-Encoding", "gzip")), []),
        (speaking(), [("If-None-Match", '"9"')]),
        (speaking(), [("Range", "bytes=0-0")]),
    ],
)
async def test_where_that_would_be_unsafe_it_is_fetched(
    service: Callable[[Request], Response], own: list[tuple[str, str]]
) -> None:
    stage = Stage(service)
    await stage.ask("/", ("Accept-Language", "de"))
    await stage.ask("/", ("Accept-Language", "nl"), *own)
    conditions = dict(own).get("If-None-Match")
    assert stage.asked[1].headers.get("if-none-match") == conditions


async def test_a_304_without_a_tag_means_the_only_one_that_was_asked_about() -> None:
    stage = Stage(speaking(), reply(304, body=b""))
    await stage.ask("/", ("Accept-Language", "de"))
    response = await stage.ask("/", ("Accept-Language", "nl"))
    assert (response.status, response.body, len(stage.asked)) == (200, b'"1"', 2)


@pytest.mark.parametrize("tag", [None, '"3"', 'W/"1"'])
async def test_a_304_that_does_not_say_of_which_it_is_is_no_answer(tag: str | None) -> None:
    told = [] if tag is None else [("ETag", tag)]
    stage = Stage(speaking(), speaking(), reply(304, *told, body=b""), speaking())
    for language in ("de", "fr"):
        await stage.ask("/", ("Accept-Language", language))
    response = await stage.ask("/", ("Accept-Language", "nl"))
    assert (response.status, response.body, len(stage.asked)) == (200, b'"1"', 4)
    assert "if-none-match" not in stage.asked[3].headers


async def test_a_copy_that_may_not_be_kept_answers_once() -> None:
    news = reply(304, ("Cache-Control", "no-store"), ("ETag", '"1"'), body=b"")
    stage = Stage(speaking(), news, speaking())
    await stage.ask("/", ("Accept-Language", "de"))
    response = await stage.ask("/", ("Accept-Language", "nl"))
    assert (response.status, response.body) == (200, b'"1"')
    assert status(await stage.ask("/", ("Accept-Language", "de"))).startswith("hit")
    await stage.ask("/", ("Accept-Language", "nl"))
    assert len(stage.asked) == 3
