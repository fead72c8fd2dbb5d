"""The event loop of these tests is the one that Sidegate runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """uvloop for every test."""
    return {"uvloop": uvloop.new_event_loop}
