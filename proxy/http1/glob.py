"""Patterns of paths and URLs, in which `*` stops at a slash and `**` doesn't. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_PARTS: Final = re.compile(r"(\*\*|\*)")
_STARS: Final = {"**": ".*", "*": "[^/]*"}


def compile_glob(pattern: str) -> Callable[[str], object]:
    """A function whose answer is true for what the whole pattern fits."""
    parts = [_STARS.get(part) or re.escape(part) for part in _PARTS.split(pattern)]
    return re.compile("".join(parts), re.DOTALL).fullmatch
