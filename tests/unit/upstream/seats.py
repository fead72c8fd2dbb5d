"""Seats of paper for choices: they have a load and a delay because they are told so."""

from __future__ import annotations

from collections import Counter
from random import Random

from proxy.upstream.balance import Choice


class Chair:
    """An endpoint's seat as a choice sees it."""

    def __init__(self, name: str, weight: int = 1) -> None:
        self.name = name
        self.weight = weight
        self.load = 0
        self.asked = 0
        self.tunnels = 0
        self.seconds = 0.01

    def delay(self) -> float:
        return self.seconds

    def __repr__(self) -> str:
        return self.name


def chairs(*weights: int) -> list[Chair]:
    """Seats called a, b, c and so on with these weights."""
    return [Chair(f"{chr(97 + n % 26)}{n // 26 or ''}", w) for n, w in enumerate(weights)]


def seeded(seed: int = 7) -> Random:
    return Random(seed)


def counted(choice: Choice[Chair], times: int, key: bytes = b"") -> Counter[str]:
    """How often each was picked, each request being over at once."""
    return Counter(choice.pick(key).name for _ in range(times))
