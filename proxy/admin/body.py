"""The bodies of operators' requests, as far as all of them are alike. Pure."""

from __future__ import annotations

from typing import Any

import orjson


def read_object(body: bytes, example: str) -> dict[str, Any]:
    """A JSON object. Raises ValueError with the example of one."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError(f"the body must be JSON, such as {example}") from None
    if not isinstance(asked, dict):
        raise ValueError(f"the body must be an object, such as {example}")
    return asked


def sentence(text: str) -> str:
    """What is wrong, as an answer says it."""
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?")) else ".")
