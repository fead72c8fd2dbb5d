"""One head after another out of bytes, whichever way those are cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.model import Paths
from proxy.errors import GatewayError
from proxy.http1.message import HeadRules
from proxy.server.arrival import Arrival
from tests.unit.paused_loop import PausedLoop

RULES = HeadRules(100, 8192, "drop", Paths())
LIMIT = 4096
LOOP = PausedLoop()


@pytest.fixture(scope="module", autouse=True)
def _loop() -> Iterator[None]:
    yield
    LOOP.close()


# What a head says, or (status, code, whether to close) of its refusal.
Outcome = tuple[object, ...]


def outcomes(raw: bytes, cuts: list[int]) -> list[Outcome]:
    """What becomes of these bytes when they come in pieces; the last may be a refusal."""
    arrival = Arrival(LOOP)
    found: list[Outcome] = []
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(raw)}), len(raw)]
    for begin, end in pairwise(edges):
        data = raw[begin:end]
        while data:
            try:
                head, data = arrival.feed(data, LIMIT, RULES)
            except GatewayError as error:
                return [*found, (error.status, error.code, error.close)]
            if head is None:
                assert data == b""
                break
            found.append((replace(head.target), head.version, head.host, head.headers.fields(),
                          head.framing, head.keep_alive))  # fmt: skip
            if not head.keep_alive:
                # Nobody reads on.
                return [*found, ("left", b"")]
    return [*found, ("left", arrival.partial)]


def in_bytes(raw: bytes) -> list[int]:
    return list(range(len(raw)))


HEADS = {
    "plain": b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n",
    "fields": b"PUT / HTTP/1.1\r\nHost: a\r\nEmpty:\r\nX: y\r\nx:  z \r\nContent-Length: 0\r\n\r\n",
    "empty field last": b"GET / HTTP/1.1\r\nHost: a\r\nEmpty:\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "no fields": b"GET / HTTP/1.0\r\n\r\n",
    "absolute": b"GET http://a:80/b HTTP/1.1\r\nHost: a\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "empty lines": b"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("raw", HEADS.values(), ids=HEADS)
def test_a_head_is_read_alike_however_it_is_cut(raw: bytes) -> None:
    whole = outcomes(raw, [])
    assert len(whole) == 2
    assert whole[1] == ("left", b"")
    assert outcomes(raw, in_bytes(raw)) == whole
    for cut in range(1, len(raw)):
        assert outcomes(raw, [cut]) == whole


REFUSED = {
    "length +5": (b"POST / HTTP/1.1\r\nContent-Length: +5\r\nHost: a\r\n\r\n", "invalid_framing"),
    "equal lengths": (
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\nHost: a\r\n\r\n",
        "invalid_framing"),
    "length and coding": (
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n",
        "invalid_framing"),
    "coding and length": (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nHost: a\r\n\r\n",
        "invalid_framing"),
    "chunked, gzip": (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\nHost: a\r\n\r\n",
        "unknown_coding"),
    "gzip": (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nHost: a\r\n\r\n", "unknown_coding"),
    "codings": (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"
        b"Host: a\r\n\r\n", "unknown_coding"),
    "space before colon": (b"GET / HTTP/1.1\r\nX : y\r\nHost: a\r\n\r\n", "invalid_header"),
    "folded": (b"GET / HTTP/1.1\r\nX: y\r\n z\r\nHost: a\r\n\r\n", "invalid_header"),
    "bare line feed": (b"GET / HTTP/1.1\r\nX: y\nHost: a\r\n\r\n", "invalid_header"),
    "bare carriage return": (b"GET / HTTP/1.1\r\nX: y\rz\r\nHost: a\r\n\r\n", "invalid_header"),
    "control character": (b"GET / HTTP/1.1\r\nX: \x01\r\nHost: a\r\n\r\n", "invalid_header"),
    "content types": (
        b"GET / HTTP/1.1\r\nContent-Type: a\r\nContent-Type: b\r\nHost: a\r\n\r\n",
        "invalid_header"),
    "hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nX: y\r\n\r\n", "invalid_host"),
    "no host": (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", "invalid_host"),
    "bad host": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "invalid_host"),
    "bare line feed first": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", "bad_request"),
    "two blanks": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
    "two blanks before the version": (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "unknown_version"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unknown_version"),
    "no version": (b"GET /\r\n\r\n", "unknown_version"),
    "RTSP": (b"GET / RTSP/1.0\r\nHost: a\r\n\r\n", "unknown_version"),
    "method": (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", "method_not_supported"),
    "lower-case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", "method_not_supported"),
    "CONNECT": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "method_not_supported"),
    "high byte": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "invalid_target"),
    "IPv6 and user": (b"GET http://[::1]:80@/ HTTP/1.1\r\nHost: a\r\n\r\n", "invalid_target"),
    "asterisk": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "invalid_target"),
    "dots": (b"GET /../a HTTP/1.1\r\nHost: a\r\n\r\n", "invalid_target"),
    "garbage": (b"hello\r\nHost: a\r\n\r\n", "bad_request"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "bad_request"),
    "five empty lines": (b"\r\n" * 5 + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
    "line feed": (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
    "carriage return": (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
    "long target": (b"GET /" + b"a" * LIMIT + b" HTTP/1.1\r\nHost: a\r\n\r\n", "target_too_long"),
    "long field": (
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * LIMIT + b"\r\n\r\n", "head_too_large"),
    "many fields": (
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n", "head_too_large"),
    "no end": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: yyyyyyyyyyy\r\n" * 999, "head_too_large"),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "code"), REFUSED.values(), ids=REFUSED)
def test_a_head_is_refused_for_the_same_reason_however_it_is_cut(raw: bytes, code: str) -> None:
    ((_, found, close),) = outcomes(raw, [])
    assert found == code
    assert close, "what follows can't be read"
    assert outcomes(raw, in_bytes(raw)) == outcomes(raw, [])
    for cut in range(1, min(len(raw), 100)):
        assert outcomes(raw, [cut]) == outcomes(raw, [])


@given(
    st.lists(st.sampled_from([*HEADS.values(), *(raw for raw, _ in REFUSED.values())]), max_size=5),
    st.lists(st.integers(1, 500), max_size=20),
)
def test_a_stream_of_heads_is_read_alike_however_it_is_cut(
    raws: list[bytes], cuts: list[int]
) -> None:
    raw = b"".join(raws)
    assert outcomes(raw, cuts) == outcomes(raw, [])


TOKENS = st.sampled_from(
    [b"GET ", b"POST ", b"/", b"a", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n", b"\r", b"\n",
     b"Host: a", b"Host", b"X", b":", b" ", b"\t", b"\x00", b"\xff", b"Content-Length: 5",
     b"Transfer-Encoding: chunked", b"Connection: close", b"\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\n"]
)  # fmt: skip


@given(st.lists(TOKENS, max_size=14), st.lists(st.integers(1, 150), max_size=8))
def test_garbage_is_never_read_as_a_head_in_one_way_and_refused_in_another(
    tokens: list[bytes], cuts: list[int]
) -> None:
    """The reason may differ where there are several, the heads that were read may not."""

    def heads(cuts: list[int]) -> tuple[list[Outcome], bool]:
        found = outcomes(raw, cuts)
        return found[:-1], found[-1][0] == "left"

    raw = b"".join(tokens)
    whole, alive = heads([])
    pieces, alive_in_pieces = heads(cuts)
    assert pieces == whole
    assert alive_in_pieces == alive


def test_what_follows_a_head_is_given_back_untouched() -> None:
    raw = HEADS["plain"]
    arrived, rest = Arrival(LOOP).feed(raw + b"\r\nbody", LIMIT, RULES)
    assert arrived is not None
    assert rest == b"\r\nbody"


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_the_size_of_a_head_is_that_of_its_bytes(cut: int) -> None:
    raw = HEADS["plain"]
    arrival = Arrival(LOOP)
    if cut:
        arrival.feed(raw[:cut], LIMIT, RULES)
    arrived, _ = arrival.feed(raw[cut:], LIMIT, RULES)
    assert arrived is not None
    assert arrived.size == len(raw)


def test_what_was_refused_is_kept_for_the_log() -> None:
    arrival = Arrival(LOOP)
    arrival.feed(b"GET / HT", LIMIT, RULES)
    with pytest.raises(GatewayError):
        arrival.feed(b"TP/1.2\r\n", LIMIT, RULES)
    assert arrival.partial == b"GET / HTTP/1.2\r\n"


@pytest.mark.parametrize(
    "head",
    [b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /a HTTP/1.1\r\nHost: a b\r\n\r\n"],
)
def test_a_head_that_is_refused_as_a_whole_is_kept_for_the_log(head: bytes) -> None:
    arrival = Arrival(LOOP)
    with pytest.raises(GatewayError):
        arrival.feed(head + b"GET / HTTP/1.1\r\n", LIMIT, RULES)
    assert arrival.partial == head


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\r\n" * 4])
def test_each_head_may_have_its_own_empty_lines_before_it(between: bytes) -> None:
    assert len(outcomes((between + HEADS["plain"]) * 10, [])) == 11


def test_a_head_may_be_as_large_as_the_limit() -> None:
    base = b"GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n"
    exact = base.replace(b"X: ", b"X: " + b"y" * (LIMIT - len(base)))
    assert outcomes(exact, [])[-1] == ("left", b"")
    assert outcomes(exact.replace(b"X: ", b"X: y"), []) == [(431, "head_too_large", True)]


@pytest.mark.parametrize(
    "begun", [b"\x16\x03\x01", b"\x00", b"\xff\xfe", b" GET", b"(", b"GET / HTTP/1.1\r\nX y\r\n"]
)
def test_garbage_is_refused_without_waiting_for_more(begun: bytes) -> None:
    assert outcomes(begun, [])[-1][0] == 400


@pytest.mark.parametrize(
    ("head", "persistent"),
    [
        (HEADS["plain"], True),
        (HEADS["upgrade"], True),
        (HEADS["no fields"], False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False),
        # The client may go on in a protocol that it believes was agreed on.
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", False),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Content-Length: 1\r\n\r\n",
            False,
        ),
    ],
)
def test_whether_what_follows_can_be_read_as_another_request(head: bytes, persistent: bool) -> None:
    arrived, _ = Arrival(LOOP).feed(head, LIMIT, RULES)
    assert arrived is not None
    assert arrived.keep_alive is persistent


FIELDS = b" HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nCookie: session=1\r\n\r\n"
ALIKE = [b"GET /%d" % number + FIELDS for number in range(3)]
CHANGING = [b"GET / HTTP/1.1\r\nHost: a\r\nX: %d\r\n\r\n" % number for number in range(40)]


@pytest.mark.parametrize(
    "heads",
    [
        pytest.param(ALIKE, id="alike"),
        pytest.param([*ALIKE, *CHANGING, *ALIKE], id="and changing"),
        pytest.param([*ALIKE, b"GET /a//b" + FIELDS], id="an empty segment"),
        pytest.param([*ALIKE, b"GET /%zz" + FIELDS], id="a wrong target"),
        pytest.param([*ALIKE, b"GET /" + b"x" * LIMIT + FIELDS], id="too large"),
    ],
)
def test_heads_that_repeat_others_are_read_as_by_themselves(heads: list[bytes]) -> None:
    *found, last = outcomes(b"".join(heads), [])
    apart = [outcomes(head, []) for head in heads]
    assert found == [outcome[0] for outcome in apart if len(outcome) == 2]
    assert last == apart[-1][-1]
