"""What the admin API's answers look like: JSON for facts, a line of text for probes.

May live here: bodies and header fields. Must not live here: what is asked of the gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

# OWASP's set for an API: nothing here is to be framed, cached, sniffed or run.
SECURITY_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "deny"),
)
_PATH_MAX: Final = 2048
_PRETTY: Final = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS


def show_json(facts: Any, status: int = 200) -> web.Response:
    """Facts as indented JSON; values that JSON doesn't know are shown as text."""
    body = orjson.dumps(facts, default=str, option=_PRETTY)
    return web.Response(body=body, status=status, content_type="application/json")


def show_text(line: str, status: int = 200) -> web.Response:
    """One line of plain text."""
    return web.Response(text=line + "\n", status=status)


def show_error(
    code: str,
    detail: str,
    status: int,
    *,
    timestamp: str,
    path: str,
    request_id: str,
    more: Mapping[str, Any] | None = None,
) -> web.Response:
    """The error envelope that the data plane uses too, with `more` facts at its end."""
    envelope = {
        "error": code,
        "detail": detail,
        "status": status,
        "timestamp": timestamp,
        "path": path[:_PATH_MAX],
        "request_id": request_id,
        **(more or {}),
    }
    return show_json(envelope, status)
