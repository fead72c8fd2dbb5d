"""Where a configuration stands when a command isn't told. Must not live here: what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

DEFAULT_FILE: Final = "sidegate.yaml"
"""In the working directory."""


def locate(named: str | None, environ: Mapping[str, str]) -> Path | None:
    """The file to use: the one named, or the usual one if it is there."""
    name = named or environ.get("SIDEGATE_CONFIG")
    if name:
        return Path(name)
    usual = Path(DEFAULT_FILE)
    return usual if usual.exists() else None


def misnamed(name: str | None, instead: str) -> str:
    """What to say of an address or a port in a file's place; empty where there is none.

    instead: what to write before it, or in its place.
    """
    if name is None or not ("://" in name or name.isdigit()) or Path(name).exists():
        return ""
    return f"{name!r} is no file with a configuration; write {instead}"
