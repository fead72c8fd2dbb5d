"""shed: classes of routes, and who is turned away while the process has too much to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.contract import PRIORITIES, PRIORITY, Strain
from proxy.errors import Refused
from proxy.policies.shed import POLICY, Options, Shed
from tests.unit.policies.world import World, a_request

MIB = 1024 * 1024


def shed(strain: Strain, **options: Any) -> list[str]:
    """The classes that are turned away."""
    toolkit = replace(World().toolkit, strain=strain)
    refused, told = [], []
    for priority in PRIORITIES:
        policy = Shed(Options.model_validate({"priority": priority, **options}), toolkit)
        try:
            policy.check(a_request())
        except Refused as error:
            refused.append(priority)
            told.append((error.status, error.code, error.headers))
    assert set(told) <= {(503, "shed", (("Retry-After", "1"),))}
    return refused


@pytest.mark.parametrize(
    ("lag", "refused"),
    [
        (0.0, []),
        (0.1, []),
        (0.11, ["low"]),
        (0.21, ["normal", "low"]),
        (0.41, ["high", "normal", "low"]),
        (60.0, ["high", "normal", "low"]),
    ],
)
def test_by_lag(lag: float, refused: list[str]) -> None:
    strain = Strain()
    strain.lag = lag
    assert shed(strain) == refused
    assert shed(strain, lag=None) == []


@pytest.mark.parametrize(
    ("memory", "refused"),
    [
        (79, []),
        (81, ["low"]),
        (91, ["normal", "low"]),
        (101, ["high", "normal", "low"]),
    ],
)
def test_by_memory(memory: int, refused: list[str]) -> None:
    strain = Strain()
    strain.memory = memory * MIB
    assert shed(strain, memory="100MiB") == refused
    assert shed(strain) == []


def test_the_class_goes_with_the_request() -> None:
    policy = Shed(Options(priority="high"), World().toolkit)
    request = a_request()
    policy.edit_request(request)
    assert PRIORITIES[request.state[PRIORITY]] == "high"
    assert POLICY.shorthand == "priority"
