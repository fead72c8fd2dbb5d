"""Endpoints listed in a file of their own, which may change at any time.

Whoever writes it replaces it as a whole (writes another and renames it); a file that can't be
understood leaves the endpoints as they were.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

from proxy.config.diagnosis import diagnose
from proxy.config.problems import Place
from proxy.config.upstream import EndpointOptions
from proxy.upstream.discovery import Answer, Found

# How often the file is looked at, in seconds.
_LOOK: Final = 1.0
_MAX_BYTES: Final = 4 * 1024 * 1024
_ROWS: Final = TypeAdapter(tuple[EndpointOptions, ...])


class FileSource:
    """A YAML or JSON file: a list of endpoints as `endpoints` takes them, or a mapping with such
    a list under `endpoints`."""

    patience = _LOOK

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._stamp: tuple[int, int] | None = None
        self._answer: Answer | None = None

    async def look(self) -> Answer:
        """The endpoints of the file as it is now."""
        return await asyncio.get_running_loop().run_in_executor(None, self._read)

    def _read(self) -> Answer:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if self._answer is None or stamp != self._stamp:
                if status.st_size > _MAX_BYTES:
                    raise LookupError(f"{self._path}: larger than 4 MiB")
                self._answer = Answer(read_listing(self._path.read_text("utf-8")), _LOOK)
                self._stamp = stamp
        except OSError as error:
            raise LookupError(f"{self._path}: {error.strerror}") from None
        except (UnicodeDecodeError, ValueError) as error:
            raise LookupError(f"{self._path}: {error}") from None
        return self._answer


def read_listing(text: str) -> tuple[Found, ...]:
    """The endpoints that a file lists. Raises ValueError, which says what is wrong with it."""
    try:
        data: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    if isinstance(data, dict):
        if set(data) != {"endpoints"}:
            raise ValueError("a mapping must have the key `endpoints` and no other")
        data = data["endpoints"]
    if not isinstance(data, list):
        raise ValueError("must be a list of endpoints")
    try:
        rows = _ROWS.validate_python(data)
    except ValidationError as error:
        place = Place("")
        [(_, first), *_] = diagnose(
            error,
            data,
            tuple[EndpointOptions, ...],
            value_place=lambda _: place,
            key_place=lambda _: place,
        )
        raise ValueError(f"{first.path}: {first.message}") from None
    return tuple(sorted({Found(row.url, row.weight, row.priority) for row in rows}))
