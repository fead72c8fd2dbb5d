"""Routes that an OpenAPI description suggests. Pure: data in, proposals out.

Versions 2.0 (Swagger) and 3.x. What a description says of its paths is proposed; what it
doesn't say (who may do what how often) is left to whoever writes the configuration, but for
one hint: an operation that takes a password is worth a tight limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_PARAMETER: Final = re.compile(r"\{([^{}]*)\}")
_NOT_NAME: Final = re.compile(r"[^A-Za-z0-9_]+")
_NOT_LABEL: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_NAME_MAX: Final = 63
_DEPTH_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Proposal:
    """One route.

    name: unique. path: a pattern as routes write it. methods: upper case, in the order of
    the description. summary: what it is for, on one line, possibly empty. credentials: it
    takes a password.
    """

    name: str
    path: str
    methods: tuple[str, ...]
    summary: str = ""
    credentials: bool = False


def propose(description: Any) -> list[Proposal]:
    """The routes of a description. Raises ValueError, with the reason, for what is none."""
    if not isinstance(description, Mapping) or not (
        "openapi" in description or "swagger" in description
    ):
        raise ValueError("this is no OpenAPI description: it has neither `openapi` nor `swagger`")
    paths = description.get("paths")
    if not isinstance(paths, Mapping) or not paths:
        raise ValueError("the description has no `paths`")
    prefix = _prefix(description)
    names: set[str] = set()
    proposals = []
    for path, told in paths.items():
        item = _resolve(told, description)
        operations = {
            method: item[method]
            for method in _METHODS
            if isinstance(item.get(method), Mapping)
        }  # fmt: skip
        if not operations or not str(path).startswith("/"):
            continue
        pattern = _pattern(prefix + str(path))
        summaries = (operation.get("summary") for operation in operations.values())
        summary = item.get("summary") or next(filter(None, summaries), "")
        proposals.append(
            Proposal(
                _unique(_label(str(path), operations), names),
                pattern,
                tuple(method.upper() for method in operations),
                " ".join(str(summary).split())[:80],
                any(_takes_password(each, description) for each in operations.values()),
            )
        )
    if not proposals:
        raise ValueError("the description has no operations")
    return proposals


def _prefix(description: Mapping[str, Any]) -> str:
    """The path below which all operations are, without a slash at its end."""
    if "swagger" in description:
        base = str(description.get("basePath") or "")
    else:
        servers = description.get("servers")
        first = servers[0] if isinstance(servers, list) and servers else {}
        url = str(first.get("url") or "") if isinstance(first, Mapping) else ""
        base = urlsplit(_PARAMETER.sub("x", url)).path
    base = base.rstrip("/")
    return base if base.startswith("/") else f"/{base}" if base else ""


def _pattern(path: str) -> str:
    """A path of a description as a pattern: parameters are whole segments there, or else it
    takes a regular expression."""
    segments = path.split("/")
    whole = [_PARAMETER.fullmatch(segment) for segment in segments]
    if all(match or "{" not in segment for match, segment in zip(whole, segments, strict=True)):
        taken: set[str] = set()
        return "/".join(
            f"{{{_unique(_capture(match[1]), taken)}}}" if match else segment
            for match, segment in zip(whole, segments, strict=True)
        )
    pieces = _PARAMETER.split(path)
    # Every second piece is the name of a parameter.
    return "~" + "".join(
        "[^/]+" if place % 2 else re.escape(piece) for place, piece in enumerate(pieces)
    )


def _capture(name: str) -> str:
    plain = _NOT_NAME.sub("_", name).strip("_") or "id"
    return (f"p{plain}" if plain[0].isdigit() else plain)[:_NAME_MAX]


def _label(path: str, operations: Mapping[str, Any]) -> str:
    if len(operations) == 1:
        [operation] = operations.values()
        if isinstance(operation.get("operationId"), str):
            path = operation["operationId"]
    return _NOT_LABEL.sub("-", path.replace("{", "").replace("}", "")).strip("-._") or "root"


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name[:_NAME_MAX], 2
    while candidate in taken:
        suffix = f"_{number}" if name.isidentifier() else f"-{number}"
        candidate = name[: _NAME_MAX - len(suffix)] + suffix
        number += 1
    taken.add(candidate)
    return candidate


def _takes_password(operation: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    return any("password" in name.lower() for name in _fields(operation, root))


def _fields(operation: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[str]:
    """Names of what an operation takes in its body or as form fields."""
    body = _resolve(operation.get("requestBody"), root)
    for content in _mappings(body.get("content")):
        yield from _properties(content.get("schema"), root)
    parameters = operation.get("parameters")
    for parameter in parameters if isinstance(parameters, list) else ():
        told = _resolve(parameter, root)
        if told.get("in") == "formData":
            yield str(told.get("name"))
        elif told.get("in") == "body":
            yield from _properties(told.get("schema"), root)


def _properties(schema: Any, root: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    told = _resolve(schema, root)
    if depth > _DEPTH_MAX:
        return
    properties = told.get("properties")
    if isinstance(properties, Mapping):
        yield from map(str, properties)
    for key in ("allOf", "anyOf", "oneOf"):
        parts = told.get(key)
        for part in parts if isinstance(parts, list) else ():
            yield from _properties(part, root, depth + 1)


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield from (item for item in value.values() if isinstance(item, Mapping))


def _resolve(value: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of the description, by its reference if it is one within it; else empty."""
    for _ in range(_DEPTH_MAX):
        if not isinstance(value, Mapping):
            return {}
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        if not reference.startswith("#/"):
            return {}
        value = root
        for step in reference[2:].split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            value = value.get(key) if isinstance(value, Mapping) else None
    return {}
