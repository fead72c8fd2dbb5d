"""What `sidegate --version` says: which release this is, and how it was built."""

from __future__ import annotations

import platform
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from proxy.http1 import field

_BUILT: Final = field.__file__
"""What was loaded of a module that every compiled build compiles."""


def release(built: str | None = _BUILT) -> str:
    """As 0.1.0 (Python 3.11.7), or with how it was compiled. built: the file of a loaded module."""
    try:
        number = version("sidegate")
    except PackageNotFoundError:
        number = "(not installed)"
    compiled = (built or "").endswith(tuple(EXTENSION_SUFFIXES))
    python = f"Python {platform.python_version()}"
    return f"{number} ({f'compiled by mypyc, {python}' if compiled else python})"
