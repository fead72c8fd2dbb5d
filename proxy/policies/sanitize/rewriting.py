"""Queries, forms and JSON with clean values; what was clean keeps its bytes.

May live here: how a text is found in each of them and put back. Must not live here: what
clean is (`cleaning`), or requests.
"""

from __future__ import annotations

import json
from typing import Any, Final, Protocol
from urllib.parse import quote_plus

import orjson

from proxy.content.form import decode_part
from proxy.content.json import escape, repeated_name


class Rules(Protocol):
    """What is done to parameters, which are called `place:name`."""

    def keeps(self, parameter: str) -> bool:
        """Whether it is one that may stay."""
        ...

    def clean(self, parameter: str, text: str) -> str:
        """Its clean text, itself if it was clean."""
        ...

    def drop(self, parameter: str) -> None:
        """It is left out."""
        ...

    def repeat(self, parameter: str) -> None:
        """It was given twice, and the last stays."""
        ...


def clean_pairs(place: str, text: str, rules: Rules) -> str:
    """A query or a form; parts that were clean stay as they were encoded."""
    kept: list[str] = []
    for part in text.split("&"):
        name, equals, raw = part.partition("=")
        parameter = f"{place}:{decode_part(name)}"
        if part and not rules.keeps(parameter):
            rules.drop(parameter)
            continue
        value = decode_part(raw)
        cleaned = rules.clean(parameter, value)
        kept.append(
            part
            if cleaned == value
            else f"{name}{equals}{quote_plus(cleaned, errors='surrogateescape')}"
        )
    return "&".join(kept)


def clean_json(data: bytes, value: Any, rules: Rules) -> bytes:
    """A JSON text, given with its value. Numbers stay digit by digit.

    Of a name that is given twice in one object the last stays.
    Raises RecursionError for texts nested too deeply to be written again.
    """
    repeated = repeated_name(data, value)
    if repeated:
        rules.repeat(f"json:{repeated}")
    if _cleaned(value, _ROOT, rules) is value and not repeated:
        return data
    # Numbers as they were written: 64 bits hold neither all integers nor all digits.
    exact = json.loads(data, parse_int=_verbatim, parse_float=_verbatim)
    try:
        return orjson.dumps(_cleaned(exact, _ROOT, rules))
    except orjson.JSONEncodeError:
        # Its own limit is 254 levels, and there is nothing else that it can't write here.
        raise RecursionError from None


def _verbatim(text: str) -> orjson.Fragment:
    return orjson.Fragment(text)


_GONE: Any = object()
# The text as a whole is no parameter that could be left out.
_ROOT: Final = "json:"


def _cleaned(value: Any, parameter: str, rules: Rules) -> Any:
    """The value itself if nothing in it changes, else a copy; `_GONE` to leave it out."""
    if isinstance(value, dict):
        members = {
            name: _cleaned(member, f"{parameter}/{escape(name)}", rules)
            for name, member in value.items()
        }
        kept: Any = {name: member for name, member in members.items() if member is not _GONE}
        same = all(member is value[name] for name, member in members.items())
    elif isinstance(value, list):
        entries = [
            _cleaned(entry, f"{parameter}/{place}", rules) for place, entry in enumerate(value)
        ]
        kept = [entry for entry in entries if entry is not _GONE]
        same = all(entry is old for entry, old in zip(entries, value, strict=True))
    elif parameter != _ROOT and not rules.keeps(parameter):
        rules.drop(parameter)
        return _GONE
    elif isinstance(value, str):
        text = rules.clean(parameter, value)
        return value if text == value else text
    else:
        return value
    # What holds nothing that may stay has to be one that may stay itself.
    if not kept and parameter != _ROOT and not rules.keeps(parameter):
        rules.drop(parameter)
        return _GONE
    return value if same else kept
