"""`make bench` measures only who does the work, and sees who doesn't."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.benchmarks.answer import faults
from tests.benchmarks.contest import Cores, contest
from tests.benchmarks.peers.peer import Duty
from tests.benchmarks.peers.plain_aiohttp import PlainAiohttp
from tests.benchmarks.peers.sidegate import Sidegate

ALLOWED = os.sched_getaffinity(0)
CORES = Cores(min(ALLOWED), max(ALLOWED), max(ALLOWED))


@pytest.mark.parametrize("duty", ["forward", "refuse"])
def test_sidegate_and_the_plain_proxy_do_the_same_work(duty: Duty) -> None:
    with contest((Sidegate(), PlainAiohttp()), duty, CORES) as running:
        assert [one.peer.name for one in running.contenders] == ["Sidegate", "plain aiohttp"]


def test_a_proxy_that_only_forwards_is_seen_to_do_less() -> None:
    with contest((PlainAiohttp("bare", policies=False),), "forward", CORES) as running:
        (contender,) = running.contenders
        port, log = contender.place.port, Path(os.devnull)
        assert faults(port, policies=False, log=log) == []
        assert {
            "what the origin runs on is passed on",
            "the answer carries no X-Request-ID",
            "the origin got no x-forwarded-for",
            "the origin got no traceparent",
            "no access line carries the request's ID",
        } <= set(faults(port, policies=True, log=log, traces=True))
        assert faults(port, policies=True, log=log, duty="refuse") == [
            "answered 200 where its limit should have refused"
        ]
