"""What is wrong with a configuration, and where: values only, no reading and no printing."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

Path = tuple[str | int, ...]
"""The way to a value from the root: keys of mappings and positions in lists."""


class Place(NamedTuple):
    """Where a value was written.

    file: a path as the user named it, or what stands for one (`environment SIDEGATE_X`).
    line, column: from 1; 0 when the value isn't in a file.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    @property
    def brief(self) -> str:
        """File and line only, for listings."""
        return f"{self.file}:{self.line}" if self.line else self.file


class Problem(NamedTuple):
    """One thing to mend.

    path: the way to the value, `routes[0].match.path`; empty for the whole file.
    message: what is wrong and what to write instead, without a full stop.
    """

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.path, self.message) if part)


class ConfigError(Exception):
    """A configuration that can't be used, with all of its problems.

    They come in the order of lines, and last those whose place isn't in a file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems), key=lambda row: (row.place.line == 0, row))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def show_path(path: Path) -> str:
    """`("routes", 0, "match")` as `routes[0].match`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            # A dot inside a key would read as two keys.
            key = f'"{step}"' if "." in step or not step else step
            text += f".{key}" if text else key
    return text


def beneath(path: str, others: Iterable[str]) -> bool:
    """Whether `path` is one of `others`, or stands somewhere below one of them."""
    return any(
        path == other or (other != "" and path.startswith((f"{other}.", f"{other}[")))
        for other in others
    )


def meant(name: str, known: Iterable[str]) -> str:
    """What to add to `unknown ...`: the nearest known name, or all of them if few."""
    names = sorted(known)
    # A wrong case is the nearest of all, and too far by the letters when a name is short.
    folded = {other.lower(): other for other in names}
    near = folded.get(name.lower().replace("-", "_"))
    if near is None:
        found = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
        near = folded[found[0]] if found else None
    if near is not None:
        return f'; did you mean "{near}"?'
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"; known here: {shown}"
