"""One fetch for all who ask meanwhile: who waits, who reads what, who goes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from proxy.contract import Request, Response
from proxy.errors import Aborted, GatewayError
from proxy.http1.headers import Headers
from proxy.policies.cache.flight import WINDOW, Flight, Landing
from tests.unit.asking import by_waiting
from tests.unit.paused_loop import PausedLoop, settle
from tests.unit.policies.cache.stage import (
    FRESH,
    Pieces,
    Stage,
    field,
    read,
    reply,
    status,
    streaming,
)
from tests.unit.policies.world import a_request

T = TypeVar("T")
CC = "Cache-Control"


def played(story: Coroutine[Any, Any, T]) -> T:
    """Play a story on a loop whose clock only moves when nothing else can."""
    loop = PausedLoop()
    try:
        return loop.run(story)
    finally:
        loop.close()


def held(stage: Stage) -> asyncio.Event:
    """Have the service answer no sooner than this is set."""
    stage.gate = asyncio.Event()
    return stage.gate


def at_once(stage: Stage, count: int, *fields: tuple[str, str]) -> list[asyncio.Task[Response]]:
    """So many requests for the same thing."""
    loop = asyncio.get_running_loop()
    return [loop.create_task(stage.ask("/a/b", *fields)) for _ in range(count)]


@pytest.mark.parametrize("field", [("X-A", "b"), ("Authorization", "Basic eDp5")])
def test_what_storing_takes_is_not_the_services_time(field: tuple[str, str]) -> None:
    async def story() -> None:
        stage = Stage()
        stage.took = 2.0
        request = a_request("/a/b", field)
        begun = stage.world.now
        await stage.send(request)
        noted = request.timings.first_byte
        # Waited for, it is the upstream's handler that notes it.
        assert noted == begun + 2.0 or stage.asking is by_waiting

    played(story())


def test_concurrent_misses_reach_the_service_once() -> None:
    async def story() -> None:
        stage = Stage()
        gate = held(stage)
        requests = at_once(stage, 10_000)
        await settle()
        gate.set()
        answers = await asyncio.gather(*requests)
        assert len(stage.asked) == 1
        assert {answer.body for answer in answers} == {b"body"}
        told = [status(answer) for answer in answers]
        assert told == ["fwd=uri-miss; stored; ttl=60"] + 9_999 * [
            "fwd=uri-miss; collapsed; ttl=60"
        ]
        assert stage.count("requests", "shop", "shared") == 9_999

    played(story())


def test_those_who_wait_read_along_as_the_bytes_come() -> None:
    async def story() -> None:
        pieces: asyncio.Queue[bytes] = asyncio.Queue()

        class Body:
            def __aiter__(self) -> Body:
                return self

            async def __anext__(self) -> bytes:
                piece = await pieces.get()
                if not piece:
                    raise StopAsyncIteration
                return piece

            async def aclose(self) -> None:
                raise AssertionError("read to its end")

        def answer(_: Request) -> Response:
            response = reply(200, FRESH)
            response.body, response.length = Body(), None
            return response

        stage = Stage(answer)
        first, second = await asyncio.gather(*at_once(stage, 2))
        late = await stage.ask()
        bodies = [answer.body for answer in (first, second, late)]
        pieces.put_nowait(b"one")
        for body in bodies:
            assert not isinstance(body, bytes)
            assert await body.__anext__() == b"one"
        pieces.put_nowait(b"two")
        pieces.put_nowait(b"")
        assert [await read(body) for body in bodies] == [b"two"] * 3
        assert status(late) == "fwd=uri-miss; collapsed; ttl=60"
        assert field(late, "age") == "0"
        await settle()
        assert (await stage.ask()).body == b"onetwo"
        assert len(stage.asked) == 1

    played(story())


def test_who_began_it_may_leave_and_the_others_get_it() -> None:
    async def story() -> None:
        stage = Stage()
        gate = held(stage)
        first, *others = at_once(stage, 3)
        await settle()
        first.cancel()
        await settle()
        gate.set()
        answers = await asyncio.gather(*others)
        assert [answer.body for answer in answers] == [b"body"] * 2
        assert len(stage.asked) == 1
        assert status(await stage.ask()) == "hit; ttl=60"

    played(story())


def test_when_all_have_left_the_fetch_is_broken_off() -> None:
    async def story() -> None:
        stage = Stage()
        held(stage)
        requests = at_once(stage, 3)
        await settle()
        for request in requests:
            request.cancel()
        await settle()
        assert not stage.tasks
        stage.gate = None
        assert status(await stage.ask()) == "fwd=uri-miss; stored; ttl=60"
        assert len(stage.asked) == 2

    played(story())


def test_when_all_readers_have_left_the_rest_is_not_read() -> None:
    async def story() -> None:
        whole = reply(200, FRESH)
        whole.length = 1000
        stage = Stage(streaming(whole, *[b"x"] * 1000))
        answers = await asyncio.gather(*at_once(stage, 2))
        for answer in answers:
            assert not isinstance(answer.body, bytes)
            await answer.body.__anext__()
            await answer.body.aclose()
        await settle()
        assert not stage.tasks
        await read((await stage.ask()).body)
        assert len(stage.asked) == 2

    played(story())


@pytest.mark.parametrize(
    "answer",
    [
        reply(200),
        reply(200, (CC, "no-store")),
        reply(200, (CC, "private, max-age=9")),
        reply(200, (CC, "no-cache"), ("ETag", '"a"')),
        reply(200, (CC, "max-age=0"), ("ETag", '"a"')),
        reply(200, FRESH, ("Vary", "*")),
        reply(500),
    ],
)
@pytest.mark.parametrize("pieces", [False, True])
def test_what_cannot_be_shared_is_not(answer: Response, pieces: bool) -> None:
    async def story() -> None:
        stage = Stage(streaming(answer, b"bo", b"dy") if pieces else answer)
        gate = held(stage)
        requests = at_once(stage, 5)
        await settle()
        assert len(stage.asked) == 1
        gate.set()
        bodies = [await read(answer.body) for answer in await asyncio.gather(*requests)]
        assert bodies == [b"body"] * 5
        assert len(stage.asked) == 5

    played(story())


def test_after_an_answer_that_cannot_be_kept_nobody_waits() -> None:
    async def story() -> None:
        stage = Stage(reply(200, (CC, "no-store")), coalesce={"memory": "10s"})
        await stage.ask()
        gate = held(stage)
        requests = at_once(stage, 5)
        await settle()
        assert len(stage.asked) == 6
        gate.set()
        await asyncio.gather(*requests)
        stage.wait(11)
        gate = held(stage)
        requests = at_once(stage, 5)
        await settle()
        assert len(stage.asked) == 7
        gate.set()
        await asyncio.gather(*requests)

    played(story())


def test_an_answer_that_can_be_kept_again_is() -> None:
    async def story() -> None:
        stage = Stage(reply(200, (CC, "no-store")), reply(200, FRESH))
        await stage.ask()
        await stage.ask()
        assert status(await stage.ask()) == "hit; ttl=60"

    played(story())


def test_who_waits_too_long_goes_alone() -> None:
    async def story() -> None:
        stage = Stage(coalesce={"timeout": "5s"})
        gate = held(stage)
        first, second = at_once(stage, 2)
        await asyncio.sleep(4.9)
        assert len(stage.asked) == 1
        await asyncio.sleep(0.2)
        assert len(stage.asked) == 2
        gate.set()
        assert status(await first) == "fwd=uri-miss; stored; ttl=60"
        assert status(await second) == "fwd=uri-miss; stored; ttl=60"
        assert len(stage.asked) == 2

    played(story())


def test_an_error_is_for_all_who_waited() -> None:
    async def story() -> None:
        stage = Stage(GatewayError("upstream_closed"))
        gate = held(stage)
        requests = at_once(stage, 5)
        await settle()
        gate.set()
        results = await asyncio.gather(*requests, return_exceptions=True)
        assert [getattr(result, "code", "") for result in results] == ["upstream_closed"] * 5
        assert len(stage.asked) == 1

    played(story())


def test_an_error_in_the_body_is_too() -> None:
    async def story() -> None:
        broken = streaming(reply(200, FRESH), b"bo", error=GatewayError("upstream_closed"))
        stage = Stage(broken)
        for answer in await asyncio.gather(*at_once(stage, 3)):
            with pytest.raises(GatewayError, match="upstream_closed"):
                await read(answer.body)
        assert len(stage.asked) == 1

    played(story())


def test_one_validation_serves_all() -> None:
    async def story() -> None:
        tag = ("ETag", '"a"')
        stage = Stage(reply(200, FRESH, tag), reply(304, FRESH, tag, body=b""))
        await stage.ask()
        stage.wait(61)
        gate = held(stage)
        requests = at_once(stage, 10)
        await settle()
        gate.set()
        answers = await asyncio.gather(*requests)
        assert len(stage.asked) == 2
        assert {answer.body for answer in answers} == {b"body"}
        assert status(answers[0]) == "fwd=stale; fwd-status=304; stored; ttl=60"
        assert status(answers[1]) == "fwd=stale; fwd-status=304; collapsed; ttl=60"

    played(story())


def test_what_is_validated_each_time_is_not_waited_for() -> None:
    async def story() -> None:
        fields = [(CC, "no-cache"), ("ETag", '"a"')]
        stage = Stage(reply(200, *fields), reply(304, *fields, body=b""))
        await stage.ask()
        gate = held(stage)
        requests = at_once(stage, 10)
        await settle()
        assert len(stage.asked) == 11
        gate.set()
        await asyncio.gather(*requests)

    played(story())


def test_a_stale_answer_in_place_of_an_error_serves_all() -> None:
    async def story() -> None:
        stage = Stage(reply(200, (CC, "max-age=60, stale-if-error=600")), reply(503))
        await stage.ask()
        stage.wait(61)
        gate = held(stage)
        requests = at_once(stage, 10)
        await settle()
        gate.set()
        answers = await asyncio.gather(*requests)
        assert {answer.status for answer in answers} == {200}
        assert len(stage.asked) == 2

    played(story())


def test_requests_that_differ_by_vary_fetch_their_own() -> None:
    async def story() -> None:
        def answer(request: Request) -> Response:
            foo = request.headers.get("foo") or ""
            return reply(200, FRESH, ("Vary", "Foo"), body=foo.encode())

        stage = Stage(answer)
        gate = held(stage)
        requests = [*at_once(stage, 5, ("Foo", "1")), *at_once(stage, 5, ("Foo", "2"))]
        await settle()
        # Nobody knows yet what it depends on.
        assert len(stage.asked) == 1
        gate.set()
        answers = await asyncio.gather(*requests)
        assert [answer.body for answer in answers] == [b"1"] * 5 + [b"2"] * 5
        assert len(stage.asked) == 2

    played(story())


def test_bodies_in_pieces_too() -> None:
    async def story() -> None:
        def answer(request: Request) -> Response:
            foo = (request.headers.get("foo") or "").encode()
            response = reply(200, FRESH, ("Vary", "Foo"))
            response.length = None
            made = streaming(response, foo, foo)
            assert callable(made)
            return made(request)

        stage = Stage(answer)
        requests = [*at_once(stage, 3, ("Foo", "1")), *at_once(stage, 3, ("Foo", "2"))]
        bodies = [await read(answer.body) for answer in await asyncio.gather(*requests)]
        assert bodies == [b"11"] * 3 + [b"22"] * 3
        assert len(stage.asked) == 2

    played(story())


@pytest.mark.parametrize(
    "own",
    [
        ("If-None-Match", '"a"'),
        ("If-Modified-Since", "Thu, 18 Aug 2050 02:01:18 GMT"),
        ("Range", "bytes=0-1"),
        ("Authorization", "Basic eDp5"),
    ],
)
def test_requests_for_something_of_their_own_do_not_wait(own: tuple[str, str]) -> None:
    async def story() -> None:
        stage = Stage()
        gate = held(stage)
        requests = [*at_once(stage, 2, own), *at_once(stage, 2)]
        await settle()
        assert len(stage.asked) == 3
        gate.set()
        await asyncio.gather(*requests)

    played(story())


def test_who_waits_may_learn_that_it_has_it() -> None:
    async def story() -> None:
        whole = reply(200, FRESH, ("ETag", '"a"'))
        for answer in (whole, streaming(whole, b"bo", b"dy")):
            stage = Stage(reply(200, FRESH, ("ETag", '"a"')), answer)
            await stage.ask()
            stage.wait(61)
            gate = held(stage)
            requests = [*at_once(stage, 1), *at_once(stage, 1, ("If-None-Match", '"a"'))]
            await settle()
            gate.set()
            one, other = await asyncio.gather(*requests)
            assert (one.status, other.status) == (200, 304)
            await read(one.body)
            assert len(stage.asked) == 2

    played(story())


# -- more than can be held ------------------------------------------------------------------------


def too_large(pieces: int) -> Stage:
    """A service whose body is larger than what is stored, though it doesn't say so."""
    whole = reply(200, FRESH)
    whole.length = None
    return Stage(streaming(whole, *[bytes(100_000)] * pieces))


def test_a_body_that_grows_too_large_reaches_all_and_is_not_stored() -> None:
    async def story() -> None:
        stage = too_large(40)
        answers = await asyncio.gather(*at_once(stage, 3))
        sizes = await asyncio.gather(*(read(answer.body) for answer in answers))
        assert [len(body) for body in sizes] == [4_000_000] * 3
        assert len(stage.asked) == 1
        await settle()
        assert status(await stage.ask()).startswith("fwd=uri-miss")
        assert stage.world.trove.facts()["fetching_bytes"] == 0

    played(story())


def test_who_reads_slowly_holds_up_nobody_and_no_memory() -> None:
    async def story() -> None:
        stage = too_large(60)
        fast, slow = await asyncio.gather(*at_once(stage, 2))
        assert not isinstance(slow.body, bytes)
        await slow.body.__anext__()
        assert len(await read(fast.body)) == 6_000_000
        with pytest.raises(Aborted):
            await read(slow.body)

    played(story())


def test_the_service_is_read_no_faster_than_the_fastest_client() -> None:
    async def story() -> None:
        given = 0

        class Body:
            def __aiter__(self) -> Body:
                return self

            async def __anext__(self) -> bytes:
                nonlocal given
                given += 100_000
                return bytes(100_000)

            async def aclose(self) -> None:
                return None

        def answer(_: Request) -> Response:
            response = reply(200, FRESH)
            response.body, response.length = Body(), None
            return response

        stage = Stage(answer)
        [first] = await asyncio.gather(*at_once(stage, 1))
        await settle()
        ahead = given
        assert ahead <= WINDOW + 400_000
        assert not isinstance(first.body, bytes)
        for _ in range(30):
            await first.body.__anext__()
        await settle()
        assert 2_000_000 < given <= 3_000_000 + ahead
        await first.body.aclose()
        await settle()
        assert not stage.tasks

    played(story())


def test_many_tiny_pieces_weigh_more_than_their_bytes() -> None:
    async def story() -> None:
        whole = reply(200, FRESH)
        whole.length = None
        stage = Stage(streaming(whole, *[b"x"] * 10_000))
        assert len(await read((await stage.ask()).body)) == 10_000
        await settle()
        assert status(await stage.ask()).startswith("fwd=uri-miss")

    played(story())


# -- the client's side ----------------------------------------------------------------------------


class Client:
    """The client's side of an exchange."""

    expects_continue = True

    def __init__(self) -> None:
        self.interims: list[int] = []

    def interim(self, status: int, headers: Headers) -> None:
        self.interims.append(status)

    def defer_continue(self, seconds: float) -> None:
        raise AssertionError("there is no body")

    def at_end(self, call: Callable[[], None]) -> None:
        raise AssertionError("others may still read it")


def test_interim_responses_go_to_whoever_had_the_service_asked() -> None:
    async def story() -> None:
        def answer(request: Request) -> Response:
            request.exchange.interim(103, Headers())
            return reply(200, FRESH)

        stage = Stage(answer)
        requests = [a_request(), a_request()]
        clients = [Client(), Client()]
        for request, client in zip(requests, clients, strict=True):
            request.exchange = client
        await asyncio.gather(*map(stage.send, requests))
        assert [client.interims for client in clients] == [[103], []]
        assert len(stage.asked) == 1
        assert not stage.asked[0].exchange.expects_continue
        stage.asked[0].exchange.defer_continue(1)
        stage.asked[0].exchange.at_end(stage.asked.clear)
        # Its connection may be at another request by now.
        stage.asked[0].exchange.interim(103, Headers())
        assert clients[0].interims == [103]

    played(story())


def test_a_fetch_in_the_background_bothers_no_client() -> None:
    async def story() -> None:
        def answer(request: Request) -> Response:
            request.exchange.interim(103, Headers())
            return reply(200, (CC, "max-age=10, stale-while-revalidate=60"))

        stage = Stage(answer)
        await stage.ask()
        stage.wait(11)
        request = a_request(method="HEAD")
        request.exchange = client = Client()
        await stage.send(request)
        await settle()
        assert client.interims == []
        assert [asked.method for asked in stage.asked] == ["GET", "GET"]
        assert stage.asked[1].timings is not request.timings

    played(story())


# -- what nobody reads ----------------------------------------------------------------------------


def remembered(stage: Stage, answer: Response) -> list[Pieces]:
    """Have the service answer so from now on, in pieces; the bodies that it gave."""
    bodies: list[Pieces] = []

    def make(_: Request) -> Response:
        twin = answer.copy()
        twin.body = body = Pieces(b"bo", b"dy")
        bodies.append(body)
        return twin

    stage.replies = [make]
    return bodies


def test_what_a_fetch_in_the_background_brings_for_nobody_is_let_go() -> None:
    async def story() -> None:
        stage = Stage(reply(200, (CC, "max-age=10, stale-while-revalidate=60")))
        await stage.ask()
        stage.wait(11)
        bodies = remembered(stage, reply(200, (CC, "no-store")))
        await stage.ask()
        await settle()
        assert [body.closed for body in bodies] == [True]

    played(story())


@pytest.mark.parametrize("turns", range(6))
def test_what_comes_for_who_began_it_and_left_is_let_go(turns: int) -> None:
    """Whether it left before the answer came, in the same moment, or with the answer."""

    async def story() -> None:
        stage = Stage(asking=by_waiting)
        bodies = remembered(stage, reply(200, (CC, "no-store")))
        gate = held(stage)
        first, other = at_once(stage, 2)
        await settle()
        gate.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        first.cancel()
        await settle()
        if first.cancelled():
            assert bodies[0].closed
        else:
            assert await read(first.result().body) == b"body"
        assert await read((await other).body) == b"body"

    played(story())


def test_who_began_it_may_come_to_read_after_more_came_than_is_held() -> None:
    """What it asked through may have an answer at once, and the fetch then goes on before it."""

    async def story() -> None:
        stage = Stage()
        flight = Flight(stage.trove.begin("http://a/"), 10, lambda size: True, False)
        flight.led = True
        flight.land(Landing(shared=True))
        feeding = asyncio.ensure_future(flight.feed(b"more than ten bytes"))
        await settle()
        flight.led = False
        _, reader = await flight.landed()
        assert reader is not None
        assert await reader.__anext__() == b"more than ten bytes"
        await settle()
        assert feeding.done()

    played(story())
