"""Vary: which request fields a response depends on, and when two values mean the same
(RFC 9111, 4.1). Pure.

Values are made alike where their field says that they mean the same: letter case, blanks,
the order of members that are equally welcome. Of other fields only blanks around commas and
the division into lines are made alike.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.http1.headers import Headers
from proxy.http1.members import split_members

_WEIGHT: Final = re.compile(r"[ \t]*;[ \t]*q[ \t]*=[ \t]*([01](?:\.[0-9]{0,3})?)[ \t]*$", re.I)
_RANKED: Final = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language"})
_ABSENT: Final = "-"
_NAMES_MAX: Final = 16


def read_vary(headers: Headers) -> tuple[str, ...] | None:
    """The lower-case names of the fields that a response depends on, in order of name.

    None when it depends on more than a request tells (`*`), or on more fields than are
    worth telling apart.
    """
    value = headers.raw("vary")
    if value is None:
        return ()
    names = {name.strip(" \t").lower() for name in value.decode("latin-1").split(",")} - {""}
    if "*" in names or len(names) > _NAMES_MAX:
        return None
    return tuple(sorted(names))


def selection(names: tuple[str, ...], asked: Headers) -> str:
    """What a request says in these fields, as a text that is equal when it means the same."""
    return "\n".join([_selected(name, asked.raw(name)) for name in names])


def for_language(names: tuple[str, ...], asked: Headers, language: str) -> str:
    """As `selection`, but with a language in place of all that Accept-Language says."""
    return "\n".join(
        [
            f"={language}" if name == "accept-language" else _selected(name, asked.raw(name))
            for name in names
        ]
    )


def favourite_language(asked: Headers) -> str:
    """The one language that a request likes best, in lower case; empty when there isn't one."""
    value = asked.raw("accept-language")
    if value is None:
        return ""
    best = rank(value.decode("latin-1")).partition(">")[0]
    return "" if "," in best or best == "*" else best


def rank(value: str) -> str:
    """The members of a field of preferences, the most welcome first.

    Members are parted by `>` where the former is more welcome, by `,` where they are equally
    so, and stand in order of name then; what isn't acceptable at all comes last, after `!`.
    """
    by_weight: dict[float, set[str]] = {}
    for member in split_members(value.lower())[0]:
        weight = _WEIGHT.search(member)
        number = 1.0 if weight is None else min(float(weight[1]), 1.0)
        name = member if weight is None else member[: weight.start()]
        by_weight.setdefault(number, set()).add(name)
    refused = by_weight.pop(0.0, set())
    groups = [",".join(sorted(by_weight[weight])) for weight in sorted(by_weight, reverse=True)]
    return ">".join(groups) + ("!" + ",".join(sorted(refused)) if refused else "")


def _selected(name: str, value: bytes | None) -> str:
    if value is None:
        return _ABSENT
    text = value.decode("latin-1")
    if name in _RANKED:
        return "=" + rank(text)
    return "=" + ",".join(split_members(text)[0]) if "," in text else "=" + text.strip(" \t")
