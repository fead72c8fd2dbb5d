"""Texts made clean: which characters go, and in which order.

The order: one form of Unicode, so that what looks alike is alike; then what can't be seen;
then blanks; then what isn't allowed; then length. A clean text is returned as it is, and
most are: plain ASCII without odd blanks is told at a glance.

Pure. Must not know where a text stood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from unicodedata import is_normalized, normalize

Form = Literal["nfc", "nfkc", "none"]

# Controls but for tabs and line ends, and code points that are no characters.
_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffe\uffff\U000e0001]"
)
# What turns text around or can't be seen (Unicode, UAX 9 and UTR 36). Joiners stay: Persian,
# Indic scripts and emoji need them.
_INVISIBLE: Final = re.compile(
    "[\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
_ROUNDS_MAX: Final = 5
_LINES: Final = re.compile(r"(?:\r\n|[\r\n\x0b\x0c\x85\u2028\u2029])+")
_BLANKS: Final = re.compile(r"[^\S\r\n]+")
_PLAIN: Final = re.compile(r"[!-~]+(?: [!-~]+)*").fullmatch
_WORD: Final = re.compile(r"\w+")
_LATIN: Final = re.compile("[A-Za-z]").search
# Letters of other scripts that look like a Latin one (Unicode, UTS 39), by what they look like.
_LOOKALIKES: Final = str.maketrans({
    **dict(zip("АВСЕНІЈКМОРЅТУХ", "ABCEHIJKMOPSTYX", strict=True)),
    **dict(zip("асеһіјорѕухԛԝ", "aceh" "ijopsyxqw", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True)),
    **dict(zip("οαν", "oav", strict=True)),
    "ӏ": "l", "ı": "i", "ɡ": "g", "ɑ": "a", "ℓ": "l", "ꞌ": "'",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cleaner:
    """What is to be done to a text. lines: whether line ends stay. length: most characters,
    0 for any. allowed: matches what has to go, None for nothing.
    """

    form: Form = "nfc"
    controls: bool = True
    invisible: bool = True
    confusables: bool = False
    lines: bool = True
    collapse: bool = False
    trim: bool = True
    forbidden: re.Pattern[str] | None = None
    length: int = 0

    def is_plain(self, text: str) -> bool:
        """Whether a text is clean at a glance; False says nothing."""
        return (
            self.forbidden is None
            and (not self.length or len(text) <= self.length)
            and (not text or _PLAIN(text) is not None)
        )

    def clean(self, text: str, changes: set[str]) -> str:
        """The text made clean; what was done to it is added to `changes`."""
        for _ in range(_ROUNDS_MAX):
            # What is left once something went may not be clean: blanks that were inner ones,
            # letters that make one with what follows them now.
            cleaned = self._clean(text, changes)
            if cleaned == text:
                break
            text = cleaned
        return text

    def _clean(self, text: str, changes: set[str]) -> str:
        if self.is_plain(text):
            return text
        if self.form != "none" and not text.isascii():
            form: Literal["NFC", "NFKC"] = "NFC" if self.form == "nfc" else "NFKC"
            if not is_normalized(form, text):
                text = _noted(text, normalize(form, text), "unicode", changes)
        if self.controls:
            text = _noted(text, _CONTROLS.sub("", text), "controls", changes)
        if self.invisible and not text.isascii():
            text = _noted(text, _INVISIBLE.sub("", text), "invisible", changes)
        if self.confusables and not text.isascii():
            text = _noted(text, _WORD.sub(_unmixed, text), "confusables", changes)
        if not self.lines:
            text = _noted(text, _LINES.sub(" ", text), "lines", changes)
        if self.collapse:
            text = _noted(text, _BLANKS.sub(" ", text), "collapse", changes)
        if self.trim:
            text = _noted(text, text.strip(), "trim", changes)
        if self.forbidden is not None:
            text = _noted(text, self.forbidden.sub("", text), "allowed", changes)
        if self.length and len(text) > self.length:
            text = _noted(text, text[: self.length], "length", changes)
        return text


def _noted(before: str, after: str, change: str, changes: set[str]) -> str:
    if after == before:
        return before
    changes.add(change)
    return after


def _unmixed(match: re.Match[str]) -> str:
    """A word in Latin letters alone, if it had some; words of one other script stay."""
    word = match[0]
    if word.isascii():
        return word
    folded = normalize("NFKC", word).translate(_LOOKALIKES)
    # Fullwidth and mathematical letters are Latin in disguise, even in a whole word of them.
    mixed = _LATIN(word) is not None or normalize("NFKC", word).isascii()
    return folded if mixed and folded.isascii() else word
