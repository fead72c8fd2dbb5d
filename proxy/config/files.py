"""Files that policies' options name: read whole, up to a bound, with errors for the user."""

from __future__ import annotations

from proxy.config.units import show_size


def read_whole(name: str, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes. Raises ValueError."""
    try:
        with open(name, "rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ValueError(f"{name} can't be read: {error.strerror}") from None
    if len(content) > limit:
        raise ValueError(f"{name} is larger than {show_size(limit)}")
    return content
