"""A head that repeats another one says exactly what it would say by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.config.model import Paths
from proxy.errors import GatewayError
from proxy.http1 import line as line_module
from proxy.http1 import repeat as repeat_module
from proxy.http1.headers import Headers
from proxy.http1.line import Line, lines_of
from proxy.http1.message import (
    HeadRules,
    RequestHead,
    ResponseHead,
    read_request_head,
    read_response_head,
)
from proxy.http1.plain import plain_request, plain_response
from proxy.http1.repeat import Repeat, keep_response, repeat_of, repeated_response
from proxy.memo import Memo

RULES = HeadRules(100, 64, "drop", Paths())
FIELDS = b"Host: a.example\r\nAccept: */*\r\nX-Forwarded-For: 10.0.0.1\r\nContent-Length: 5"
HEAD = b"POST /a?b HTTP/1.1\r\n" + FIELDS
NAMES = (
    b"Host", b"Accept", b"X-A", b"X_A", b"X", b"Content-Length", b"Transfer-Encoding",
    b"Connection", b"Expect", b"X-Forwarded-For", b"Cookie", b"Via",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _known_names() -> None:
    """A name that nobody has seen is left to the parser, and other tests fill the memory."""
    line_module._NAMES.clear()
    lines_of([(name, b"") for name in NAMES], "invalid_header")


def by_itself(data: bytes, rules: HeadRules = RULES) -> RequestHead | None:
    """What a head says that nothing came before; None when it is refused or not plain."""
    plain = plain_request(data)
    if plain is None:
        return None
    try:
        head = read_request_head(*plain, rules)
    except GatewayError:
        return None
    head.size = len(data) + 4
    return head


def said(head: RequestHead | None) -> object:
    """All of it, to compare."""
    if head is None:
        return None
    return (
        head.method, head.target, head.version, head.host, head.authority,
        head.headers.fields(), dict(head.headers.lines), head.framing, head.keep_alive,
        head.expects, head.upgrade, head.forwarded, head.size,
    )  # fmt: skip


def repeat(data: bytes = HEAD) -> Repeat:
    head = by_itself(data)
    assert head is not None
    made = repeat_of(data, len(data), head, RULES)
    assert made is not None
    return made


@pytest.mark.parametrize("target", [b"/", b"/a?b", b"/other/one?c=d&e=f", b"/" + b"x" * 63])
def test_another_target_with_the_same_fields_is_a_repetition(target: bytes) -> None:
    data = HEAD.replace(b"/a?b", target)
    head = repeat().read(data + b"\r\n\r\nbody.", len(data), RULES)
    assert head is not None
    assert said(head) == said(by_itself(data))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HEAD.replace(b"POST", b"PUT"), id="method"),
        pytest.param(HEAD.replace(b"POST", b"POSTS"), id="longer method"),
        pytest.param(HEAD.replace(b"1.1", b"1.0"), id="version"),
        pytest.param(HEAD.replace(b"a.example", b"b.example"), id="value"),
        pytest.param(HEAD.replace(b": 5", b": 6"), id="length of the body"),
        pytest.param(HEAD + b"\r\nX: y", id="one more field"),
        pytest.param(HEAD.removesuffix(b"\r\nContent-Length: 5"), id="one field fewer"),
        pytest.param(HEAD.replace(b"/a?b", b"/a b"), id="blank in the target"),
        pytest.param(HEAD.replace(b"/a?b", b"/a HTTP/1.1\r\n" + FIELDS), id="within a field"),
        pytest.param(HEAD.replace(b"/a?b", b"/a\r\n"), id="line end in the target"),
        pytest.param(HEAD.replace(b"/a?b", b"/a\xff"), id="no ASCII"),
        pytest.param(HEAD.replace(b"/a?b", b"/%61"), id="encoded"),
        pytest.param(HEAD.replace(b"/a?b", b"//a"), id="empty segment"),
        pytest.param(HEAD.replace(b"/a?b", b"/../a"), id="dots"),
        pytest.param(HEAD.replace(b"/a?b", b"/#a"), id="fragment"),
        pytest.param(HEAD.replace(b"/a?b", b"http://a/"), id="absolute"),
        pytest.param(HEAD.replace(b"/a?b", b"*"), id="the whole server"),
        pytest.param(HEAD.replace(b"/a?b", b""), id="no target"),
        pytest.param(HEAD.replace(b"/a?b", b"/" + b"x" * 64), id="target too long"),
        pytest.param(b"POST", id="no more than a method"),
        pytest.param(b"POST ", id="and a blank"),
    ],
)
def test_anything_else_is_read_anew(data: bytes) -> None:
    assert repeat().read(data, len(data), RULES) is None


def test_under_other_rules_it_is_read_anew() -> None:
    assert repeat().read(HEAD, len(HEAD), RULES._replace(fields=2)) is None


@pytest.mark.parametrize("field", [b"Expect: 100-continue", b"X: " + b"y" * 4096])
def test_what_is_not_worth_keeping(field: bytes) -> None:
    data = HEAD + b"\r\n" + field
    head = by_itself(data)
    assert head is not None
    assert repeat_of(data, len(data), head, RULES) is None


def test_a_request_can_not_change_what_is_repeated() -> None:
    first = by_itself(HEAD)
    assert first is not None
    kept = Repeat(HEAD, len(HEAD), first, RULES)
    for head in (first, kept.read(HEAD, len(HEAD), RULES)):
        assert head is not None
        head.headers.set("Accept", "text/html")
        head.headers.add("X-Secret", "1")
        head.headers.remove("x-forwarded-for")
    assert said(kept.read(HEAD, len(HEAD), RULES)) == said(by_itself(HEAD))


LINES = st.sampled_from(
    [b"Host: a", b"Host: b", b"Accept: a", b"X-A: 1", b"X_A: 1", b"Content-Length: 3",
     b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: x-a, keep-alive",
     b"Expect: 100-continue", b"X-Forwarded-For: 1.1.1.1", b"Cookie: a=b", b"Via: 1.1 x"]
)  # fmt: skip
HEADS = st.builds(
    lambda method, target, version, lines: b"\r\n".join(
        [b" ".join((method, target, version)), *lines]
    ),
    st.sampled_from([b"GET", b"POST", b"OPTIONS"]),
    st.sampled_from([b"/", b"/a", b"/a?b", b"/%41", b"/a b", b"*", b"//", b"/a;b"]),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0"]),
    st.lists(LINES, max_size=3),
)


@given(HEADS, HEADS)
def test_it_says_what_the_head_says_by_itself(before: bytes, data: bytes) -> None:
    first = by_itself(before)
    kept = None if first is None else repeat_of(before, len(before), first, RULES)
    head = None if kept is None else kept.read(data, len(data), RULES)
    assert head is None or said(head) == said(by_itself(data))


RESPONSE = b"HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: 5\r\nX-A: 1\r\n\r\n"
RESPONSE_NAMES = (b"Date", b"Set-Cookie", b"Via")
RESPONSE_LINES = st.sampled_from(
    [b"Date: now", b"Content-Length: 3", b"Content-Length: 4", b"Transfer-Encoding: chunked",
     b"Connection: close", b"Connection: x-a, keep-alive", b"Keep-Alive: timeout=5", b"X-A: 1",
     b"X-A: 2", b"Set-Cookie: a=b", b"Via: 1.1 x"]
)  # fmt: skip
RESPONSES = st.builds(
    lambda version, status, lines: b"\r\n".join(
        [b"%s %d OK" % (version, status), *lines, b"", b""]
    ),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0"]),
    st.sampled_from([200, 204, 304, 404, 426]),
    st.lists(RESPONSE_LINES, max_size=4),
)


Kept = Memo[bytes, tuple[ResponseHead, Headers]]


@pytest.fixture
def responses() -> Iterator[Kept]:
    """The memory of response heads, empty, and that of lines: of a name that came with many
    values before, no more lines are kept."""
    line_module._LINES.clear()
    line_module._VALUES.clear()
    lines_of([(name, b"") for name in RESPONSE_NAMES], "upstream_invalid")
    repeat_module._RESPONSES.clear()
    yield repeat_module._RESPONSES
    repeat_module._RESPONSES.clear()


def response(text: bytes, method: str = "GET") -> tuple[ResponseHead, list[Line]] | None:
    """What a response head says by itself, and its lines."""
    plain = plain_response(text[:-4])
    if plain is None:
        return None
    try:
        return read_response_head(*plain, method), plain[2]
    except GatewayError:
        return None


def told(head: ResponseHead) -> object:
    """All of it, to compare."""
    return (
        head.status, head.headers.fields(), dict(head.headers.lines), head.framing, head.length,
        head.reuse, head.idle,
    )  # fmt: skip


def kept(text: bytes) -> ResponseHead:
    read = response(text)
    assert read is not None
    keep_response(text, read[1], read[0])
    return read[0]


@given(text=RESPONSES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_kept_response_says_what_it_says_by_itself(responses: Kept, text: bytes) -> None:
    read = response(text)
    if read is not None:
        keep_response(text, read[1], read[0])
        known = repeated_response(text)
        assert (b"Set-Cookie" in text) == (known is None)
        assert known is None or told(known) == told(read[0])


def test_a_response_can_not_change_what_is_kept(responses: Kept) -> None:
    text = RESPONSE % b"now"
    for head in (kept(text), repeated_response(text)):
        assert head is not None
        head.headers.set("X-A", "2")
        head.headers.add("X-Secret", "1")
        head.headers.remove("date")
    again, alone = repeated_response(text), response(text)
    assert again is not None
    assert alone is not None
    assert told(again) == told(alone[0])


def test_any_other_response_is_read_anew(responses: Kept) -> None:
    kept(RESPONSE % b"now")
    assert repeated_response(RESPONSE % b"then") is None


def test_what_may_be_personal_is_not_kept(responses: Kept) -> None:
    for field in (b"Set-Cookie: a=b", b"X-A: " + b"a" * 1024):
        kept((RESPONSE % b"now").replace(b"X-A: 1", field))
    assert not responses


def test_memory_for_responses_is_bounded(responses: Kept) -> None:
    line_module._VALUES.clear()
    for number in range(63):
        for length in range(63):
            text = (RESPONSE % b"%d" % number).replace(b"Length: 5", b"Length: %d" % length)
            kept(text)
    assert len(responses) <= 1024
