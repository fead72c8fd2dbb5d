"""Log lines for people at a terminal: one line each, harmless whatever is in them.

May live here: how a record looks. Must not live here: what is in a record. Texts from
requests can't move the cursor, change colours or forge lines: what isn't printable is
shown escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_LEVEL_COLOURS: Final = {
    "debug": "\x1b[2m", "info": "\x1b[36m", "warning": "\x1b[33m", "error": "\x1b[31m",
    "critical": "\x1b[1;31m",
}  # fmt: skip
_STATUS_COLOURS: Final = {"2": "\x1b[32m", "3": "\x1b[36m", "4": "\x1b[33m", "5": "\x1b[31m"}
_HEAD: Final = frozenset({"timestamp", "level", "event", "exception"})
# The access line shows these, in this order, under shorter names.
_ACCESS: Final = (
    ("route", "route"), ("upstream", "upstream"), ("endpoint", "endpoint"), ("error", "error"),
    ("aborted", "aborted"), ("client_ip", "client"), ("request_id", "id"),
)  # fmt: skip


class Console:
    """Renders records as text. colour: with ANSI colours."""

    def __init__(self, *, colour: bool) -> None:
        self._paint: Callable[[str, str], str] = _paint if colour else _plain

    def access(self, record: Mapping[str, Any]) -> bytes:
        """The record of a request, newline included: what happened first, then to whom."""
        paint = self._paint
        status = str(record["status"])
        target = record["path"] + (f"?{record['query']}" if record["query"] else "")
        parts = [
            paint(clock_part(record), _DIM),
            printable(record["method"] or "-"),
            printable(target or "-"),
            paint(status, _STATUS_COLOURS.get(status[:1], "")),
            f"{record['total_ms']:.1f}ms ",
        ]
        parts += [self._fact(short, record[name]) for name, short in _ACCESS if record.get(name)]
        for policy, outcome in record["decisions"].items():
            if outcome != "admitted":
                parts.append(self._fact(policy, outcome))
        return _line(parts)

    def event(self, record: Mapping[str, Any]) -> bytes:
        """Any other record, newline included; an exception's lines follow, indented."""
        level = str(record["level"])
        parts = [
            self._paint(clock_part(record), _DIM),
            self._paint(f"{level:<7}", _LEVEL_COLOURS.get(level, "")),
            printable(str(record["event"])),
        ]
        facts = [self._fact(name, value) for name, value in record.items() if name not in _HEAD]
        if facts:
            parts.append(" " + " ".join(facts))
        for line in str(record.get("exception", "")).splitlines():
            parts.append(f"\n    {printable(line)}")
        return _line(parts)

    def _fact(self, name: str, value: object) -> str:
        text = printable(value if isinstance(value, str) else str(value))
        if not text or " " in text or '"' in text:
            text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return self._paint(f"{printable(name)}=", _DIM) + text


def clock_part(record: Mapping[str, Any]) -> str:
    """`12:04:05.123` of the record's timestamp (UTC)."""
    return str(record["timestamp"])[11:23]


def printable(text: str) -> str:
    """The text with everything that isn't printable (controls, surrogates) escaped."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def _line(parts: list[str]) -> bytes:
    return (" ".join(parts) + "\n").encode("utf-8", "backslashreplace")


def _paint(text: str, colour: str) -> str:
    return f"{colour}{text}{_RESET}" if colour else text


def _plain(text: str, _: str) -> str:
    return text
