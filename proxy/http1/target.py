"""The request target: what routes match and what goes upstream, never two readings of it.

The rule. Routes match the path after one percent-decoding; the bytes of the target go
upstream as they came. Anything that another program could read as a different path is
refused with 400, or changed for both readers alike, as `server.paths` says: dot segments,
encoded slashes and backslashes, empty segments. Control characters, malformed escapes in
the path, fragments, user names and unknown schemes are always refused. So is a path with
`;` parameters that would take another route without them, once routes are known (`runtime`).

Pure text in, values out. Must not know routes, sockets or configuration models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from urllib.parse import unquote_to_bytes

from proxy.errors import GatewayError
from proxy.http1.headers import decode

# RFC 3986 pchar without percent signs, plus what browsers leave bare in paths and queries.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@\[\]^`{|}-]*").fullmatch
# A table in which these and the question mark stand for themselves, and nothing else does.
_HARMLESS: Final = bytes(
    byte if _PLAIN(chr(byte)) or byte == ord("?") else byte ^ 1 for byte in range(256)
)
_QUERY: Final = re.compile(r"[\x21-\x7e]*").fullmatch
_ESCAPES: Final = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_CONTROLS: Final = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])").search
# ASCII written in more bytes than it has, which lenient decoders take for a dot or a slash
# (RFC 3629, 10).
_OVERLONG: Final = re.compile(
    r"%[Cc][01]%[89ABab]|%[Ee]0%[89][0-9A-Fa-f]|%[Ff]0%8[0-9A-Fa-f]"
).search
_SLASHES: Final = re.compile(r"%(?:2[Ff]|5[Cc])|\\").search
# Also beside encoded slashes and before path parameters, where some servers see one too.
_DOT_SEGMENT: Final = re.compile(
    r"(?:[/\\]|%2[Ff]|%5[Cc])(?:\.|%2[Ee]){1,2}(?=[/\\;]|%2[Ff]|%5[Cc]|%3[Bb]|$)"
).search
_ABSOLUTE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?]*)(.*)", re.DOTALL).fullmatch
_EMPTY: Final = re.compile(r"/{2,}")
_PARAMETERS: Final = re.compile(r";[^/]*")


class PathRules(Protocol):
    """What becomes of ambiguous paths; `config.model.Paths` is one."""

    @property
    def dot_segments(self) -> Literal["refuse", "resolve"]:
        """`.` and `..` segments."""
        ...

    @property
    def encoded_slashes(self) -> Literal["refuse", "pass"]:
        """`%2F`, `%5C` and backslashes."""
        ...

    @property
    def empty_segments(self) -> Literal["refuse", "merge", "pass"]:
        """Adjacent slashes."""
        ...


@dataclass(slots=True)
class Target:
    """A target that was read.

    target: origin-form bytes for the upstream. path: decoded. query: raw. authority: of an
    absolute-form target, else empty. scheme: likewise.
    """

    target: bytes
    path: str
    query: str
    authority: str
    scheme: str


def plain_parts(raw: bytes) -> tuple[str, str] | None:
    """Path and query of a target that every rule takes as it is; None says nothing against it.

    raw: begins with a slash.
    """
    # Comparing with a copy in which whatever else there is differs costs a third of matching, and
    # a fourth of deleting what is harmless.
    if raw.translate(_HARMLESS) != raw:
        return None
    path, _, query = raw.decode("ascii").partition("?")
    if "//" in path or "/." in path:
        return None
    return path, query


def read_target(raw: str, method: str, rules: PathRules) -> Target:
    """Read a request target (RFC 9112, 3.2). Raises GatewayError `invalid_target`."""
    if raw[:1] == "/":
        if raw.isascii():
            sent = raw.encode("ascii")
            parts = plain_parts(sent)
            if parts is not None:
                return Target(sent, *parts, "", "")
        path, mark, query = raw.partition("?")
        if _PLAIN(path) and "//" not in path and "/." not in path:
            if mark and not _QUERY(query):
                raise _bad("The query holds characters that a URL can't.")
            if mark and "#" in query:
                raise _bad("The target holds a fragment, which is never sent to a server.")
            return Target(raw.encode("ascii"), path, query, "", "")
        return _careful(path, mark, query, rules, "", "")
    if raw == "*":
        if method != "OPTIONS":
            raise _bad("The target `*` is for OPTIONS only.")
        return Target(b"*", "*", "", "", "")
    match = _ABSOLUTE(raw)
    if match is None:
        raise _bad("The target must begin with a slash.")
    scheme, authority, rest = match[1].lower(), match[2], match[3]
    if scheme not in ("http", "https"):
        raise _bad("The target's scheme is neither http nor https.")
    if not authority or "@" in authority:
        raise _bad("The target must name a host, and no user.")
    if not rest and method == "OPTIONS":
        # RFC 9112, 3.2.4: the whole server is meant.
        return Target(b"*", "*", "", authority, scheme)
    if rest[:1] != "/":
        rest = "/" + rest
    path, mark, query = rest.partition("?")
    return _careful(path, mark, query, rules, authority, scheme)


def _careful(
    path: str, mark: str, query: str, rules: PathRules, authority: str, scheme: str
) -> Target:
    if "#" in path or "#" in query:
        raise _bad("The target holds a fragment, which is never sent to a server.")
    if not _PLAIN(path.replace("%", "").replace("\\", "")) or not _QUERY(query):
        raise _bad("The target holds characters that a URL can't.")
    if "%" in path:
        if _ESCAPES(path):
            raise _bad("The path holds a percent sign without two hexadecimal digits.")
        if _CONTROLS(path):
            raise _bad("The path holds an encoded control character.")
        if _OVERLONG(path):
            raise _bad("The path holds a character in an overlong encoding.")
    if _SLASHES(path) and rules.encoded_slashes == "refuse":
        raise _bad("The path holds an encoded slash or a backslash.")
    if "//" in path and rules.empty_segments != "pass":
        if rules.empty_segments == "refuse":
            raise _bad("The path holds an empty segment (two slashes in a row).")
        path = _EMPTY.sub("/", path)
    if _DOT_SEGMENT(path):
        if rules.dot_segments == "refuse":
            raise _bad("The path holds a dot segment (`.` or `..`).")
        path = resolve_dots(path)
        if _DOT_SEGMENT(path):
            raise _bad("The path holds a dot segment that servers read differently.")
    return Target(
        (path + mark + query).encode("ascii"), decode_path(path), query, authority, scheme
    )


def resolve_dots(path: str) -> str:
    """Remove dot segments, encoded ones too (RFC 3986, 5.2.4); never climbs above the root."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for place, segment in enumerate(segments):
        plain = segment.replace("%2e", ".").replace("%2E", ".")
        last = place == len(segments) - 1
        if plain == "..":
            if kept:
                kept.pop()
        elif plain != ".":
            kept.append(segment)
            continue
        if last:
            kept.append("")
    return "/" + "/".join(kept)


def decode_path(path: str) -> str:
    """Percent-decode once, as UTF-8; encoded slashes stay encoded, so segments stay apart."""
    if "%" not in path:
        return path
    guarded = re.sub("%2[Ff]", "%252F", path)
    return decode(unquote_to_bytes(guarded))


def without_parameters(path: str) -> str:
    """A decoded path as servers read it that cut path parameters off (`/a;b=c/d` as `/a/d`)."""
    return _EMPTY.sub("/", _PARAMETERS.sub("", path)) or "/"


def _bad(detail: str) -> GatewayError:
    return GatewayError("invalid_target", detail, close=True)
