"""Request bodies that can be seen whole: of an allowed type, well formed, within limits.

May live here: limits of JSON and of forms, and which type is allowed. Must not live here:
schemas, and forms in parts, which are checked as they pass (`uploads`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from proxy.content.charset import codec_of
from proxy.content.form import Pair, read_pairs
from proxy.content.json import JsonError, JsonLimits, read_json
from proxy.content.media import Media
from proxy.entity import Entity
from proxy.errors import Refused, Violation
from proxy.policies.validate.schemas import shown


@dataclass(frozen=True, slots=True)
class FormLimits:
    """fields: how many. name, value: characters of one. repeats: a name may come twice."""

    fields: int
    name: int
    value: int
    repeats: bool


def admit_type(media: Media | None, allowed: Iterable[str]) -> None:
    """Raise Refused `unsupported_media_type` for a body of another type.

    allowed: `application/json`, `image/*`, `*/*`; empty for any.
    """
    wanted = tuple(allowed)
    if not wanted or (media is not None and any(fits(media.name, row) for row in wanted)):
        return
    raise Refused("unsupported_media_type", f"The body must be of the type {' or '.join(wanted)}.")


def fits(name: str, wanted: str) -> bool:
    """Whether a media type is a wanted one, or in a wanted range."""
    return (
        name == wanted
        or wanted == "*/*"
        or (wanted.endswith("/*") and name.startswith(wanted[:-1]))
        or (wanted.startswith("*+") and name.endswith(wanted[1:]))
    )


def check_json(entity: Entity, limits: JsonLimits) -> None:
    """Raise Refused when the body is no JSON or exceeds the limits."""
    charset = entity.media.parameters.get("charset", "utf-8") if entity.media else "utf-8"
    if charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        # RFC 8259, 8.1; other readers would read another text.
        raise Refused("unsupported_media_type", "JSON is in UTF-8.")
    try:
        read_json(entity.data, limits)
    except JsonError as error:
        if error.malformed:
            raise Refused("malformed_body", f"The body is {error}.") from None
        if error.pointer:
            violation = Violation("body", shown(error.pointer), str(error))
            raise Refused("invalid_input", violations=(violation,)) from None
        raise Refused("body_too_complex", f"The body has {_sentence(error)}.") from None


def _sentence(error: JsonError) -> str:
    text = str(error)
    return f"values {text}" if text.startswith("nested") else text


def check_form(entity: Entity, limits: FormLimits) -> list[Pair]:
    """The pairs of a form. Raises Refused when it exceeds the limits."""
    charset = entity.media.parameters.get("charset", "") if entity.media else ""
    if codec_of(charset):
        # Other readers would read another text.
        raise Refused("unsupported_media_type", "The form is to be in UTF-8.")
    try:
        text = entity.data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("malformed_body", "The form is not in UTF-8.") from None
    # Counted before they are parted, so that many cost no more than few.
    if text and text.count("&") >= limits.fields:
        raise Refused("body_too_complex", f"The form has more than {limits.fields} fields.")
    pairs = read_pairs(text)
    seen: set[str] = set()
    for name, value in pairs:
        if len(name) > limits.name:
            raise Refused("body_too_complex", "The form has a field with a name that is too long.")
        if len(value) > limits.value:
            raise _wrong(name, f"is longer than {limits.value} characters")
        if not limits.repeats and name in seen:
            raise _wrong(name, "is given twice")
        seen.add(name)
    return pairs


def _wrong(name: str, detail: str) -> Refused:
    return Refused("invalid_input", violations=(Violation("body", shown(f"/{name}"), detail),))
