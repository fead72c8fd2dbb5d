"""W3C Trace Context: continue the caller's trace, or start one, and hand it on.

Traces that come in B3 fields, the form of Zipkin, are continued as well: the W3C fields are
sent besides, and the B3 ones in the form they came in, so that a service knows either.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from proxy.contract import PolicySpec, Request, Response, Toolkit, TraceContext
from proxy.http1.headers import Headers, decode
from proxy.http1.identifiers import HexPool
from proxy.policies.trace_context.options import Options

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
# Where the value for the client is kept meanwhile, in the request's state.
_TOLD: Final = "traceresponse"
_KNOWN_FLAGS: Final = 0x03
_FLAGS: Final = ("-00", "-01", "-02", "-03")
_SAMPLED: Final = 0x01
_RANDOM: Final = 0x02
# The fields of B3: all in one, or one each. Trace IDs have 64 or 128 bits.
_B3_ONE: Final = "b3"
_B3_TRACE: Final = "x-b3-traceid"
_B3_SPAN: Final = "x-b3-spanid"
_B3_SAMPLED: Final = "x-b3-sampled"
_B3_DEBUG: Final = "x-b3-flags"
_B3: Final = frozenset({_B3_ONE, _B3_TRACE, _B3_SPAN, _B3_SAMPLED, _B3_DEBUG, "x-b3-parentspanid"})
_B3_VALUE: Final = re.compile(
    r"(?!0+-)([0-9a-f]{32}|[0-9a-f]{16})-(?!0{16})([0-9a-f]{16})(?:-([01d]))?(?:-[0-9a-f]{16})?"
).fullmatch
# What a stranger sent of another trace, and what would contradict a trace that starts here.
_FOREIGN: Final = _B3 | {"tracestate"}
# What the class itself does by way of a function in Python, for half of what that costs.
_context: Final[Callable[[tuple[str, str, str, int, str]], TraceContext]] = partial(
    tuple.__new__, TraceContext
)


class Trace:
    """Sets `request.trace` and the fields that go upstream."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._any = options.accept == "any"
        self._trusted = options.accept == "trusted"
        self._take = HexPool(toolkit.random).take
        self._sampled = toolkit.sampled

    def edit_request(self, request: Request) -> None:
        """Continue the trace that came, if it may be believed; else start one."""
        headers = request.headers
        if not (self._any or (self._trusted and request.trusted)):
            headers.drop(_FOREIGN)
            self._start(request)
            return
        came = headers.raw("traceparent")
        parent = None if came is None else _PARENT(came)
        if parent is None or (parent[1] == b"00" and parent[5] is not None):
            headers.remove("tracestate")
            if headers.lacks(_B3):
                self._start(request)
            else:
                self._from_b3(request)
            return
        trace_id, span_id = parent[2].decode(), self._take(16)
        flags = int(parent[4], 16) & _KNOWN_FLAGS
        came_state = headers.raw("tracestate")
        state = b"" if came_state is None else kept_state(came_state)
        request.trace = TraceContext(trace_id, span_id, parent[3].decode(), flags, decode(state))
        _tell(request, f"00-{trace_id}-{span_id}{_FLAGS[flags]}")
        if not state:
            headers.remove("tracestate")
        elif state != came_state:
            headers.set_raw(b"tracestate", state)
        if not headers.lacks(_B3):
            _write_b3(request)

    def edit_response(self, request: Request, response: Response) -> None:
        """Tell the client the trace, in place of one that the upstream told."""
        response.headers.lines["traceresponse"] = b"traceresponse: " + request.state[_TOLD]

    def _start(self, request: Request, flags: int | None = None) -> None:
        """Begin a trace. flags: what was decided about it elsewhere."""
        digits = self._take(48)
        trace_id, span_id = digits[:32], digits[32:]
        if flags is None:
            sampled = self._sampled is not None and self._sampled(trace_id)
            flags = _RANDOM | _SAMPLED if sampled else _RANDOM
        request.trace = _context((trace_id, span_id, "", flags, ""))
        # In place of `_tell`, since most requests come by here.
        told = f"00-{trace_id}-{span_id}{_FLAGS[flags]}".encode("ascii")
        request.state[_TOLD] = told
        request.headers.lines["traceparent"] = b"traceparent: " + told

    def _from_b3(self, request: Request) -> None:
        trace_id, parent_id, sampled = _read_b3(request.headers)
        if not trace_id:
            decided = None if sampled is None else _RANDOM | (_SAMPLED if sampled else 0)
            self._start(request, decided)
        else:
            if sampled is None:
                # The caller left the decision to whoever comes next.
                sampled = self._sampled is not None and self._sampled(trace_id)
            flags = _SAMPLED if sampled else 0
            span_id = self._take(16)
            request.trace = TraceContext(trace_id, span_id, parent_id, flags, "")
            _tell(request, f"00-{trace_id}-{span_id}{_FLAGS[flags]}")
        _write_b3(request)


def _tell(request: Request, value: str) -> None:
    """Hand this hop on to the upstream, and keep it for the client."""
    told = request.state[_TOLD] = value.encode("ascii")
    request.headers.set_raw(b"traceparent", told)


def _read_b3(headers: Headers) -> tuple[str, str, bool | None]:
    """Trace ID of 32 digits, span ID, whether it is sampled; None and empty if not said."""
    one = (headers.get(_B3_ONE) or "").strip().lower()
    if one in ("0", "1", "d"):
        return "", "", one != "0"
    if not one:
        if headers.raw(_B3_DEBUG) == b"1":
            said: bool | None = True
        else:
            word = (headers.get(_B3_SAMPLED) or "").strip().lower()
            said = {"1": True, "true": True, "0": False, "false": False}.get(word)
        one = f"{headers.get(_B3_TRACE, '')}-{headers.get(_B3_SPAN, '')}".lower()
        match = _B3_VALUE(one)
    else:
        match = _B3_VALUE(one)
        state = match[3] if match is not None else None
        said = None if state is None else state != "0"
    if match is None:
        return "", "", said
    return match[1].rjust(32, "0"), match[2], said


def _write_b3(request: Request) -> None:
    """Put this hop into the B3 fields, in the form that they came in."""
    headers, trace = request.headers, request.trace
    one = _B3_ONE in headers
    headers.drop(_B3)
    sampled = trace.flags & _SAMPLED
    if one:
        headers.set("b3", f"{trace.trace_id}-{trace.span_id}-{sampled}")
        return
    headers.set("X-B3-TraceId", trace.trace_id)
    headers.set("X-B3-SpanId", trace.span_id)
    headers.set("X-B3-Sampled", str(sampled))
    if trace.parent_id:
        headers.set("X-B3-ParentSpanId", trace.parent_id)


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
