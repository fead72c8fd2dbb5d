"""What a field may be called and hold, and which fields Sidegate keeps to itself.

For what people write in a configuration: each check returns its argument or raises
ValueError with the fix. Fields that arrive in messages are checked by the parser and by
`message`. Pure.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Side = Literal["request", "response"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}").fullmatch
_BARE: Final = re.compile(r"[\x20-\x7e\xa0-\U0010ffff]*").fullmatch
_VALUE_MAX: Final = 8192

_HOP_BY_HOP: Final = "it belongs to one connection, and Sidegate writes its own"
_FRAMING: Final = "it frames the message, and Sidegate computes it"
_FORWARDING: Final = "Sidegate writes it from what `server.trusted_proxies` allow"
_KEPT: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "connection", "expect", "http2-settings", "keep-alive", "proxy-connection", "te",
            "trailer", "upgrade",
        ),
        _HOP_BY_HOP,
    ),
    **dict.fromkeys(("content-length", "transfer-encoding"), _FRAMING),
    "via": "Sidegate appends itself to it",
}  # fmt: skip
_KEPT_OF_REQUESTS: Final[dict[str, str]] = {
    "host": "routes and upstreams are chosen by it; use `host` of the upstream",
    **dict.fromkeys(
        (
            "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port",
            "x-forwarded-proto",
        ),
        _FORWARDING,
    ),
}  # fmt: skip


def check_name(name: str) -> str:
    """A field name (RFC 9110, 5.1: a token)."""
    if _TOKEN(name) is None:
        raise ValueError(
            f"{name!r} is not a field name; use letters, digits and dashes, as in X-Team"
        )
    return name


def check_editable(name: str, side: Side) -> str:
    """A field name that a policy may set, add or remove on this side."""
    check_name(name)
    key = name.lower()
    why = _KEPT.get(key) or (_KEPT_OF_REQUESTS.get(key) if side == "request" else None)
    if why is not None:
        raise ValueError(f"{name} can't be changed here: {why}")
    return name


def check_value(value: str) -> str:
    """A field value (RFC 9110, 5.5), without control characters."""
    if _BARE(value) is None:
        raise ValueError(f"{value!r} holds a control character; a field value is one line")
    if len(value) > _VALUE_MAX:
        raise ValueError(f"a field value of {len(value)} characters; at most {_VALUE_MAX} go")
    return value
