"""Counts of several workers together."""

from __future__ import annotations

from math import nan

from proxy.telemetry.catalogue import (
    BUILD,
    CONFIG_AGE,
    DURATION,
    FAMILIES,
    IN_FLIGHT,
    SENT,
    Family,
)
from proxy.telemetry.ledger import PrivateLedger
from proxy.telemetry.snapshot import gather, write_exemplars

TRACE = "0af7651916cd43dd8448eb211c80319c"
OWN = Family("sidegate_own", "gauge", "A policy's.", ("a",), merge="min")


def test_counts_are_added_and_series_are_joined() -> None:
    one, two = PrivateLedger(), PrivateLedger()
    one.open(SENT, ("a",))[0] = 1
    two.open(SENT, ("a",))[0] = 2
    two.open(SENT, ("b",))[0] = 4
    assert gather([one, two]).families[SENT] == {("a",): [3], ("b",): [4]}


def test_histograms_are_added_bucket_by_bucket() -> None:
    one, two = PrivateLedger(), PrivateLedger()
    for ledger, place in ((one, 0), (two, 3)):
        row = ledger.open(DURATION, ("a",))
        row[place] += 1
        row[-1] += 0.5
    [cells] = gather([one, two]).families[DURATION].values()
    assert cells == [1, 0, 0, 1, *[0] * 11, 1.0]


def test_what_can_not_be_added_has_a_rule() -> None:
    ledgers = []
    for value in (3, 1, 2):
        ledger = PrivateLedger()
        ledger.open(IN_FLIGHT, ())[0] = value
        ledger.open(CONFIG_AGE, ())[0] = value
        ledger.open(OWN, ("x",))[0] = value
        ledger.open(BUILD, ("3.11", "1"))[0] = 1
        ledgers.append(ledger)
    families = gather(ledgers).families
    assert families[IN_FLIGHT][()] == [6]
    assert families[CONFIG_AGE][()] == [3]
    assert families[OWN]["x",] == [1]
    assert families[BUILD]["3.11", "1"] == [1]


def test_a_level_that_has_ended_is_left_out() -> None:
    one, two = PrivateLedger(), PrivateLedger()
    one.open(IN_FLIGHT, ())[0] = nan
    two.open(OWN, ("x",))[0] = nan
    families = gather([one, two]).families
    assert families[IN_FLIGHT] == {}
    assert OWN not in families


def test_the_catalogue_comes_first_and_whole() -> None:
    ledger = PrivateLedger()
    ledger.open(OWN, ("x",))[0] = 1
    assert tuple(gather([ledger]).families) == (*FAMILIES, OWN)


def test_reading_changes_nothing() -> None:
    ledger = PrivateLedger()
    ledger.open(SENT, ("a",))[0] = 1
    for _ in range(2):
        assert gather([ledger, ledger]).families[SENT]["a",] == [2]


def test_exemplars_come_from_whoever_has_one() -> None:
    one, two = PrivateLedger(), PrivateLedger()
    latest: list[tuple[str, float] | None] = [None] * (len(DURATION.bounds) + 1)
    latest[2] = (TRACE, 0.03)
    write_exemplars(one, "a", latest)
    latest[2:4] = [("f" * 32, 0.04), ("0" * 31 + "1", 0.06)]
    write_exemplars(two, "a", latest)
    found = gather([one, two]).exemplars["a",]
    assert found[2] == (TRACE, 0.03)
    assert found[3] == ("0" * 31 + "1", 0.06)
    assert found[0] is None
