"""The cache in shadow mode: what would have been, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import GatewayError
from tests.unit.policies.cache.stage import FRESH, Reply, Stage, field, read, reply, streaming
from tests.unit.policies.world import a_request


def shadow(*replies: Reply, **options: Any) -> Stage:
    """A stage in shadow mode."""
    return Stage(*replies, mode="shadow", **options)


def counts(stage: Stage) -> dict[str, float]:
    """Requests by what would have been."""
    return {
        outcome: stage.count("shadow_requests", "shop", outcome)
        for outcome in ("would_hit", "would_be_stale", "would_miss", "would_bypass")
        if stage.count("shadow_requests", "shop", outcome)
    }


async def test_everything_is_forwarded_as_it_is() -> None:
    stage = shadow()
    for _ in range(3):
        request = a_request("/a/b?utm_x=1", ("If-None-Match", '"a"'), ("X-Host", "y"))
        answer = await stage.send(request)
        assert answer.body == b"body"
        assert field(answer, "cache-status") is None
        assert field(answer, "age") is None
        assert stage.asked[-1] is request
    assert len(stage.world.trove) == 0


async def test_the_hit_ratio_that_it_would_have_had() -> None:
    stage = shadow()
    for _ in range(4):
        await stage.ask()
    await stage.ask(method="POST")
    await stage.ask()
    stage.wait(61)
    await stage.ask()
    assert counts(stage) == {"would_hit": 3, "would_miss": 3, "would_bypass": 1}
    assert len(stage.asked) == 7


async def test_decisions_are_noted() -> None:
    stage = shadow()
    for outcome in ("would_miss", "would_hit"):
        request = a_request()
        await stage.send(request)
        assert request.decisions == [("cache", outcome, "")]


async def test_a_stale_response_would_have_been_served() -> None:
    stage = shadow(stale_while_revalidate="1m")
    await stage.ask()
    stage.wait(61)
    await stage.ask()
    assert counts(stage) == {"would_miss": 1, "would_be_stale": 1}


@pytest.mark.parametrize("pieces", [False, True])
async def test_another_body_within_its_freshness_would_have_been_wrong(pieces: bool) -> None:
    bodies = [b"one", b"one", b"two", b"two"]
    replies = [
        streaming(reply(200, FRESH), body[:1], body[1:]) if pieces else reply(200, FRESH, body=body)
        for body in bodies
    ]
    stage = shadow(*replies)
    for body in bodies:
        request = a_request()
        assert await read((await stage.send(request)).body) == body
    assert stage.count("shadow_wrong", "shop") == 1
    [line] = [line for line in stage.world.journal.lines if line[0] == "warning"]
    assert line[2]["path"] == "/a/b"


async def test_another_status_would_have_been_wrong() -> None:
    stage = shadow(reply(200, FRESH), reply(404, FRESH))
    await stage.ask()
    request = a_request()
    await stage.send(request)
    assert ("cache", "would_serve_wrong", "") in request.decisions
    assert stage.count("shadow_wrong", "shop") == 1


async def test_what_is_not_kept_would_have_missed() -> None:
    stage = shadow(reply(200, ("Cache-Control", "no-store")))
    for _ in range(3):
        await stage.ask()
    assert counts(stage) == {"would_miss": 3}


async def test_the_memory_is_bounded_as_if_all_were_there() -> None:
    stage = shadow(reply(200, FRESH, body=bytes(200_000)))
    for _ in range(2):
        for number in range(20):
            await stage.ask(f"/{number}")
    assert counts(stage)["would_miss"] > 20


async def test_a_body_that_breaks_off_is_passed_on() -> None:
    stage = shadow(streaming(reply(200, FRESH), b"bo", error=GatewayError("upstream_closed")))
    answer = await stage.ask()
    with pytest.raises(GatewayError):
        await read(answer.body)
    assert not isinstance(answer.body, bytes)
    await answer.body.aclose()
    await stage.ask()
    assert counts(stage) == {"would_miss": 2}


async def test_a_request_that_was_refused_is_none_of_its_business() -> None:
    for mode in ("enforce", "shadow"):
        stage = Stage(GatewayError("body_too_large"), mode=mode)
        request = a_request()
        request.failure = GatewayError("body_too_large")
        with pytest.raises(GatewayError):
            await stage.send(request)
        assert request.decisions == []
