"""validate: what a request has to be, and what a client is told who sent another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from proxy.contract import Request, Response
from proxy.errors import Refused
from proxy.policies.validate.options import Options
from proxy.policies.validate.policy import POLICY, Validating
from tests.unit.policies.validate.shop import written
from tests.unit.policies.world import (
    World,
    a_request,
    answering,
    standing,
    upstream_response,
)
from tests.unit.test_body import Pieces

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=b"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(600)
ORDER = {
    "type": "object",
    "required": ["item"],
    "properties": {"item": {"type": "string"}, "count": {"type": "integer"}},
    "additionalProperties": False,
}


def posting(
    body: bytes | Pieces | list[bytes],
    media: str = JSON,
    *fields: tuple[str, str],
    target: str = "/",
    method: str = "POST",
    captures: dict[str, str] | None = None,
) -> Request:
    more = [("Content-Type", media)] if media else []
    request = a_request(target, *fields, *more, method=method, captures=captures)
    request.body = Pieces(*body) if isinstance(body, list) else body
    request.length = len(body) if isinstance(body, bytes) else None
    return request


async def refused(world: World, request: Request, **options: Any) -> Refused | None:
    """The refusal, also one that comes while the body is forwarded."""
    policy = Validating(Options.model_validate(options), world.toolkit)
    try:
        await checked(policy, request)
        if not isinstance(request.body, bytes):
            await drain(request, [])
    except Refused as error:
        return error
    return None


async def checked(policy: Validating, request: Request) -> None:
    """As the gate's binder does it."""
    waits = policy.check(request)
    if waits is not None:
        await waits


async def drain(request: Request, into: list[bytes]) -> None:
    """Read a body as the service would get it."""
    assert not isinstance(request.body, bytes)
    async for piece in request.body:
        into.append(piece)


async def told(world: World, request: Request, **options: Any) -> tuple[int, str]:
    """Status and code of the refusal; (0, "") for none."""
    error = await refused(world, request, **options)
    return (0, "") if error is None else (error.status, error.code)


FINE = (0, "")
OTHER_TYPE = (415, "unsupported_media_type")
TOO_LARGE = (413, "body_too_large")
MALFORMED = (400, "malformed_body")
COMPLEX = (400, "body_too_complex")
WRONG = (422, "invalid_input")


@pytest.mark.parametrize(
    ("media", "allowed", "expected"),
    [
        (JSON, JSON, FINE),
        ("application/json; charset=utf-8", [JSON, FORM], FINE),
        ("application/vnd.x+json", "*+json", FINE),
        ("image/png", "image/*", FINE),
        ("image/png", "*/*", FINE),
        ("image/png", JSON, OTHER_TYPE),
        ("text/plain", [JSON, FORM], OTHER_TYPE),
        ("", JSON, OTHER_TYPE),
        ("application/json, text/plain", JSON, OTHER_TYPE),
        ("application/json; charset=utf-16", JSON, OTHER_TYPE),
    ],
)
async def test_types(world: World, media: str, allowed: Any, expected: tuple[int, str]) -> None:
    assert await told(world, posting(b"{}", media), content_types=allowed) == expected


async def test_without_a_body_there_is_no_type(world: World) -> None:
    request = a_request("/")
    assert await told(world, request, content_types=JSON) == FINE


@pytest.mark.parametrize(
    ("wanted", "body", "expected"),
    [
        ("required", b"{}", FINE),
        ("required", b"", WRONG),
        ("required", [], WRONG),
        ("optional", b"", FINE),
        ("optional", [], FINE),
        ("forbidden", b"", FINE),
        ("forbidden", [], FINE),
        ("forbidden", b"{}", WRONG),
        ("forbidden", [b"{}"], WRONG),
    ],
)
@pytest.mark.parametrize("media", [JSON, "image/png", PARTS, ""])
async def test_whether_there_is_a_body(
    world: World, wanted: str, body: Any, expected: tuple[int, str], media: str
) -> None:
    if media == PARTS and body in (b"{}", [b"{}"]) and wanted == "required":
        expected = MALFORMED
    assert await told(world, posting(body, media), body=wanted) == expected


@pytest.mark.parametrize("media", [JSON, FORM, "image/png", "text/plain", ""])
@pytest.mark.parametrize("pieces", [False, True])
async def test_sizes(world: World, media: str, pieces: bool) -> None:
    def of(size: int) -> bytes | list[bytes]:
        text = b'"' + b"x" * (size - 2) + b'"'
        return [text[:50], text[50:]] if pieces else text

    options = {"size": "100B"}
    assert await told(world, posting(of(100), media), **options) == FINE
    assert await told(world, posting(of(101), media), **options) == TOO_LARGE


async def test_what_is_held_in_memory_is_bounded(world: World) -> None:
    long = [b'"' + b"x" * 600, b"x" * 600 + b'"']
    assert await told(world, posting(long), buffer="1KiB") == TOO_LARGE
    assert await told(world, posting(long, "text/plain"), buffer="1KiB") == FINE


@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        (b'{"a": [1, {"b": null}]}', {}, FINE),
        (b"{", {}, MALFORMED),
        (b'{"a": 1}}', {}, MALFORMED),
        (b'{"a":1,"a":2}', {}, WRONG),
        (b'{"a":1,"a":2}', {"duplicates": "pass"}, FINE),
        (b"[" * 33 + b"]" * 33, {}, COMPLEX),
        (b"[[1]]", {"depth": 1}, COMPLEX),
        (b'{"a":1,"b":2}', {"keys": 1}, COMPLEX),
        (b"[1,2,3]", {"items": 2}, COMPLEX),
        (b"[123456]", {"digits": 5}, COMPLEX),
        (b'{"abcdef":1}', {"name": 5}, COMPLEX),
    ],
)
async def test_json(
    world: World, body: bytes, options: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert await told(world, posting(body), json=options) == expected


@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        (b"a=1&b=2", {}, FINE),
        (b"a=1&a=2", {}, FINE),
        (b"a=1&a=2", {"repeats": "refuse"}, WRONG),
        (b"a=1&b=2", {"fields": 1}, COMPLEX),
        (b"abc=1", {"name": 2}, COMPLEX),
        (b"a=123", {"value": "2B"}, WRONG),
        (b"a=%ff", {}, FINE),
        (b"a=\xff", {}, MALFORMED),
    ],
)
async def test_forms(
    world: World, body: bytes, options: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert await told(world, posting(body, FORM), form=options) == expected


def parts(*rows: tuple[str, bytes], end: bytes = b"--b--\r\n") -> bytes:
    body = b""
    for head, data in rows:
        body += f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
    return body + end


FILE = ('name="f"; filename="a.png"', PNG)
VALUE = ('name="a"', b"1")


@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        (parts(VALUE, FILE), {}, FINE),
        (parts(VALUE, FILE), {"parts": 1}, COMPLEX),
        (parts(FILE, FILE), {"files": 1}, COMPLEX),
        (parts(FILE), {"file": "500B"}, TOO_LARGE),
        (parts(FILE), {"file": "608B"}, FINE),
        (parts(('name="a"', b"x" * 50)), {"value": "49B"}, TOO_LARGE),
        (parts(FILE), {"types": "image/png"}, FINE),
        (parts(FILE), {"types": "image/*"}, FINE),
        (parts(FILE), {"types": ["application/pdf", "image/jpeg"]}, WRONG),
        (parts(('name="f"; filename="a.png"', b"<script>")), {"types": "image/*"}, WRONG),
        (parts(('name="f"; filename="a.png"', b"MZ")), {"types": "image/*"}, WRONG),
        (parts(('name="f"; filename=""', b"")), {"types": "image/*"}, FINE),
        (parts(('name="a"', b"MZ")), {"types": "image/*"}, FINE),
        (parts(('name="f"; filename="../x.png"', PNG)), {}, WRONG),
        (parts(('name="f"; filename="a\\b.png"', PNG)), {}, WRONG),
        (parts(('name="f"; filename=".."', PNG)), {}, WRONG),
        (parts(VALUE, end=b""), {}, MALFORMED),
        (b"x", {}, MALFORMED),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 100, 70_000])
async def test_forms_in_parts(
    world: World, body: bytes, options: dict[str, Any], expected: tuple[int, str], size: int
) -> None:
    pieces = [body[at : at + size] for at in range(0, len(body), size)] if size else body
    assert await told(world, posting(pieces, PARTS), multipart=options) == expected


PHOTO = ('name="photo"; filename="a.png"', PNG)
TITLE = ('name="title"', b"sunset")
AS_JSON = "\r\nContent-Type: application/json"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([TITLE, PHOTO], []),
        ([PHOTO, TITLE, ('name="count"', b"3")], []),
        ([TITLE], ["/"]),
        ([PHOTO], ["/"]),
        ([TITLE, PHOTO, ('name="count"', b"many")], ["/count"]),
        ([TITLE, PHOTO, ('name="count"', b"1"), ('name="count"', b"2")], ["/count"]),
        ([TITLE, PHOTO, ('name="count"; filename="x"', b"1")], ["/count"]),
        ([('name="title"', b"x" * 11), PHOTO, ('name="count"', b"x")], ["/count", "/title"]),
        ([TITLE, PHOTO, ('name="admin"', b"1")], ["/admin"]),
        ([TITLE, PHOTO, ('name="tags"', b"a")], []),
        ([TITLE, PHOTO, ('name="tags"', b"a"), ('name="tags"', b"c")], ["/tags/1"]),
        ([TITLE, PHOTO, ('name="sizes"', b"1"), ('name="sizes"', b"2")], []),
        ([TITLE, PHOTO, ('name="sizes"', b"1"), ('name="sizes"', b"x")], ["/sizes/1"]),
        ([TITLE, PHOTO, ('name="place"', b'{"city": "Oslo"}')], []),
        ([TITLE, PHOTO, (f'name="place"{AS_JSON}', b'{"city": 1}')], ["/place/city"]),
        ([TITLE, PHOTO, ('name="place"', b"Oslo")], ["/place"]),
        ([TITLE, PHOTO, ('name="place"', b'{"city": "a", "city": "b"}')], ["/place/city"]),
        ([TITLE, PHOTO, ('name="places"', b'{"city": "Oslo"}')], []),
        ([TITLE, PHOTO, ('name="places"', b'[{"city": "Oslo"}, {}]')], ["/places/1"]),
        ([TITLE, PHOTO, (f'name="count"{AS_JSON}', b"3")], []),
        ([TITLE, PHOTO, (f'name="count"{AS_JSON}', b'"3"')], ["/count"]),
        ([TITLE, PHOTO, ('name="more"; filename="a"', b""), ('name="more"; filename="b"', b"")],
         []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [0, 70])
async def test_the_values_of_a_form_in_parts_are_held_against_a_schema(
    world: World, tmp_path: Path, rows: list[tuple[str, bytes]], expected: list[str], size: int
) -> None:
    body = parts(*rows)
    data = [body[at : at + size] for at in range(0, len(body), size)] if size else body
    error = await refused(
        world, posting(data, PARTS, target="/v1/photos"), openapi=written(tmp_path)
    )
    found = [] if error is None else sorted(row.pointer or "/" for row in error.violations)
    assert found == expected
    assert error is None or (error.status, error.code) == WRONG


async def test_values_of_a_form_in_parts_have_to_be_readable(world: World) -> None:
    options: dict[str, Any] = {"schema": {"body": ORDER}, "buffer": "1KiB"}
    assert await told(world, posting(parts(('name="item"', b"a")), PARTS), **options) == FINE
    assert (
        await told(world, posting(parts(('name="item"', b"\xff")), PARTS), **options) == MALFORMED
    )
    ebcdic = ('name="item"\r\nContent-Type: text/plain; charset=ibm037', b"a")
    assert await told(world, posting(parts(ebcdic), PARTS), **options) == OTHER_TYPE
    much = parts(*[('name="item"', b"x" * 300)] * 4)
    assert await told(world, posting(much, PARTS), **options) == TOO_LARGE


async def test_a_form_in_parts_that_is_wrong_at_its_end_never_becomes_whole(world: World) -> None:
    body = parts(('name="f"; filename="a"', bytes(300_000)), ('name="count"', b"x"))
    request = posting([body[at : at + 10_000] for at in range(0, len(body), 10_000)], PARTS)
    request.length = len(body)
    schema = {"properties": {"count": {"type": "integer"}}}
    policy = Validating(Options.model_validate({"schema": {"body": schema}}), world.toolkit)
    await checked(policy, request)
    passed: list[bytes] = []
    with pytest.raises(Refused) as raised:
        await drain(request, passed)
    assert [row.pointer for row in raised.value.violations] == ["/count"]
    assert len(b"".join(passed)) < len(body)


async def test_a_form_in_parts_is_not_held(world: World) -> None:
    """What is wrong far behind is found on its way, and the service gets no end of it."""
    big = parts(('name="f"; filename="a.bin"', bytes(300_000)), ('name="g"; filename="/x"', b"y"))
    request = posting([big[at : at + 10_000] for at in range(0, len(big), 10_000)], PARTS)
    policy = Validating(Options(), world.toolkit)
    await checked(policy, request)
    passed: list[bytes] = []
    with pytest.raises(Refused) as raised:
        await drain(request, passed)
    assert raised.value.close
    assert big.startswith(b"".join(passed))
    assert 250_000 < len(b"".join(passed)) < len(big)
    assert request.decisions == [("validate", "refused", "invalid_input")]


async def test_in_shadow_it_passes_to_its_end(world: World) -> None:
    big = parts(('name="f"; filename="a.bin"', bytes(300_000)), ('name="g"; filename="/x"', b"y"))
    request = posting([big[at : at + 10_000] for at in range(0, len(big), 10_000)], PARTS)
    await checked(Validating(Options(mode="shadow"), world.toolkit), request)
    assert not isinstance(request.body, bytes)
    assert b"".join([piece async for piece in request.body]) == big
    assert request.decisions == [("validate", "would_refuse", "invalid_input")]


@pytest.mark.parametrize(
    ("schema", "request_", "status", "expected"),
    [
        ({"body": ORDER}, posting(b'{"item": "x", "count": 2}'), 0, []),
        ({"body": ORDER}, posting(b'{"count": "<b>", "x": 1}'), 422,
         ["body/x is not allowed here", 'body/count is not of type "integer"',
          'body "item" is a required property']),
        ({"body": ORDER}, posting(b"item=x&count=2", FORM), 0, []),
        ({"body": ORDER}, posting(b"item=x&count=two", FORM), 422,
         ['body/count is not of type "integer"']),
        ({"query": {"properties": {"n": {"type": "integer", "maximum": 9}}}},
         a_request("/?n=5"), 0, []),
        ({"query": {"properties": {"n": {"type": "integer", "maximum": 9}}}},
         a_request("/?n=10"), 400, ["query/n is greater than the maximum of 9"]),
        ({"query": {"properties": {"n": {"type": "array", "items": {"type": "string"}}}}},
         a_request("/?n=1"), 0, []),
        ({"query": {"properties": {"n": {"type": "string"}}}},
         a_request("/?n=1&n=2"), 400, ['query/n is not of type "string"']),
        ({"path": {"properties": {"id": {"type": "integer"}}}},
         a_request("/", captures={"id": "7"}), 0, []),
        ({"path": {"properties": {"id": {"type": "integer"}}}},
         a_request("/", captures={"id": "x"}), 400, ['path/id is not of type "integer"']),
        ({"headers": {"required": ["x-key"]}}, a_request("/", ("X-Key", "a")), 0, []),
        ({"headers": {"required": ["x-key"]}}, a_request("/"), 400,
         ['header "x-key" is a required property']),
        ({"query": {"$defs": {"n": {"type": "integer"}},
                    "properties": {"n": {"$ref": "#/$defs/n"}}}}, a_request("/?n=5"), 0, []),
    ],
)  # fmt: skip
async def test_schemas(
    world: World, schema: dict[str, Any], request_: Request, status: int, expected: list[str]
) -> None:
    error = await refused(world, request_, schema=schema)
    if not expected:
        assert error is None
        return
    assert error is not None
    assert (error.status, error.code) == (status, "invalid_input")
    shown = [f"{row.place}{row.pointer} {row.detail}" for row in error.violations]
    assert sorted(shown) == sorted(expected)
    assert "<b>" not in str(error)


async def test_a_schema_wants_something_that_it_can_read(world: World) -> None:
    schema = {"body": ORDER}
    assert await told(world, posting(b"x", "text/plain"), schema=schema) == OTHER_TYPE
    coded = posting(b"x", JSON, ("Content-Encoding", "br"))
    assert await told(world, coded, schema=schema) == OTHER_TYPE
    assert await told(world, a_request("/"), schema=schema) == FINE


async def test_schemas_in_files(world: World, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_bytes(orjson.dumps(ORDER))
    options = {"schema": {"body": str(file)}}
    assert await told(world, posting(b"{}"), **options) == WRONG
    assert Options.model_validate(options).files() == (str(file),)


# -- OpenAPI -----------------------------------------------------------------------------------

TENANT = ("X-Tenant", "acme")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (a_request("/v1/orders", TENANT), FINE),
        (a_request("/v1/orders", TENANT, method="HEAD"), FINE),
        (a_request("/v1/orders"), (400, "invalid_input")),
        (a_request("/v1/nope"), (404, "route_not_found")),
        (a_request("/orders", TENANT), (404, "route_not_found")),
        (a_request("/v1/orders", TENANT, method="PUT"), (405, "method_not_allowed")),
        (
            a_request("/v1/orders", TENANT, ("X-HTTP-Method-Override", "DELETE"), method="GET"),
            (405, "method_not_allowed"),
        ),
        (a_request("/v1/orders", TENANT, ("X-HTTP-Method-Override", "get"), method="GET"), FINE),
        (posting(b'{"item": "x"}', JSON, TENANT, target="/v1/orders"), FINE),
        (posting(b"item=x", FORM, TENANT, target="/v1/orders"), FINE),
        (posting(b"{}", JSON, TENANT, target="/v1/orders"), WRONG),
        (posting(b"x=1", FORM, TENANT, target="/v1/orders"), WRONG),
        (posting(b"", "", TENANT, target="/v1/orders"), WRONG),
        (posting(b"x", "text/plain", TENANT, target="/v1/orders"), OTHER_TYPE),
        (posting(PNG, "image/png", target="/v1/upload"), FINE),
        (posting(PNG, "video/mp4", target="/v1/upload"), OTHER_TYPE),
        (posting(b"", "", target="/v1/upload"), FINE),
    ],
)
async def test_operations(
    world: World, tmp_path: Path, request_: Request, expected: tuple[int, str]
) -> None:
    assert await told(world, request_, openapi=written(tmp_path)) == expected


async def test_a_wrong_method_is_told_the_right_ones(world: World, tmp_path: Path) -> None:
    request = a_request("/v1/orders", TENANT, method="PUT")
    error = await refused(world, request, openapi={"file": written(tmp_path)})
    assert error is not None
    assert error.headers == (("Allow", "GET, POST, HEAD"),)


@pytest.mark.parametrize(("unknown", "passes"), [("refuse", False), ("pass", True)])
async def test_parameters_that_are_not_in_the_document(
    world: World, tmp_path: Path, unknown: str, passes: bool
) -> None:
    options = {"openapi": {"file": written(tmp_path), "unknown_query": unknown}}
    error = await refused(world, a_request("/v1/orders?limit=5&more=1", TENANT), **options)
    assert (error is None) is passes


async def test_what_is_unknown_can_pass(world: World, tmp_path: Path) -> None:
    options = {"openapi": {"file": written(tmp_path), "unknown": "pass"}}
    assert await told(world, a_request("/v1/nope"), **options) == FINE
    assert await told(world, a_request("/v1/orders", TENANT, method="PUT"), **options) == FINE


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (upstream_response(200, ("Content-Type", JSON), body=b'[{"id": 1, "item": "x"}]'), ""),
        (upstream_response(200, ("Content-Type", JSON), body=b'[{"item": "x"}]'),
         '/0 "id" is a required property'),
        (upstream_response(200, ("Content-Type", JSON), body=b"["), "no valid JSON"),
        (upstream_response(200, ("Content-Type", "text/plain"), body=b"x"),
         "has a type that is not in the document"),
        (upstream_response(503, body=b"x"), "has a status that is not in the document"),
        (upstream_response(404, body=b"x"), ""),
        (upstream_response(304), ""),
        (upstream_response(200, ("Content-Type", JSON), ("Content-Encoding", "gzip")), ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pieces", [False, True])
async def test_responses_pass_and_are_looked_at(
    world: World, tmp_path: Path, response: Response, words: str, pieces: bool
) -> None:
    options = Options.model_validate(
        {"openapi": {"file": written(tmp_path), "responses": "shadow"}}
    )
    if response.status == 304:
        words = "has a status that is not in the document"
    given = response.copy()
    assert isinstance(given.body, bytes)
    whole = given.body
    if pieces:
        given.body = Pieces(whole[:3], whole[3:])
    handle = standing(Validating(options, world.toolkit), answering(given))
    answer = await handle(a_request("/v1/orders", TENANT))
    body = answer.body
    if not isinstance(body, bytes):
        body = b"".join([piece async for piece in body])
    assert (answer.status, body) == (response.status, whole)
    notes = [facts for level, _, facts in world.journal.lines if level == "warning"]
    assert len(notes) == bool(words)
    count = world.journal.counts[("sidegate_invalid_responses_total", "shop")].value
    assert count == bool(words)
    if words:
        assert words in notes[0]["violations"][0]
        assert notes[0]["operation"] == "GET /orders"


async def test_responses_are_left_alone_unless_asked_for(world: World, tmp_path: Path) -> None:
    policy = Validating(Options.model_validate({"openapi": written(tmp_path)}), world.toolkit)
    assert not hasattr(policy, "replace")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"content_types": "json"}, "is no media type"),
        ({"content_types": "a/b; c=d"}, "is no media type"),
        ({"openapi": "/nowhere.yaml"}, "/nowhere.yaml can't be read"),
        ({"schema": {"body": {"type": "nope"}}}, "schema.body: the schema can't be used"),
        ({"schema": {"query": "/nowhere.json"}}, "schema.query: /nowhere.json can't be read"),
        ({"json": {"depth": 0}}, "greater than or equal to 1"),
        ({"buffer": "1B"}, "greater than or equal to 1024"),
        ({"schema": {"cookies": {}}}, "cookies"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)


def test_it_has_a_short_form() -> None:
    assert POLICY.shorthand == "openapi"
