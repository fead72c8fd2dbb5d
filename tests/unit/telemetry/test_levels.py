"""Which lines are severe enough, and for whom."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from proxy.contract import Request, RouteInfo
from proxy.telemetry.levels import EXCEPTIONS_MAX, Levels

_NUMBERS = {"debug": logging.DEBUG, "info": logging.INFO, "error": logging.ERROR}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _untouched_logging() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def levels(clock: Clock) -> Levels:
    levels = Levels(clock)
    levels.configure("warning")
    return levels


def test_the_configuration_decides_by_itself(levels: Levels, request_in: Request) -> None:
    assert not levels.narrow
    assert levels.of(request_in) == levels.of(None) == "warning"
    assert levels.allows("error", None)
    assert not levels.allows("info", None)


def test_an_exception_for_all_holds_for_a_while(levels: Levels, clock: Clock) -> None:
    levels.exempt("debug", 60.0)
    assert levels.of(None) == "debug"
    clock.now += 59
    assert levels.of(None) == "debug"
    clock.now += 1
    assert levels.of(None) == "warning"


@pytest.mark.parametrize(
    ("route", "client", "covered"),
    [
        ("catalogue", "", True),
        ("other", "", False),
        ("", "203.0.113.9", True),
        ("", "203.0.113.0/24", True),
        ("", "203.0.113.8", False),
        ("", "2001:db8::/32", False),
        ("catalogue", "203.0.113.9", True),
        ("other", "203.0.113.9", False),
    ],
)
def test_one_may_be_for_a_route_or_a_client(
    levels: Levels, request_in: Request, route: str, client: str, covered: bool
) -> None:
    levels.exempt("debug", 60.0, route, client)
    assert (levels.of(request_in) == "debug") is covered
    assert levels.of(None) == "warning", "whatever is done for nobody"


def test_a_client_without_an_address_is_covered_by_none(
    levels: Levels, request_in: Request
) -> None:
    request_in.client_ip = ""
    levels.exempt("debug", 60.0, client="0.0.0.0/0")
    assert levels.of(request_in) == "warning"


def test_the_most_talkative_of_several_holds(levels: Levels, request_in: Request) -> None:
    levels.exempt("error", 60.0)
    levels.exempt("info", 60.0, "catalogue")
    assert levels.of(request_in) == "info"
    request_in.route = RouteInfo("other", "", "/**")
    assert levels.of(request_in) == "error", "less than the configuration is possible too"


def test_the_same_once_more_replaces_the_first(levels: Levels, clock: Clock) -> None:
    levels.exempt("debug", 60.0, "api", "203.0.113.9")
    levels.exempt("info", 30.0, "api", "203.0.113.9")
    clock.now += 10
    assert levels.exempted() == [
        {"level": "info", "route": "api", "client": "203.0.113.9", "seconds_left": 20.0}
    ]


def test_their_number_is_bounded(levels: Levels) -> None:
    for number in range(EXCEPTIONS_MAX + 5):
        levels.exempt("debug", 60.0, f"route{number}")
    told = levels.exempted()
    assert len(told) == EXCEPTIONS_MAX
    assert told[-1]["route"] == f"route{EXCEPTIONS_MAX + 4}"


def test_nonsense_is_no_client(levels: Levels) -> None:
    with pytest.raises(ValueError, match="nobody"):
        levels.exempt("debug", 60.0, client="nobody")
    assert levels.exempted() == []


def test_whoever_wants_to_know_is_told_of_changes(levels: Levels, clock: Clock) -> None:
    told: list[bool] = []
    levels.on_change(lambda: told.append(levels.narrow))
    levels.exempt("debug", 60.0)
    levels.settle()
    clock.now += 60
    levels.settle()
    levels.exempt("debug", 60.0)
    levels.clear()
    assert told == [True, False, True, False]


def test_loggers_that_were_handed_out_follow(levels: Levels) -> None:
    def enabled() -> list[str]:
        logger = levels.logger(None, [], {})
        return [
            name for name in ("debug", "info", "error") if logger.is_enabled_for(_NUMBERS[name])
        ]

    assert enabled() == ["error"]
    levels.exempt("debug", 60.0, "api")
    assert enabled() == ["debug", "info", "error"]
    assert logging.getLogger().level == logging.DEBUG
    levels.clear()
    assert enabled() == ["error"]
    assert logging.getLogger().level == logging.WARNING
