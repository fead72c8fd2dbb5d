"""A question that notes what becomes of it."""

from __future__ import annotations

from typing import Any

from proxy.store.redis.connection import Connection


class Noted:
    """told: the answer, `overdue` or `lost`."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.told: list[Any] = []

    def answered(self, answer: Any, connection: Connection) -> None:
        self.told.append(answer)

    def overdue(self) -> None:
        self.told.append("overdue")

    def lost(self) -> None:
        self.told.append("lost")
