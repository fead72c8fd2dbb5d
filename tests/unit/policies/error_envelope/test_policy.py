"""error_envelope: what clients are told of failures, and what they are never told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest

from proxy.contract import Handler, Request, Response
from proxy.errors import Aborted, GatewayError, Refused, Violation
from proxy.policies.error_envelope.options import Options
from proxy.policies.error_envelope.policy import ErrorEnvelope
from tests.unit.policies.world import (
    World,
    a_request,
    answering,
    failing,
    standing,
    upstream_response,
)

REFUSAL = Refused("rate_limited", "Limit of 5 requests per minute exceeded.")


async def answered(
    world: World, inside: Handler, request: Request | None = None, **options: Any
) -> Response:
    request = request or a_request("/api/login")
    request.id = "0199-id"
    return await standing(ErrorEnvelope(Options(**options), world.toolkit), inside)(request)


def facts(response: Response) -> dict[str, Any]:
    assert isinstance(response.body, bytes)
    assert response.length == len(response.body)
    value = orjson.loads(response.body)
    assert isinstance(value, dict)
    return value


async def test_a_refusal_becomes_the_envelope(world: World) -> None:
    response = await answered(world, failing(REFUSAL))
    assert response.status == 429
    assert response.error == "rate_limited"
    assert dict(response.headers.items()) == {
        "content-type": "application/json",
        "cache-control": "no-store",
    }
    assert facts(response) == {
        "error": "rate_limited",
        "detail": "Limit of 5 requests per minute exceeded.",
        "status": 429,
        "timestamp": "2026-11-23T15:04:05.123Z",
        "path": "/api/login",
        "request_id": "0199-id",
    }


def test_one_refusal_for_many_requests_is_answered_as_each_wants_it(world: World) -> None:
    """As an envelope answers that never met it."""
    known = ErrorEnvelope(Options(), world.toolkit)
    one = Refused("rate_limited", "Slow down.", headers=(("Retry-After", "1"),))
    other = Refused("forbidden", violations=(Violation("query", "/a", "wrong"),))
    asked = [
        (error, a_request(path, *accept, method=method))
        for error in (one, other, one)
        for path in ("/a", "/b")
        for accept in ((), (("Accept", "text/html"),), (("Accept", "text/plain"),))
        for method in ("GET", "HEAD")
    ]
    for number, (error, request) in enumerate(asked):
        request.id = str(number)
        fresh = ErrorEnvelope(Options(), world.toolkit).rescue(request, error.again())
        response = known.rescue(request, error)
        assert (response.status, response.body, response.length, response.error) == (
            fresh.status, fresh.body, fresh.length, fresh.error,
        )  # fmt: skip
        assert response.headers.lines == fresh.headers.lines
        response.headers.set("X-Of-This-One", "1")
    one.headers = (("Retry-After", "2"),)
    assert known.rescue(a_request(), one).headers.get("retry-after") == "2"


async def test_refusals_that_are_alike_share_no_fields(world: World) -> None:
    twice = (("WWW-Authenticate", "Basic"), ("WWW-Authenticate", "Bearer"))
    error = Refused("forbidden", headers=twice)
    policy = standing(ErrorEnvelope(Options(), world.toolkit), failing(error))
    first = await policy(a_request())
    first.headers.set("X-Of-The-First", "1")
    second = await policy(a_request())
    assert second.headers.get_all("www-authenticate") == ["Basic", "Bearer"]
    assert "x-of-the-first" not in second.headers
    page = await policy(a_request("/", ("Accept", "text/html")))
    assert page.headers.get("content-type") == "text/html; charset=utf-8"
    assert page.headers.get_all("www-authenticate") == ["Basic", "Bearer"]


async def test_problem_details_carry_the_same_facts(world: World) -> None:
    response = await answered(world, failing(REFUSAL), format="problem")
    assert response.headers.get("content-type") == "application/problem+json"
    told = facts(response)
    assert (told.pop("type"), told.pop("title")) == ("about:blank", "Too Many Requests")
    assert told == facts(await answered(world, failing(REFUSAL)))


async def test_fields_of_the_failure_and_the_end_of_the_connection_are_told(world: World) -> None:
    error = GatewayError("method_not_allowed", headers=(("Allow", "GET, HEAD"),), close=True)
    response = await answered(world, failing(error))
    assert (response.status, response.headers.get("allow")) == (405, "GET, HEAD")
    assert response.close


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("text/plain", "text/plain"),
    ],
)
async def test_the_form_follows_what_the_client_prefers(
    world: World, accept: str, media: str
) -> None:
    request = a_request("/", ("Accept", accept))
    response = await answered(world, failing(REFUSAL), request)
    assert (response.headers.get("content-type") or "").partition(";")[0] == media
    assert b"Limit of 5 requests per minute exceeded." in bytes_of(response)


async def test_text_is_one_line(world: World) -> None:
    request = a_request("/", ("Accept", "text/plain"))
    assert bytes_of(await answered(world, failing(REFUSAL), request)) == (
        b"429 Too Many Requests: Limit of 5 requests per minute exceeded. "
        b"(rate_limited, request 0199-id)\n"
    )


class Page(HTMLParser):
    """Collects the tags of a page, and checks that each is closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_is_well_formed_escaped_and_needs_nothing_else(world: World) -> None:
    request = a_request("/", ("Accept", "text/html"))
    request.path = "/<script>alert(1)</script>\"'&\udcff"
    text = bytes_of(await answered(world, failing(REFUSAL), request)).decode()
    page = Page(text)
    assert "script" not in page.seen
    assert page.links == []
    assert {"html", "title", "main", "h1"} <= set(page.seen)
    assert '<html lang="en">' in text
    assert 'name="color-scheme" content="light dark"' in text


@pytest.mark.parametrize(
    "path", ["/\udcff\udcfe", "/ü/\u2028", '/"\\', "/\ud800", "", "*", "/{error}/%s"]
)
@pytest.mark.parametrize("accept", ["application/json", "text/html", "text/plain"])
async def test_any_path_can_be_told(world: World, path: str, accept: str) -> None:
    request = a_request("/", ("Accept", accept))
    request.path = path
    response = await answered(world, failing(REFUSAL), request)
    text = bytes_of(response).decode("utf-8")
    if accept == "application/json":
        assert json.loads(text)["path"] == path.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("accept", ["*/*", "text/html", "text/plain"])
async def test_head_has_the_fields_of_get_and_no_body(world: World, accept: str) -> None:
    got = await answered(world, failing(REFUSAL), a_request("/", ("Accept", accept)))
    head = await answered(
        world, failing(REFUSAL), a_request("/", ("Accept", accept), method="HEAD")
    )
    assert head.body == b""
    assert head.length == got.length
    assert list(head.headers.items()) == list(got.headers.items())


async def test_nothing_internal_reaches_the_client(world: World) -> None:
    error = GatewayError("upstream_unreachable", cause="10.0.0.7:5432 refused")
    response = await answered(world, failing(error))
    assert b"10.0.0.7" not in bytes_of(response)
    level, _, told = world.journal.lines[0]
    assert level == "warning"
    assert told["cause"] == "10.0.0.7:5432 refused"
    assert told["request_id"] == "0199-id"


async def test_an_unexpected_exception_is_a_500_and_a_line_in_the_log(world: World) -> None:
    response = await answered(world, failing(KeyError("secret")))
    assert (response.status, facts(response)["error"]) == (500, "internal_error")
    assert b"secret" not in bytes_of(response)
    (level, _, told), (next_level, _, _) = world.journal.lines
    assert (level, next_level) == ("error", "debug")
    assert told["exception_class"] == "KeyError"
    assert "world.py:" in told["raised_at"]
    assert "exc_info" not in told
    assert told["request_id"] == "0199-id"


async def test_an_aborted_exchange_is_not_answered(world: World) -> None:
    with pytest.raises(Aborted):
        await answered(world, failing(Aborted("upstream_closed")))


HTML = ("Content-Type", "text/html; charset=utf-8")
JSON = ("Content-Type", "application/json")
PROBLEM = ("Content-Type", "application/problem+json")
OURS = b'{"error":"x","detail":"d","status":500,"request_id":"1"}'


@pytest.mark.parametrize(
    ("upstream", "status", "field", "body", "replaced"),
    [
        ("non_json", 500, HTML, b"<h1>", True),
        ("non_json", 503, ("X-A", "no type"), b"", True),
        ("non_json", 500, JSON, b"{}", False),
        ("non_json", 500, PROBLEM, b"{}", False),
        ("non_json", 500, ("Content-Type", "Application/Vnd.Api+JSON"), b"{}", False),
        ("non_json", 500, ("Content-Type", "text/json-ish"), b"{}", True),
        ("non_json", 404, HTML, b"<h1>", False),
        ("non_json", 200, HTML, b"<h1>", False),
        ("never", 500, HTML, b"<h1>", False),
        ("never", 599, HTML, b"<h1>", False),
        ("always", 404, HTML, b"<h1>", True),
        ("always", 500, JSON, b'{"message": "no"}', True),
        ("always", 500, JSON, OURS, False),
        ("always", 500, JSON, b"not json", True),
        ("always", 500, JSON, b"[1]", True),
        ("always", 399, HTML, b"<h1>", False),
    ],
)
async def test_which_upstream_errors_are_replaced(
    world: World, upstream: str, status: int, field: tuple[str, str], body: bytes, replaced: bool
) -> None:
    came = upstream_response(status, field, body=body)
    response = await answered(world, answering(came), upstream=upstream)
    assert response.status == status
    if replaced:
        code = "upstream_error" if status >= 500 else "upstream_refused"
        assert facts(response)["error"] == response.error == code
        assert facts(response)["status"] == status
    else:
        assert bytes_of(response) == body
        assert response.error == ""


async def test_with_problem_details_an_upstreams_own_problem_stays(world: World) -> None:
    for field, replaced in ((PROBLEM, False), (JSON, True)):
        came = upstream_response(404, field, body=OURS)
        response = await answered(world, answering(came), upstream="always", format="problem")
        assert (response.error == "upstream_refused") is replaced


async def test_a_canned_error_of_our_own_stays(world: World) -> None:
    canned = Response(503, body=b"Back at noon.")
    assert await answered(world, answering(canned), upstream="always") is canned


async def test_a_replaced_response_keeps_what_is_not_about_its_body(world: World) -> None:
    kept = [
        ("Retry-After", "120"),
        ("WWW-Authenticate", "Basic"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Access-Control-Allow-Origin", "*"),
        ("Allow", "GET"),
        ("Location", "/x"),
        ("Vary", "Origin"),
    ]
    gone = [
        HTML,
        ("Content-Encoding", "gzip"),
        ("Content-Language", "de"),
        ("ETag", '"1"'),
        ("Last-Modified", "Mon, 23 Nov 2026 15:04:05 GMT"),
        ("Cache-Control", "max-age=60"),
        ("Expires", "0"),
        ("Accept-Ranges", "bytes"),
    ]
    response = await answered(world, answering(upstream_response(503, *kept, *gone)))
    expected = [(name.lower(), value) for name, value in kept]
    assert list(response.headers.items()) == [
        *expected,
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
    ]


class Stream:
    """A body that notes what became of it."""

    def __init__(self, *pieces: bytes, error: GatewayError | None = None) -> None:
        self._pieces = list(pieces)
        self._error = error
        self.read = 0
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.read += 1
        if self._pieces:
            return self._pieces.pop(0)
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True
        if self._error is not None:
            raise self._error


async def test_a_replaced_stream_is_closed_unread(world: World) -> None:
    stream = Stream(b"<h1>", error=GatewayError("upstream_closed"))
    came = upstream_response(500, HTML)
    came.body, came.length = stream, None
    response = await answered(world, answering(came))
    assert facts(response)["error"] == "upstream_error"
    assert (stream.read, stream.closed) == (0, True)


@pytest.mark.parametrize(("length", "read"), [(len(OURS), True), (None, False), (10**6, False)])
async def test_only_a_short_body_is_read_to_find_an_envelope(
    world: World, length: int | None, read: bool
) -> None:
    stream = Stream(OURS[:9], OURS[9:])
    came = upstream_response(500, JSON)
    came.body, came.length = stream, length
    response = await answered(world, answering(came), upstream="always")
    if read:
        assert bytes_of(response) == OURS
    else:
        assert (stream.read, stream.closed) == (0, True)
        assert response.error == "upstream_error"


async def test_a_body_that_breaks_off_while_it_is_read_is_a_failure_itself(world: World) -> None:
    came = upstream_response(500, JSON)
    came.body, came.length = Stream(b"{", error=GatewayError("upstream_closed")), 10
    response = await answered(world, answering(came), upstream="always")
    assert (response.status, response.error) == (502, "upstream_closed")


async def test_a_compressed_body_cannot_be_an_envelope(world: World) -> None:
    came = upstream_response(500, JSON, ("Content-Encoding", "gzip"), body=OURS)
    response = await answered(world, answering(came), upstream="always")
    assert response.error == "upstream_error"
    assert "content-encoding" not in response.headers


async def test_shadow_mode_notes_upstream_errors_and_answers_our_own(world: World) -> None:
    request = a_request()
    came = upstream_response(502, HTML)
    assert await answered(world, answering(came), request, mode="shadow") is came
    assert request.decisions == [("error_envelope", "would_change", "upstream 502 text/html")]
    response = await answered(world, failing(REFUSAL), mode="shadow")
    assert response.status == 429


def bytes_of(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


VIOLATIONS = (
    Violation("body", "/a/<b>", "is not of type integer"),
    Violation("query", "/q", "is missing"),
)


async def test_all_that_is_wrong_is_listed(world: World) -> None:
    error = Refused("invalid_input", violations=VIOLATIONS)
    for form in ("json", "problem"):
        answer = await answered(world, failing(error), format=form)
        assert facts(answer)["errors"] == [
            {"in": "body", "pointer": "/a/<b>", "detail": "is not of type integer"},
            {"in": "query", "pointer": "/q", "detail": "is missing"},
        ]


async def test_what_is_wrong_is_listed_for_people_too(world: World) -> None:
    inside = failing(Refused("invalid_input", violations=VIOLATIONS))
    page = await answered(world, inside, a_request("/", ("Accept", "text/html")))
    assert isinstance(page.body, bytes)
    assert b"<li>body <code>/a/&lt;b&gt;</code>: is not of type integer" in page.body
    line = await answered(world, inside, a_request("/", ("Accept", "text/plain")))
    assert isinstance(line.body, bytes)
    assert line.body.splitlines()[1:] == [
        b"- body /a/<b>: is not of type integer",
        b"- query /q: is missing",
    ]
