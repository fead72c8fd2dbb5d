"""One schema and one sink for everything that is logged."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextvars import copy_context

import pytest

from proxy.contract import Request
from proxy.current import enter
from proxy.errors import GatewayError
from proxy.telemetry.levels import Levels
from proxy.telemetry.logs import configure, loop_exception_handler, make_console, render_json
from proxy.telemetry.sink import Sink
from tests.unit.telemetry.conftest import Lines

Wall = Callable[[], float]
CANARY = "canary-4711-hunter2"


@pytest.fixture(autouse=True)
def _untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_json_that_begins_with_time_level_and_event(lines: Lines, wall: Wall) -> None:
    log = configure("info", "json", lines.sink, wall)
    log.info("listening", address="http://127.0.0.1:8080", workers=1)
    raw = lines.raw()
    assert raw == (
        b'{"timestamp":"2026-11-24T12:04:05.123Z","level":"info","event":"listening",'
        b'"address":"http://127.0.0.1:8080","workers":1}\n'
    )


def test_facts_that_were_bound_are_on_every_line(lines: Lines, wall: Wall) -> None:
    log = configure("info", "json", lines.sink, wall).bind(policy="cache")
    log.warning("stale")
    assert lines.json()[0]["policy"] == "cache"


def test_no_fact_replaces_time_or_level(lines: Lines, wall: Wall) -> None:
    configure("info", "json", lines.sink, wall).info("e", timestamp="never", level="error")
    [line] = lines.json()
    assert (line["timestamp"], line["level"]) == ("2026-11-24T12:04:05.123Z", "info")


def test_lines_below_the_level_are_not_written(lines: Lines, wall: Wall) -> None:
    log = configure("warning", "json", lines.sink, wall)
    log.info("a")
    logging.getLogger("library").info("b")
    log.error("c")
    assert [line["event"] for line in lines.json()] == ["c"]


def test_the_standard_library_logs_here(lines: Lines, wall: Wall) -> None:
    configure("info", "json", lines.sink, wall)
    logging.getLogger("aiohttp.server").error("bad %s", "thing")
    logging.getLogger("asyncio").critical("worse")
    logging.getLogger("library").warning("%d", "no number")
    found = [(line["level"], line["event"], line["logger"]) for line in lines.json()]
    assert found == [
        ("error", "bad thing", "aiohttp.server"),
        ("critical", "worse", "asyncio"),
        ("warning", "%d", "library"),
    ]


def test_warnings_are_one_line(lines: Lines, wall: Wall) -> None:
    configure("info", "json", lines.sink, wall)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    [line] = lines.json()
    assert line["logger"] == "py.warnings"
    assert "DeprecationWarning: old ways" in line["event"]
    assert "\n" not in line["event"]


def test_configuring_again_does_not_double_lines(lines: Lines, wall: Wall) -> None:
    configure("info", "json", lines.sink, wall)
    configure("info", "json", lines.sink, wall)
    logging.getLogger("library").warning("once")
    assert len(lines.json()) == 1


def test_an_unexpected_exception_is_one_field(lines: Lines, wall: Wall) -> None:
    log = configure("info", "json", lines.sink, wall)
    try:
        raise KeyError("gone")
    except KeyError as error:
        log.error("a", exc_info=error)
        log.error("b", exc_info=True)
        logging.getLogger("library").exception("c")
    for line in lines.json():
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("KeyError: 'gone'\n")


def test_an_expected_failure_has_a_reason_and_no_stack_trace(lines: Lines, wall: Wall) -> None:
    log = configure("info", "json", lines.sink, wall)
    log.info("refused", exc_info=GatewayError("upstream_unreachable", cause="ECONNREFUSED"))
    log.info("nothing is being handled", exc_info=True)
    first, second = lines.json()
    assert first["reason"].endswith("(ECONNREFUSED)")
    assert "exception" not in first
    assert "exception" not in second


def test_an_endless_stack_trace_keeps_its_ends(lines: Lines, wall: Wall) -> None:
    log = configure("info", "json", lines.sink, wall)
    log.error("deep", exc_info=ValueError("x" * 100_000 + "end"))
    text = lines.json()[0]["exception"]
    assert len(text) < 17_000
    assert text.endswith("end\n")


def test_a_planted_secret_is_not_logged(lines: Lines, wall: Wall) -> None:
    log = configure("info", "json", lines.sink, wall)
    log.info("connecting", password=CANARY, authorization=f"Basic {CANARY}")
    log.error("failed", exc_info=ValueError(f"redis://:{CANARY}@host refused"))
    logging.getLogger("library").warning("sent Bearer %s", CANARY)
    raw = lines.raw().decode()
    assert CANARY not in raw
    assert raw.count("…redacted") == 4


def test_secrets_are_hidden_wherever_they_stand_in_a_fact(lines: Lines, wall: Wall) -> None:
    url = f"redis://alice:{CANARY}@store:6379"

    class Store:
        def __str__(self) -> str:
            return url

    log = configure("info", "json", lines.sink, wall)
    log.info("asked", url=url, urls=[url], store=Store(), fields={"password": CANARY, "a": 1})
    [line] = lines.json()
    assert CANARY not in str(line)
    assert line["fields"] == {"password": "…redacted", "a": 1}


def test_nothing_that_a_terminal_obeys_is_written(lines: Lines, wall: Wall) -> None:
    evil = "ä\x9b31m\u2028\u202e\U000e0001\x7f"
    configure("info", "json", lines.sink, wall).info(evil, fact=evil)
    raw = lines.raw().decode()
    assert raw.rstrip("\n").isprintable()
    assert json.loads(raw)["fact"] == evil, "it is escaped, not lost"


@pytest.mark.parametrize(
    ("fact", "shown"),
    [
        ("a\nb", "a\nb"),
        ("\udcff", "\\udcff"),
        (2**70, str(2**70)),
        ({1: {2, 3}}, {"1": [2, 3]}),
        ({"b": b"\xff"}, {"b": "\\xff"}),
        ([None, True, 0.5], [None, True, 0.5]),
        (b"bytes", "bytes"),
        (ValueError("text"), "text"),
    ],
)
def test_any_fact_can_be_written(lines: Lines, wall: Wall, fact: object, shown: object) -> None:
    configure("info", "json", lines.sink, wall).info("odd", fact=fact)
    raw = lines.raw()
    assert raw.count(b"\n") == 1
    assert json.loads(raw)["fact"] == shown


def test_a_fact_without_end_is_cut() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    line = render_json({"fact": cycle, "long": ["x" * 100_000, "\ud800"]})
    assert len(line) < 20_000
    json.loads(line)


def test_long_texts_are_cut(lines: Lines, wall: Wall) -> None:
    configure("info", "json", lines.sink, wall).info("e" * 10_000, fact="f" * 10_000)
    [line] = lines.json()
    assert len(line["event"]) == 8192
    assert len(line["fact"]) == 8193


def test_the_console_format_is_for_people(lines: Lines, wall: Wall) -> None:
    configure("info", "console", lines.sink, wall).warning("watch out", route="a")
    assert lines.text() == ["12:04:05.123 warning watch out  route=a"]


def test_auto_is_text_on_a_terminal_only(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_console("auto", lines.sink) is None
    assert make_console("json", lines.sink) is None
    assert make_console("console", lines.sink) is not None
    leader, terminal = os.openpty()
    sink = Sink(terminal)
    record = {"timestamp": "2026-11-24T12:04:05.123Z", "level": "info", "event": "e"}
    try:
        monkeypatch.delenv("NO_COLOR", raising=False)
        console = make_console("auto", sink)
        assert console is not None
        assert b"\x1b[" in console.event(record)
        monkeypatch.setenv("NO_COLOR", "1")
        console = make_console("auto", sink)
        assert console is not None
        assert b"\x1b[" not in console.event(record)
    finally:
        sink.close()
        os.close(leader)
        os.close(terminal)


def test_errors_of_the_event_loop_are_logged(lines: Lines, wall: Wall) -> None:
    log = configure("info", "json", lines.sink, wall)
    loop = asyncio.new_event_loop()
    try:
        loop.set_exception_handler(loop_exception_handler(log))
        loop.call_exception_handler({"message": "lost", "exception": ValueError("why")})
        loop.call_exception_handler({"message": "odd", "task": "t"})
    finally:
        loop.close()
    first, second = lines.json()
    assert first["event"] == "unhandled error in the event loop"
    assert first["reason"] == "lost"
    assert "ValueError: why" in first["exception"]
    assert "exception" not in second


class TestRequests:
    def test_a_line_names_the_request_it_is_written_for(
        self, lines: Lines, wall: Wall, request_in: Request
    ) -> None:
        log = configure("info", "json", lines.sink, wall)

        def work() -> None:
            enter(request_in)
            log.info("a")
            logging.getLogger("library").warning("b")
            log.info("c", route="another")

        copy_context().run(work)
        log.info("d")
        a, b, c, d = lines.json()
        for line in (a, b):
            assert line["request_id"] == request_in.id
            assert line["trace_id"] == request_in.trace.trace_id
            assert line["span_id"] == request_in.trace.span_id
            assert line["route"] == "catalogue"
        assert list(a)[:4] == ["timestamp", "level", "event", "request_id"]
        assert c["route"] == "another", "a fact goes before"
        assert "request_id" not in d

    async def test_tasks_go_on_for_their_request(
        self, lines: Lines, wall: Wall, request_in: Request
    ) -> None:
        log = configure("info", "json", lines.sink, wall)

        async def background() -> None:
            log.info("a")

        async def handle() -> None:
            enter(request_in)
            await asyncio.create_task(background())

        await asyncio.create_task(handle())
        log.info("b")
        a, b = lines.json()
        assert (a.get("request_id"), b.get("request_id")) == (request_in.id, None)


class TestLevels:
    def test_an_exception_lets_lines_through_for_whom_it_is(
        self, lines: Lines, wall: Wall, request_in: Request
    ) -> None:
        levels = Levels(lambda: 0.0)
        log = configure("warning", "json", lines.sink, wall, levels)
        levels.exempt("debug", 60.0, "catalogue")

        def work() -> None:
            enter(request_in)
            log.debug("a")
            logging.getLogger("library").debug("b")

        log.debug("not a")
        copy_context().run(work)
        log.warning("c")
        levels.clear()
        copy_context().run(work)
        assert [line["event"] for line in lines.json()] == ["a", "b", "c"]


def test_tokens_are_hidden_wherever_they_stand(lines: Lines, wall: Wall) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLWNhbmFyeQ"
    log = configure("info", "json", lines.sink, wall)
    log.info(f"a {token}", fact=token, facts=[{"deep": token}])
    try:
        raise ValueError(token)
    except ValueError:
        logging.getLogger("library").exception("b %s", token)
    assert b"alice" not in lines.raw()
    assert b"eyJzdWIi" not in lines.raw()
