from __future__ import annotations

import pytest

from tests.unit.policies.world import World


@pytest.fixture
def world() -> World:
    """A fresh world for each test."""
    return World()
