"""Values that stand above the file: the command line's, then the environment's.

`SIDEGATE_SERVER__LISTEN` is `server.listen`: two underscores go one level down. Names are
matched to the model's keys and to those in the file, without regard to case; a dash or dot
of a key is one underscore. A route is named by its name or its position from 0. What an
override changes is one scalar, or a list of them with commas between.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from proxy.config.address import as_address
from proxy.config.diagnosis import describe
from proxy.config.model import Config
from proxy.config.problems import Path, Place, Problem, show_path
from proxy.config.scalars import resolve
from proxy.config.shape import (
    fields_of,
    is_list,
    is_mapping,
    item_type,
    may_be_null,
    settings_paths,
    shorthand_of,
    unwrap,
)
from proxy.config.yaml_source import Tree

PREFIX: Final = "SIDEGATE_"
RESERVED: Final = {
    "SIDEGATE_CONFIG": "the file to run, when the command names none",
    "SIDEGATE_UPSTREAM": "the service to stand before, as --upstream",
}

# Kubernetes puts variables like these into every container of a namespace that has a
# Service called `sidegate` or `sidegate-...`; they aren't the user's doing.
_SERVICE_LINK: Final = re.compile(
    r"SIDEGATE(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*"
    r"|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS: Final = re.compile(r"SIDEGATE(_[A-Z0-9]+)*_PORT=(tcp|udp|sctp)://.*")


def apply(tree: Tree, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> None:
    """Write overrides into the tree; those that fit nowhere become problems.

    overrides: by dotted path (`server.listen`), or `upstream` for the only upstream.
    """
    # Shorter names come first, so that an upstream exists before its pool is changed.
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in RESERVED and not _is_link(name, environ):
            _from_environment(tree, name, environ[name])
    upstream = overrides.get("upstream")
    if upstream is not None:
        _set_only_upstream(tree, str(upstream), Place("option --upstream"), "--upstream")
    elif environ.get("SIDEGATE_UPSTREAM"):
        place = Place("environment SIDEGATE_UPSTREAM")
        _set_only_upstream(tree, environ["SIDEGATE_UPSTREAM"], place, "SIDEGATE_UPSTREAM")
    for dotted, value in overrides.items():
        if dotted != "upstream" and value is not None:
            path = tuple(dotted.split("."))
            _put(tree, path, value, Place(f"option --{path[-1].replace('_', '-')}"))


def _is_link(name: str, environ: Mapping[str, str]) -> bool:
    return bool(
        _SERVICE_LINK.fullmatch(name) or _SERVICE_ADDRESS.fullmatch(f"{name}={environ[name]}")
    )


def _set_only_upstream(tree: Tree, text: str, place: Place, given_as: str) -> None:
    upstreams = tree.data.get("upstreams")
    if upstreams is not None and not isinstance(upstreams, dict):
        return  # The file's own problem, which validation reports.
    if upstreams and len(upstreams) > 1:
        names = ", ".join(map(str, upstreams))
        message = f"{given_as} replaces the only upstream, and the file has several: {names}"
        tree.problems.append(Problem(place, "upstreams", message))
        return
    name = next(iter(upstreams), "app") if upstreams else "app"
    old = (upstreams or {}).get(name)
    path: Path = ("upstreams", name)
    if isinstance(old, dict):
        path = (*path, "endpoints")
    address = as_address(text) if not text.startswith(":") else f"http://127.0.0.1{text}"
    _put(tree, path, address, place)


def _from_environment(tree: Tree, name: str, text: str) -> None:
    place = Place(f"environment {name}")
    try:
        path, annotation = _find(name.removeprefix(PREFIX).split("__"), tree.data)
    except LookupError as error:
        message = str(error) or f"names no setting{_nearest(name)}"
        tree.problems.append(Problem(place, "", message))
        return
    if fields_of(annotation) and not shorthand_of(annotation):
        message = f"{show_path(path)} is a section; name one of its settings, as in "
        message += f"{name}__{next(iter(fields_of(annotation))).upper()}"
        tree.problems.append(Problem(place, "", message))
        return
    try:
        _put(tree, path, _value(text, annotation), place)
    except ValueError as error:
        tree.problems.append(Problem(place, show_path(path), str(error)))


def _find(segments: list[str], data: Any) -> tuple[Path, Any]:
    """The path that a name means, and the type there. Raises LookupError, perhaps in words."""
    path: Path = ()
    annotation: Any = Config
    for segment in segments:
        if not segment:
            raise LookupError
        step: str | int
        fields = fields_of(annotation)
        if fields:
            found = _same_name(segment, fields)
            if found is None:
                raise LookupError
            step = found
            annotation = fields[step].annotation
        elif is_mapping(annotation) or annotation is Any:
            if isinstance(data, list) and segment.isdigit():
                step = int(segment)
            else:
                keys = data if isinstance(data, dict) else ()
                step = _same_name(segment, keys) or segment.lower()
            annotation = Any if annotation is Any else item_type(annotation)
        elif is_list(annotation) and fields_of(item_type(annotation)):
            step = _position(segment, data)
            annotation = item_type(annotation)
        else:
            raise LookupError
        path = (*path, step)
        data = _below(data, step)
    return path, annotation


def _same_name(segment: str, keys: Iterable[str]) -> str | None:
    wanted = segment.lower()
    return next((key for key in keys if re.sub(r"[-.]", "_", key.lower()) == wanted), None)


def _position(segment: str, data: Any) -> int:
    rows = data if isinstance(data, list) else []
    names = [row.get("name") if isinstance(row, dict) else None for row in rows]
    name = _same_name(segment, [name for name in names if isinstance(name, str)])
    if name is not None:
        return names.index(name)
    if segment.isdigit() and len(segment) < 6 and int(segment) < len(rows):
        return int(segment)
    raise LookupError(f'there is no entry "{segment.lower()}" in the list')


def _below(data: Any, step: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(str(step))
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step]
    return None


def _value(text: str, annotation: Any) -> Any:
    kind = unwrap(annotation)
    if is_list(annotation):
        return [part.strip() for part in text.strip().strip("[]").split(",") if part.strip()]
    if kind is str or shorthand_of(kind):
        null = may_be_null(annotation) and resolve(text.strip()) is None
        return None if null else text
    return resolve(text.strip())


def _put(tree: Tree, path: Path, value: Any, place: Place) -> None:
    """Set a value, making the sections on the way. Raises ValueError where none fits."""
    data = tree.data
    for depth, step in enumerate(path):
        if isinstance(data, list) and not (isinstance(step, int) and step < len(data)):
            raise ValueError(f"{show_path(path[:depth])} is a list in the file, without {step}")
        if depth == len(path) - 1:
            data[step] = value
            break
        inner = _below(data, step)
        if inner is None or inner is True:
            inner = {}
        elif depth == 1 and path[0] == "upstreams" and isinstance(inner, str):
            inner = {"endpoints": [inner]}
        elif not isinstance(inner, (dict, list)):
            raise ValueError(
                f"{show_path(path[: depth + 1])} is {describe(inner)} in the file; write it out "
                "as a mapping to override one of its settings"
            )
        data[step] = inner
        data = inner
    for places in (tree.keys, tree.values):
        for known in [known for known in places if known[: len(path)] == path]:
            del places[known]
        places[path] = place


def _nearest(name: str) -> str:
    known = ["__".join(path).upper() for path in settings_paths(Config)]
    known += [reserved.removeprefix(PREFIX) for reserved in RESERVED]
    found = get_close_matches(name.removeprefix(PREFIX).upper(), known, n=1, cutoff=0.8)
    if found:
        return f"; did you mean {PREFIX}{found[0]}?"
    return "; two underscores go one level down, as in SIDEGATE_SERVER__LISTEN"
