"""What is noted of each time that an endpoint is asked."""

from __future__ import annotations

import asyncio

import pytest

from proxy.asking import Asked, Asker
from proxy.contract import Handler, Request, Response
from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.telemetry.tracing.attempts import NotingAtOnce, attempts_of, note_attempts
from tests.unit.policies.world import answering, failing, some_headers, upstream_response

ENDPOINT = "http://127.0.0.1:3000"


def noting(ask: Handler, endpoint: str = ENDPOINT) -> Handler:
    return note_attempts(ask, endpoint, lambda: 100.5, lambda count: "5" * count)


async def test_an_answer_is_noted(request_in: Request) -> None:
    response = await noting(answering(upstream_response(204)))(request_in)
    assert response.status == 204
    [attempt] = attempts_of(request_in)
    assert (attempt.endpoint, attempt.status, attempt.error) == (ENDPOINT, 204, "")
    assert (attempt.began, attempt.ended) == (100.5, request_in.timings.first_byte)


@pytest.mark.parametrize(
    ("error", "noted"),
    [
        (GatewayError("upstream_closed"), "upstream_closed"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
async def test_a_failure_is_noted_and_goes_on(
    request_in: Request, error: Exception, noted: str
) -> None:
    with pytest.raises(type(error)):
        await noting(failing(error))(request_in)
    [attempt] = attempts_of(request_in)
    assert (attempt.status, attempt.error, attempt.ended) == (0, noted, 100.5)


async def test_each_attempt_is_noted(request_in: Request) -> None:
    with pytest.raises(GatewayError):
        await noting(failing(GatewayError("upstream_closed")), "")(request_in)
    await noting(answering(upstream_response()))(request_in)
    assert [attempt.error for attempt in attempts_of(request_in)] == ["upstream_closed", ""]


class AtOnce:
    """An endpoint that is asked without waiting. free: it can be."""

    def __init__(self, free: bool = True, error: GatewayError | None = None) -> None:
        self.free = free
        self.error = error
        self.asker: Asker | None = None
        self.aborted: list[str] = []

    async def __call__(self, request: Request) -> Response:
        return upstream_response()

    def ask_now(self, request: Request, asker: Asker) -> Asked | None:
        if self.error is not None:
            raise self.error
        if not self.free:
            return None
        self.asker = asker
        return self

    def ask_again(self, request: Request, error: GatewayError) -> Handler | None:
        return self

    def abort(self, reason: str, asker: Asker | None = None) -> None:
        assert asker is self.asker, "another exchange may have begun since"
        self.aborted.append(reason)


class Hearing:
    """Who asked, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def interim(self, status: int, headers: Headers) -> None:
        self.heard.append(status)

    def answered(self, response: Response) -> None:
        self.heard.append(response)

    def failed(self, error: GatewayError) -> None:
        self.heard.append(error.code)


def at_once(endpoint: AtOnce) -> NotingAtOnce:
    noting_ = noting(endpoint)
    assert isinstance(noting_, NotingAtOnce)
    return noting_


def test_an_answer_is_noted_as_it_comes(request_in: Request) -> None:
    endpoint, hearing, response = AtOnce(), Hearing(), upstream_response(204)
    assert at_once(endpoint).ask_now(request_in, hearing) is not None
    assert endpoint.asker is not None
    endpoint.asker.interim(103, some_headers())
    endpoint.asker.answered(response)
    assert hearing.heard == [103, response]
    [attempt] = attempts_of(request_in)
    assert (attempt.endpoint, attempt.status, attempt.error) == (ENDPOINT, 204, "")


def test_so_are_failures(request_in: Request) -> None:
    endpoint, hearing = AtOnce(), Hearing()
    at_once(endpoint).ask_now(request_in, hearing)
    assert endpoint.asker is not None
    endpoint.asker.failed(GatewayError("upstream_timeout"))
    assert hearing.heard == ["upstream_timeout"]
    with pytest.raises(GatewayError):
        at_once(AtOnce(error=GatewayError("upstream_closed"))).ask_now(request_in, hearing)
    noted = [(attempt.error, attempt.ended) for attempt in attempts_of(request_in)]
    assert noted == [("upstream_timeout", 100.5), ("upstream_closed", 100.5)]


def test_what_can_t_be_asked_at_once_was_not_asked(request_in: Request) -> None:
    assert at_once(AtOnce(free=False)).ask_now(request_in, Hearing()) is None
    assert attempts_of(request_in) == []


def test_breaking_off_reaches_what_was_asked(request_in: Request) -> None:
    endpoint = AtOnce()
    asked = at_once(endpoint).ask_now(request_in, Hearing())
    assert asked is not None
    asked.abort("cancelled", Hearing())
    assert endpoint.aborted == ["cancelled"]
    assert [attempt.error for attempt in attempts_of(request_in)] == ["cancelled"]


@pytest.mark.parametrize(
    ("flags", "came", "sent"),
    [
        pytest.param(
            2,
            {"traceparent": "00-t-s-02", "b3": "t-s-0"},
            {"traceparent": "00-t-s-02", "b3": "t-s-0"},
            id="not sampled",
        ),
        pytest.param(
            3,
            {"traceparent": "00-t-s-03"},
            {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-5555555555555555-03"},
            id="W3C",
        ),
        pytest.param(
            1,
            {"b3": "t-s-1"},
            {
                "b3": "4bf92f3577b34da6a3ce929d0e0e4736-5555555555555555-1",
                "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-5555555555555555-01",
            },
            id="B3",
        ),
        pytest.param(
            1,
            {"x-b3-spanid": "s", "x-b3-parentspanid": "p"},
            {
                "x-b3-spanid": "5555555555555555",
                "x-b3-parentspanid": "00f067aa0ba902b7",
                "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-5555555555555555-01",
            },
            id="B3 in several",
        ),
    ],
)
async def test_the_upstream_has_the_attempt_for_its_parent(
    request_in: Request, flags: int, came: dict[str, str], sent: dict[str, str]
) -> None:
    request_in.trace = request_in.trace._replace(flags=flags)
    request_in.headers = some_headers(*came.items())
    seen: list[dict[str, str]] = []

    async def ask(request: Request) -> Response:
        seen.append(dict(request.headers.items()))
        return upstream_response()

    await noting(ask)(request_in)
    assert seen == [sent]
