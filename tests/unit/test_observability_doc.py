"""The documented schema of access lines is the one that is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from proxy.config.telemetry import Logging
from proxy.contract import Request
from proxy.telemetry.access_log import AccessLog
from tests.unit.telemetry.conftest import NOON, Lines, make_request

DOCUMENT: Final = (Path(__file__).parents[2] / "config" / "OBSERVABILITY.md").read_text("utf-8")
TYPES: Final[dict[str, Any]] = {"text": str, "number": (int, float), "object": dict}


def documented() -> dict[str, tuple[str, bool]]:
    """Type of each field, and whether it is on every line."""
    table = DOCUMENT.split("<!-- fields -->")[1]
    fields = {}
    for names, type_, _ in re.findall(r"^\| (`.+?) \| (.+?) \| (.+?) \|$", table, re.MULTILINE):
        for name in re.findall("`(.+?)`", names):
            fields[name] = (type_.partition(",")[0], "absent" not in type_)
    return fields


def written(request: Request, **ending: str) -> dict[str, Any]:
    lines = Lines()
    log = AccessLog(Logging(headers=("X-Tenant",)), lines.sink, lambda: NOON)
    log.line(request, 200, 1, 2, 101.0, ending.get("error", ""), ending.get("aborted", ""))
    line: dict[str, Any] = json.loads(lines.raw())
    return line


def full() -> dict[str, Any]:
    request = make_request()
    request.headers.set("X-Tenant", "blue")
    request.decide("redirect", "answered", "/b")
    return written(request, error="internal_error", aborted="upstream_closed")


def test_every_field_is_documented_in_its_order() -> None:
    assert list(full()) == [name for name in documented() if name in full()]
    assert full().keys() == documented().keys()


@pytest.mark.parametrize("name", documented())
def test_a_field_has_the_type_that_is_documented(name: str) -> None:
    type_, _ = documented()[name]
    assert isinstance(full()[name], TYPES[type_])


def test_what_is_always_there_is_on_the_barest_line() -> None:
    bare = Request("", b"", "", "", make_request().headers.copy())
    always = {name for name, (_, always) in documented().items() if always}
    assert written(bare).keys() == always
