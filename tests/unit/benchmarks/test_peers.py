"""Each proxy that is compared with is told to do the same work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.contest import Cores
from tests.benchmarks.peers.envoy import Envoy
from tests.benchmarks.peers.peer import Duty, Peer, Place
from tests.benchmarks.peers.plain_aiohttp import PlainAiohttp
from tests.benchmarks.peers.sidegate import Sidegate
from tests.benchmarks.programme import Plan, peers

PYTHON = "/opt/python"
PEERS = peers(PYTHON)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_what_a_proxy_can_do_is_configured_for_it(peer: Peer, tmp_path: Path) -> None:
    def configured(duty: Duty) -> tuple[object, ...]:
        folder = tmp_path / duty
        folder.mkdir()
        launch = peer.launch(Place(folder, 1, 2, folder / "log", duty))
        # Paths apart, which tell the folders from each other.
        files = [path.read_text().replace(str(folder), "") for path in sorted(folder.iterdir())]
        return [part.replace(str(folder), "") for part in launch.command], files

    assert peer.duties
    made = [configured(duty) for duty in sorted(peer.duties)]
    for number, one in enumerate(made):
        assert one not in made[:number]


def test_sidegate_and_what_it_is_measured_against_run_on_the_same_interpreter(
    tmp_path: Path,
) -> None:
    for peer in PEERS:
        if isinstance(peer, Sidegate | PlainAiohttp):
            assert peer.launch(Place(tmp_path, 1, 2, tmp_path / "log")).command[0] == PYTHON


def test_rows_that_tell_what_a_part_of_the_work_costs_are_for_small_gets_alone() -> None:
    plan = Plan(1, 1, PEERS, Cores(0, 1, 1))
    everybody = {peer.name for peer in plan.able("forward", aside=True)}
    usual = {peer.name for peer in plan.able("forward")}
    assert everybody - usual == {"aiohttp, forwards only", "Envoy, without traces"}
    assert {"Sidegate", "plain aiohttp", "Envoy"} <= usual
    assert {"Sidegate", "plain aiohttp", "Envoy"} <= {peer.name for peer in plan.able("refuse")}


def test_whoever_does_less_says_so() -> None:
    assert {peer.name for peer in PEERS if not peer.note} == set()
    for peer in PEERS:
        assert peer.traces or peer.aside or "no trace context" in peer.note
    assert Envoy().traces
