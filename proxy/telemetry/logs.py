"""Every log line but the access line: structlog, and all that others log, into one sink.

May live here: which lines there are and what schema they share. Must not live here: how
bytes leave (`sink`) or how text looks (`console`).

A line is a JSON object that begins `timestamp`, `level`, `event`, followed by facts by
name. One that is written while a request is answered names it: `request_id`, `trace_id`,
`span_id`, `route`. What libraries send to the standard logging module, and warnings, come
out the same way with their `logger` named. An unexpected exception is one `exception`
field; an expected one (GatewayError) is a sentence without a stack trace.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, Literal, cast

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

from proxy.contract import Request
from proxy.current import current
from proxy.errors import GatewayError
from proxy.telemetry.console import Console
from proxy.telemetry.levels import Level, Levels
from proxy.telemetry.redaction import REDACTED, is_secret, redact, redact_text, redact_tokens
from proxy.telemetry.sink import Sink
from proxy.timestamp import make_timestamp

BoundLogger = FilteringBoundLogger
Format = Literal["auto", "json", "console"]
Facts = MutableMapping[str, Any]

_TEXT_MAX: Final = 8 * 1024
_EXCEPTION_MAX: Final = 16 * 1024
_DEPTH_MAX: Final = 6
_ITEMS_MAX: Final = 100
_UNSEEN: Final = re.compile(r"[^\n -~]")
# aiohttp's own access lines would repeat what the admin API's callers know.
_QUIET: Final = ("aiohttp.access",)


def make_console(format: Format, sink: Sink, file: str | None = None) -> Console | None:
    """How to show lines to people, or None for JSON; `auto` asks whether there is a terminal.

    Colours are for terminals, and not where `NO_COLOR` is set in the environment. file: where
    lines go instead of the sink's target.
    """
    terminal = sink.tty and not file
    if format == "json" or (format == "auto" and not terminal):
        return None
    return Console(colour=terminal and not os.environ.get("NO_COLOR"))


def configure(
    level: Level,
    format: Format,
    sink: Sink,
    wall: Callable[[], float],
    levels: Levels | None = None,
    file: str | None = None,
) -> BoundLogger:
    """Route all logging of the process into the sink and return Sidegate's logger.

    May be called again, as on reload: what was configured before is replaced, and loggers
    handed out earlier go on with their old format. wall: seconds since 1970, UTC. levels: of
    the process, which may let more or less through than `level` for a while. file: where
    the sink writes instead of its target.
    """
    if levels is None:
        levels = Levels(lambda: 0.0)
    levels.configure(level)
    console = make_console(format, sink, file)
    renderer = console.event if console is not None else render_json
    timestamp = make_timestamp(wall)

    def head(_: Any, method: str, facts: Facts) -> Facts:
        request = current()
        if levels.narrow and not levels.allows(method, request):
            raise structlog.DropEvent
        event = str(facts.pop("event", ""))[:_TEXT_MAX]
        first = {"timestamp": timestamp(), "level": method, "event": event}
        # First for their place, last so that no fact of the same name replaces them.
        return {**first, **_place(request), **_complete(facts), **first}

    def render(_: Any, method: str, facts: Facts) -> bytes:
        return redact_tokens(renderer(facts))

    logger = cast(
        BoundLogger,
        structlog.wrap_logger(
            _Outlet(sink),
            processors=[head, render],
            wrapper_class=levels.logger,
            context_class=dict,
        ).bind(),
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge(logger)]
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return logger


def loop_exception_handler(
    log: BoundLogger,
) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """A handler for `loop.set_exception_handler`: one line for what nobody awaited."""

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        facts: dict[str, Any] = {}
        for name in ("task", "future", "handle", "transport", "protocol"):
            if context.get(name) is not None:
                facts[name] = repr(context[name])
        log.error(
            "unhandled error in the event loop",
            reason=context.get("message", ""),
            exc_info=context.get("exception"),
            **facts,
        )

    return handle


def render_json(record: Mapping[str, Any]) -> bytes:
    """A record as one line of JSON, whatever is in it."""
    try:
        line = orjson.dumps(record, default=_describe, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # Broken surrogates, keys that aren't text, integers beyond 64 bits, cycles.
        line = orjson.dumps(clean(record), option=orjson.OPT_APPEND_NEWLINE)
    if line.isascii() and b"\x7f" not in line:
        return line
    # JSON lets stand what terminals, and readers that know more line ends, obey.
    return _UNSEEN.sub(_escape, line.decode()).encode()


def _escape(found: re.Match[str]) -> str:
    """The JSON escapes of a character that isn't printable, and of no other."""
    letter = found[0]
    if letter.isprintable():
        return letter
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def clean(value: Any, depth: int = 0) -> Any:
    """The value in a form that JSON can carry: bounded, with broken text escaped."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**53) < value < 2**53 else str(value)
    if isinstance(value, str):
        return value[:_TEXT_MAX].encode("utf-8", "backslashreplace").decode("utf-8")
    if depth < _DEPTH_MAX:
        if isinstance(value, Mapping):
            items = list(value.items())[:_ITEMS_MAX]
            return {clean(str(key)): clean(item, depth + 1) for key, item in items}
        if isinstance(value, list | tuple | set | frozenset):
            return [clean(item, depth + 1) for item in list(value)[:_ITEMS_MAX]]
    return clean(_describe(value))


def _describe(value: Any) -> str:
    if isinstance(value, bytes):
        return value[:_TEXT_MAX].decode("utf-8", "backslashreplace")
    return redact_text(str(value)[:_TEXT_MAX])


def _place(request: Request | None) -> dict[str, str]:
    """What names the request that a line is written for."""
    if request is None:
        return {}
    return {
        "request_id": request.id,
        "trace_id": request.trace.trace_id,
        "span_id": request.trace.span_id,
        "route": request.route.name,
    }


def _complete(facts: Facts) -> Facts:
    """Replace `exc_info`, hide secrets and cut what is too long."""
    exc_info = facts.pop("exc_info", None)
    for name, value in facts.items():
        if isinstance(value, str):
            if is_secret(name) and value:
                facts[name] = REDACTED
            else:
                cut = f"{value[:_TEXT_MAX]}…" if len(value) > _TEXT_MAX else value
                facts[name] = redact_text(cut)
        elif isinstance(value, Mapping | list | tuple | set | frozenset):
            facts[name] = redact(value)
    if exc_info:
        facts.update(_explain(exc_info))
    return facts


def _explain(exc_info: Any) -> dict[str, str]:
    error = exc_info
    if isinstance(exc_info, tuple):
        error = exc_info[1]
    elif not isinstance(exc_info, BaseException):
        error = sys.exc_info()[1]
    if error is None:
        return {}
    if isinstance(error, GatewayError):
        return {"reason": redact_text(str(error))}
    text = "".join(traceback.format_exception(error))
    if len(text) > _EXCEPTION_MAX:
        # Its end says what happened, its beginning where it came from.
        half = _EXCEPTION_MAX // 2
        text = f"{text[:half]}\n…\n{text[-half:]}"
    return {"exception": redact_text(text)}


class _Outlet:
    """What structlog's bound loggers call with a finished line."""

    def __init__(self, sink: Sink) -> None:
        self._write = sink.write

    def msg(self, line: bytes) -> None:
        self._write(line)

    log = debug = info = warn = warning = err = error = critical = exception = fatal = msg


class _Bridge(logging.Handler):
    """Hands records of the standard logging module on."""

    def __init__(self, log: BoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except Exception:
            # A library's format string and its arguments disagree.
            event = str(record.msg)
        if record.name == "py.warnings":
            # The first line says all; the second quotes source code.
            event = event.partition("\n")[0]
        event = redact_text(event)
        level = next((name for floor, name in _LEVELS if record.levelno >= floor), "debug")
        getattr(self._log, level)(event, logger=record.name, exc_info=record.exc_info)


_LEVELS: Final = (
    (logging.CRITICAL, "critical"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)
