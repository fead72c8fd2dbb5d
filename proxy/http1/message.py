"""Message heads: from the parser's fields to what may be passed on, in a single pass.

What is decided here: which fields are hop-by-hop, which are taken out because Sidegate
writes them itself, which are refused. What each value means is left to `framing`, `target`,
`host` and `forwarding`. Pure: no buffers, no I/O, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from proxy.errors import GatewayError
from proxy.http1.framing import Framing, request_framing, response_framing
from proxy.http1.headers import Field, Headers, combine, decode, key_of
from proxy.http1.host import read_authority
from proxy.http1.target import PathRules, Target, read_target

# What the pass does with a field. END_TO_END is zero so that the common case is one test.
_END_TO_END: Final = 0
_DROP: Final = 1
_CONNECTION: Final = 2
_FRAMING: Final = 3
_HOST: Final = 4
_FORWARDED: Final = 5
_EXPECT: Final = 6
_UNDERSCORE: Final = 7
_UPGRADE: Final = 8

# Hop-by-hop by RFC 9110, 7.6.1, or by long practice. TE and Trailer go because trailers
# are not passed on; Proxy because CGI-like gateways turn it into HTTP_PROXY.
_HOP_BY_HOP: Final = {
    "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
    "trailer", "proxy", "http2-settings",
}  # fmt: skip
_KINDS: Final = {
    **dict.fromkeys(_HOP_BY_HOP, _DROP),
    "connection": _CONNECTION,
    "content-length": _FRAMING,
    "transfer-encoding": _FRAMING,
    "host": _HOST,
    "forwarded": _FORWARDED,
    "x-real-ip": _FORWARDED,
    "x-original-url": _FORWARDED,
    "x-rewrite-url": _FORWARDED,
    "expect": _EXPECT,
    "upgrade": _UPGRADE,
}
# Connection may not name these away: they frame or address the message (RFC 9110, 7.6.1),
# or an attacker would strip what the next server decides by. Upgrade, which it has to name,
# is kept on a 101 alone.
_NOT_NOMINABLE: Final = {
    "host", "content-length", "transfer-encoding", "cache-control", "authorization", "cookie",
    "content-type", "content-encoding", "range", "via", "set-cookie", "upgrade",
}  # fmt: skip

_NAMES: dict[bytes, tuple[str, int]] = {}
_NAMES_MAX: Final = 2048
_NAME_MAX_LENGTH: Final = 64
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch

Underscores = Literal["drop", "refuse", "pass"]


class HeadRules(NamedTuple):
    """What a listener demands of request heads.

    fields: most header fields. target: most bytes of a target.
    """

    fields: int
    target: int
    underscores: Underscores
    paths: PathRules


@dataclass(slots=True)
class RequestHead:
    """A request head that was read.

    headers: end-to-end fields. forwarded: the forwarding fields that came, taken out of
    them. keep_alive: the client would send another request. expects: it waits for 100.
    upgrade: the protocol that it asks for, empty for none.
    """

    method: str
    target: Target
    version: str
    host: str
    authority: str
    headers: Headers
    framing: Framing
    keep_alive: bool
    expects: bool
    upgrade: str
    forwarded: tuple[Field, ...]


@dataclass(slots=True)
class ResponseHead:
    """A response head that was read.

    length: what Content-Length said, also where no body follows (HEAD, 304). reuse: the
    connection may serve another request. idle: seconds that the upstream keeps it open, -1
    when it didn't say.
    """

    status: int
    headers: Headers
    framing: Framing
    length: int | None
    reuse: bool
    idle: int


def _learn(name: bytes, fault: str) -> tuple[str, int]:
    # The parsers forgive some names in responses, `Content-Length ` with its blank for one.
    if _TOKEN(name) is None:
        raise GatewayError(fault, cause="field name", close=fault == "invalid_header")
    key = key_of(name)
    kind = _KINDS.get(key)
    if kind is None:
        if key.startswith("x-forwarded-"):
            kind = _FORWARDED
        else:
            kind = _UNDERSCORE if "_" in key else _END_TO_END
    if len(name) <= _NAME_MAX_LENGTH and len(_NAMES) < _NAMES_MAX:
        _NAMES[name] = (key, kind)
    return key, kind


def read_request_head(
    method: str,
    raw_target: str,
    version: tuple[int, int],
    fields: tuple[Field, ...],
    rules: HeadRules,
) -> RequestHead:
    """Check a request head and part it. Raises GatewayError, always closing."""
    if version == (1, 1):
        protocol = "1.1"
    elif version == (1, 0):
        protocol = "1.0"
    else:
        raise GatewayError("unknown_version", close=True)
    if len(raw_target) > rules.target:
        raise GatewayError("target_too_long", close=True)
    if len(fields) > rules.fields:
        raise GatewayError(
            "head_too_large", f"The request has more than {rules.fields} header fields.", close=True
        )
    # TRACE would show the client what was added to its request on the way.
    if method == "CONNECT" or method == "TRACE":
        raise GatewayError("method_not_supported", close=True)
    kept: list[Field] = []
    index: dict[str, bytes] = {}
    host: bytes | None = None
    connection = length = coding = expect = None
    upgrade = b""
    forwarded: tuple[Field, ...] = ()
    known = _NAMES.get
    for field in fields:
        name, value = field
        key, kind = known(name) or _learn(name, "invalid_header")
        if kind == _END_TO_END:
            kept.append(field)
            index[key] = combine(key, index[key], value) if key in index else value
        elif kind == _HOST:
            if host is not None:
                raise GatewayError("invalid_host", "The Host field is repeated.", close=True)
            host = value
        elif kind == _CONNECTION:
            connection = value if connection is None else connection + b"," + value
        elif kind == _FRAMING:
            if key == "content-length":
                length = value if length is None else length + b", " + value
            else:
                coding = value if coding is None else coding + b", " + value
        elif kind == _FORWARDED:
            forwarded += (field,)
        elif kind == _EXPECT:
            expect = value if expect is None else expect + b", " + value
        elif kind == _UPGRADE:
            upgrade = value
        elif kind == _UNDERSCORE and rules.underscores != "drop":
            if rules.underscores == "refuse":
                raise GatewayError(
                    "invalid_header", "A field name holds an underscore.", close=True
                )
            kept.append(field)
            index[key] = combine(key, index[key], value) if key in index else value
    framing = request_framing(protocol, coding, length)
    keep_alive = protocol == "1.1"
    protocol_wanted = ""
    if connection is not None:
        options = connection_options(connection)
        if "close" in options:
            keep_alive = False
        elif "keep-alive" in options:
            keep_alive = True
        # Only WebSocket is tunnelled; any other upgrade may be ignored (RFC 9110, 7.8).
        if "upgrade" in options and upgrade.lower() == b"websocket" and protocol == "1.1":
            protocol_wanted = "websocket" if framing == 0 and method == "GET" else ""
        _drop_nominated(options, kept, index)
    expects = False
    if expect is not None:
        # RFC 9110, 10.1.1: any other expectation may be refused; 1.0 clients have none.
        if expect.lower() != b"100-continue":
            raise GatewayError("expectation_failed", close=True)
        expects = protocol == "1.1" and framing != 0
    target = read_target(raw_target, method, rules.paths)
    name_text, authority = _read_host(host, protocol, target)
    return RequestHead(
        method, target, protocol, name_text, authority, Headers.of(kept, index), framing,
        keep_alive, expects, protocol_wanted, forwarded,
    )  # fmt: skip


def _read_host(host: bytes | None, version: str, target: Target) -> tuple[str, str]:
    if host is None:
        if version == "1.1":
            raise GatewayError("invalid_host", "The Host field is missing.", close=True)
        if not target.authority:
            return "", ""
        host = target.authority.encode("ascii")
    text = decode(host)
    read = read_authority(text)
    if read is None:
        raise GatewayError("invalid_host", "The Host field is malformed.", close=True)
    if target.authority and target.authority != text:
        other = read_authority(target.authority)
        if other is None or _with_port(other, target.scheme) != _with_port(read, target.scheme):
            raise GatewayError(
                "invalid_host", "The Host field and the target name different hosts.", close=True
            )
    return read[0], text


def _with_port(authority: tuple[str, str], scheme: str) -> tuple[str, str]:
    return authority[0], authority[1] or ("443" if scheme == "https" else "80")


def read_response_head(
    status: int, version: tuple[int, int], fields: tuple[Field, ...], method: str
) -> ResponseHead:
    """Check a response head and part it. Raises GatewayError `upstream_invalid`."""
    if not 100 <= status <= 599:
        raise GatewayError("upstream_invalid", cause=f"status {status}")
    if version not in ((1, 1), (1, 0)):
        raise GatewayError("upstream_invalid", cause=f"version {version[0]}.{version[1]}")
    kept: list[Field] = []
    index: dict[str, bytes] = {}
    connection = length = coding = None
    idle = -1
    known = _NAMES.get
    for field in fields:
        name, value = field
        key, kind = known(name) or _learn(name, "upstream_invalid")
        if kind == _FRAMING:
            if key == "content-length":
                # Equal repeats are one length said twice; anything else was tampered with.
                if length is not None and length != value:
                    raise GatewayError("upstream_invalid", cause="unequal Content-Length")
                length = value
            else:
                coding = value if coding is None else coding + b", " + value
        elif kind == _CONNECTION:
            connection = value if connection is None else connection + b"," + value
        elif kind == _DROP:
            if key == "keep-alive":
                idle = _idle_time(value)
            elif key == "proxy-authenticate":
                kept.append(field)
                index[key] = value
        elif kind != _UPGRADE or status in (101, 426):
            kept.append(field)
            index[key] = combine(key, index[key], value) if key in index else value
    framing = response_framing(method, status, coding, length)
    reuse = version == (1, 1)
    if connection is not None:
        options = connection_options(connection)
        if "close" in options:
            reuse = False
        elif "keep-alive" in options:
            reuse = True
        _drop_nominated(options, kept, index)
    if framing == "close" or (coding is not None and version == (1, 0)):
        reuse = False
    return ResponseHead(
        status, Headers.of(kept, index), framing,
        None if length is None else int(length), reuse, idle,
    )  # fmt: skip


def connection_options(value: bytes) -> set[str]:
    """The options of a Connection value, in lower case (RFC 9110, 7.6.1)."""
    return {option.strip() for option in value.decode("latin-1").lower().split(",")}


def _drop_nominated(options: set[str], kept: list[Field], index: dict[str, bytes]) -> None:
    dropped = {option for option in options if option in index} - _NOT_NOMINABLE
    if dropped:
        kept[:] = [field for field in kept if key_of(field[0]) not in dropped]
        for key in dropped:
            del index[key]


def _idle_time(value: bytes) -> int:
    for part in value.split(b","):
        name, _, seconds = part.strip().partition(b"=")
        if name.lower() == b"timeout" and seconds.isdigit() and len(seconds) < 6:
            return int(seconds)
    return -1
