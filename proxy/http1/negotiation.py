"""Which of a few formats a client prefers, by its Accept field (RFC 9110, 12.5.1).

The highest weight wins; then the most specific range; then the one named first; then the
order of `FORMATS`. A client that names none of them gets JSON rather than a 406: an error
in another format tells more than none. Ranges that are malformed, and those beyond a bound,
count for nothing. Quoted commas inside parameters are not understood; no media type here
has any. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

Format = Literal["json", "html", "text"]

FORMATS: Final[tuple[Format, ...]] = ("json", "text", "html")

_RANGES_MAX: Final = 32
_LENGTH_MAX: Final = 2048
_USUAL_MAX: Final = 256
# RFC 9110, 12.4.2: qvalue.
_WEIGHT: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?").fullmatch
_EXACT: Final[dict[str, Format]] = {
    "application/json": "json", "application/problem+json": "json", "text/json": "json",
    "text/html": "html", "application/xhtml+xml": "html", "text/plain": "text",
}  # fmt: skip
_WILD: Final[dict[str, tuple[Format, ...]]] = {
    "application/*": ("json",), "text/*": ("text", "html"), "*/*": FORMATS,
}  # fmt: skip
_SPECIFIC: Final[dict[str, int]] = {"*/*": 0, "application/*": 1, "text/*": 1}


def choose_format(accept: str | None) -> Format:
    """The format for an Accept value; None stands for no such field."""
    if accept is None or accept == "*/*":
        return "json"
    return _usual(accept) if len(accept) <= _USUAL_MAX else _choose(accept)


def _choose(accept: str) -> Format:
    best: dict[Format, tuple[int, float, int]] = {}
    for place, media in enumerate(accept[:_LENGTH_MAX].split(",", _RANGES_MAX)[:_RANGES_MAX]):
        name, weight = _read_range(media)
        if weight < 0:
            continue
        exact = _EXACT.get(name) or ("json" if name.endswith("+json") else None)
        specific = _SPECIFIC.get(name, 2)
        for offered in (exact,) if exact is not None else _WILD.get(name, ()):
            # The most specific range that fits a format decides its weight.
            if offered not in best or specific > best[offered][0]:
                best[offered] = (specific, weight, -place)
    chosen: Format = "json"
    highest = (0.0, 0, 0)
    for offered in FORMATS:
        if offered in best:
            specific, weight, place = best[offered]
            rank = (weight, specific, place)
            if weight > 0 and rank > highest:
                chosen, highest = offered, rank
    return chosen


# Browsers and clients say the same each time.
_usual: Final = lru_cache(256)(_choose)


def _read_range(text: str) -> tuple[str, float]:
    """A media range in lower case and its weight; -1 for a malformed one."""
    name, *parameters = text.lower().split(";")
    weight = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            if _WEIGHT(value.strip()) is None:
                return "", -1.0
            weight = float(value)
            break
    return name.strip(), weight
