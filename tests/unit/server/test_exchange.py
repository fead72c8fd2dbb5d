"""One exchange after the other, whatever breaks it off and when: each is told of once, and
nothing is left of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import pytest

from proxy.asking import Given
from proxy.contract import Handler, Policy, Request, Response
from proxy.errors import GatewayError
from proxy.upstream.heads import Heads
from proxy.wire.flow import Inflow
from tests.unit.asking import Hearing
from tests.unit.paused_loop import PausedLoop, settle
from tests.unit.server.scene import GET, OK, POST, SWITCH, UPGRADE, Line, Scene

LONG: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
MUCH: Final = b"x" * 300000

Event = Callable[[Line, Line | None], None]
"""Something that happens to the connections of the client and of the service, if there is one."""


class Answers:
    """Answers by itself."""

    def answer(self, request: Request) -> Response | None:
        return Response(204)


class Waits:
    """A check that always waits for a future."""

    def __init__(self, gate: asyncio.Future[None]) -> None:
        self._gate = gate

    def check(self, request: Request) -> Awaitable[None] | None:
        return self._gate


class WaitsToReplace:
    """An edit that always waits for a future."""

    def __init__(self, gate: asyncio.Future[Response]) -> None:
        self._gate = gate

    def replace(self, request: Request, response: Response) -> Awaitable[Response]:
        return self._gate


# -- the moments of an exchange, at which something happens ----------------------------------------


def then(stage: list[tuple[Callable[[None], None], None]], event: Callable[[], None]) -> None:
    """Have this happen in a stage of the turn, after what is in it."""
    stage.append((lambda _: event(), None))


async def before_it_is_read(scene: Scene, event: Event) -> None:
    client = scene.client()
    client.say(GET)
    event(client, None)


async def before_the_policies(scene: Scene, event: Event) -> None:
    service = await scene.idle()
    client = scene.client()
    client.say(GET)
    then(scene.turn.requests, lambda: event(client, service))


async def before_a_policy_answers(scene: Scene, event: Event) -> None:
    scene.bind(Answers())
    client = scene.client()
    client.say(GET)
    then(scene.turn.requests, lambda: event(client, None))


async def before_a_policy_waits(scene: Scene, event: Event) -> None:
    scene.bind(Waits(scene.loop.create_future()))
    client = scene.client()
    client.say(GET)
    then(scene.turn.requests, lambda: event(client, None))


async def while_a_policy_waits(scene: Scene, event: Event) -> None:
    scene.bind(Waits(scene.loop.create_future()))
    client = scene.client()
    client.say(GET)
    await settle()
    event(client, None)


async def before_a_body_is_wanted(scene: Scene, event: Event) -> None:
    client = scene.client()
    client.say(POST + b"Content-Length: 5\r\n\r\nhe")
    then(scene.turn.requests, lambda: event(client, None))


async def while_a_connection_opens(scene: Scene, event: Event) -> None:
    client = scene.client()
    client.say(GET)
    scene.on_open = lambda: event(client, None)
    await settle()


async def asked_without_a_task(scene: Scene, event: Event) -> None:
    service = await scene.idle()
    client, asked = await scene.asked()
    assert asked is service
    event(client, service)


async def asked_by_a_task(scene: Scene, event: Event) -> None:
    event(*await scene.asked())


async def amid_the_head(scene: Scene, event: Event) -> None:
    await scene.idle()
    client, service = await scene.asked()
    service.say(b"HTTP/1.1 200 O")
    await settle()
    event(client, service)


async def after_an_interim_response(scene: Scene, event: Event) -> None:
    await scene.idle()
    client, service = await scene.asked()
    service.say(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    await settle()
    event(client, service)


async def before_the_answer_is_read(scene: Scene, event: Event) -> None:
    await scene.idle()
    client, service = await scene.asked()
    service.say(OK)
    event(client, service)


async def before_the_answer_is_edited(scene: Scene, event: Event) -> None:
    await scene.idle()
    client, service = await scene.asked()
    service.say(OK)
    then(scene.turn.responses, lambda: event(client, service))


async def before_an_edit_that_waits(scene: Scene, event: Event) -> None:
    await scene.idle()
    scene.bind(WaitsToReplace(scene.loop.create_future()))
    client, service = await scene.asked()
    service.say(OK)
    then(scene.turn.responses, lambda: event(client, service))


async def before_it_is_told_of(scene: Scene, event: Event) -> None:
    await scene.idle()
    client, service = await scene.asked()
    service.say(OK)
    then(scene.turn.responses, lambda: then(scene.turn.answers, lambda: event(client, service)))


async def while_the_client_takes_none(scene: Scene, event: Event) -> None:
    client, service = await scene.asked()
    client.stuck = True
    service.say(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + MUCH)
    await settle()
    event(client, service)


async def before_a_body_streams(scene: Scene, event: Event) -> None:
    await scene.idle()
    client, service = await scene.asked()
    service.say(LONG + b"x")
    then(scene.turn.responses, lambda: then(scene.turn.answers, lambda: event(client, service)))


async def while_a_body_streams(scene: Scene, event: Event) -> None:
    client, service = await scene.asked()
    service.say(LONG + b"x")
    await settle()
    event(client, service)


async def while_a_stream_is_stopped(scene: Scene, event: Event) -> None:
    client, service = await scene.asked()
    client.stuck = True
    service.say(LONG + MUCH)
    await settle()
    service.say(MUCH)
    assert service.paused
    event(client, service)


async def amid_an_upload(scene: Scene, event: Event) -> None:
    event(*await scene.asked(POST + b"Content-Length: 5\r\n\r\nhe"))


async def before_a_tunnel_is_joined(scene: Scene, event: Event) -> None:
    client, service = await scene.asked(UPGRADE)
    service.say(SWITCH)
    then(scene.turn.responses, lambda: then(scene.turn.answers, lambda: event(client, service)))


async def in_a_tunnel(scene: Scene, event: Event) -> None:
    client, service = await scene.asked(UPGRADE)
    service.say(SWITCH)
    await settle()
    event(client, service)


# For each moment what is told of the request when the client resets its connection, or only sends
# no more; when the service does the one, or the other; when the proxy breaks off. Without anything
# else to come, all timeouts have passed. A dash where nothing is, or can be, told.
MOMENTS: Final[dict[Callable[[Scene, Event], Awaitable[None]], tuple[str, str, str, str, str]]] = {
    before_it_is_read: ("-", "504", "504", "504", "-"),
    before_the_policies: ("0 client_closed", "504", "504", "504", "0 draining"),
    before_a_policy_answers: ("0 client_closed", "204", "204", "204", "0 draining"),
    before_a_policy_waits: ("0 client_closed", "-", "-", "-", "0 draining"),
    while_a_policy_waits: ("0 client_closed", "-", "-", "-", "0 draining"),
    before_a_body_is_wanted: ("0 client_closed", "400", "408", "408", "0 draining"),
    while_a_connection_opens: ("0 client_closed", "504", "504", "504", "0 draining"),
    asked_without_a_task: ("0 client_closed", "504", "504", "504", "0 draining"),
    asked_by_a_task: ("0 client_closed", "504", "502", "502", "0 draining"),
    amid_the_head: ("0 client_closed", "504", "502", "502", "0 draining"),
    after_an_interim_response: ("0 client_closed", "504", "502", "502", "0 draining"),
    before_the_answer_is_read: ("0 client_closed", "200", "200", "200", "0 draining"),
    before_the_answer_is_edited: ("0 client_closed", "200", "200", "200", "0 draining"),
    before_an_edit_that_waits: ("0 client_closed", "-", "-", "-", "0 draining"),
    before_it_is_told_of: ("200", "200", "200", "200", "200"),
    while_the_client_takes_none: (
        "200 client_closed", "200 slow_reader", "200 slow_reader", "200 slow_reader",
        "200 draining"),
    before_a_body_streams: (
        "200 client_closed", "200 upstream_timeout", "200 upstream_closed", "200 upstream_closed",
        "200 draining"),
    while_a_body_streams: (
        "200 client_closed", "200 upstream_timeout", "200 upstream_closed", "200 upstream_closed",
        "200 draining"),
    while_a_stream_is_stopped: (
        "200 client_closed", "200 slow_reader", "200 slow_reader", "200 slow_reader",
        "200 draining"),
    amid_an_upload: ("0 client_closed", "400", "502", "502", "0 draining"),
    before_a_tunnel_is_joined: (
        "101 client_closed", "101 idle_timeout", "502 upstream_closed", "101 upstream_closed",
        "101 draining"),
    in_a_tunnel: (
        "101 client_closed", "101 idle_timeout", "101 upstream_closed", "101 idle_timeout",
        "101 draining"),
}  # fmt: skip


class Watches:
    """Stands around, as breakers and retries do, and hears of each request once."""

    def wrap(self, forward: Handler) -> Handler:
        self.hearing = Hearing(forward)
        return self.hearing


@pytest.mark.parametrize("around", ["nothing", "a watch", "a cache", "a deadline"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
def test_whatever_breaks_it_off_is_told_and_leaves_nothing(
    loop: PausedLoop, moment: Callable[[Scene, Event], Awaitable[None]], around: str
) -> None:
    events: dict[str, Callable[[Scene], Event]] = {
        "client resets": lambda _: lambda client, _: client.reset(),
        "client ends": lambda _: lambda client, _: client.end(),
        "service resets": lambda _: lambda _, service: service.reset() if service else None,
        "service ends": lambda _: lambda _, service: service.end() if service else None,
        "broken off": lambda scene: lambda *_: scene.break_off(),
    }

    async def told_of(event: Callable[[Scene], Event]) -> str:
        scene, watches = Scene(loop, timeouts={"tunnel_idle": "20s"}), Watches()
        policies = {"a watch": watches, "a cache": scene.cache(), "a deadline": scene.deadline()}
        if around in policies:
            scene.bind(policies[around])
        await moment(scene, event(scene))
        await scene.wait(40.0)
        told = scene.outcomes()
        await scene.leave()
        scene.clean()
        if around == "a watch":
            assert len(watches.hearing.heard) == watches.hearing.begun
        return told or "-"

    told = [loop.run(told_of(event)) for event in events.values()]
    assert dict(zip(events, told, strict=True)) == dict(zip(events, MOMENTS[moment], strict=True))


class Notes:
    """Notes itself when the response came."""

    def wrap(self, forward: Handler) -> Handler:
        class Early(Hearing):
            def answered(self, ticket: str, request: Request, response: Response) -> Given:
                request.timings.first_byte = 7.0
                return super().answered(ticket, request, response)

        return Early(forward)


def test_the_time_of_a_response_is_as_whoever_heard_of_it_first_noted_it(
    loop: PausedLoop,
) -> None:
    async def story(policy: Policy) -> float:
        scene = Scene(loop, policy)
        await scene.idle()
        _, service = await scene.asked()
        service.say(OK)
        await settle()
        return scene.first_byte

    assert loop.run(story(Notes())) == 7.0
    assert loop.run(story(Watches())) == loop.now


# -- policies that fail ---------------------------------------------------------------------------


@dataclass
class FailsAtOnce:
    """Before anything is asked."""

    error: BaseException

    def check(self, request: Request) -> None:
        raise self.error


@dataclass
class FailsToAnswer:
    """In place of an answer."""

    error: BaseException

    def answer(self, request: Request) -> Response | None:
        raise self.error


@dataclass
class FailsLater:
    """After waiting."""

    error: BaseException

    async def check(self, request: Request) -> None:
        await asyncio.sleep(0)
        raise self.error


@dataclass
class FailsToEdit:
    """When the response is here."""

    error: BaseException

    def edit_response(self, request: Request, response: Response) -> None:
        raise self.error


@dataclass
class FailsToReplace:
    """When the response is here, after waiting."""

    error: BaseException

    def replace(self, request: Request, response: Response) -> Awaitable[Response]:
        return self._wait()

    async def _wait(self) -> Response:
        await asyncio.sleep(0)
        raise self.error


@dataclass
class FailsAround:
    """A wrapper that has asked."""

    error: BaseException

    def wrap(self, forward: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            await forward(request)
            raise self.error

        return handle


@dataclass
class FailsToHear:
    """One that stands around, when the response is here."""

    error: BaseException

    def wrap(self, forward: Handler) -> Handler:
        return Hearing(forward, broken=self.error)


ANSWERS: Final = {"whole": (GET, OK), "streams": (GET, LONG + MUCH), "tunnel": (UPGRADE, SWITCH)}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("envelope", [True, False])
@pytest.mark.parametrize(
    "failing",
    [FailsAtOnce, FailsToAnswer, FailsLater, FailsToEdit, FailsToReplace, FailsAround, FailsToHear],
)
def test_a_policy_that_fails_costs_an_answer_and_no_connection(
    loop: PausedLoop, failing: Callable[[BaseException], Policy], envelope: bool, answer: str
) -> None:
    # The last two are the policy's own here: the client is there.
    errors = [KeyError(), GatewayError("internal_error"), ConnectionResetError(),
              asyncio.CancelledError()]  # fmt: skip

    async def story(error: BaseException) -> None:
        scene = Scene(loop, envelope=envelope)
        request, response = ANSWERS[answer]
        service = await scene.idle()
        scene.bind(failing(error))
        client = scene.client()
        client.say(request)
        await settle()
        if service.data:
            service.say(response)
            await settle()
        assert client.data.startswith(b"HTTP/1.1 500 ")
        assert [(told.status, told.error) for told in scene.told] == [(500, "internal_error")]
        await scene.leave()
        scene.world.journal.lines.clear()
        scene.clean()

    for error in errors:
        loop.run(story(error))


def test_a_body_that_can_not_be_let_go_of_ends_its_exchange(loop: PausedLoop) -> None:
    class Clings(Inflow):
        async def aclose(self) -> None:
            raise KeyError

    class Wraps:
        def replace(self, request: Request, response: Response) -> Response:
            response.body = Clings(loop, lambda _: None)
            return response

    async def story() -> None:
        scene = Scene(loop, Wraps())
        client, service = await scene.asked()
        service.say(LONG)
        await settle()
        client.reset()
        await settle()
        assert [told.error for told in scene.told] == ["internal_error"]
        scene.world.journal.lines.clear()
        scene.clean()

    loop.run(story())


# -- what fails where nothing may -----------------------------------------------------------------


def test_who_is_gone_by_the_end_of_an_early_answer_is_not_waited_for(loop: PausedLoop) -> None:
    """Whose end is not told yet; plain asyncio raises when its half is closed."""
    scene = Scene(loop)

    async def story() -> None:
        client, service = await scene.asked(POST + b"Content-Length: 5\r\n\r\nhe")
        client.gone = True
        service.say(OK)
        await settle()
        assert client.closed
        scene.clean()

    loop.run(story())
    assert scene.outcomes() == "200"


def test_a_connection_whose_request_can_not_even_be_begun_is_closed(
    loop: PausedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        scene = Scene(loop)
        with monkeypatch.context() as patch:
            patch.setattr(scene.gateway, "resolve", dict[str, str]().__getitem__)
            client = scene.client()
            client.say(GET)
            await settle()
        assert client.aborted
        assert [type(told["exception"]) for told in scene.failures] == [KeyError]
        scene.failures.clear()
        assert (await scene.asked())[0].open
        await scene.leave()
        scene.clean()

    loop.run(story())


@pytest.mark.interpreted
def test_an_answer_that_can_not_even_be_read_is_a_failed_one(
    loop: PausedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        scene = Scene(loop)
        client, service = await scene.asked()
        with monkeypatch.context() as patch:
            patch.setattr(Heads, "read", dict[str, str]().__getitem__)
            service.say(OK)
            await settle()
        assert client.data.startswith(b"HTTP/1.1 502 ")
        assert [type(told["exception"]) for told in scene.failures] == [TypeError]
        scene.failures.clear()
        await scene.leave()
        scene.clean()

    loop.run(story())
