"""W3C Trace Context: continue the caller's trace, or start one, and hand it on."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import ConfigDict

from proxy.contract import PolicyOptions, PolicySpec, Request, Toolkit, TraceContext
from proxy.http1.headers import decode
from proxy.http1.identifiers import HexPool

# Trace Context, 3.2.2: version ff and IDs of zeros are invalid; versions after 00 may have
# more behind another dash.
_PARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
).fullmatch
# Trace Context, 3.3.1.3: `key=value`, the key perhaps with a tenant.
_MEMBER: Final = re.compile(
    rb"([a-z0-9][a-z0-9_*/@-]{0,255})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
).fullmatch
_MEMBERS_MAX: Final = 32
# A member has 513 characters at most, so dropping them until this fits leaves 512 or more.
_STATE_MAX: Final = 512 + 514
_LONG_MEMBER: Final = 128
_KNOWN_FLAGS: Final = 0x03
_RANDOM: Final = 0x02


class Options(PolicyOptions):
    """Continue or start a W3C trace: `traceparent` and `tracestate`.

    The trace ID is in every log line, also where nothing records spans. A malformed
    `traceparent` is ignored together with its `tracestate`, and a new trace is started.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"accept": "any"}]})

    accept: Literal["trusted", "any", "never"] = "trusted"
    """Whose traces are continued: those of `server.trusted_proxies`, anybody's, or nobody's."""


class Trace:
    """Sets `request.trace` and the fields that go upstream."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._any = options.accept == "any"
        self._trusted = options.accept == "trusted"
        self._take = HexPool(toolkit.random).take

    def edit_request(self, request: Request) -> None:
        """Continue the trace that came, if it may be believed; else start one."""
        headers = request.headers
        came = headers.raw("traceparent")
        parent = None
        if came is not None and (self._any or (self._trusted and request.trusted)):
            parent = _PARENT(came)
            if parent is not None and parent[1] == b"00" and parent[5] is not None:
                parent = None
        if parent is None:
            digits = self._take(48)
            trace_id, span_id = digits[:32], digits[32:]
            request.trace = TraceContext(trace_id, span_id, "", _RANDOM, "")
            headers.remove("tracestate")
            headers.set_raw(b"traceparent", f"00-{trace_id}-{span_id}-02".encode())
            return
        trace_id, span_id = parent[2].decode(), self._take(16)
        flags = int(parent[4], 16) & _KNOWN_FLAGS
        came_state = headers.raw("tracestate")
        state = b"" if came_state is None else kept_state(came_state)
        request.trace = TraceContext(trace_id, span_id, parent[3].decode(), flags, decode(state))
        headers.set_raw(b"traceparent", f"00-{trace_id}-{span_id}-{flags:02x}".encode())
        if not state:
            headers.remove("tracestate")
        elif state != came_state:
            headers.set_raw(b"tracestate", state)


def kept_state(value: bytes) -> bytes:
    """The tracestate to hand on (Trace Context, 3.3.1.5); empty when it is malformed.

    One that is too long loses whole members: those over 128 characters first, then those
    at the end, which are the oldest.
    """
    members = [part.strip(b" \t") for part in value.split(b",", 4 * _MEMBERS_MAX)]
    members = [member for member in members if member]
    if len(members) > _MEMBERS_MAX:
        return b""
    keys: set[bytes] = set()
    for member in members:
        match = _MEMBER(member)
        if match is None or match[1] in keys:
            return b""
        keys.add(match[1])
    length = sum(map(len, members)) + len(members) - 1
    for place in range(len(members) - 1, -1, -1):
        if length <= _STATE_MAX:
            break
        if len(members[place]) > _LONG_MEMBER:
            length -= len(members.pop(place)) + 1
    while length > _STATE_MAX:
        length -= len(members.pop()) + 1
    return b",".join(members)


POLICY = PolicySpec("trace_context", Options, Trace, default=True)
