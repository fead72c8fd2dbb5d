"""The event loop of these tests is the one that Sidegate runs on."""

from __future__ import annotations

import asyncio

import pytest
import uvloop


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """uvloop for every test."""
    return uvloop.EventLoopPolicy()
