"""Requests held against what a service expects, from the configuration to both ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.integration.client import ask, connected, request, until
from tests.integration.gateway import before, running
from tests.integration.origins import OK, answering
from tests.security.stage import staged

JSON: Final = "application/json"
ORDER: Final = {
    "type": "object",
    "required": ["item"],
    "properties": {"item": {"type": "string"}, "count": {"type": "integer"}},
    "additionalProperties": False,
}
API: Final = """
openapi: 3.1.0
paths:
  /orders:
    post:
      requestBody: {required: true, content: {application/json: {schema: {type: object,
        required: [item], properties: {item: {type: string}}}}}}
      responses: {"200": {description: ok}}
"""


def validating(**options: Any) -> dict[str, Any]:
    return {"policies": {"validate": options}}


async def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    async with staged(tmp_path, config=validating(schema={"body": ORDER})) as stage:
        body = b'{"count": "<script>", "<b>": 1}'
        answer = await ask(stage.gateway.url, request("POST", "/", body, content_type=JSON))
        assert (answer.status, answer.error) == (422, "invalid_input")
        told = [(row["in"], row["pointer"], row["detail"]) for row in answer.json["errors"]]
        assert sorted(told) == [
            ("body", "", '"item" is a required property'),
            ("body", "/<b>", "is not allowed here"),
            ("body", "/count", 'is not of type "integer"'),
        ]  # fmt: skip
        page = request("POST", "/", body, content_type=JSON, accept="text/html")
        shown = (await ask(stage.gateway.url, page)).body
        assert b"<b>" not in shown
        assert b"/&lt;b&gt;" in shown
        assert stage.witness.heard == []
        [line, _] = await stage.gateway.lines(count=2)
        assert line["details"]["validate"].startswith("invalid_input: body ")


async def test_what_is_right_reaches_the_service_as_it_was(tmp_path: Path) -> None:
    async with staged(tmp_path, config=validating(schema={"body": ORDER})) as stage:
        body = b'{ "item" : "caf\xc3\xa9" , "count": 2 }'
        assert (
            await ask(stage.gateway.url, request("POST", "/", body, content_type=JSON))
        ).status == 200
        head = b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/json\r\n"
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
        chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        assert (await ask(stage.gateway.url, chunked)).status == 200
        assert [heard.body for heard in stage.witness.heard] == [body, body]
        # Held whole, it has a length.
        assert stage.witness.heard[1].all("content-length") == [str(len(body))]
        assert stage.witness.heard[1].all("transfer-encoding") == []


@pytest.mark.parametrize(
    ("body", "media", "expected"),
    [
        (b"{", JSON, (400, "malformed_body")),
        (b'{"a":1,"a":2}', JSON, (422, "invalid_input")),
        (b"[" * 100 + b"]" * 100, JSON, (400, "body_too_complex")),
        (b"x", "text/plain", (415, "unsupported_media_type")),
        (b'"' + b"x" * 2000 + b'"', JSON, (413, "body_too_large")),
    ],
)
async def test_each_refusal_has_its_status(
    tmp_path: Path, body: bytes, media: str, expected: tuple[int, str]
) -> None:
    async with staged(tmp_path, config=validating(content_types=JSON, size="1KiB")) as stage:
        answer = await ask(stage.gateway.url, request("POST", "/", body, content_type=media))
        assert (answer.status, answer.error) == expected
        # The connection serves on, as the body had been read or was left out of account.
        assert (await ask(stage.gateway.url, request())).status == 200


async def test_in_shadow_everything_passes_as_it_came(tmp_path: Path) -> None:
    config = validating(content_types=JSON, size="1KiB", mode="shadow")
    bodies = [b"{", b'"' + b"x" * 5000 + b'"']
    async with staged(tmp_path, config=config) as stage:
        for body in bodies:
            answer = await ask(stage.gateway.url, request("POST", "/", body, content_type=JSON))
            assert answer.status == 200
        assert [heard.body for heard in stage.witness.heard] == bodies
        lines = await stage.gateway.lines(count=2)
        assert [line["decisions"]["validate"] for line in lines] == ["would_refuse"] * 2


def upload(*files: tuple[str, bytes]) -> bytes:
    body = b""
    for name, data in files:
        body += b"--b\r\nContent-Disposition: form-data; name=f; filename=" + name.encode()
        body += b"\r\n\r\n" + data + b"\r\n"
    return body + b"--b--\r\n"


async def test_a_large_upload_streams_and_is_checked_on_its_way(tmp_path: Path) -> None:
    """The service gets the beginning before the client has sent the end."""
    config = validating(multipart={"file": "3MiB", "types": ["application/zip"]})
    async with staged(tmp_path, config=config) as stage:
        data = upload(("a.zip", b"PK\x03\x04" + bytes(2_000_000)))
        head = request("POST", "/", None, content_type="multipart/form-data; boundary=b")[:-2]
        head += b"Content-Length: %d\r\n\r\n" % len(data)
        async with connected(stage.gateway.url) as wire:
            await wire.send(head + data[:500_000])
            await until(lambda: len(stage.witness.raw.bytes_received) > 100_000)
            await wire.send(data[500_000:])
            assert (await wire.answer("POST")).status == 200
        [heard] = stage.witness.heard
        assert heard.body == data


ZIP: Final = ("a.zip", b"PK\x03\x04" + bytes(400_000))
COUNT: Final = {"body": {"properties": {"count": {"type": "integer"}}}}


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize(
    ("options", "data", "pointer"),
    [
        ({"multipart": {"types": ["application/zip"]}},
         upload(ZIP, ("b.zip", b"MZ" + bytes(600))), "/f"),
        ({"schema": COUNT},
         upload(ZIP).replace(b"--b--", b"--b") +
         b"Content-Disposition: form-data; name=count\r\n\r\nmany\r\n--b--\r\n", "/count"),
    ],
    ids=["file", "value"],
)  # fmt: skip
async def test_an_upload_that_turns_out_wrong_never_becomes_whole(
    tmp_path: Path, options: dict[str, Any], data: bytes, pointer: str, length: bool
) -> None:
    config = validating(**options)
    head = request("POST", "/", None, content_type="multipart/form-data; boundary=b")[:-2]
    if length:
        head += b"Content-Length: %d\r\n\r\n" % len(data)
    else:
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
    async with staged(tmp_path, config=config) as stage:
        answer = await ask(stage.gateway.url, head + data)
        assert (answer.status, answer.error) == (422, "invalid_input")
        assert answer.json["errors"][0]["pointer"] == pointer
        assert answer.headers["connection"] == "close"
        await until(lambda: bool(stage.witness.unfinished))
        assert stage.witness.heard == []


async def test_a_document_is_the_interface_and_is_read_again(tmp_path: Path) -> None:
    document = tmp_path / "api.yaml"
    document.write_text(API)
    async with before(answering(OK), tmp_path, policies={"validate": str(document)}) as (
        _,
        gateway,
    ):

        async def status(*args: Any) -> tuple[int, str]:
            answer = await ask(gateway.url, request(*args, content_type=JSON))
            return answer.status, answer.error if answer.status >= 400 else ""

        assert await status("POST", "/orders", b'{"item": "x"}') == (200, "")
        assert await status("POST", "/orders", b"{}") == (422, "invalid_input")
        assert await status("GET", "/orders") == (405, "method_not_allowed")
        assert await status("GET", "/other") == (404, "route_not_found")
        document.write_text(API.replace("/orders:", "/other:").replace("post:", "put:"))
        await gateway.lines("configuration reloaded")
        assert await status("PUT", "/other", b'{"item": "x"}') == (200, "")
        assert await status("POST", "/orders", b"{}") == (404, "route_not_found")


async def test_a_document_that_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text("openapi: 3.1.0\npaths: {/a: [\n")
    config = validating(openapi=str(tmp_path / "api.yaml"))
    with pytest.raises(Exception, match=r"policies\.validate.*api\.yaml, line 3"):
        async with running({"upstreams": {"a": "http://127.0.0.1:1"}, **config}, tmp_path):
            pass


async def test_what_a_service_answers_is_looked_at_and_passes(tmp_path: Path) -> None:
    document = tmp_path / "api.yaml"
    document.write_text(API.replace('{description: ok}', '{description: ok, content: '
                                    '{application/json: {schema: {required: [id]}}}}'))  # fmt: skip
    body = orjson.dumps({"no": "id"})
    wrong = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    script = answering(wrong % (len(body), body))
    options = {"file": str(document), "responses": "shadow"}
    policies = {"validate": {"openapi": options}}
    async with before(script, tmp_path, policies=policies) as (_, gateway):
        data = request("POST", "/orders", b'{"item": "x"}', content_type=JSON)
        answer = await ask(gateway.url, data)
        assert (answer.status, answer.body) == (200, body)
        [line] = await gateway.lines("a response is not as its OpenAPI document says")
        assert (line["operation"], line["violations"]) == (
            "POST /orders", ['"id" is a required property'],
        )  # fmt: skip
        metrics = await gateway.metrics()
        assert metrics['sidegate_invalid_responses_total{route="default"}'] == 1


async def test_a_client_that_waits_for_100_gets_it(tmp_path: Path) -> None:
    async with staged(tmp_path, config=validating(schema={"body": ORDER})) as stage:
        body = b'{"item": "x"}'
        head = request("POST", "/", None, content_type=JSON, expect="100-continue")[:-2]
        async with connected(stage.gateway.url) as wire:
            await wire.send(head + b"Content-Length: %d\r\n\r\n" % len(body))
            interim = await asyncio.wait_for(wire.head(), 10)
            assert interim.status == 100
            await wire.send(body)
            assert (await wire.answer("POST")).status == 200
        assert stage.witness.heard[0].body == body
