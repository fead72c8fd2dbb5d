"""What has been purged lately, to tell whether something kept elsewhere is still good. Pure.

Purges of all instances are numbered in the order in which they were said. What is kept bears
the mark of the latest one that was known when it was asked for; a later one that means it
makes it outdated. Only so many are remembered; what is older than all of them can't be judged,
and is taken for gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from proxy.store.purge import Purge

REMEMBERED: Final = 10_000
"""Purges that are remembered."""

Verdict = Literal["good", "spoilt", "gone"]
"""`spoilt`: to be asked for anew before it is used."""


class Numbered(NamedTuple):
    """A purge with its number."""

    number: int
    purge: Purge


class _Latest(NamedTuple):
    """The numbers of the latest purges of something; 0 for none."""

    hard: int = 0
    soft: int = 0

    def after(self, number: int, soft: bool) -> _Latest:
        """With one more."""
        return self._replace(soft=number) if soft else self._replace(hard=number)


_NEVER: Final = _Latest()


class Purges:
    """The latest purges. epoch: names the count, which begins anew when it is lost. number: of
    the latest purge. remembered: most of them.
    """

    def __init__(self, epoch: str, floor: int, remembered: int = REMEMBERED) -> None:
        """floor: the number of the latest purge that isn't remembered any more."""
        self.epoch = epoch
        self.number = floor
        self._floor = floor
        self._remembered = remembered
        self._all: deque[Numbered] = deque()
        self._exact: dict[tuple[str, str], _Latest] = {}
        self._patterns: deque[Numbered] = deque()

    @property
    def mark(self) -> str:
        """What something bears that is asked for now."""
        return f"{self.epoch}:{self.number}"

    def add(self, number: int, purge: Purge) -> None:
        """One more, of the next number."""
        self.number = number
        self._all.append(Numbered(number, purge))
        names = _names(purge)
        if not names:
            self._patterns.append(Numbered(number, purge))
        for name in names:
            self._exact[name] = self._exact.get(name, _NEVER).after(number, purge.soft)
        if len(self._all) > self._remembered:
            self._forget(self._all.popleft())

    def judge(self, mark: str, url: str, tags: Iterable[str]) -> Verdict:
        """Whether something is still good that bears this mark, and is of this URL and tags."""
        epoch, _, text = mark.rpartition(":")
        if epoch != self.epoch or not text.isdigit() or int(text) < self._floor:
            return "gone"
        number = int(text)
        if number >= self.number:
            return "good"
        hard = soft = 0
        for name in (("all", ""), ("url", url), *(("tag", tag) for tag in tags)):
            latest = self._exact.get(name, _NEVER)
            hard, soft = max(hard, latest.hard), max(soft, latest.soft)
        if hard > number:
            return "gone"
        spoilt = soft > number
        for later, purge in reversed(self._patterns):
            if later <= number:
                break
            if purge.selects(url, ()):
                if not purge.soft:
                    return "gone"
                spoilt = True
        return "spoilt" if spoilt else "good"

    def _forget(self, oldest: Numbered) -> None:
        number, purge = oldest
        self._floor = number
        if self._patterns and self._patterns[0].number == number:
            self._patterns.popleft()
        for name in _names(purge):
            if max(self._exact.get(name, _NEVER)) <= number:
                self._exact.pop(name, None)


def _names(purge: Purge) -> list[tuple[str, str]]:
    """What a purge means, where that can be looked up."""
    if purge.kind in ("all", "tag"):
        return [(purge.kind, purge.text)]
    return [("url", url) for url in purge.urls]
