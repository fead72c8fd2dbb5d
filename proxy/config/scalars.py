"""What the text of one scalar means: YAML 1.2's core types, and `${VARIABLES}`.

YAML 1.1 reads `on`, `off`, `yes`, `no` as booleans and `12:30` as a number. Here they are
text, so that `mode: off` says what it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Scalar = str | int | float | bool | None

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
# Longer ones are text: converting them costs more than linear time.
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,30}|0x[0-9a-fA-F]{1,30}|0o[0-7]{1,30}")
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,3})?"
)
_VARIABLE: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
    r"|(?P<broken>\{[^}]*\}?))"
)


def resolve(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar by YAML 1.2.2, 10.3.2."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Replace `${NAME}` and `${NAME:-default}`; `$$` is a dollar. Raises ValueError.

    As in a shell, `:-` also stands in for a variable that is empty. What a variable holds
    is not expanded again.
    """

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if match["broken"] is not None:
            raise ValueError(
                f'"${match["broken"]}" is no variable; write ${{NAME}} or ${{NAME:-default}}, '
                "and $$ for a dollar"
            )
        found = environ.get(match["name"])
        if match["default"] is not None:
            return found or match["default"]
        if found is None:
            raise ValueError(
                f"the environment has no variable {match['name']}; set it, or write "
                f"${{{match['name']}:-default}}"
            )
        return found

    return _VARIABLE.sub(value, text)


def is_variable(text: str) -> bool:
    """Whether the text is one variable and nothing else."""
    match = _VARIABLE.fullmatch(text)
    return match is not None and match["name"] is not None
