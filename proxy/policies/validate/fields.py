"""The values of a form in parts, held against schemas as one object, as those of other forms
are.

May live here: what a part's value is. Must not live here: framing, files and their limits
(`uploads`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from proxy.content.charset import codec_of
from proxy.content.form import Pair
from proxy.content.json import JsonError, JsonLimits, escape, read_json
from proxy.content.multipart import Part
from proxy.errors import Refused, Violation
from proxy.policies.validate.parameters import Kind, object_of
from proxy.policies.validate.schemas import VIOLATIONS_MAX, Validate, shown


class PartValues:
    """Gathers the values of one form. limit: bytes of all of them together.

    A file counts as there, where the schemas ask for a text; what is in it is not looked at.
    """

    def __init__(
        self, validators: Iterable[Validate], kind: Kind, limits: JsonLimits, limit: int
    ) -> None:
        self._validators = tuple(validators)
        self._kind = kind
        self._limits = limits
        self._left = limit
        self._pieces: list[bytes] = []
        self._pairs: list[Pair] = []
        self._read: dict[str, list[Any]] = {}
        self._files: set[str] = set()

    def take(self, data: bytes) -> None:
        """Some of a value. Raises Refused `body_too_large`."""
        self._left -= len(data)
        if self._left < 0:
            raise Refused("body_too_large")
        self._pieces.append(data)

    def end(self, part: Part) -> None:
        """A part has ended. Raises Refused for a value that can't be read."""
        data = b"".join(self._pieces)
        self._pieces = []
        name, media = part.name, part.media
        if part.file is not None:
            self._files.add(name)
            self._pairs.append((name, ""))
        elif media is not None and media.is_json:
            self._read.setdefault(name, []).append(self._json(name, data))
        elif media is not None and codec_of(media.parameters.get("charset", "")):
            raise Refused("unsupported_media_type", "The values of a form are in UTF-8.")
        else:
            try:
                text = data.decode()
            except UnicodeDecodeError:
                raise Refused("malformed_body", "The form is not in UTF-8.") from None
            if self._kind.is_object(name):
                # OpenAPI, 4.8.15.1.1: these are JSON, whatever the part says.
                self._read.setdefault(name, []).append(self._json(name, data))
            else:
                self._pairs.append((name, text))

    def finish(self) -> None:
        """Raise Refused `invalid_input` with all that the schemas find."""
        kind = self._kind
        whole = object_of(self._pairs, kind)
        for name, read in self._read.items():
            values = [whole[name], *read] if name in whole else read
            is_list = len(values) > 1 or (kind.is_list(name) and not isinstance(values[0], list))
            whole[name] = values if is_list else values[0]
        files = tuple(f"/{escape(name)}" for name in self._files if kind.may_be_text(name))
        found = [
            row
            for validate in self._validators
            for row in validate(whole)
            if not any(f"{row.pointer}/".startswith(f"{file}/") for file in files)
        ]
        if found:
            first = found[0]
            raise Refused(
                "invalid_input",
                violations=tuple(found[:VIOLATIONS_MAX]),
                cause=f"body {first.pointer}: {first.detail}",
            )

    def _json(self, name: str, data: bytes) -> Any:
        try:
            return read_json(data, self._limits)
        except JsonError as error:
            violation = Violation("body", shown(f"/{escape(name)}{error.pointer}"), str(error))
            raise Refused("invalid_input", violations=(violation,)) from None
