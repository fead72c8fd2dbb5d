"""The cache is asked in both ways, and does the same in either."""

from __future__ import annotations

import pytest

from tests.unit.asking import at_once, by_waiting
from tests.unit.policies.cache.stage import Stage


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test in both ways."""
    if "way" in metafunc.fixturenames:
        metafunc.parametrize("way", [by_waiting, at_once], indirect=True)


@pytest.fixture(autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of a test; those of unittest choose for themselves."""
    monkeypatch.setattr(Stage, "way", staticmethod(getattr(request, "param", by_waiting)))
