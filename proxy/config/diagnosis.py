"""pydantic's errors in plain words, at the place of the line that is wrong.

May live here: how an error reads and where it points. Must not live here: rules about
what is valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from proxy.config.problems import Path, Place, Problem, meant, show_path
from proxy.config.shape import (
    at,
    fields_of,
    is_list,
    is_model,
    item_type,
    may_be_null,
    settings_paths,
    unwrap,
)
from proxy.config.units import (
    parse_duration,
    parse_share,
    parse_size,
    show_duration,
    show_share,
    show_size,
)

Locate = Callable[[Path], Place]

_WANTED: Final = {
    "string_type": "must be text", "int_type": "must be a whole number",
    "int_parsing": "must be a whole number", "int_from_float": "must be a whole number",
    "float_type": "must be a number", "float_parsing": "must be a number",
    "bool_type": "must be true or false", "bool_parsing": "must be true or false",
    "dict_type": 'must be a mapping ("key: value" lines)',
    "model_type": 'must be a mapping ("key: value" lines)',
    "model_attributes_type": 'must be a mapping ("key: value" lines)',
    "tuple_type": "must be a list", "list_type": "must be a list", "set_type": "must be a list",
    "frozen_set_type": "must be a list",
}  # fmt: skip
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "must be at least"), "greater_than": ("gt", "must be more than"),
    "less_than_equal": ("le", "must be at most"), "less_than": ("lt", "must be less than"),
}  # fmt: skip


ON: Final = frozenset({"on", "yes", "true", "enabled"})
"""What people write for `true`, and YAML 1.2 takes for text."""
OFF: Final = frozenset({"off", "no", "none", "false", "disabled"})
"""What people write for `false`, and YAML 1.2 takes for text."""

_UNITS: Final[tuple[tuple[Callable[[object], float], Callable[[Any], str]], ...]] = (
    (parse_size, show_size),
    (parse_duration, show_duration),
    (parse_share, show_share),
)


class _Finding(NamedTuple):
    """One error. about_key: it is about a key that is unknown or missing, not a value."""

    path: Path
    message: str
    about_key: bool = False


def diagnose(
    error: ValidationError,
    data: Any,
    model: Any,
    *,
    value_place: Locate,
    key_place: Locate,
    prefix: Path = (),
) -> list[tuple[Path, Problem]]:
    """Each problem with its path, which for an unknown or missing key includes the key.

    data: what was validated. prefix: the path of `data` in the file. value_place,
    key_place: the places of paths that begin with `prefix`.
    """
    findings: dict[Path, list[_Finding]] = {}
    for detail in error.errors(include_url=False):
        finding = _read(detail, data, model)
        findings.setdefault(finding.path, []).append(finding)
    problems: list[tuple[Path, Problem]] = []
    for path, found in findings.items():
        # A value that may be of several types has failed once for each of them.
        message = _together(list(dict.fromkeys(finding.message for finding in found)))
        whole = (*prefix, *path)
        about_key = found[0].about_key
        written = about_key and path[-1] in _mapping_at(data, path[:-1])
        place = (key_place if written else value_place)(whole)
        shown = whole[:-1] if about_key else whole
        problems.append((whole, Problem(place, show_path(shown), message)))
    return problems


def _together(messages: list[str]) -> str:
    """What each type says that a value could have had, and the value once."""
    parts = [message.removeprefix("must be ").partition(", not ") for message in messages]
    alike = all(message.startswith("must be ") for message in messages)
    if len(messages) > 1 and alike and all(given for _, _, given in parts):
        return f"must be {' or '.join(wanted for wanted, _, _ in parts)}, not {parts[0][2]}"
    return "; or ".join(messages)


def _read(detail: ErrorDetails, data: Any, model: Any) -> _Finding:
    kind = detail["type"]
    loc = tuple(step for step in detail["loc"])
    if kind == "extra_forbidden":
        path = _walk(loc[:-1], data)
        key = str(loc[-1])
        here = at(model, path)
        # One entry may stand for a list of one.
        known = fields_of(here) or fields_of(item_type(here))
        given = set(_mapping_at(data, path))
        message = f'unknown key "{key}"' + _meant(key, set(known), given, model, path)
        return _Finding((*path, key), message, about_key=True)
    if kind == "missing":
        path = _walk(loc[:-1], data)
        return _Finding((*path, loc[-1]), f'"{loc[-1]}" is missing', about_key=True)
    path = _walk(loc, data)
    return _Finding(path, _message(detail, _get(data, path), at(model, path)))


def _meant(key: str, known: set[str], given: set[str], model: Any, path: Path) -> str:
    """The nearest key here, or the sections that have a key of exactly this name."""
    near = meant(key, known)
    here = at(model, path)
    below = _sections(key, here) or _entries(key, here)
    if below and f'"{below.removeprefix(_ENTRIES)}"' in near:
        return f"; it belongs under {below}"
    if near.startswith("; did you mean"):
        return f"{near[:-1]}, or does it belong under {below}?" if below else near
    if below:
        return f"; it belongs under {below}"
    elsewhere = _sections(key, model, path)
    also = f"; or does it belong under {elsewhere}?" if elsewhere else ""
    return f"{meant(key, known - given)}{also}"


def _sections(key: str, model: Any, but: Path | None = None) -> str:
    """The sections of a model that have this key."""
    found = [
        ".".join(way[:-1])
        for way in settings_paths(model)
        if way[-1] == key and len(way) > 1 and way[:-1] != but
    ]
    return " or ".join(found[:3])


_ENTRIES: Final = "the entries of "


def _entries(key: str, model: Any) -> str:
    """The list of a model whose entries have this key."""
    lists = {name: info.annotation for name, info in fields_of(model).items()}
    found = (name for name, kind in lists.items() if is_list(kind))
    return next((_ENTRIES + name for name in found if key in fields_of(item_type(lists[name]))), "")


def _walk(loc: tuple[str | int, ...], data: Any) -> Path:
    """The part of pydantic's location that exists in the data.

    What doesn't exist are names of union members and of defaults, and short forms that
    were written out before validation.
    """
    path: Path = ()
    for step in loc:
        if (isinstance(data, dict) and step in data) or (
            isinstance(data, (list, tuple)) and isinstance(step, int) and step < len(data)
        ):
            path = (*path, step)
            data = _get(data, (step,))
    return path


def _mapping_at(data: Any, path: Path) -> dict[str, Any]:
    found = _get(data, path)
    return found if isinstance(found, dict) else {}


def _get(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _message(detail: ErrorDetails, value: Any, annotation: Any) -> str:
    kind = detail["type"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return _plain(context.get("error", detail["msg"]), 300).removesuffix(".")
    if kind in _WANTED:
        message = f"{_WANTED[kind]}, not {describe(value)}"
        if kind == "string_type" and isinstance(value, (bool, int, float)):
            message += "; put it in quotes"
        if is_model(unwrap(annotation)):
            message += _as_section(value, annotation, kind)
        if is_list(annotation) and not isinstance(value, bool):
            one = isinstance(value, str | int | float)
            fix = f"write [{_plain(value)}]" if one else 'begin each of its entries with "- "'
            message += f"; {fix}"
        if kind.startswith("float_") and isinstance(value, str):
            with suppress(ValueError):
                message += f"; write {parse_share(value):g}"
        return message
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{words} {_in_the_unit_of(value, context[name])}, not {_plain(value)}"
    if kind in ("string_too_short", "string_too_long"):
        word = "least" if kind == "string_too_short" else "most"
        bound = context["min_length" if kind == "string_too_short" else "max_length"]
        return f"must have at {word} {bound} {'character' if bound == 1 else 'characters'}"
    if kind in ("too_short", "too_long"):
        bound = context.get("min_length" if kind == "too_short" else "max_length")
        word = "least" if kind == "too_short" else "most"
        return f"must have at {word} {bound} {'entry' if bound == 1 else 'entries'}"
    if kind == "literal_error":
        expected = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
        words = ", ".join(expected[:-1]) + " or " + expected[-1] if expected[1:] else expected[0]
        near = meant(str(value), expected)
        hint = near if near.startswith("; did you mean") else ""
        return f"must be {words}, not {describe(value)}{hint}"
    if kind.startswith("ip_"):
        try:
            ip_network(str(value))
        except (ValueError, TypeError) as error:
            return f"{error}; write 10.0.0.0/8 or 192.0.2.7"
    if kind == "string_pattern_mismatch":
        return f"{describe(value)} does not match {context.get('pattern')}"
    message = detail["msg"].removeprefix("Value error, ").removesuffix(".")
    return f"{message[:1].lower()}{message[1:]}"


def _as_section(value: Any, annotation: Any, kind: str) -> str:
    """What to write where something else than a mapping stands for a section."""
    section = unwrap(annotation)
    fields = fields_of(annotation)
    text = value if isinstance(value, str) else ""
    key, colon, rest = text.partition(":")
    if colon and rest and key in fields:
        return f'; write a blank behind "{key}:"'
    if value is False or text.lower() in OFF:
        off = getattr(section, "off", "")
        if off or may_be_null(annotation):
            return f"; write {off} for none" if off else "; leave it out for none"
    if value is True or text.lower() in ON:
        with suppress(ValidationError):
            section.model_validate({})
            return "; write {} for its defaults"
    if not kind.startswith("model_"):
        return ""
    required = [name for name, info in fields.items() if info.is_required()]
    return f'; it needs "{required[0]}"' if required else meant("", fields)


def _in_the_unit_of(value: Any, bound: Any) -> str:
    """A bound as the user would write it, going by how the value was written."""
    if isinstance(value, str) and isinstance(bound, (int, float)):
        for parse, show in _UNITS:
            with suppress(ValueError):
                parse(value)
                return show(bound)
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _plain(value: Any, length: int = 60) -> str:
    text = str(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def describe(value: Any) -> str:
    """A value in an error message: its kind, and what it says when that is short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f'"{_plain(value)}"'
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, (list, tuple)) else type(value).__name__
