"""What a value may become on its way through the programs behind: decoded once more.

A service that decodes twice, an interpreter that knows other escapes, a browser that reads
entities: each gives a text other than the one that came. `readings` lists them, so that who
looks for something dangerous looks at all. The number of rounds is bounded, and so is the
length, since no decoding here makes a text longer but by a constant factor. Pure.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final
from unicodedata import normalize
from urllib.parse import quote, unquote_to_bytes

from proxy.content.charset import lenient_utf_8

ROUNDS_MAX: Final = 4

_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}").search
_PERCENT_U: Final = re.compile(r"%u([0-9A-Fa-f]{4})", re.IGNORECASE)
_ENTITY: Final = re.compile(r"&(?:#[0-9xX]|[A-Za-z]{2,12};)").search
_BACKSLASH: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\})")
# ASCII in another form (Unicode: half- and fullwidth forms, enclosed digits), which some
# databases, frameworks and resolvers fold into ASCII.
_WIDE: Final = re.compile("[\uff01-\uff5e\u02bc\u2032\ufe64\ufe65\u2460-\u24ea\u3002\uff61]").search
_LIKE_ASCII: Final = str.maketrans("\u02bc\u2032\u3002", "''.")
_VERSION: Final = re.compile(r"![0-9]{0,6}")
_DECIMAL: Final = re.compile("&#0*([0-9]+)")
_OVERLONG_ESCAPES: Final = re.compile(
    "%(?:c[01]|e0%8[01]|f0%80%8[01])%[89ab][0-9a-f]", re.IGNORECASE
)
# Blanks of SQL that are none of RE2, and what isn't known to be none: bytes that are no UTF-8.
_BLANK: Final = re.compile("[\x01-\x08\x0b\x0e-\x1f\x85\xa0\ufffd]")
_LINE_COMMENT: Final = re.compile("--|#").search
_QUICK: Final = re.compile(r"[%&\\\x00-\x08\x0b\x0e-\x1f\x80-\U0010ffff]|/\*").search


def may_decode(text: str) -> bool:
    """Whether a text has anything that `readings` would change."""
    return _QUICK(text) is not None or _may_have_line_comments(text)


def shorten(text: str) -> str:
    """A query or form with escapes of overlong ASCII as the escapes that they stand for."""
    return _OVERLONG_ESCAPES.sub(_shortened, text) if "%" in text else text


def _shortened(match: re.Match[str]) -> str:
    return quote(lenient_utf_8(unquote_to_bytes(match[0])), safe="")


def readings(text: str, rounds: int) -> list[str]:
    """The text itself, and each further text that it decodes to, in at most so many rounds."""
    if not may_decode(text):
        return [text]
    found = [text]
    current = text
    for _ in range(rounds):
        further = _once(current)
        if further == current:
            break
        found.append(further)
        current = further
    for form in (*found,):
        plain = form
        if "\x00" in plain:
            plain = plain.replace("\x00", "")
        if _WIDE(plain):
            plain = normalize("NFKC", plain).translate(_LIKE_ASCII)
        plain = _BLANK.sub(" ", plain)
        if _may_have_line_comments(plain):
            plain = _without_line_comments(plain)
        if "/*" in plain:
            plain = _without_comments(plain)
        if plain not in found:
            found.append(plain)
    return found


def _may_have_line_comments(text: str) -> bool:
    return "\n" in text and ("--" in text or "#" in text)


def _without_line_comments(text: str) -> str:
    """In SQL what follows two dashes parts words like a blank, up to the end of the line."""
    *lines, last = text.split("\n")
    return "\n".join([*map(_before_comment, lines), last])


def _before_comment(line: str) -> str:
    found = _LINE_COMMENT(line)
    return line if found is None else line[: found.start()]


def _without_comments(text: str) -> str:
    """In SQL a comment parts words like a blank, and `/*!` begins none in MySQL."""
    found: list[str] = []
    place = 0
    while (begin := text.find("/*", place)) >= 0 and (end := text.find("*/", begin + 2)) >= 0:
        found.append(text[place:begin])
        version = _VERSION.match(text, begin + 2, end)
        if version is not None:
            found.append(text[version.end() : end])
        place = end + 2
    return " ".join([*found, text[place:]])


def _once(text: str) -> str:
    if "%" in text:
        text = _PERCENT_U.sub(_character, text)
        if _PERCENT(text):
            text = lenient_utf_8(unquote_to_bytes(text.encode("utf-8", "surrogatepass")))
    if "&" in text and _ENTITY(text):
        # No character has more digits, and of thousands Python makes no number.
        text = unescape(_DECIMAL.sub(lambda match: f"&#{match[1][:8]}", text))
    if "\\" in text:
        text = _BACKSLASH.sub(_character, text)
    return text


def _character(match: re.Match[str]) -> str:
    code = int(next(group for group in match.groups() if group is not None), 16)
    # Source code is full of escapes of control characters, which end nothing.
    return chr(code) if 0x20 <= code < 0xD800 or 0xE000 <= code < 0x110000 else match[0]
