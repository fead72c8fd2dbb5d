"""Whether a failure may be answered by sending the request again: pure rules.

A failure's type says how far the request got. What was certainly not sent may be sent again
whatever it asks for; what may have been handled only if handling it twice is harmless
(RFC 9110, 9.2.2), or the user says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy.contract import Response
from proxy.errors import GatewayError, Unanswered, Unsent
from proxy.http1.status import read_statuses

FAILURES: Final = ("connect", "reset", "timeout", "invalid")
_STATUSES: Final = re.compile(r"[45]xx|[45][0-9][0-9]")
_CONNECT: Final = frozenset({"upstream_unreachable", "connect_timeout"})


def check_condition(text: str) -> str:
    """Raise ValueError unless this is a failure or a status that can be retried."""
    if text not in FAILURES and _STATUSES.fullmatch(text) is None:
        raise ValueError(
            f"{text!r} is nothing to retry on; write {', '.join(FAILURES)}, a status such as "
            "503, or 5xx"
        )
    return text


class Conditions:
    """The failures and statuses that are retried, and the methods that may be sent twice."""

    __slots__ = ("_failures", "_methods", "_statuses")

    def __init__(self, conditions: Iterable[str], methods: Iterable[str]) -> None:
        chosen = set(conditions)
        self._failures = chosen & set(FAILURES)
        self._statuses = read_statuses(chosen)
        self._methods = frozenset(methods)

    def of_error(self, error: GatewayError, method: str) -> str:
        """Why a request that failed so may be sent again; empty if it may not."""
        if isinstance(error, Unsent):
            return "connect" if error.code in _CONNECT and "connect" in self._failures else ""
        if method not in self._methods:
            return ""
        if isinstance(error, Unanswered):
            reason = "timeout" if error.code == "upstream_timeout" else "reset"
        else:
            reason = "invalid" if error.code == "upstream_invalid" else ""
        return reason if reason in self._failures else ""

    def of_response(self, response: Response, method: str) -> str:
        """As `of_error`, of a response."""
        if response.status in self._statuses and method in self._methods:
            return str(response.status)
        return ""
