"""sanitize: what the service gets in place of what was sent."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from proxy.contract import Handler, Request, Response
from proxy.errors import GatewayError, Refused
from proxy.policies.sanitize.policy import Options, Sanitize
from tests.unit.policies.world import World, a_request, raise_failure, upstream_response
from tests.unit.test_body import Pieces

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def asking(
    target: str = "/",
    body: bytes | Pieces = b"",
    media: str = "",
    *fields: tuple[str, str],
) -> Request:
    more = [("Content-Type", media)] if media else []
    request = a_request(target, *fields, *more, method="POST" if body else "GET")
    request.body = body
    request.length = len(body) if isinstance(body, bytes) else None
    return request


async def forwarded(world: World, request: Request, **options: Any) -> Request:
    """The request as the service gets it."""
    got: list[Request] = []

    async def service(came: Request) -> Response:
        got.append(came)
        return upstream_response()

    handle: Handler = Sanitize(Options.model_validate(options), world.toolkit).wrap(service)
    await handle(request)
    [came] = got
    assert not isinstance(came.body, bytes) or came.length == len(came.body)
    return came


@pytest.mark.parametrize(
    ("query", "clean", "detail"),
    [
        ("a=1&b=two", "a=1&b=two", None),
        ("a=+x+&b=%20", "a=x&b=", "query:a trim; query:b trim"),
        ("a=x%00y&b=%E2%80%AEz", "a=xy&b=z", "query:a controls; query:b invisible"),
        ("a=%27%22+&b=%41", "a=%27%22&b=%41", "query:a trim"),
        ("a=e%CC%81", "a=%C3%A9", "query:a unicode"),
        ("a&b&&=", "a&b&&=", None),
    ],
)
async def test_queries(world: World, query: str, clean: str, detail: str | None) -> None:
    request = await forwarded(world, asking(f"/p?{query}"))
    assert (request.query, request.target) == (clean, f"/p?{clean}".encode())
    expected = [] if detail is None else [("sanitize", "changed", detail)]
    assert request.decisions == expected


@pytest.mark.parametrize(
    ("body", "clean"),
    [
        (b'{"a": "x", "n": 1.50}', b'{"a": "x", "n": 1.50}'),
        (b'{"a": " x ", "n": 1.50}', b'{"a":"x","n":1.50}'),
        (b'{"a": " x", "n": [12345678901234567890123, 1e5, -0.10]}',
         b'{"a":"x","n":[12345678901234567890123,1e5,-0.10]}'),
        (b'{"a": [{"b": "x\\u0000y"}, null, true]}', b'{"a":[{"b":"xy"},null,true]}'),
        (b'"\\u202ex"', b'"x"'),
        (b'{"e\\u0301": "x"}', b'{"e\\u0301": "x"}'),
        (b"[1, 2]", b"[1, 2]"),
        # Of equal names services take the first or the last.
        (b'{"a": " x", "a": "y"}', b'{"a":"y"}'),
        (b'{"a": {"b": "x\\u0000", "b": 1}}', b'{"a":{"b":1}}'),
        (b'{"a": "y", "a": "z"}', b'{"a": "y", "a": "z"}'),
    ],
)  # fmt: skip
async def test_json(world: World, body: bytes, clean: bytes) -> None:
    assert (await forwarded(world, asking("/", body, JSON))).body == clean
    pieces = Pieces(body[:3], body[3:])
    request = await forwarded(world, asking("/", pieces, JSON))
    assert (request.body, request.length) == (clean, len(clean))


async def test_forms(world: World) -> None:
    request = await forwarded(world, asking("/", b"a=+x+&b=%41&c=%ff&d=\xff\x00", FORM))
    assert request.body == b"a=x&b=%41&c=%ff&d=%FF"


async def test_a_coded_body_goes_on_plain_if_it_was_changed(world: World) -> None:
    coding = ("Content-Encoding", "gzip")
    dirty = asking("/", gzip.compress(b'{"a": " x"}'), JSON, coding, ("Digest", "x"))
    request = await forwarded(world, dirty)
    assert request.body == b'{"a":"x"}'
    assert "content-encoding" not in request.headers
    assert "digest" not in request.headers
    coded = gzip.compress(b'{"a": "x"}')
    request = await forwarded(world, asking("/", coded, JSON, coding))
    assert request.body == coded
    assert "content-encoding" in request.headers


@pytest.mark.parametrize("media", ["text/plain", "multipart/form-data; boundary=b", ""])
async def test_other_bodies_are_left_alone(world: World, media: str) -> None:
    stream = Pieces(b' "x" ')
    assert (await forwarded(world, asking("/", stream, media))).body is stream


FIELDS = [
    {"parameter": "json:/name", "allowed": "[A-Za-z' ]", "max_length": 8, "collapse": True},
    {"parameter": "json:/raw/**", "trim": False, "controls": "keep"},
    {"parameter": "*:token", "unicode": "none", "trim": False},
]


async def test_fields_in_ways_of_their_own(world: World) -> None:
    body = {"name": "O'Brien   <b>x", "raw": {"a": " \x01 "}, "other": " x "}
    request = await forwarded(world, asking("/?token=+x+", orjson.dumps(body), JSON), fields=FIELDS)
    assert isinstance(request.body, bytes)
    assert orjson.loads(request.body) == {
        "name": "O'Brien", "raw": {"a": " \x01 "}, "other": "x",
    }  # fmt: skip
    assert request.query == "token=+x+"


KNOWN = ["json:/name", "json:/address/*", "json:/tags/**", "query:page"]


@pytest.mark.parametrize(
    ("body", "clean"),
    [
        ({"name": "x", "admin": True}, {"name": "x"}),
        ({"name": 5, "address": {"city": "y"}}, {"name": 5, "address": {"city": "y"}}),
        ({"address": {"city": {"x": 1}, "zip": "z"}}, {"address": {"city": {}, "zip": "z"}}),
        ({"address": {}}, {}),
        ({"evil": {"a": [1, {"b": 2}]}}, {}),
        ({"tags": ["a", ["b"]], "x": [1]}, {"tags": ["a", ["b"]]}),
        ({"name": None}, {"name": None}),
        ("a text", "a text"),
        ([1, {"name": 2}], []),
        (5, 5),
    ],
)
async def test_what_is_not_known_is_left_out(world: World, body: Any, clean: Any) -> None:
    request = await forwarded(world, asking("/", orjson.dumps(body), JSON), known=KNOWN)
    assert isinstance(request.body, bytes)
    assert orjson.loads(request.body) == clean


async def test_places_of_which_nothing_is_said_stay_open(world: World) -> None:
    request = await forwarded(world, asking("/p?page=1&x=2", b"a=1", FORM), known=KNOWN)
    assert (request.target, request.body) == (b"/p?page=1", b"a=1")
    request = await forwarded(world, asking("/p?x=2"), known=KNOWN)
    assert request.target == b"/p"
    assert request.decisions == [("sanitize", "changed", "query:x unknown")]
    request = await forwarded(world, asking("/p?x=2", b"a=1&b=2", FORM), known=["*:a"])
    assert (request.target, request.body) == (b"/p", b"a=1")


async def test_shadow_mode_changes_nothing(world: World) -> None:
    body = b'{"a": " x"}'
    request = await forwarded(world, asking("/p?a=+x", body, JSON), mode="shadow")
    assert (request.target, request.body) == (b"/p?a=+x", body)
    assert request.decisions == [("sanitize", "would_change", "query:a trim; json:/a trim")]


async def test_what_cannot_be_cleaned_does_not_pass_as_clean(world: World) -> None:
    long = b'"' + b"x" * 2000 + b'"'
    deep, deeper = (b"[" * depth + b'" x"' + b"]" * depth for depth in (300, 900))
    refused = (
        (long, "body_too_large"), (deep, "body_too_complex"), (deeper, "body_too_complex"),
    )  # fmt: skip
    for body, code in refused:
        request = asking("/", body, JSON)
        with pytest.raises(Refused, match=code):
            await forwarded(world, request, buffer="1KiB" if body is long else "1MiB")
        assert request.decisions == [("sanitize", "refused", code)]
        request = await forwarded(
            world, asking("/", body, JSON), buffer="1KiB" if body is long else "1MiB", mode="shadow"
        )
        assert request.body == body


async def test_changes_are_counted_by_kind(world: World) -> None:
    await forwarded(world, asking("/?a=+x%00&b=+y"))
    counts = {key[-1]: count.value for key, count in world.journal.counts.items() if count.value}
    assert counts == {"trim": 2, "controls": 1}


async def test_what_is_told_is_bounded(world: World) -> None:
    query = "&".join(f"{'n' * 500}{number}=+x" for number in range(100))
    request = await forwarded(world, asking(f"/?{query}"))
    assert len(request.decisions[0].detail) < 1000


async def test_a_request_that_failed_gets_its_failure(world: World) -> None:
    request = asking("/?a=+x")
    request.failure = GatewayError("route_not_found")
    with pytest.raises(GatewayError, match="route_not_found"):
        await Sanitize(Options(), world.toolkit).wrap(raise_failure)(request)
    assert request.decisions == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"known": "name"}, "begins with no place"),
        ({"known": "header:x"}, "write query:NAME, form:NAME, json:/POINTER or *"),
        ({"fields": [{"parameter": "json:/a", "allowed": "a-z"}]}, "in brackets"),
        ({"fields": [{"parameter": "json:/a", "allowed": "[^a]"}]}, "in brackets"),
        ({"fields": [{"parameter": "json:/a", "allowed": "[z-a]"}]}, "no set of characters"),
        ({"fields": [{"parameter": "json:/a"}, {"parameter": "json:/a"}]}, "listed twice"),
        ({"fields": [{"parameter": "json:/a", "max_length": 0}]}, "greater than or equal to 1"),
        ({"unicode": "nfd"}, "'nfc', 'nfkc' or 'none'"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("body", "media", "coding", "code"),
    [
        (b"{ not json", JSON, "", "malformed_body"),
        (b'{"a": " x",}', JSON, "", "malformed_body"),
        (b'{"a": " x"}', f"{JSON}; charset=ibm037", "", "unsupported_media_type"),
        (b'{"a": " x"}', f"{JSON}; charset=utf-8; charset=x", "", "unsupported_media_type"),
        (b"a=+x", f"{FORM}; charset=utf-16", "", "unsupported_media_type"),
        (b"a=+x", FORM, "br", "unsupported_media_type"),
    ],
)
async def test_what_cannot_be_read_cannot_be_cleaned(
    world: World, body: bytes, media: str, coding: str, code: str
) -> None:
    fields = [("Content-Encoding", coding)] if coding else []
    with pytest.raises(Refused) as raised:
        await forwarded(world, asking("/", body, media, *fields))
    assert raised.value.code == code
    request = await forwarded(world, asking("/", body, media, *fields), unreadable="pass")
    assert request.body == body
    request = await forwarded(world, asking("/", body, media, *fields), mode="shadow")
    assert request.body == body
    assert request.decisions == [("sanitize", "would_refuse", code)]


async def test_equal_names_hide_nothing_that_is_unknown(world: World) -> None:
    body = b'{"a": {"admin": 1}, "a": 2}'
    request = await forwarded(world, asking("/", body, JSON), known=["json:/a"])
    assert request.body == b'{"a":2}'
    assert request.decisions == [("sanitize", "changed", "json:/a repeated")]


async def test_digests_of_what_was_changed_go(world: World) -> None:
    names = ("Content-MD5", "Digest", "Content-Digest", "Repr-Digest")
    fields = [(name, "x") for name in names]
    request = await forwarded(world, asking("/", b'{"a": " x"}', JSON, *fields))
    assert not any(name.lower() in request.headers for name in names)
    request = await forwarded(world, asking("/", b'{"a": "x"}', JSON, *fields))
    assert all(name.lower() in request.headers for name in names)
