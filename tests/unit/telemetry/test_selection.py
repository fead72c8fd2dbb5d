"""Which requests have an access line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.config.telemetry import Logging
from proxy.contract import Request
from proxy.current import current
from proxy.telemetry.access_log import Line
from proxy.telemetry.levels import Levels
from proxy.telemetry.selection import make_line
from tests.unit.policies.world import Journal

UNLUCKY = "f" * 32
LUCKY = "0" * 31 + "1"


SECRET = "kept in a file"


class World:
    """lines: how many access lines were written."""

    def __init__(self) -> None:
        self.levels = Levels(lambda: 0.0)
        self.journal = Journal()
        self.lines = 0

    def make(self, **options: Any) -> Line | None:
        settings = Logging.model_validate(options)
        self.levels.configure(settings.level)
        places = {("catalogue", "rate_limit"): "sidegate.yaml:12"}

        def write(*_: Any) -> None:
            self.lines += 1

        def hide(text: str) -> str:
            return text.replace(SECRET, "********")

        return make_line(settings, write, self.levels, self.journal, places, hide)

    def details(self) -> list[dict[str, Any]]:
        return [facts for _, event, facts in self.journal.lines if event == "request in detail"]


@pytest.fixture
def world() -> Iterator[World]:
    level = logging.getLogger().level
    yield World()
    logging.getLogger().setLevel(level)


def end(
    line: Line | None,
    request: Request,
    status: int = 200,
    aborted: str = "",
    *,
    seconds: float = 0.01,
) -> None:
    assert line is not None
    line(request, status, 1, 1, 100.0 + seconds, "", aborted)


def test_each_request_has_one_by_default(world: World, request_in: Request) -> None:
    end(world.make(), request_in)
    assert world.lines == 1


@pytest.mark.parametrize("options", [{"access": False}, {"level": "warning"}, {"level": "error"}])
def test_lines_can_be_turned_off(world: World, options: dict[str, Any]) -> None:
    assert world.make(**options) is None


@pytest.mark.parametrize(
    ("changes", "status", "aborted", "written"),
    [
        pytest.param({}, 200, "", 0, id="unlucky"),
        pytest.param({}, 404, "", 0, id="client's fault"),
        pytest.param({}, 500, "", 1, id="failed"),
        pytest.param({}, 200, "upstream_closed", 1, id="broken off"),
        pytest.param({"slow": "10ms"}, 200, "", 1, id="slow"),
        pytest.param({"status": 400}, 404, "", 1, id="by status"),
        pytest.param({"ratio": 1.0}, 200, "", 1, id="all"),
    ],
)
def test_a_sample_has_all_that_matter(
    world: World,
    request_in: Request,
    changes: dict[str, Any],
    status: int,
    aborted: str,
    written: int,
) -> None:
    request_in.trace = request_in.trace._replace(trace_id=UNLUCKY)
    end(world.make(sample=changes), request_in, status, aborted)
    assert world.lines == written


@pytest.mark.parametrize(("opened", "written"), [(100.001, 0), (100.6, 1)])
def test_a_tunnel_is_slow_when_it_was_slow_to_open(
    world: World, request_in: Request, opened: float, written: int
) -> None:
    request_in.trace = request_in.trace._replace(trace_id=UNLUCKY)
    request_in.timings.responded = opened
    end(world.make(sample={}), request_in, 101, seconds=3600.0)
    assert world.lines == written


@pytest.mark.parametrize(("trace_id", "written"), [(LUCKY, 1), (UNLUCKY, 0), ("", 1)])
def test_chance_goes_by_the_trace(
    world: World, request_in: Request, trace_id: str, written: int
) -> None:
    request_in.trace = request_in.trace._replace(trace_id=trace_id)
    end(world.make(sample={"ratio": 0.5}), request_in)
    assert world.lines == written


def test_at_debug_each_request_is_told_in_detail(world: World, request_in: Request) -> None:
    end(world.make(level="debug"), request_in)
    [facts] = world.details()
    assert world.lines == 1
    assert facts["fields"] == {"user-agent": "curl/8.5.0", "authorization": "…redacted"}
    assert facts["decisions"] == [
        {
            "policy": "rate_limit",
            "outcome": "admitted",
            "detail": "",
            "configured_at": "sidegate.yaml:12",
        }
    ]
    assert facts["request_id"] == request_in.id


def test_what_is_told_in_detail_is_judged_by_its_own_request(
    world: World, request_in: Request
) -> None:
    met: list[Request | None] = []

    class Watched(Journal):
        def debug(self, event: str, **facts: Any) -> None:
            met.append(current())

    world.journal = Watched()
    end(world.make(level="debug"), request_in)
    assert met == [request_in]
    assert current() is None


def test_fields_that_the_user_names_are_hidden(world: World, request_in: Request) -> None:
    end(world.make(level="debug", redact_headers=["User-Agent"]), request_in)
    [facts] = world.details()
    assert facts["fields"]["user-agent"] == "…redacted"


def test_parameters_that_the_user_names_are_hidden(world: World, request_in: Request) -> None:
    request_in.headers.set("Referer", "https://a.test/?ssn=123-45")
    end(world.make(level="debug", redact_query=["ssn"]), request_in)
    [facts] = world.details()
    assert facts["fields"]["referer"] == "https://a.test/?ssn=…redacted"


def test_secrets_of_the_configuration_are_hidden(world: World, request_in: Request) -> None:
    request_in.headers.set("X-Internal", SECRET)
    request_in.headers.set("X-Longer", "x" * (512 - 4) + SECRET)
    request_in.decide("redirect", "answered", f"to /{SECRET}")
    end(world.make(level="debug"), request_in)
    [facts] = world.details()
    assert facts["fields"]["x-internal"] == "********"
    assert facts["fields"]["x-longer"] == "x" * 508 + "****"
    assert facts["decisions"][-1]["detail"] == "to /********"


def test_details_do_not_need_access_lines(world: World, request_in: Request) -> None:
    end(world.make(level="debug", access=False), request_in)
    assert (world.lines, len(world.details())) == (0, 1)


class TestExceptions:
    def test_what_is_watched_is_not_left_to_chance(self, world: World, request_in: Request) -> None:
        request_in.trace = request_in.trace._replace(trace_id=UNLUCKY)
        world.levels.exempt("debug", 60.0, "catalogue")
        end(world.make(sample={}), request_in)
        assert (world.lines, len(world.details())) == (1, 1)

    def test_the_rest_goes_on_as_configured(self, world: World, request_in: Request) -> None:
        world.levels.exempt("debug", 60.0, "other")
        line = world.make(sample={})
        for trace_id in (LUCKY, UNLUCKY):
            request_in.trace = request_in.trace._replace(trace_id=trace_id)
            end(line, request_in)
        assert (world.lines, world.details()) == (1, [])

    def test_they_work_where_there_are_no_lines(self, world: World, request_in: Request) -> None:
        world.levels.exempt("info", 60.0, "catalogue")
        end(world.make(level="error"), request_in)
        world.levels.clear()
        world.levels.exempt("info", 60.0, "other")
        end(world.make(level="error"), request_in)
        assert (world.lines, world.details()) == (1, [])

    def test_one_may_be_quieter(self, world: World, request_in: Request) -> None:
        world.levels.exempt("error", 60.0, "catalogue")
        end(world.make(), request_in)
        assert world.lines == 0
