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
from urllib.parse import unquote_to_bytes

ROUNDS_MAX: Final = 4

_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}").search
_PERCENT_U: Final = re.compile(r"%u([0-9A-Fa-f]{4})", re.IGNORECASE)
_ENTITY: Final = re.compile(r"&(?:#[0-9xX]|[A-Za-z]{2,12};)").search
_BACKSLASH: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\})")
# ASCII in another form (Unicode: half- and fullwidth forms), which some databases and
# frameworks fold into ASCII.
_WIDE: Final = re.compile("[\uff01-\uff5e\u02bc\u2032\ufe64\ufe65]").search
_VERSION: Final = re.compile(r"![0-9]{0,6}")
_DECIMAL: Final = re.compile("&#0*([0-9]+)")
# ASCII in more bytes than it has (RFC 3629, 10), as lenient decoders take it.
_OVERLONG: Final = re.compile(rb"\xc0([\x80-\xbf])|\xc1([\x80-\xbf])|\xe0\x80([\x80-\xbf])")
_QUICK: Final = re.compile(r"[%&\\\x00\x80-\U0010ffff]|/\*").search


def may_decode(text: str) -> bool:
    """Whether a text has anything that `readings` would change."""
    return _QUICK(text) is not None


def readings(text: str, rounds: int) -> list[str]:
    """The text itself, and each further text that it decodes to, in at most so many rounds."""
    if _QUICK(text) is None:
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
            plain = normalize("NFKC", plain).replace("\u02bc", "'").replace("\u2032", "'")
        if "/*" in plain:
            plain = _without_comments(plain)
        if plain not in found:
            found.append(plain)
    return found


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
            text = _text(unquote_to_bytes(text.encode("utf-8", "surrogatepass")))
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


def _text(data: bytes) -> str:
    if b"\xc0" in data or b"\xc1" in data or b"\xe0\x80" in data:
        data = _OVERLONG.sub(_short, data)
    return data.decode("utf-8", "replace")


def _short(match: re.Match[bytes]) -> bytes:
    low, high, three = match.groups()
    if low is not None:
        return bytes([low[0] & 0x3F])
    if high is not None:
        return bytes([high[0] & 0x3F | 0x40])
    return bytes([three[0] & 0x3F])
