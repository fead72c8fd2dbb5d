"""Parameters of a query. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

Parameters = Mapping[str, list[str]]


def read_query(query: str) -> Parameters:
    """The values of each parameter of a raw query, decoded, in order.

    Parameters are separated by `&`; `+` is a space. Invalid bytes are kept as surrogates.
    """
    parameters: dict[str, list[str]] = {}
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            parameters.setdefault(_decode(name), []).append(_decode(value))
    return parameters


def _decode(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return unquote(text, errors="surrogateescape") if "%" in text else text
