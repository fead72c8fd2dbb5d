"""Which text some bytes are, when they need not be UTF-8. Pure.

Bytes of most charsets have ASCII where UTF-8 has it. Only those matter that haven't: what
looks for signs of ASCII finds none in them, and a service that reads them does.
"""

from __future__ import annotations

import re
from typing import Final

_MARKS: Final = (
    # The marks of 32 bits begin as those of 16 do.
    (b"\xff\xfe\x00\x00", "utf-32-le"), (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8"),
)  # fmt: skip
# `<?xm` in EBCDIC (XML 1.0, F.1).
_EBCDIC_XML: Final = b"\x4c\x6f\xa7\x94"
# Where the zeros are in a text that begins with two characters of ASCII (RFC 4627, 3).
_ZEROS: Final[dict[tuple[bool, ...], str]] = {
    (True, True, True, False): "utf-32-be", (False, True, True, True): "utf-32-le",
    (True, False, True, False): "utf-16-be", (False, True, False, True): "utf-16-le",
}  # fmt: skip
# ASCII in more bytes than it has (RFC 3629, 10), as lenient decoders take it.
_OVERLONG: Final = re.compile(
    rb"\xc0([\x80-\xbf])|\xc1([\x80-\xbf])|\xe0(?:\x80|(\x81))([\x80-\xbf])"
    rb"|\xf0\x80(?:\x80|(\x81))([\x80-\xbf])"
)
_LETTERS: Final = re.compile(r"[^a-z0-9]+")
_EBCDIC: Final = ("037", "273", "424", "500", "875", "1026", "1140")
# By letters and digits of their names. Looking names up elsewhere would import what is named.
_CODECS: Final = {
    "utf7": "utf-7", "unicode11utf7": "utf-7", "hzgb2312": "hz", "hz": "hz",
    "utf16": "utf-16", "utf16le": "utf-16-le", "utf16be": "utf-16-be", "unicode": "utf-16",
    "utf32": "utf-32", "utf32le": "utf-32-le", "utf32be": "utf-32-be", "ucs2": "utf-16",
    "iso2022jp": "iso2022_jp_ext", "iso2022jp1": "iso2022_jp_ext", "iso2022jp2": "iso2022_jp_2",
    "iso2022kr": "iso2022_kr", "ebcdiccpus": "cp037",
    **{f"{before}{page}": f"cp{page}" for before in ("ibm", "cp", "x") for page in _EBCDIC},
}  # fmt: skip


def text_of(data: bytes) -> str:
    """The text by its own signs: a byte order mark, zeros between its signs, else UTF-8.

    What can't be read becomes replacement characters.
    """
    for mark, coding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(coding, "replace")
    if b"\x00" in data[:4] and len(data) > 3:
        coding = _ZEROS.get(tuple(byte == 0 for byte in data[:4]), "utf-8")
        return data.decode(coding, "replace")
    if data.startswith(_EBCDIC_XML):
        return data.decode("cp037", "replace")
    return lenient_utf_8(data)


def lenient_utf_8(data: bytes) -> str:
    """UTF-8 as lenient readers take it: with ASCII in more bytes than it has."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _OVERLONG.sub(_short, data).decode("utf-8", "replace")


def _short(match: re.Match[bytes]) -> bytes:
    low, high, three, third, four, fourth = match.groups()
    last = low or high or third or fourth
    return bytes([last[0] & 0x3F | (0x40 if high or three or four else 0)])


def codec_of(charset: str) -> str:
    """Python's name of a charset in which ASCII is other bytes; empty for all others."""
    return _CODECS.get(_LETTERS.sub("", charset.lower()), "")
