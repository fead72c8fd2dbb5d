"""shield: where it looks, what it weighs, and what it leaves alone."""

from __future__ import annotations

import gzip
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from pydantic import ValidationError

from proxy.contract import Request
from proxy.errors import Refused
from proxy.http1.target import decode_path
from proxy.policies.shield.policy import POLICY, Options, Shield
from tests.unit.policies.world import World, a_request
from tests.unit.test_body import Pieces

SQL = "x' or 1=1--"
SCRIPT = "<script>alert(1)</script>"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=b"


def asking(
    target: str = "/", *fields: tuple[str, str], body: bytes | Pieces = b"", media: str = ""
) -> Request:
    more = [("Content-Type", media)] if media else []
    request = a_request(target, *fields, *more, method="POST" if body else "GET")
    request.path = decode_path(request.path)
    request.body = body
    request.length = len(body) if isinstance(body, bytes) else None
    return request


async def found(world: World, request: Request, **options: Any) -> str:
    """What the refusal tells the log; empty when the request is admitted."""
    policy = Shield(Options.model_validate({"mode": "enforce", **options}), world.toolkit)
    try:
        waiting = policy.check(request)
        if waiting is not None:
            await waiting
        if not isinstance(request.body, bytes):
            async for _ in request.body:
                pass
    except Refused as refused:
        return f"{refused.status} {refused.code} {refused.cause}"
    return ""


def multipart(disposition: str, data: str) -> bytes:
    head = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return f"{head}{data}\r\n--b--\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "where"),
    [
        (asking(f"/a?id={quote(SQL)}"), "query:id"),
        (asking(f"/a?{quote(SQL)}=1"), "query:x' or 1"),
        (asking(f"/{quote(SCRIPT)}"), "path"),
        (asking(f"/users/{quote(SQL)}/orders"), "path"),
        (asking("/", ("Cookie", f"a=b; id={SQL}")), "cookie:id"),
        (asking("/", ("User-Agent", SQL)), "header:user-agent"),
        (asking("/", ("X-Api-Version", "${jndi:ldap://x.test/a}")), "header:x-api-version"),
        (asking("/", ("Referer", f"https://a.test/{SCRIPT}")), "header:referer"),
        (asking(body=orjson.dumps({"a": [1, {"b": SQL}]}), media=JSON), "json:/a/1/b"),
        (asking(body=orjson.dumps({"a": {SCRIPT: 1}}), media=JSON), "json:/a"),
        (asking(body=orjson.dumps({"u": {"$ne": None}}), media=JSON), "json:/u"),
        (asking(body=orjson.dumps(SQL), media=JSON), "json,"),
        (asking(body=b'{"a": "' + SQL.encode() + b'"}'), "json:/a"),
        (asking(body=b'{"a": "' + SCRIPT.encode() + b'", }', media=JSON), "json"),
        (asking(body=f"a=1&id={quote(SQL)}".encode(), media=FORM), "form:id"),
        (asking(body=b"user[$ne]=x", media=FORM), "form:user[$ne]"),
        (asking(body=multipart('name="id"', SQL), media=PARTS), "form:id"),
        (asking(body=multipart('name="f"; filename="../../x.sh"', "hi"), media=PARTS), "file:f"),
        (asking(body=b"preamble" + multipart('name="id"', SCRIPT), media=PARTS), "form:id"),
        (asking(body=b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///x">]>', media="text/xml"), "text"),
        (asking(body=SCRIPT.encode(), media="text/plain"), "text"),
        (asking(body=SCRIPT.encode(), media="nonsense"), "text"),
        (asking("/", ("Cookie", "a=b"), ("Cookie", f"id={SQL}")), "cookie:id"),
        (asking("/", ("Cookie", "user[$ne]=x")), "cookie:user[$ne]"),
        (asking("/?__proto__.admin=1"), "query:__proto__.admin"),
    ],
)  # fmt: skip
async def test_it_looks_everywhere(world: World, request_: Request, where: str) -> None:
    told = await found(world, request_)
    assert told.startswith("400 suspicious_input ")
    assert f" in {where}" in told


@pytest.mark.parametrize(
    "request_",
    [
        asking("/users/O'Brien?name=O%27Brien&q=cats+%26+dogs"),
        asking("/", ("Authorization", f"Bearer {SQL}")),
        asking(body=orjson.dumps({"a": "select a seat from the union hall"}), media=JSON),
        asking(body=SCRIPT.encode(), media="image/png"),
        asking(body=multipart('name="f"; filename="x.html"', SCRIPT), media=PARTS),
        asking(body=SCRIPT.encode(), media="application/octet-stream"),
        asking("*"),
    ],
)
async def test_what_it_leaves_alone(world: World, request_: Request) -> None:
    assert await found(world, request_) == ""


@pytest.mark.parametrize(
    "value", ["%27%20or%201%3D1--", "&#39; or 1=1--", "\\u0027 or 1=1--", "x'/**/or/**/1=1--"]
)
async def test_values_are_decoded_once_more(world: World, value: str) -> None:
    request = asking(body=orjson.dumps({"a": value}), media=JSON)
    assert "json:/a" in await found(world, request)


async def test_how_often_is_the_operator_s_choice(world: World) -> None:
    target = "/?a=" + quote(quote(quote(SQL)))
    assert await found(world, asking(target), rounds=2)
    assert not await found(world, asking(target), rounds=0)


async def test_bodies_in_pieces_and_coded_ones(world: World) -> None:
    stream = Pieces(b'{"a": "x\' or', b' 1=1--"}')
    assert "json:/a" in await found(world, asking(body=stream, media=JSON))
    coded = gzip.compress(orjson.dumps({"a": SQL}))
    request = asking("/", ("Content-Encoding", "gzip"), body=coded, media=JSON)
    assert "json:/a" in await found(world, request)


async def test_beyond_the_limit_a_body_passes_and_is_whole(world: World) -> None:
    start = b"<p>hello</p>" * 100
    request = asking(body=Pieces(start, SCRIPT.encode()), media="text/plain")
    policy = Shield(Options.model_validate({"mode": "enforce", "inspect": "1KiB"}), world.toolkit)
    waiting = policy.check(request)
    assert waiting is not None
    await waiting
    assert not isinstance(request.body, bytes)
    assert b"".join([piece async for piece in request.body]) == start + SCRIPT.encode()
    request = asking(body=SCRIPT.encode(), media="text/plain")
    assert await found(world, request, inspect=0) == ""


async def test_long_bodies_can_be_refused_and_files_pass_all_the_same(world: World) -> None:
    options = {"inspect": "1KiB", "beyond": "refuse"}
    text = asking(body=b"hello " * 500, media="text/plain")
    assert (await found(world, text, **options)).startswith("413 body_too_large")
    short = asking(body=b"hello " * 50, media="text/plain")
    assert await found(world, short, **options) == ""
    unpacked = asking(
        "/", ("Content-Encoding", "gzip"), body=gzip.compress(b"[" * 5000), media=JSON
    )
    assert (await found(world, unpacked, **options)).startswith("413 body_too_large")
    image = asking(body=b"\x89PNG" * 500, media="image/png")
    assert await found(world, image, **options) == ""
    file = asking(body=multipart('name="f"; filename="x"', "x" * 5000), media=PARTS)
    assert await found(world, file, **options) == ""


@pytest.mark.parametrize("coding", ["br", "gzip", "compress, gzip", "x" * 5000])
async def test_what_cannot_be_decoded_is_refused_or_passes(world: World, coding: str) -> None:
    request = asking("/", ("Content-Encoding", coding), body=b"?", media=JSON)
    assert (await found(world, request)).startswith("415 unsupported_media_type")
    request = asking("/", ("Content-Encoding", coding), body=b"?", media=JSON)
    assert await found(world, request, undecodable="pass") == ""
    # Its head is looked at before that.
    request = asking(f"/?a={quote(SQL)}", ("Content-Encoding", coding), body=b"?", media=JSON)
    assert "query:a" in await found(world, request)


async def test_fields_behind_a_long_file_are_looked_at_on_their_way(world: World) -> None:
    file = 'name="f"; filename="x"'
    start = multipart(file, "x" * 5000).removesuffix(b"--b--\r\n")
    whole = start + multipart('name="id"', SQL)
    for body in (whole, Pieces(*(whole[place : place + 700] for place in range(0, 6000, 700)))):
        request = asking(body=body, media=PARTS)
        assert "form:id" in await found(world, request, inspect="1KiB")
    harmless = start + multipart('name="id"', "5")
    request = asking(body=Pieces(harmless[:3000], harmless[3000:]), media=PARTS)
    assert await found(world, request, inspect="1KiB") == ""
    broken = start + b"--b\r\nnonsense\r\n\r\n"
    request = asking(body=Pieces(broken[:3000], broken[3000:]), media=PARTS)
    assert (await found(world, request, inspect="1KiB")).startswith("400 malformed_body")


async def test_a_stream_of_another_type_is_not_waited_for(world: World) -> None:
    """The service may answer it while it comes."""
    pieces = [b'{"a": 1}\n{"a"', b": 2}\n", b'{"a": "', SCRIPT.encode(), b'"}\n', b"{}"]
    stream = Pieces(*pieces)
    request = asking(body=stream, media="application/x-ndjson")
    policy = Shield(Options(mode="enforce"), world.toolkit)
    waiting = policy.check(request)
    assert waiting is not None
    await waiting
    assert len(stream._pieces) == len(pieces), "nothing was read yet"
    assert not isinstance(request.body, bytes)
    passed = [await anext(request.body) for _ in range(4)]
    assert passed == pieces[:4], "the line that isn't complete is worth nothing"
    with pytest.raises(Refused) as raised:
        await anext(request.body)
    assert "json:/a" in (raised.value.cause or "")
    assert raised.value.close
    assert [row.outcome for row in request.decisions] == ["refused"]
    whole = asking(body=SCRIPT.encode(), media="application/x-ndjson")
    assert "in json" in await found(world, whole)


async def test_in_shadow_a_stream_passes(world: World) -> None:
    pieces = [b'{"a": "', SCRIPT.encode(), b'"}\n']
    request = asking(body=Pieces(*pieces), media="application/x-ndjson")
    waiting = Shield(Options(), world.toolkit).check(request)
    assert waiting is not None
    await waiting
    assert not isinstance(request.body, bytes)
    assert [piece async for piece in request.body] == pieces
    assert [row.outcome for row in request.decisions] == ["would_refuse"]


async def test_weak_signs_refuse_only_together(world: World) -> None:
    one = asking("/?q=" + quote("read @@version of it"))
    two = asking("/?q=" + quote("char(1,2,3) and @@version of it"))
    assert not await found(world, one)
    assert await found(world, one, threshold=3)
    assert "score 6" in await found(world, two)
    # In two parameters they are two weak signs.
    apart = asking("/?q=" + quote("char(1,2,3) x") + "&r=" + quote("read @@version of it"))
    assert not await found(world, apart)


async def test_strict_sees_more(world: World) -> None:
    request = asking("/?q=" + quote("' or x"))
    assert not await found(world, request)
    assert await found(world, request, level="strict")


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"families": ["xss"]}, False),
        ({"families": "sqli"}, True),
        ({"ignore": "sqli"}, False),
        ({"ignore": ["sqli.string", "sqli.word", "sqli.tautology"]}, False),
        ({"ignore": ["sqli.string"]}, True),
        ({"exceptions": [{"parameter": "json:/a/b"}]}, False),
        ({"exceptions": [{"parameter": "json:/a/*"}]}, False),
        ({"exceptions": [{"parameter": "json:/*"}]}, True),
        ({"exceptions": [{"parameter": "json:/**"}]}, False),
        ({"exceptions": [{"parameter": "*"}]}, False),
        ({"exceptions": [{"parameter": "*:/a/b"}]}, False),
        ({"exceptions": [{"parameter": "query:/a/b"}]}, True),
        ({"exceptions": [{"parameter": "json:/a/b", "rules": "xss"}]}, True),
        ({"exceptions": [{"parameter": "json:/a/b", "rules": ["xss", "sqli"]}]}, False),
        ({"exceptions": [{"parameter": "json:/a.b"}]}, True),
    ],
)
async def test_rules_can_be_left_out(world: World, options: dict[str, Any], refused: bool) -> None:
    request = asking(body=orjson.dumps({"a": {"b": SQL}}), media=JSON)
    assert bool(await found(world, request, **options)) is refused


async def test_matches_are_counted_by_family(world: World) -> None:
    for target in ("/?a=" + quote(SQL), "/?a=" + quote(SQL), "/?a=b"):
        await found(world, asking(target))
    counts = world.journal.counts
    name = "sidegate_shield_matches_total"
    assert counts[(name, "shop", "sqli")].value == 2
    assert counts[(name, "shop", "xss")].value == 0


async def test_nothing_of_the_value_is_told(world: World) -> None:
    told = await found(world, asking("/?id=" + quote(SQL)))
    assert "1=1" not in told
    long = await found(world, asking(f"/?{'n' * 5000}=" + quote(SQL)))
    assert len(long) < 400


async def test_harmless_fields_are_remembered_within_bounds(world: World) -> None:
    policy = Shield(Options(mode="enforce"), world.toolkit)
    for number in range(5000):
        policy.check(asking("/", ("User-Agent", f"program/{number} (x; y)")))
    policy.check(asking("/", ("User-Agent", "x" * 5000)))
    assert len(policy._inspector._clean) <= 4096
    assert max(map(len, policy._inspector._clean)) <= 512
    for _ in range(2):
        with pytest.raises(Refused):
            policy.check(asking("/", ("User-Agent", SQL)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ignore": "sqli.nope"}, "there are sqli.blind, sqli.block"),
        ({"ignore": "nope"}, "there are command, crlf"),
        ({"families": ["nope"]}, "'sqli'"),
        ({"exceptions": [{"parameter": "body:a"}]}, "begins with no place"),
        ({"exceptions": [{"parameter": "query"}]}, "name the parameter, or write query:**"),
        ({"exceptions": [{"parameter": "path:x"}]}, "path has no names; write it alone"),
        ({"threshold": 0}, "greater than or equal to 1"),
        ({"rounds": 9}, "less than or equal to 4"),
        ({"inspect": "1GiB"}, "less than or equal to"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)


def test_it_only_watches_unless_told_otherwise() -> None:
    assert Options().mode == "shadow"
    assert not POLICY.default
