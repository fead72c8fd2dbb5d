"""A bounded memory of what was worked out before. Knows nothing of what that is."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(dict[K, V]):
    """A dictionary for at most `most` keys: before one more it forgets all of them.

    What is still used is worked out anew, and what somebody made up doesn't stay. Nothing is
    done for keys that are known, so that asking costs what asking a dictionary does.
    """

    __slots__ = ("_most",)

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        if len(self) >= self._most and key not in self:
            self.clear()
        super().__setitem__(key, value)
