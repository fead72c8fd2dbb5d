"""What looking at a request may cost, in CPU time of this process; the least of some rounds."""

from __future__ import annotations

from tests.benchmarks.protection import BODY, costs


def test_the_shield_keeps_to_its_budget() -> None:
    assert 1000 < len(BODY) < 1200
    rows = {row.what: row.microseconds for row in costs(requests=100, rounds=5)}
    assert rows["shield, bare GET"] < 15
    assert rows["shield, GET of a browser with a query"] < 30
    assert rows["shield, 1 KiB of JSON"] < 150
    # Gates that look nothing up but what they were given.
    for gate in ("ip_filter", "hosts", "methods", "csrf", "bots"):
        assert rows[gate] < rows["shield, 1 KiB of JSON"] / 5
