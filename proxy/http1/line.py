"""Field lines: what each is called, what it says, and what a head's pass does with it.

May live here: the names that mean something to a proxy, reading a line of the plainest
form, and the memory of lines and names that were read. Must not live here: lines of any
other form, which the parser judges, and what a head means as a whole (`message`).

Most lines of a head came before, letter for letter: a known line costs one look-up, where
cutting and checking it costs 0.5 µs. Pure but for that memory, which is bounded and holds
nothing personal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, cast

from proxy.errors import GatewayError
from proxy.http1.headers import Field, key_of
from proxy.memo import Memo

Line = tuple[bytes, str, int, bytes]
"""A field line that was read: `Name: value` with one blank, its key, its kind, its value.

A plain tuple, since that is what the interpreter takes apart at once.
"""

# What the pass does with a field. END_TO_END is zero so that the common case is one test.
END_TO_END: Final = 0
DROP: Final = 1
CONNECTION: Final = 2
LENGTH: Final = 3
CODING: Final = 4
HOST: Final = 5
FORWARDED: Final = 6
EXPECT: Final = 7
UNDERSCORE: Final = 8
UPGRADE: Final = 9

# Hop-by-hop by RFC 9110, 7.6.1, or by long practice. TE and Trailer go because trailers
# are not passed on; Proxy because CGI-like gateways turn it into HTTP_PROXY.
_HOP_BY_HOP: Final = {
    "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
    "trailer", "proxy", "http2-settings",
}  # fmt: skip
CERTIFICATE_FIELDS: Final = frozenset(
    {"client-cert", "client-cert-chain", "x-forwarded-client-cert"}
)
"""In which proxies tell of a client's certificate (RFC 9440, and Envoy's)."""
# What load balancers and content networks call the client's address, host or scheme; services
# and their libraries believe one or another of them.
_VENDOR_FIELDS: Final = {
    "ali-cdn-real-ip", "cdn-src-ip", "cf-connecting-ip", "cf-connecting-ipv6", "cf-pseudo-ipv4",
    "client-ip", "do-connecting-ip", "fastly-client-ip", "fly-client-ip", "forwarded-for",
    "front-end-https", "proxy-client-ip", "true-client-ip", "wl-proxy-client-ip",
    "x-appengine-user-ip", "x-azure-clientip", "x-azure-socketip", "x-client-ip",
    "x-cluster-client-ip", "x-envoy-external-address", "x-envoy-internal", "x-forwarded",
    "x-host", "x-http-host-override", "x-nf-client-connection-ip", "x-original-host",
    "x-originating-ip", "x-proxyuser-ip", "x-real-client-ip", "x-remote-addr", "x-remote-ip",
    "x-scheme", "x-url-scheme", "x-vercel-forwarded-for",
}  # fmt: skip
_KINDS: Final = {
    **dict.fromkeys(_HOP_BY_HOP, DROP),
    **dict.fromkeys(_VENDOR_FIELDS, FORWARDED),
    **dict.fromkeys(CERTIFICATE_FIELDS, FORWARDED),
    "connection": CONNECTION,
    "content-length": LENGTH,
    "transfer-encoding": CODING,
    "host": HOST,
    "forwarded": FORWARDED,
    "x-real-ip": FORWARDED,
    "x-original-url": FORWARDED,
    "x-rewrite-url": FORWARDED,
    "expect": EXPECT,
    "upgrade": UPGRADE,
}
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
# Everything but line ends and other control characters.
_HARMLESS: Final = bytes(byte for byte in range(256) if byte == 9 or (byte > 31 and byte != 127))
_BLANKS: Final = (32, 9)

_NAMES_MAX: Final = 2048
_NAMES: Final[Memo[bytes, tuple[str, int]]] = Memo(_NAMES_MAX)
_NAME_MAX_LENGTH: Final = 64

_LINES: dict[bytes, Line] = {}
_LINES_MAX: Final = 4096
_LINE_MAX_LENGTH: Final = 256
# Of a name whose values keep changing no more lines are worth keeping.
_VALUES: dict[str, int] = {}
_VALUES_MAX: Final = 64
# Whatever may identify or authorise somebody isn't kept beyond its message.
_PERSONAL: Final = re.compile(
    r"auth|cookie|token|key|secret|session|passw|credential|signature|jwt|saml|assertion|csrf"
    r"|xsrf|otp|nonce|cert|referer|location|link|mail|account|client|address|user(?!-agent)"
)


def line_of(name: bytes, value: bytes, fault: str) -> Line:
    """The line of a field that the parser took apart.

    fault: the code of the GatewayError that is raised when the name is no token: the
    parsers forgive some in responses, `Content-Length ` with its blank for one.
    """
    key, kind = _NAMES.get(name) or _learn(name, fault)
    return name + b": " + value, key, kind, value


def lines_of(fields: Iterable[Field], fault: str) -> list[Line]:
    """The lines of fields that the parser took apart."""
    return [line_of(name, value, fault) for name, value in fields]


def plain_lines(texts: list[bytes]) -> list[Line] | None:
    """The lines of a head, without line ends, if all are of the plainest form.

    That is: a name seen before, a colon, a blank, and a value that neither begins nor ends
    with one and holds no control character. None says nothing against a head; it leaves it
    to the parser. So does Upgrade, since the parser tells more of it.
    """
    # Calling the look-up from C halves its cost.
    known = list(map(_LINES.get, texts))
    if None not in known:
        return cast("list[Line]", known)
    lines: list[Line] = []
    for text, line in zip(texts, known, strict=True):
        read = line or _read(text)
        if read is None:
            return None
        lines.append(read)
    return lines


def remembered(lines: Iterable[Line]) -> bool:
    """Whether all of them are in the memory, so that none is personal."""
    return all(line[0] in _LINES for line in lines)


def _read(text: bytes) -> Line | None:
    name, _, value = text.partition(b": ")
    known = _NAMES.get(name)
    if (
        known is None
        or not value
        or value[0] in _BLANKS
        or value[-1] in _BLANKS
        or value.translate(None, _HARMLESS)
    ):
        return None
    key, kind = known
    if kind == UPGRADE:
        return None
    line = (text, key, kind, value)
    if len(text) <= _LINE_MAX_LENGTH:
        _keep(line)
    return line


def _keep(line: Line) -> None:
    _, key, kind, _ = line
    values = _VALUES.get(key, 0)
    if values >= _VALUES_MAX:
        return
    # Names are counted too: of personal ones there is no line that would fill the memory.
    if len(_LINES) >= _LINES_MAX or (not values and len(_VALUES) >= _NAMES_MAX):
        _LINES.clear()
        _VALUES.clear()
        values = 0
    if not values and (kind == FORWARDED or _PERSONAL.search(key)):
        _VALUES[key] = _VALUES_MAX
        return
    _VALUES[key] = values + 1
    _LINES[line[0]] = line


def _learn(name: bytes, fault: str) -> tuple[str, int]:
    if _TOKEN(name) is None:
        raise GatewayError(fault, cause="field name", close=fault == "invalid_header")
    key = key_of(name)
    kind = _KINDS.get(key)
    if kind is None:
        if key.startswith("x-forwarded-"):
            kind = FORWARDED
        else:
            kind = UNDERSCORE if "_" in key else END_TO_END
    if len(name) <= _NAME_MAX_LENGTH:
        _NAMES[name] = (key, kind)
    return key, kind
