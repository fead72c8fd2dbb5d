"""How responses leave: head, framing and pieces, as bytes on a recorded transport."""

from __future__ import annotations

import pytest

from proxy.contract import Request, Response, TraceContext
from proxy.errors import Aborted, GatewayError
from proxy.http1.headers import Headers
from proxy.server.frame import DateLine, frame_response
from proxy.server.reply import Sender
from proxy.server.sending import stream
from proxy.wire.splice import Pipes
from tests.unit.paused_loop import PausedLoop, settle
from tests.unit.transport import Wire

DATE = b"Date: Mon, 23 Nov 2026 15:04:05 GMT\r\n"
VIA = b"Via: 1.1 sidegate\r\n"


def wall() -> float:
    return 1795446245.9


class Pieces:
    """A body that streams; an exception among the pieces is raised in its turn."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = list(pieces)
        self.read = 0

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        self.read += 1
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def aclose(self) -> None:
        return None


def a_request(method: str = "GET", version: str = "1.1") -> Request:
    return Request(method, b"/", "/", "", Headers(), version=version)


def streaming(*pieces: bytes | Exception, length: int | None = None) -> Response:
    return Response(200, body=Pieces(*pieces), length=length)


def from_upstream(status: int, length: int | None) -> Response:
    """A response without a body that says this of its length."""
    response = Response(status, origin="upstream")
    response.length = length
    return response


class Client:
    """A client that takes responses."""

    def __init__(self, loop: PausedLoop) -> None:
        self._loop = loop
        self.wire = Wire()
        self.sender = Sender(loop, Pipes())
        self.sender.transport = self.wire
        self.keep_alive = True

    def get(self, response: Response, request: Request | None = None, keep: bool = True) -> bytes:
        """What it gets of a response, with Date and Via taken off."""
        before = len(self.wire.data)
        self._loop.run(self.send(response, request, keep))
        got = self.wire.data[before:]
        assert got.count(DATE) == got.count(VIA) == 1
        return got.replace(DATE, b"").replace(VIA, b"")

    async def send(
        self, response: Response, request: Request | None = None, keep: bool = True
    ) -> None:
        request = request or a_request()
        data, large, self.keep_alive, framing = frame_response(
            request, response, keep, DateLine(wall)
        )
        self.sender.write(data, large)
        if not isinstance(response.body, bytes) and framing:
            await stream(self.sender, response.body, response.length, framing == "chunked")


@pytest.fixture
def client(loop: PausedLoop) -> Client:
    return Client(loop)


# -- framing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "response", "sent"),
    [
        (a_request(), Response(200, body=b"hello"),
         b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        (a_request(), Response(404), b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        (a_request(), streaming(b"he", b"llo", length=5),
         b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        (a_request(), streaming(b"he", b"llo"),
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        (a_request(), streaming(),
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        # No body, and no claim about one that is gone.
        (a_request(), Response(204), b"HTTP/1.1 204 No Content\r\n\r\n"),
        (a_request(), Response(204, body=b"x"), b"HTTP/1.1 204 No Content\r\n\r\n"),
        (a_request("HEAD"), Response(204), b"HTTP/1.1 204 No Content\r\n\r\n"),
        (a_request(), from_upstream(204, 7), b"HTTP/1.1 204 No Content\r\n\r\n"),
        (a_request(), Response(304), b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (a_request(), from_upstream(304, None), b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (a_request(), from_upstream(304, 7),
         b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
        (a_request("HEAD"), Response(200, body=b"hello"),
         b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        (a_request("HEAD"), from_upstream(200, 7),
         b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
        (a_request("HEAD"), from_upstream(200, 0),
         b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (a_request("HEAD"), from_upstream(200, None), b"HTTP/1.1 200 OK\r\n\r\n"),
        (a_request("HEAD"), streaming(b"hello"), b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)  # fmt: skip
def test_a_response_is_framed_by_what_is_known_of_it(
    request_: Request, response: Response, sent: bytes, client: Client
) -> None:
    assert client.get(response, request_) == sent
    assert client.keep_alive


@pytest.mark.parametrize("left_behind", [0, 3, 99, None])
def test_a_replaced_body_is_framed_by_its_own_length(
    left_behind: int | None, client: Client
) -> None:
    response = Response(200, length=left_behind)
    response.body = b"hello"
    response.length = left_behind
    assert client.get(response) == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize(
    ("version", "keep", "response", "connection", "keeps"),
    [
        ("1.1", True, Response(200), b"", True),
        ("1.1", False, Response(200), b"Connection: close\r\n", False),
        ("1.0", True, Response(200), b"Connection: keep-alive\r\n", True),
        ("1.0", False, Response(200), b"Connection: close\r\n", False),
        # HTTP/1.0 knows no chunks: the end of the connection is the end of the body.
        ("1.0", True, streaming(b"hello"), b"Connection: close\r\n", False),
        ("1.0", True, streaming(b"hello", length=5), b"Connection: keep-alive\r\n", True),
    ],
)
def test_the_client_is_told_whether_it_may_ask_again(
    version: str, keep: bool, response: Response, connection: bytes, keeps: bool, client: Client
) -> None:
    got = client.get(response, a_request(version=version), keep)
    head = got.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert (connection in head) if connection else (b"Connection" not in head)
    assert client.keep_alive is keeps
    assert b"Transfer-Encoding" not in head


def test_an_accepted_upgrade_says_so(client: Client) -> None:
    response = Response(101, Headers([(b"Upgrade", b"websocket")]))
    assert client.get(response) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )


def test_date_and_via_of_the_upstream_are_kept_and_continued(loop: PausedLoop) -> None:
    client = Client(loop)
    headers = Headers([(b"vIA", b"1.0 fred"), (b"Date", b"yesterday"), (b"Via", b"1.1 p")])
    loop.run(client.send(Response(200, headers, b"")))
    assert client.wire.data == (
        b"HTTP/1.1 200 OK\r\nDate: yesterday\r\nContent-Length: 0\r\n"
        b"Via: 1.0 fred, 1.1 p, 1.1 sidegate\r\n\r\n"
    )


def test_the_date_is_rendered_once_a_second() -> None:
    now = 0.0
    date = DateLine(lambda: now)
    first = date()
    assert first == b"Date: Thu, 01 Jan 1970 00:00:00 GMT"
    now = 0.9
    assert date() is first
    now = 1.0
    assert date() == b"Date: Thu, 01 Jan 1970 00:00:01 GMT"


# -- sending ----------------------------------------------------------------------------------


def test_an_empty_piece_is_no_end(client: Client) -> None:
    got = client.get(streaming(b"he", b"", b"llo", b""))
    assert got.endswith(b"\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("pieces", "sent"),
    [
        ((b"he",), b"he"),
        ((), b""),
        ((b"he", b"llo", b"!"), b"hello"),
        ((b"hello!",), b""),
    ],
    ids=["short", "empty", "long", "long at once"],
)
def test_a_body_that_isn_t_as_long_as_was_said_breaks_off(
    pieces: tuple[bytes, ...], sent: bytes, client: Client, loop: PausedLoop
) -> None:
    """Never padded, never cut to fit, and never more than was announced."""
    with pytest.raises(Aborted):
        loop.run(client.send(streaming(*pieces, length=5)))
    assert client.wire.data.partition(b"\r\n\r\n")[2] == sent
    assert client.sender.begun


@pytest.mark.parametrize("length", [None, 5])
def test_a_body_that_fails_to_come_is_never_finished(
    length: int | None, client: Client, loop: PausedLoop
) -> None:
    response = streaming(b"he", GatewayError("upstream_closed"), length=length)
    with pytest.raises(GatewayError, match="upstream_closed"):
        loop.run(client.send(response))
    assert client.wire.data.endswith(b"he" if length else b"2\r\nhe\r\n")


def test_a_client_that_reads_slowly_is_waited_for(client: Client, loop: PausedLoop) -> None:
    async def story() -> None:
        body = Pieces(b"a", b"b", b"c")
        client.sender.outflow.pause()
        sending = loop.create_task(client.send(Response(200, body=body)))
        await settle()
        assert body.read == 0
        client.sender.outflow.resume()
        await sending
        assert body.read == 3

    loop.run(story())


@pytest.mark.parametrize("when", ["before", "while it is waited for"])
def test_a_client_that_is_gone_ends_the_response(
    when: str, client: Client, loop: PausedLoop
) -> None:
    async def story() -> None:
        body = Pieces(b"a", b"b")
        if when == "before":
            client.sender.transport = None
        client.sender.outflow.pause()
        sending = loop.create_task(client.send(Response(200, body=body)))
        await settle()
        client.sender.transport = None
        client.sender.outflow.lose()
        with pytest.raises(ConnectionResetError):
            await sending
        assert body.read == 0

    loop.run(story())


def test_bytes_are_counted_for_each_response(client: Client) -> None:
    client.get(Response(200, body=b"hello"))
    assert client.sender.sent == len(client.wire.data)
    client.sender.reset("1.1")
    assert (client.sender.sent, client.sender.begun) == (0, False)


# -- interim responses and failures -----------------------------------------------------------


def test_interim_responses_go_before_the_response_to_clients_that_know_them(
    client: Client,
) -> None:
    client.sender.reset("1.1")
    client.sender.interim(103, Headers([(b"Link", b"</a>")]))
    assert client.wire.data == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert not client.sender.begun
    client.get(Response(200))
    before = client.wire.data
    client.sender.interim(103, Headers())
    assert client.wire.data == before, "within a response it would be taken for its body"


def test_http_1_0_clients_get_no_interim_response(client: Client) -> None:
    client.sender.reset("1.0")
    client.sender.interim(100, Headers())
    assert client.wire.data == b""


def test_a_failure_before_the_head_still_has_its_status(client: Client) -> None:
    client.sender.reset("1.1")
    client.sender.break_off(GatewayError("upstream_closed"), a_request())
    head = client.wire.data
    assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"Content-Length: 0\r\n" in head
    assert b"Connection: close\r\n" in head
    assert head.endswith(b"\r\n\r\n")
    assert not client.wire.aborted


def test_it_names_the_request_all_the_same(client: Client) -> None:
    request = a_request()
    request.id = "id-1"
    request.trace = TraceContext("1" * 32, "2" * 16, "", 2, "")
    client.sender.reset("1.1")
    client.sender.break_off(GatewayError("upstream_closed"), request)
    lines = client.wire.data.split(b"\r\n")
    assert b"X-Request-ID: id-1" in lines
    assert b"traceresponse: 00-%b-%b-02" % (b"1" * 32, b"2" * 16) in lines


def test_a_failure_after_the_head_can_only_cut_the_connection(client: Client) -> None:
    client.get(Response(200, body=b"hello"))
    before = client.wire.data
    client.sender.break_off(GatewayError("upstream_closed"), a_request())
    assert client.wire.data == before
    assert client.wire.aborted


def test_a_failure_without_a_client_is_nobodys(loop: PausedLoop) -> None:
    sender = Sender(loop, Pipes())
    sender.break_off(GatewayError("upstream_closed"), a_request())
    sender.interim(100, Headers())
    assert not sender.begun


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_large_body_is_handed_over_as_it_is(client: Client, method: str) -> None:
    body = bytes(100_000)
    request, response = a_request(method), Response(200, body=body, length=len(body))
    data, large, _, _ = frame_response(request, response, True, DateLine(wall))
    assert data.endswith(b"\r\n\r\n")
    assert (large is body) == (method == "GET")
    got = client.get(response, request)
    assert got == b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + (
        body if method == "GET" else b""
    )
    assert client.sender.sent == len(client.wire.data)
