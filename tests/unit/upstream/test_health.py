"""Health by active checks, state by state."""

from __future__ import annotations

import pytest

from proxy.upstream.health import Health

BAD = "status 500"


def after(*causes: str) -> Health:
    health = Health(rise=2, fall=3)
    for cause in causes:
        health.result(cause)
    return health


@pytest.mark.parametrize(
    ("causes", "state"),
    [
        ((), "unchecked"),
        (("",), "healthy"),
        ((BAD,), "unhealthy"),
        (("", BAD, BAD), "healthy"),
        (("", BAD, BAD, BAD), "unhealthy"),
        (("", BAD, BAD, "", BAD, BAD), "healthy"),
        ((BAD, ""), "unhealthy"),
        ((BAD, "", ""), "healthy"),
        ((BAD, "", BAD, ""), "unhealthy"),
        (("", BAD, BAD, BAD, "", "", BAD), "healthy"),
    ],
)
def test_states(causes: tuple[str, ...], state: str) -> None:
    health = after(*causes)
    assert health.state == state
    assert health.usable is (state != "unhealthy")


def test_it_says_when_the_state_changes_and_why() -> None:
    health = Health(1, 2)
    assert [health.result(cause) for cause in ("", BAD, BAD, BAD, "")] == [
        True, False, True, False, True,
    ]  # fmt: skip
    assert health.cause == BAD
