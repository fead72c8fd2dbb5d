"""Message heads: from the parser's fields to what may be passed on, in a single pass.

What is decided here: which fields are hop-by-hop, which are taken out because Sidegate
writes them itself, which are refused. What each value means is left to `framing`, `target`,
`host` and `forwarding`. Pure: no buffers, no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from proxy.errors import GatewayError
from proxy.http1.framing import Framing, read_length, request_framing, response_framing
from proxy.http1.headers import Headers, decode
from proxy.http1.host import read_authority
from proxy.http1.line import (
    CODING,
    CONNECTION,
    DROP,
    END_TO_END,
    EXPECT,
    FORWARDED,
    HOST,
    LENGTH,
    UNDERSCORE,
    UPGRADE,
    Line,
)
from proxy.http1.target import PathRules, Target, read_target
from proxy.memo import Memo

# Connection may not name these away: they frame or address the message (RFC 9110, 7.6.1),
# or an attacker would strip what the next server decides by. Upgrade, which it has to name,
# is kept on a 101 alone.
_NOT_NOMINABLE: Final = {
    "host", "content-length", "transfer-encoding", "cache-control", "authorization", "cookie",
    "content-type", "content-encoding", "range", "via", "set-cookie", "upgrade",
}  # fmt: skip
# Each is one value, and two readers may take different ones of two (RFC 9110, 5.3).
_SINGLE: Final = {"content-type", "user-agent", "server", "etag", "max-forwards"}
_OPTIONS: dict[bytes, frozenset[str]] = {}
_OPTIONS_MAX: Final = 256
_OPTIONS_LENGTH: Final = 64
# Well-formed values of Host, to the name and the text.
_HOSTS: Final[Memo[bytes, tuple[str, str]]] = Memo(1024)

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

    headers: end-to-end fields. forwarded: the forwarding lines that came, taken out of
    them. keep_alive: the client would send another request. expects: it waits for 100.
    upgrade: the protocol that it asks for, empty for none. size: its bytes on the wire, 0
    where nobody counted them.
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
    forwarded: tuple[Line, ...]
    size: int = 0


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


def read_request_head(
    method: str,
    raw_target: str,
    version: tuple[int, int],
    lines: Sequence[Line],
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
    if len(lines) > rules.fields:
        raise GatewayError(
            "head_too_large", f"The request has more than {rules.fields} header fields.", close=True
        )
    # TRACE would show the client what was added to its request on the way.
    if method == "CONNECT" or method == "TRACE":
        raise GatewayError("method_not_supported", close=True)
    fields: dict[str, bytes] = {}
    host: bytes | None = None
    connection = length = coding = expect = None
    upgrade = b""
    forwarded: tuple[Line, ...] = ()
    for line in lines:
        text, key, kind, value = line
        if kind == UNDERSCORE and rules.underscores == "pass":
            kind = END_TO_END
        if kind == END_TO_END:
            if key in fields:
                if key in _SINGLE:
                    raise GatewayError(
                        "invalid_header",
                        "A field that may stand only once is repeated.",
                        close=True,
                    )
                text = fields[key] + b"\r\n" + text
            fields[key] = text
        elif kind == HOST:
            if host is not None:
                raise GatewayError("invalid_host", "The Host field is repeated.", close=True)
            host = value
        elif kind == CONNECTION:
            connection = value if connection is None else connection + b"," + value
        elif kind == LENGTH:
            length = value if length is None else length + b", " + value
        elif kind == CODING:
            coding = value if coding is None else coding + b", " + value
        elif kind == FORWARDED:
            forwarded += (line,)
        elif kind == EXPECT:
            expect = value if expect is None else expect + b", " + value
        elif kind == UPGRADE:
            upgrade = value
        elif kind == UNDERSCORE and rules.underscores == "refuse":
            raise GatewayError("invalid_header", "A field name holds an underscore.", close=True)
    framing: Framing = 0
    if length is not None or coding is not None:
        framing = request_framing(protocol, coding, length)
    keep_alive = protocol == "1.1"
    protocol_wanted = ""
    options = None
    if connection is not None:
        options = connection_options(connection)
        if "close" in options:
            keep_alive = False
        elif "keep-alive" in options:
            keep_alive = True
        # Only WebSocket is tunnelled; any other upgrade may be ignored (RFC 9110, 7.8).
        if "upgrade" in options and upgrade.lower() == b"websocket" and protocol == "1.1":
            protocol_wanted = "websocket" if framing == 0 and method == "GET" else ""
    expects = False
    if expect is not None:
        # RFC 9110, 10.1.1: any other expectation may be refused; 1.0 clients have none.
        if expect.lower() != b"100-continue":
            raise GatewayError("expectation_failed", close=True)
        expects = protocol == "1.1" and framing != 0
    target = read_target(raw_target, method, rules.paths)
    known = _HOSTS.get(host) if host is not None and not target.authority else None
    name_text, authority = known or _read_host(host, protocol, target)
    headers = Headers.of(fields)
    if options is not None:
        headers.drop(options - _NOT_NOMINABLE)
    return RequestHead(
        method, target, protocol, name_text, authority, headers, framing,
        keep_alive, expects, protocol_wanted, forwarded,
    )  # fmt: skip


def _read_host(host: bytes | None, version: str, target: Target) -> tuple[str, str]:
    if host is None:
        if version == "1.1":
            raise GatewayError("invalid_host", "The Host field is missing.", close=True)
        if not target.authority:
            return "", ""
    text = target.authority if host is None else decode(host)
    read = read_authority(text)
    if read is None:
        raise GatewayError("invalid_host", "The Host field is malformed.", close=True)
    if target.authority and target.authority != text:
        other = read_authority(target.authority)
        if other is None or _with_port(other, target.scheme) != _with_port(read, target.scheme):
            raise GatewayError(
                "invalid_host", "The Host field and the target name different hosts.", close=True
            )
    if host is not None and not target.authority and len(host) <= _OPTIONS_LENGTH:
        _HOSTS[host] = read[0], text
    return read[0], text


def _with_port(authority: tuple[str, str], scheme: str) -> tuple[str, str]:
    return authority[0], authority[1] or ("443" if scheme == "https" else "80")


def read_response_head(
    status: int, version: tuple[int, int], lines: Sequence[Line], method: str
) -> ResponseHead:
    """Check a response head and part it. Raises GatewayError `upstream_invalid`."""
    if not 100 <= status <= 599:
        raise GatewayError("upstream_invalid", cause=f"status {status}")
    if version not in ((1, 1), (1, 0)):
        raise GatewayError("upstream_invalid", cause=f"version {version[0]}.{version[1]}")
    fields: dict[str, bytes] = {}
    connection = length = coding = None
    idle = -1
    for text, key, kind, value in lines:
        # One test for nearly all of them.
        if kind != END_TO_END:
            if kind == LENGTH:
                # Equal ones too, as the parser does: what is plain must make no difference.
                if length is not None:
                    raise GatewayError("upstream_invalid", cause="repeated Content-Length")
                length = value
                continue
            if kind == CODING:
                coding = value if coding is None else coding + b", " + value
                continue
            if kind == CONNECTION:
                connection = value if connection is None else connection + b"," + value
                continue
            if kind == DROP:
                if key == "keep-alive":
                    idle = _idle_time(value)
                if key != "proxy-authenticate":
                    continue
            elif kind == UPGRADE and status != 101 and status != 426:
                continue
        fields[key] = fields[key] + b"\r\n" + text if key in fields else text
    number = None if length is None else read_length(length)
    framing: Framing
    if number is not None and status >= 200 and coding is None and method == "GET":
        # What most responses are, in place of the steps that decide about all.
        framing = 0 if status == 204 or status == 304 else number
    else:
        framing = response_framing(method, status, coding, length)
    reuse = version == (1, 1)
    headers = Headers.of(fields)
    if connection is not None:
        options = connection_options(connection)
        if "close" in options:
            reuse = False
        elif "keep-alive" in options:
            reuse = True
        headers.drop(options - _NOT_NOMINABLE)
    if framing == "close" or (coding is not None and version == (1, 0)):
        reuse = False
    return ResponseHead(status, headers, framing, number, reuse, idle)


def connection_options(value: bytes) -> frozenset[str]:
    """The options of a Connection value, in lower case (RFC 9110, 7.6.1)."""
    options = _OPTIONS.get(value)
    if options is None:
        text = value.decode("latin-1").lower()
        options = frozenset(option.strip() for option in text.split(","))
        if len(value) <= _OPTIONS_LENGTH and len(_OPTIONS) < _OPTIONS_MAX:
            _OPTIONS[value] = options
    return options


def _idle_time(value: bytes) -> int:
    for part in value.split(b","):
        name, _, seconds = part.strip().partition(b"=")
        if name.lower() == b"timeout" and seconds.isdigit() and len(seconds) < 6:
            return int(seconds)
    return -1
