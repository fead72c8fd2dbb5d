"""Which paths a route takes: the syntax of path patterns, and what they capture.

May live here: one pattern at a time. Must not live here: the search over many (`tree`),
their order (`precedence`), and how a target becomes a path (`http1`): paths come here
decoded, beginning with a slash, or `*` for `OPTIONS *`.

    /health              exact: this path and no other; `/health/` is another one
    /users/{id}          template: a capture is one whole segment and never empty
    /products/**         prefix: /products, /products/ and everything under it
    /users/{id}/**       prefix with captures
    ~/v(?P<major>\\d+)/.*  regular expression over the whole path (Python's `re`)
    /**                  catch-all: every path, and `*`

What `/**` stands for is captured as `rest`, without the slash before it, unless a capture
of the pattern already has that name. Named groups of a regular expression are captures.
Regular expressions are the operator's own and trusted; the limit on the target bounds
what they read.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

REST: Final = "rest"

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# An encoded slash stays as `%2F` in a decoded path, see `http1.target`.
_ENCODED: Final = re.compile(r"%(?!2F)[0-9A-Fa-f]{2}")


class PathKind(IntEnum):
    """The forms of path patterns, most specific first."""

    EXACT = 0
    TEMPLATE = 1
    PREFIX = 2
    REGEX = 3
    ANY = 4


@dataclass(frozen=True, slots=True)
class PathPattern:
    """One path pattern.

    text: as written. segments: what must stand between the slashes, None for a capture;
    empty for a regular expression and the catch-all. names: of the captures, in order.
    literal: how many characters, slashes included, are fixed. rest: the name under which
    the part for `/**` is captured, empty for none.
    """

    text: str
    kind: PathKind
    segments: tuple[str | None, ...] = ()
    names: tuple[str, ...] = ()
    literal: int = 0
    rest: str = ""
    regex: re.Pattern[str] | None = None

    @property
    def shape(self) -> tuple[object, ...]:
        """Equal for patterns that take the same paths, whatever their captures are called."""
        if self.kind is PathKind.REGEX:
            return (self.kind, self.text)
        return (self.kind, self.segments)

    def matches(self, path: str) -> bool:
        """Whether the pattern takes a path."""
        if self.kind is PathKind.EXACT:
            return path == self.text
        if self.kind is PathKind.REGEX:
            return self.regex is not None and self.regex.fullmatch(path) is not None
        if self.kind is PathKind.ANY:
            return True
        wanted = len(self.segments)
        parts = path.split("/", wanted + 1)[1:]
        if len(parts) < wanted or (self.kind is PathKind.TEMPLATE and len(parts) > wanted):
            return False
        return all(
            part == segment if segment is not None else part
            for part, segment in zip(parts, self.segments, strict=False)
        )

    def capturer(self) -> Callable[[str], Mapping[str, str]] | None:
        """A function from a path that matches to its captures; None when there are none."""
        rest = self.rest
        if not self.names:
            start = self.literal + 1
            return (lambda path: {rest: path[start:]}) if rest else None
        if self.regex is not None:
            return _regex_capturer(self.regex)
        parts = len(self.segments) + 1
        at = [place for place, segment in enumerate(self.segments, 1) if segment is None]
        places = tuple(zip(self.names, at, strict=True))

        def capture(path: str) -> Mapping[str, str]:
            found = path.split("/", parts)
            captures = {name: found[place] for name, place in places}
            if rest:
                captures[rest] = found[parts] if len(found) > parts else ""
            return captures

        if len(places) > 1 or rest:
            return capture
        # One capture is the usual case: 0.17 µs in place of 0.39.
        ((name, place),) = places
        return lambda path: {name: path.split("/", parts)[place]}

    def mismatch(self, path: str) -> str:
        """Why a path that doesn't match doesn't, in words."""
        if self.kind is PathKind.EXACT:
            return f"path {path} is not {self.text}"
        if self.kind is PathKind.PREFIX:
            return f"path {path} is not under {self.text.removesuffix('/**')}"
        return f"path {path} does not match {self.text}"


def read_path(text: str) -> PathPattern:
    """The pattern that a user wrote. Raises ValueError with the fix in words."""
    if text.startswith("~"):
        regex = read_regex(text[1:])
        return PathPattern(text, PathKind.REGEX, names=tuple(regex.groupindex), regex=regex)
    if text == "/**":
        return PathPattern(text, PathKind.ANY, rest=REST)
    _refuse(text)
    prefix = text.endswith("/**")
    segments, names = _read_segments(text, text.removesuffix("/**"))
    kind = PathKind.PREFIX if prefix else PathKind.TEMPLATE if names else PathKind.EXACT
    return PathPattern(
        text,
        kind,
        segments=segments,
        names=names,
        literal=len(segments) + sum(len(segment) for segment in segments if segment),
        rest=REST if prefix and REST not in names else "",
    )


def read_regex(text: str) -> re.Pattern[str]:
    """A regular expression that a user wrote after `~`. Raises ValueError with the place."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            return re.compile(text)
    except FutureWarning as warning:
        said = str(warning).replace("position", "character")
        raise ValueError(f"~{text}: {said}, from 0; put a backslash before it") from None
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos + 1}"
        raise ValueError(f"~{text}: not a regular expression: {error.msg}{place}") from None
    except (OverflowError, RecursionError):
        raise ValueError(f"~{text[:40]}: too large for a regular expression") from None


def _regex_capturer(regex: re.Pattern[str]) -> Callable[[str], Mapping[str, str]]:
    def capture(path: str) -> Mapping[str, str]:
        match = regex.fullmatch(path)
        groups = match.groupdict() if match else {}
        return {name: text for name, text in groups.items() if text is not None}

    return capture


def _refuse(text: str) -> None:
    """Raise ValueError for what no path can be, or what a path can't be compared with."""
    if not text.startswith("/"):
        raise ValueError(
            f"{text!r}: begin with a slash (/{text.removeprefix('/')}), or with ~ for a regular "
            "expression"
        )
    if _CONTROL.search(text):
        raise ValueError(f"{text!r}: take out the control characters; no path contains them")
    if "?" in text or "#" in text:
        raise ValueError(f"{text!r}: only the path stands here; parameters go into match.query")
    if encoded := _ENCODED.search(text):
        if encoded[0] == "%2f":
            raise ValueError(f"{text!r}: write an encoded slash in upper case, %2F")
        raise ValueError(
            f"{text!r}: paths are compared decoded; write the character itself in place of "
            f"{encoded[0]}"
        )
    if "//" in text:
        raise ValueError(
            f"{text!r}: write one slash; a ~regular expression can match empty segments"
        )


def _read_segments(text: str, body: str) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    segments: list[str | None] = []
    names: list[str] = []
    for part in body[1:].split("/"):
        if part in (".", ".."):
            raise ValueError(f"{text!r}: {part!r} segments never reach a route; leave them out")
        if "*" in part:
            raise ValueError(
                f"{text!r}: write {{name}} for one whole segment, /** at the end for everything "
                "under a path, or a ~regular expression"
            )
        if "{" not in part and "}" not in part:
            segments.append(part)
            continue
        if part.count("{") != part.count("}"):
            raise ValueError(f"{text!r}: {part!r} has a brace without its partner")
        if not (part.startswith("{") and part.endswith("}")) or part.count("{") > 1:
            raise ValueError(
                f"{text!r}: a capture is one whole segment, as in /users/{{id}}; for a part of "
                f"one, as in {part!r}, write a ~regular expression"
            )
        name = part[1:-1]
        if _NAME.fullmatch(name) is None:
            raise ValueError(
                f"{text!r}: {name!r} can't be the name of a capture; write up to 64 letters, "
                "digits and underscores, a letter first"
            )
        if name in names:
            raise ValueError(f"{text!r}: two captures are called {name!r}; rename one of them")
        segments.append(None)
        names.append(name)
    return tuple(segments), tuple(names)
